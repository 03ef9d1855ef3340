//! Whether the process is ready for traffic: the latest report of each part.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The reports. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
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
}
