//! A token bucket whose level can be read: governor's GCRA, which itself only says yes or
//! no, with what it reports beside each yes.

use std::num::NonZeroU32;

use governor::clock::{Clock, Reference as _};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::write_clock::WriteClock;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Tokens a second.
    pub(crate) rate: NonZeroU32,
    /// The most tokens that it holds.
    pub(crate) burst: NonZeroU32,
}

impl Flow {
    /// Another rate, with a burst that lasts as long as this one's.
    pub(crate) fn at_rate(self, rate: NonZeroU32) -> Self {
        let burst = u64::from(self.burst.get()) * u64::from(rate.get()) / u64::from(self.rate.get());
        let burst = NonZeroU32::new(u32::try_from(burst).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
        Self { rate, burst }
    }

    /// What is left now in a bucket that was full, or else empty at `empty_at_ms`, when a
    /// token was taken at each of these times (ms, ascending).
    pub(crate) fn tokens_left(
        self,
        empty_at_ms: Option<i64>,
        taken_at_ms: impl Iterator<Item = i64>,
        now_ms: i64,
    ) -> u32 {
        let burst = f64::from(self.burst.get());
        let mut left = if empty_at_ms.is_some() { 0.0 } else { burst };
        let mut filled_at_ms = empty_at_ms.unwrap_or(now_ms);
        let mut fill = |left: &mut f64, at_ms: i64| {
            let elapsed_ms = (at_ms - std::mem::replace(&mut filled_at_ms, at_ms)).max(0);
            *left = (*left + f64::from(self.rate.get()) * elapsed_ms as f64 / 1_000.0).min(burst);
        };
        for at_ms in taken_at_ms {
            fill(&mut left, at_ms);
            left = (left - 1.0).max(0.0);
        }
        fill(&mut left, now_ms);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and the burst")]
        let left = left as u32;
        left
    }

    fn quota(self) -> Quota {
        Quota::per_second(self.rate).allow_burst(self.burst)
    }
}

type Gcra<C> = RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware>;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Bucket<C: Clock = WriteClock> {
    clock: C,
    flow: Flow,
    gcra: Gcra<C>,
    /// What was left after the last token was taken, and when that was.
    left: u32,
    left_at: C::Instant,
}

impl<C: Clock + Clone> Bucket<C> {
    /// A bucket that holds `tokens` now, or as many as it can.
    pub(crate) fn new(flow: Flow, tokens: u32, clock: C) -> Self {
        let gcra = RateLimiter::direct_with_clock(flow.quota(), clock.clone()).with_middleware();
        let mut bucket = Self { left: flow.burst.get(), left_at: clock.now(), clock, flow, gcra };
        // governor's quota is immutable and its state begins full: what is too much is poured out.
        if let Some(surplus) = NonZeroU32::new(flow.burst.get().saturating_sub(tokens)) {
            bucket.take_all(surplus);
        }
        bucket
    }

    pub(crate) const fn flow(&self) -> Flow {
        self.flow
    }

    /// Other measures from now on; it keeps the tokens that it holds, so that no change
    /// makes a burst.
    pub(crate) fn change(&mut self, flow: Flow) {
        *self = Self::new(flow, self.level(), self.clock.clone());
    }

    /// At least so many tokens are in it (at most one more).
    pub(crate) fn level(&self) -> u32 {
        let elapsed_ns = self.clock.now().duration_since(self.left_at).as_u64();
        let interval_ns = u64::try_from(self.flow.quota().replenish_interval().as_nanos()).unwrap_or(u64::MAX).max(1);
        let since = u32::try_from(elapsed_ns / interval_ns).unwrap_or(u32::MAX);
        self.left.saturating_add(since).min(self.flow.burst.get())
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self) -> bool {
        let Ok(after) = self.gcra.check() else { return false };
        (self.left, self.left_at) = (after.remaining_burst_capacity(), self.clock.now());
        true
    }

    /// Takes so many at once, or none.
    pub(crate) fn take_all(&mut self, n: NonZeroU32) -> bool {
        let Ok(Ok(after)) = self.gcra.check_n(n) else { return false };
        (self.left, self.left_at) = (after.remaining_burst_capacity(), self.clock.now());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;
    use std::time::Duration;

    fn flow(rate: u32, burst: u32) -> Flow {
        Flow { rate: rate.try_into().unwrap(), burst: burst.try_into().unwrap() }
    }

    proptest! {
        #[test]
        fn the_level_is_what_can_be_taken(
            rate in 1u32..2_000, burst in 1u32..2_000, tokens in 0u32..3_000,
            steps in prop::collection::vec((0u64..400, 0u32..50), 1..60)
        ) {
            let clock = FakeRelativeClock::default();
            let mut bucket = Bucket::new(flow(rate, burst), tokens, clock.clone());
            for (pause_ms, wanted) in steps {
                clock.advance(Duration::from_millis(pause_ms));
                let level = bucket.level();
                let taken = (0..wanted).filter(|_| bucket.take()).count() as u32;
                prop_assert!(taken >= level.min(wanted) && taken <= (level + 1).min(wanted), "{taken} of {wanted} at {level}");
            }
        }

        /// However often the measures change: at most what was in it, and what came since.
        #[test]
        fn a_change_makes_no_burst(rates in prop::collection::vec(1u32..500, 1..40)) {
            let clock = FakeRelativeClock::default();
            let mut bucket = Bucket::new(flow(50, 100), 0, clock.clone());
            let (mut taken, mut most) = (0.0, 1.0);
            for rate in rates {
                bucket.change(flow(50, 100).at_rate(rate.try_into().unwrap()));
                clock.advance(Duration::from_millis(100));
                most += f64::from(rate) / 10.0;
                while bucket.take() {
                    taken += 1.0;
                }
                prop_assert!(taken <= most, "{taken} of {most}");
            }
        }
    }

    #[test]
    fn a_burst_lasts_as_long_at_any_rate() {
        let at = |rate: u32| flow(50, 100).at_rate(rate.try_into().unwrap());
        assert_eq!((at(10), at(200)), (flow(10, 20), flow(200, 400)));
        assert_eq!(flow(50, 10).at_rate(NonZeroU32::MIN), flow(1, 1));
        assert_eq!(flow(1, u32::MAX).at_rate(NonZeroU32::MAX).burst, NonZeroU32::MAX, "as long as it can");
    }

    #[test]
    fn what_is_left_follows_from_what_was_taken() {
        let flow = flow(50, 100);
        let left = |empty_at_ms, taken: &[i64], now_ms| flow.tokens_left(empty_at_ms, taken.iter().copied(), now_ms);
        assert_eq!(left(None, &[], 7_000), 100);
        assert_eq!(left(None, &[7_000], 7_000), 99);
        assert_eq!(left(None, &[7_000; 40], 7_100), 65);
        assert_eq!(left(None, &[7_000; 200], 7_000), 0);
        assert_eq!(left(None, &[7_000; 200], 7_900), 45);
        assert_eq!(left(Some(6_000), &[], 6_100), 5);
        assert_eq!(left(Some(7_000), &[7_000, 7_100], 7_100), 4, "the first was taken from nothing");
        assert_eq!(left(Some(6_000), &[7_000], 60_000), 100);
        assert_eq!(left(None, &[7_000, 6_000], 5_000), 98, "a clock that went back fills nothing");
    }
}
