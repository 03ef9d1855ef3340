//! What a room's streams count, for those who operate the site.

use std::sync::atomic::{AtomicU64, Ordering};

/// A room's counts since it was read into memory.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    deliveries: AtomicU64,
    gaps: AtomicU64,
    missed: AtomicU64,
}

impl Statistics {
    /// Events were handed to one viewer.
    pub(crate) fn delivered(&self, events: u64) {
        self.deliveries.fetch_add(events, Ordering::Relaxed);
    }

    /// A viewer fell out of the feed, by so many events.
    pub(crate) fn skipped(&self, events: u64) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        self.missed.fetch_add(events, Ordering::Relaxed);
    }
}
