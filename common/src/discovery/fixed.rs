//! Addresses from the configuration. What this process announces it sees beside them, and
//! nobody else does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::table::Table;
use super::{Announcement, Instance};
use crate::etcd::is_host_and_port;

/// See [`super::Discovery::Fixed`].
#[derive(Debug, Clone, Default)]
pub struct Fixed {
    pub(super) table: Table,
    configured: Arc<[Instance]>,
    announced: Arc<Mutex<Vec<Instance>>>,
}

impl Fixed {
    pub(super) fn new(services: BTreeMap<String, Vec<String>>) -> anyhow::Result<Self> {
        let mut configured = Vec::new();
        for (service, addresses) in services {
            for (n, address) in addresses.into_iter().enumerate() {
                anyhow::ensure!(
                    is_host_and_port(&address),
                    "discovery.services.{service}: {address:?} is not host:port"
                );
                let id = format!("{service}-{n}");
                configured.push(Instance { id, service: service.clone(), address, contract: u32::MAX });
            }
        }
        let fixed = Self { configured: configured.into(), ..Self::default() };
        fixed.show(&[]);
        Ok(fixed)
    }

    pub(super) fn announce(&self, instances: Vec<Instance>) -> anyhow::Result<Announcement> {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        for new in &instances {
            let taken = announced.iter().any(|old| old.service == new.service && old.id == new.id);
            anyhow::ensure!(!taken, "an instance of {} with the id {:?} is announced already", new.service, new.id);
        }
        announced.extend(instances.iter().cloned());
        self.show(&announced);
        drop(announced);

        let (revoke, (done, revoked)) = (CancellationToken::new(), oneshot::channel());
        let (fixed, asked) = (self.clone(), revoke.clone());
        // Not the lifecycle's: it ends with the announcement, and holds up nothing.
        #[expect(clippy::disallowed_methods, reason = "see above")]
        tokio::spawn(async move {
            asked.cancelled().await;
            let mut announced = fixed.announced.lock().unwrap_or_else(PoisonError::into_inner);
            announced.retain(|old| !instances.contains(old));
            fixed.show(&announced);
            _ = done.send(());
        });
        Ok(Announcement { revoke, revoked })
    }

    /// Where the configuration names an address that was announced, it is the same instance.
    fn show(&self, announced: &[Instance]) {
        let is_announced = |a: &&Instance| announced.iter().any(|b| b.service == a.service && b.address == a.address);
        self.table.set(self.configured.iter().filter(|instance| !is_announced(instance)).chain(announced));
    }
}
