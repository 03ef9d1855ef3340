//! How often each of many may do something: a token bucket per key, in bounded memory.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use serde::{Deserialize, Serialize};

use crate::Lifecycle;

/// So many keys have a bucket each. Full: newcomers and old ones alike share
/// [`SHARED_BUCKETS`] until the idle ones are forgotten; nobody goes unlimited.
const OWN_BUCKETS: usize = 100_000;
const SHARED_BUCKETS: u64 = 65_536;
const FORGET_EVERY: Duration = Duration::from_secs(30);

/// The measures of a token bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many may come at once.
    pub burst: NonZeroU32,
    /// How many a minute may come all the time.
    pub per_minute: NonZeroU32,
}

/// A bucket for each key. Clones share them.
#[derive(Debug, Clone)]
pub struct Buckets {
    limiter: Arc<RateLimiter<u64, DashMapStateStore<u64>, DefaultClock>>,
    clock: DefaultClock,
}

impl Buckets {
    /// Buckets that are full, all of these measures.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        let refill = Duration::from_secs(60) / rate.per_minute.get();
        // Never `None`: the longest refill is a minute, the shortest 13 ns.
        let quota = Quota::with_period(refill).unwrap_or(Quota::per_minute(rate.per_minute)).allow_burst(rate.burst);
        Self { limiter: Arc::new(RateLimiter::dashmap(quota)), clock: DefaultClock::default() }
    }

    /// Takes a token from this key's bucket.
    ///
    /// # Errors
    /// There is none; the next comes after so long.
    pub fn take(&self, key: u64) -> Result<(), Duration> {
        let key = if self.limiter.len() < OWN_BUCKETS { key } else { key % SHARED_BUCKETS };
        self.limiter.check_key(&key).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }

    /// Drops full buckets: they are like new ones.
    pub fn forget_idle(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

/// Drops full buckets now and then, until the process stops; `name` is the task's.
pub fn forget_idle(name: &'static str, buckets: Vec<Buckets>, lifecycle: &Lifecycle) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn(name, async move {
        while soft.run_until_cancelled(tokio::time::sleep(FORGET_EVERY)).await.is_some() {
            buckets.iter().for_each(Buckets::forget_idle);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(burst: u32, per_minute: u32) -> Buckets {
        Buckets::new(Rate { burst: burst.try_into().unwrap(), per_minute: per_minute.try_into().unwrap() })
    }

    #[test]
    fn each_key_has_its_own_bucket() {
        let buckets = buckets(2, 1);
        assert!(buckets.take(1).is_ok() && buckets.take(1).is_ok() && buckets.take(2).is_ok());
        let wait = buckets.take(1).unwrap_err();
        assert!(wait > Duration::from_secs(50) && wait <= Duration::from_secs(60), "{wait:?}");
        assert!(buckets.take(2).is_ok());
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_nobody_goes_unlimited() {
        let buckets = buckets(1, 1);
        let most = OWN_BUCKETS + usize::try_from(SHARED_BUCKETS).unwrap();
        let passed = (0..3 * OWN_BUCKETS as u64).filter(|key| buckets.take(key + SHARED_BUCKETS).is_ok()).count();
        assert!(buckets.limiter.len() <= most && passed <= most, "{} {passed}", buckets.limiter.len());
    }

    #[test]
    fn what_is_full_is_forgotten_and_what_is_not_stays() {
        let (fast, slow) = (buckets(1, u32::MAX), buckets(1, 1));
        for buckets in [&fast, &slow] {
            (0..100).for_each(|key| buckets.take(key).unwrap());
            buckets.forget_idle();
        }
        assert_eq!((fast.limiter.len(), slow.limiter.len()), (0, 100));
    }
}
