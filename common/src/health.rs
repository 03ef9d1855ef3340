//! Whether the process is ready for traffic: the latest report of each part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The reports. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
    degraded: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Health {
    /// Sets what is known of a part: fine, or why not.
    pub fn report(&self, part: &'static str, state: Result<(), String>) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part, state);
    }

    /// The latest report of every part, by name.
    #[must_use]
    pub fn parts(&self) -> BTreeMap<&'static str, Result<(), String>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets whether a part does less than it should, and why, while the process is as ready as
    /// any other would be: readiness tells, and stays green.
    pub fn degrade(&self, part: &'static str, why: Option<String>) {
        let mut degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => _ = degraded.insert(part, why),
            None => _ = degraded.remove(part),
        }
    }

    /// The parts that do less than they should, and why.
    #[must_use]
    pub fn degraded(&self) -> BTreeMap<&'static str, String> {
        self.degraded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
