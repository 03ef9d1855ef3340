//! The instances that are known, by service, for those who follow one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::{Instance, Instances};

/// Clones share what they hold. Followers stay connected as long as one clone lives.
#[derive(Debug, Clone, Default)]
pub(super) struct Table(Arc<Mutex<HashMap<String, Followers>>>);

type Followers = watch::Sender<Arc<[Instance]>>;

impl Table {
    pub(super) fn instances(&self, service: &str) -> Instances {
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        services.entry(service.to_owned()).or_default().subscribe()
    }

    /// Takes all instances of all services. Only those are woken whose service has changed.
    pub(super) fn set<'a>(&self, all: impl IntoIterator<Item = &'a Instance>) {
        let mut by_service: HashMap<&str, Vec<Instance>> = HashMap::new();
        for instance in all {
            by_service.entry(&instance.service).or_default().push(instance.clone());
        }
        let mut services = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for service in by_service.keys() {
            services.entry((*service).to_owned()).or_default();
        }
        for (service, followers) in services.iter() {
            let mut new = by_service.remove(service.as_str()).unwrap_or_default();
            new.sort_by(|a, b| a.id.cmp(&b.id));
            followers.send_if_modified(|now| {
                let changed = **now != *new;
                if changed {
                    *now = new.into();
                }
                changed
            });
        }
    }
}
