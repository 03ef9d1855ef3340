//! Who runs where: the instances of each service, chosen by URL.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::Lifecycle;

/// One running process of a service, as the others find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name among the service's instances.
    pub id: String,
    /// The service that it runs.
    pub service: String,
    /// `host:port`, as others reach it.
    pub address: String,
    /// The version of the contract that it serves. [`u32::MAX`]: nobody said.
    pub contract: u32,
}

/// The instances of one service as last seen, by id; never shrinks on a failure of the
/// registry.
pub type Instances = watch::Receiver<Arc<[Instance]>>;

/// Settings of the registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `fixed:`.
    pub url: String,
    /// With `fixed:`, where the instances of each service are (`host:port`).
    pub services: BTreeMap<String, Vec<String>>,
}

/// The registry of a process. Clones are the same one.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// Addresses in the configuration, and what this process announces to itself (`fixed:`).
    Fixed(Fixed),
}

/// See [`Discovery::Fixed`].
#[derive(Debug, Clone, Default)]
pub struct Fixed(Arc<Mutex<Table>>);

type Table = BTreeMap<String, watch::Sender<Arc<[Instance]>>>;

impl Fixed {
    fn change(&self, service: &str, change: impl FnOnce(&mut Vec<Instance>)) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let row = table.entry(service.to_owned()).or_insert_with(|| watch::Sender::new(Arc::from([])));
        let mut instances = row.borrow().to_vec();
        change(&mut instances);
        row.send_replace(instances.into());
    }
}

impl Discovery {
    /// Opens the registry.
    ///
    /// # Errors
    /// The URL is not known.
    pub async fn open(settings: &Settings, _: &Lifecycle) -> anyhow::Result<Self> {
        anyhow::ensure!(
            settings.url == "fixed:",
            "discovery.url is {:?}, but this build knows only \"fixed:\"",
            settings.url
        );
        Self::fixed(settings.services.clone())
    }

    /// Fixed addresses of services.
    ///
    /// # Errors
    /// None.
    pub fn fixed(services: BTreeMap<String, Vec<String>>) -> anyhow::Result<Self> {
        let fixed = Fixed::default();
        for (service, addresses) in services {
            let instance = |(n, address)| Instance {
                id: format!("{service}-{n}"),
                service: service.clone(),
                address,
                contract: u32::MAX,
            };
            let all: Vec<Instance> = addresses.into_iter().enumerate().map(instance).collect();
            fixed.change(&service, |instances| *instances = all);
        }
        Ok(Self::Fixed(fixed))
    }

    /// The instances of a service, as they come and go.
    #[must_use]
    pub fn instances(&self, service: &str) -> Instances {
        let Self::Fixed(fixed) = self;
        fixed.change(service, |_| {});
        fixed.0.lock().unwrap_or_else(PoisonError::into_inner)[service].subscribe()
    }

    /// Says that these instances run in this process.
    ///
    /// # Errors
    /// None.
    pub async fn announce(&self, instances: Vec<Instance>) -> anyhow::Result<Announcement> {
        let Self::Fixed(fixed) = self;
        for new in &instances {
            fixed.change(&new.service, |all| all.push(new.clone()));
        }
        let (revoke, (done, revoked)) = (CancellationToken::new(), oneshot::channel());
        let (fixed, asked) = (fixed.clone(), revoke.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the announcement")]
        tokio::spawn(async move {
            asked.cancelled().await;
            for old in &instances {
                fixed.change(&old.service, |all| all.retain(|one| one != old));
            }
            _ = done.send(());
        });
        Ok(Announcement { revoke, revoked })
    }
}

/// What this process has announced. Dropped, it is revoked too, but nobody waits for it.
#[derive(Debug)]
#[must_use = "dropped, it is revoked"]
pub struct Announcement {
    revoke: CancellationToken,
    /// Ends when it is revoked.
    revoked: oneshot::Receiver<()>,
}

impl Announcement {
    /// Takes the instances out of the registry. Returns when that is done, or the registry does
    /// not answer; then they go with their lease.
    pub async fn revoke(mut self) {
        self.revoke.cancel();
        _ = (&mut self.revoked).await;
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.revoke.cancel();
    }
}
