//! The platform that a process stands on, as configured.

use std::sync::Arc;

use common::data_dir::{DataDir, FreeSpace};
use common::health::Health;
use common::objects::Objects;
use common::queue::Queue;
use common::revocation::Revocations;
use common::token::Signer;
use common::{Clock, Lifecycle, Platform, telemetry};

use crate::Config;

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
    let health = Health::default();
    // Before anything is measured.
    telemetry::keep_metrics(&lifecycle);
    clock.watch(data_dir.path(), &lifecycle);
    let signer = Signer::load_or_create(data_dir.path(), clock.clone())?;
    let platform = Platform {
        data_dir: data_dir.path().to_owned(),
        db_url: config.db.url.clone(),
        objects: Objects::connect(&config.objects, data_dir.path(), &lifecycle).await?,
        queue: Queue::connect(&config.queue.url, &lifecycle)?,
        space: FreeSpace::watch(data_dir.path(), &health, &lifecycle),
        verifier: signer.verifier(Revocations::default()),
        clock,
        lifecycle,
        health,
    };
    Ok((platform, Arc::new(signer)))
}
