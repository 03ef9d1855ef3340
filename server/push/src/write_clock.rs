//! The time of a write. Its events are stamped by the platform's clock, which goes back when it
//! believes one that was set back; its tokens come by a clock that never does. Both are read
//! at one moment, and then stand still until the next write: what the limiter promises of any
//! time then holds by the stamps, too, however long a write takes and wherever its thread is
//! preempted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::Clock;
use governor::nanos::Nanos;
use tokio::time::Instant;

/// Readings no further apart than this are of one moment.
const ONE_MOMENT: Duration = Duration::from_micros(100);
/// A machine that is too busy for that is taken as it is.
const MAX_LOOKS: usize = 16;

/// What a limiter goes by. Clones share the time.
#[derive(Debug, Clone)]
pub(crate) struct WriteClock {
    began: Instant,
    since_began_ns: Arc<AtomicU64>,
}

impl WriteClock {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), since_began_ns: Arc::default() }
    }

    /// Goes on to now, and returns what the platform's clock says then (ms since 1970).
    pub(crate) fn look(&self, wall: &Clock) -> i64 {
        let (now, now_ms) = at_one_moment(Instant::now, || wall.now().0);
        let since_began = now.saturating_duration_since(self.began).as_nanos();
        self.since_began_ns.store(u64::try_from(since_began).unwrap_or(u64::MAX), Ordering::Relaxed);
        now_ms
    }
}

impl governor::clock::Clock for WriteClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.since_began_ns.load(Ordering::Relaxed).into()
    }
}

/// Reads both clocks; who was preempted between them reads again.
fn at_one_moment(steady: impl Fn() -> Instant, wall: impl Fn() -> i64) -> (Instant, i64) {
    let mut before = steady();
    for _ in 1..MAX_LOOKS {
        let (now_ms, after) = (wall(), steady());
        if after.saturating_duration_since(before) <= ONE_MOMENT {
            return (before, now_ms);
        }
        before = after;
    }
    (before, wall())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// What a thread reads that loses so much time before and after it reads the wall clock, so many times.
    fn preempted(times: usize, before_ms: u64, after_ms: u64) -> (u128, i64) {
        let begin = Instant::now();
        let (passed, left) = (Cell::new(Duration::ZERO), Cell::new(times));
        let wait = |ms: u64| {
            if left.get() > 0 {
                passed.set(passed.get() + Duration::from_millis(ms));
            }
        };
        let wall = || {
            wait(before_ms);
            let now_ms = i64::try_from(passed.get().as_millis()).unwrap();
            wait(after_ms);
            left.set(left.get().saturating_sub(1));
            now_ms
        };
        let (now, now_ms) = at_one_moment(|| begin + passed.get(), wall);
        ((now - begin).as_millis(), now_ms)
    }

    #[test]
    fn both_clocks_are_read_at_one_moment() {
        assert_eq!(preempted(0, 30, 30), (0, 0));
        assert_eq!(preempted(1, 30, 0), (30, 30));
        assert_eq!(preempted(1, 0, 30), (30, 30));
        assert_eq!(preempted(3, 10, 20), (90, 90));
        assert_eq!(preempted(usize::MAX, 1, 0), (15, 16), "it looks sixteen times, not for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_between_two_looks() {
        use governor::clock::Clock as _;
        let wall = Clock::manual(idl::Timestamp(7));
        let clock = WriteClock::new();
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), Nanos::new(0));
        assert_eq!((clock.look(&wall), clock.clone().now()), (7, Duration::from_secs(2).into()));
    }
}
