//! The platform that a process stands on, as configured.

use std::sync::Arc;

use common::data_dir::{DataDir, FreeSpace};
use common::health::Health;
use common::objects::Objects;
use common::queue::Queue;
use common::revocation::Revocations;
use common::token::{Signer, Verifier};
use common::{Clock, Lifecycle, Platform, telemetry};

use crate::topology::Services;
use crate::{Config, Service};

/// The platform of this process, and the key that only the user service gets.
///
/// # Errors
/// A back-end can't be opened.
pub async fn open(
    config: &Config,
    data_dir: &DataDir,
    clock: Clock,
    lifecycle: Lifecycle,
) -> anyhow::Result<(Platform, Arc<Signer>)> {
    let signer = Arc::new(signer(config, data_dir, &clock)?);
    let verifier = signer.verifier(Revocations::default());
    Ok((stand(config, data_dir, clock, lifecycle, verifier, &Services::all()).await?, signer))
}

/// The same for a process with these services: what none of them needs is not opened. The
/// signer is for user alone; all others know only what verifies.
///
/// # Errors
/// A back-end can't be opened, or a key is none.
pub async fn open_for(
    services: &Services,
    config: &Config,
    data_dir: &DataDir,
    clock: Clock,
    lifecycle: Lifecycle,
) -> anyhow::Result<(Platform, Option<Arc<Signer>>)> {
    if !services.are_split() {
        return open(config, data_dir, clock, lifecycle).await.map(|(platform, signer)| (platform, Some(signer)));
    }
    let signer = services.has(Service::User).then(|| signer(config, data_dir, &clock)).transpose()?.map(Arc::new);
    let verifier = match &signer {
        Some(signer) if config.access.public_keys.is_empty() => signer.verifier(Revocations::default()),
        _ => Verifier::of_keys(&config.access.public_keys, clock.clone(), Revocations::default())?,
    };
    Ok((stand(config, data_dir, clock, lifecycle, verifier, services).await?, signer))
}

fn signer(config: &Config, data_dir: &DataDir, clock: &Clock) -> anyhow::Result<Signer> {
    match config.access.signing_key.configured() {
        Some(key) => Signer::of_key(key, clock.clone()),
        None => Signer::load_or_create(data_dir.path(), clock.clone()),
    }
}

async fn stand(
    config: &Config,
    data_dir: &DataDir,
    clock: Clock,
    lifecycle: Lifecycle,
    verifier: Verifier,
    services: &Services,
) -> anyhow::Result<Platform> {
    let health = Health::default();
    // Before anything is measured.
    telemetry::keep_metrics(&lifecycle);
    clock.watch(data_dir.path(), &lifecycle);
    // Of what nobody here needs the embedded one stands in: it opens nothing.
    let mut objects = config.objects.clone();
    if !services.need_objects() {
        "folder:".clone_into(&mut objects.url);
    }
    let queue = if services.need_queue() { &config.queue.url } else { "process:" };
    Ok(Platform {
        data_dir: data_dir.path().to_owned(),
        db_url: config.db.url.clone(),
        objects: Objects::connect(&objects, data_dir.path(), &lifecycle).await?,
        queue: Queue::connect(queue, &lifecycle)?,
        space: FreeSpace::watch(data_dir.path(), &health, &lifecycle),
        verifier,
        clock,
        lifecycle,
        health,
    })
}
