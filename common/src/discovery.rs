//! Who runs where: the instances of each service, chosen by URL. Fixed addresses by default;
//! in a cluster a registry (etcd), where every process announces what it runs.
//!
//! What its members promise:
//! - An announced instance is seen by all that follow its service, within a second.
//! - It is gone within a second of its revocation, and within [`LEASE`] (and a moment) of the
//!   death of its process.
//! - Two instances with one id are refused.
//! - While the registry is away everybody keeps what was seen last. What is missing right
//!   after it came back is kept for another [`LEASE`]: whoever lives has announced itself anew
//!   by then, and whoever dials the dead finds out anyway.

mod etcd;
mod fixed;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::Lifecycle;
use crate::etcd::{Etcd, is_host_and_port, is_name};
use crate::secret::SecretText;

/// A process that dies is gone from the registry after this time.
pub const LEASE: Duration = Duration::from_secs(10);

/// One running process of a service, as the others find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its name among the service's instances: 1 to 100 letters, digits, `-`, `_`, `.`.
    pub id: String,
    /// The service that it runs.
    pub service: String,
    /// `host:port`, as others reach it.
    pub address: String,
    /// The version of the contract that it serves. [`u32::MAX`]: nobody said; it is taken to be
    /// as new as who asks.
    pub contract: u32,
}

/// The instances of one service as last seen, by id; never shrinks on a failure of the
/// registry.
pub type Instances = watch::Receiver<Arc<[Instance]>>;

/// Settings of the registry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `fixed:`, or `etcd://host:port,host:port?prefix=goligoli`.
    pub url: String,
    /// Whom etcd knows this process as; empty: nobody.
    pub user: String,
    /// Its password.
    pub password: SecretText,
    /// With `fixed:`, where the instances of each service are (`host:port`).
    pub services: BTreeMap<String, Vec<String>>,
}

/// The registry of a process. Clones are the same one.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// Addresses in the configuration, and what this process announces to itself (`fixed:`).
    Fixed(fixed::Fixed),
    /// An etcd (`etcd:`).
    Etcd(etcd::Registry),
}

impl Discovery {
    /// Opens the registry and follows it until the process stops. Waits some seconds for one
    /// that does not answer.
    ///
    /// # Errors
    /// The URL or an address is malformed, or the registry does not answer or refuses the
    /// log-in: one line that names the key.
    pub async fn open(settings: &Settings, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        if settings.url == "fixed:" {
            return Self::fixed(settings.services.clone());
        }
        anyhow::ensure!(settings.services.is_empty(), "discovery.services is for discovery.url = \"fixed:\" alone");
        anyhow::ensure!(
            settings.url.starts_with("etcd"),
            "discovery.url is {:?}, but this build knows only \"fixed:\" and \"etcd://…\"",
            without_log_in(&settings.url)
        );
        let etcd = Etcd::parse(&settings.url, &settings.user, &settings.password).context("discovery.url")?;
        let servers = etcd.servers();
        let registry = etcd::Registry::open(etcd, lifecycle).await;
        registry.map(Self::Etcd).with_context(|| format!("discovery.url: the etcd at {servers} can't be used"))
    }

    /// Fixed addresses of services.
    ///
    /// # Errors
    /// An address is not `host:port`.
    pub fn fixed(services: BTreeMap<String, Vec<String>>) -> anyhow::Result<Self> {
        fixed::Fixed::new(services).map(Self::Fixed)
    }

    /// The instances of a service, as they come and go.
    #[must_use]
    pub fn instances(&self, service: &str) -> Instances {
        match self {
            Self::Fixed(fixed) => fixed.table.instances(service),
            Self::Etcd(registry) => registry.table.instances(service),
        }
    }

    /// Says that these instances run in this process, all at once, and goes on saying so, also
    /// after an outage of the registry.
    ///
    /// An instance of a process that died before, on this machine, in this network namespace and
    /// at this address, is taken over at once; of any other its lease is waited for.
    ///
    /// # Errors
    /// One of the ids is taken, an id or address is malformed, or the registry does not answer
    /// in time.
    pub async fn announce(&self, instances: Vec<Instance>) -> anyhow::Result<Announcement> {
        for instance in &instances {
            let (id, service) = (&instance.id, &instance.service);
            anyhow::ensure!(is_name(id) && is_name(service), "an instance can't be called {service}/{id:?}");
            let address = &instance.address;
            anyhow::ensure!(is_host_and_port(address), "the address of {service}/{id} is {address:?}, not host:port");
        }
        match self {
            Self::Fixed(fixed) => fixed.announce(instances),
            Self::Etcd(registry) => registry.announce(instances).await,
        }
    }

    /// The etcd behind it, if there is one: shared configuration is there too.
    #[must_use]
    pub fn etcd(&self) -> Option<&Etcd> {
        match self {
            Self::Fixed(_) => None,
            Self::Etcd(registry) => Some(&registry.etcd),
        }
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

/// A URL as it may be shown.
fn without_log_in(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

#[cfg(test)]
mod tests;
