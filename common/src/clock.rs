//! The time as a parameter: the machine's clocks in production, hand-set ones in tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use idl::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Tells the time. Clones of a manual clock share its hands.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<Arc<Hands>>);

#[derive(Debug, Default)]
struct Hands {
    wall_ms: AtomicI64,
    steady_ms: AtomicI64,
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is moved.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(Hands { wall_ms: AtomicI64::new(start.0), ..Hands::default() })))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(hands) => Timestamp(hands.wall_ms.load(Ordering::SeqCst)),
            None => wall(),
        }
    }

    /// Milliseconds since some moment, on a clock that nobody can set. It goes on while the
    /// process is stopped and while the machine sleeps.
    #[must_use]
    pub fn steady_ms(&self) -> i64 {
        match &self.0 {
            Some(hands) => hands.steady_ms.load(Ordering::SeqCst),
            None => {
                let since = clock_gettime(ClockId::Boottime);
                since.tv_sec * 1_000 + since.tv_nsec / 1_000_000
            }
        }
    }

    /// Lets time pass on a manual clock; does nothing to the machine's.
    pub fn advance_ms(&self, ms: i64) {
        if let Some(hands) = &self.0 {
            hands.wall_ms.fetch_add(ms, Ordering::SeqCst);
            hands.steady_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }

    /// Sets a manual clock forward or back, while no time passes; does nothing to the machine's.
    pub fn step_ms(&self, ms: i64) {
        if let Some(hands) = &self.0 {
            hands.wall_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
