//! The flow limiter: what of a room's ordinary danmaku goes into the live stream.
//!
//! A token bucket (governor's GCRA): `rate` a second, `burst` at once. While there are
//! tokens for all that waits, all of it passes. While tokens are short, those who pass are
//! chosen uniformly among the waiting senders, one line each, so that a bot that posts two
//! hundred lines has the chance of one. Guaranteed events never come here.

use std::collections::HashSet;
use std::num::NonZeroU32;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use idl::UserId;
use idl::event::SuppressedEvent;
use rand::Rng;
use rand::seq::SliceRandom as _;

/// One room's bucket and what it has decided so far.
#[derive(Debug)]
pub(crate) struct Limiter<C: Clock = DefaultClock> {
    bucket: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    totals: SuppressedEvent,
}

impl Limiter {
    /// A full bucket.
    pub(crate) fn new(rate: NonZeroU32, burst: NonZeroU32, totals: SuppressedEvent) -> Self {
        Self::with_clock(rate, burst, totals, DefaultClock::default())
    }
}

impl<C: Clock> Limiter<C> {
    fn with_clock(rate: NonZeroU32, burst: NonZeroU32, totals: SuppressedEvent, clock: C) -> Self {
        let quota = Quota::per_second(rate).allow_burst(burst);
        Self { bucket: RateLimiter::direct_with_clock(quota, clock), totals }
    }

    /// Decides on all that waits now: `true` passes. Counts every one of them.
    pub(crate) fn admit(&mut self, waiting: &[Option<UserId>], rng: &mut impl Rng) -> Vec<bool> {
        let passes = self.choose(waiting, rng);
        let shown = passes.iter().filter(|pass| **pass).count() as u64;
        let all = waiting.len() as u64;
        self.totals.accepted += all;
        self.totals.shown += shown;
        self.totals.suppressed += all - shown;
        passes
    }

    /// What became of everything so far; `accepted = shown + folded + suppressed`.
    pub(crate) const fn totals(&self) -> SuppressedEvent {
        self.totals
    }

    /// Takes a count back to what it was: what was decided since could not be written.
    pub(crate) const fn restore(&mut self, totals: SuppressedEvent) {
        self.totals = totals;
    }

    /// Counts one that never got to the bucket, because it was deleted before.
    pub(crate) const fn count_suppressed(&mut self) {
        self.totals.accepted += 1;
        self.totals.suppressed += 1;
    }

    fn choose(&self, waiting: &[Option<UserId>], rng: &mut impl Rng) -> Vec<bool> {
        let Some(all) = u32::try_from(waiting.len()).ok().and_then(NonZeroU32::new) else {
            return vec![false; waiting.len()];
        };
        if matches!(self.bucket.check_n(all), Ok(Ok(()))) {
            return vec![true; waiting.len()];
        }
        let mut order: Vec<usize> = (0..waiting.len()).collect();
        order.shuffle(rng);
        // One line per sender. The first in a shuffled order would favour who sent many:
        // shuffle the senders again after each has put up one of its lines.
        let mut senders = HashSet::with_capacity(waiting.len());
        order.retain(|&i| waiting[i].is_none_or(|sender| senders.insert(sender)));
        order.shuffle(rng);
        let mut passes = vec![false; waiting.len()];
        for i in order {
            if self.bucket.check().is_err() {
                break;
            }
            passes[i] = true;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;
    use std::time::Duration;

    fn n(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    proptest! {
        /// In every window at most burst + rate·t passes, and nearly all that may pass does.
        #[test]
        fn a_window_never_exceeds_burst_and_rate(
            seed: u64, rate in 5u32..200, burst in 1u32..200, ticks in prop::collection::vec((0usize..60, 1u64..80), 1..120)
        ) {
            let clock = FakeRelativeClock::default();
            let mut limiter = Limiter::with_clock(n(rate), n(burst), SuppressedEvent::default(), clock.clone());
            let mut rng = StdRng::seed_from_u64(seed);
            let mut passed: Vec<(u64, usize)> = Vec::new();
            let mut now_ms = 0;
            for (waiting, pause_ms) in ticks {
                clock.advance(Duration::from_millis(pause_ms));
                now_ms += pause_ms;
                let senders: Vec<_> = (0..waiting as u64).map(|i| Some(UserId(i + 1))).collect();
                let passes = limiter.admit(&senders, &mut rng).into_iter().filter(|p| *p).count();
                passed.push((now_ms, passes));
            }
            for (from, (start, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (end, count) in &passed[from..] {
                    sum += count;
                    let allowed = f64::from(burst) + f64::from(rate) * (end - start) as f64 / 1000.0;
                    prop_assert!(sum as f64 <= allowed + 1.0, "{sum} passed in {} ms, {allowed} allowed", end - start);
                }
            }
            let totals = limiter.totals();
            prop_assert_eq!(totals.accepted, totals.shown + totals.folded + totals.suppressed);
        }

        #[test]
        fn under_pressure_nobody_passes_twice_in_a_tick(seed: u64, flood in 10usize..300) {
            let mut limiter = Limiter::with_clock(n(5), n(20), SuppressedEvent::default(), FakeRelativeClock::default());
            let mut waiting = vec![Some(UserId(1)); flood + 20];
            waiting.extend((2..12).map(|i| Some(UserId(i))));
            let passes = limiter.admit(&waiting, &mut StdRng::seed_from_u64(seed));
            let bot = passes[..flood + 20].iter().filter(|p| **p).count();
            prop_assert_eq!(bot, 1);
            prop_assert_eq!(passes.iter().filter(|p| **p).count(), 11);
        }
    }

    #[test]
    fn senders_pass_equally_often_however_much_they_send() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut bot = 0;
        for _ in 0..2_000 {
            let mut limiter = Limiter::with_clock(n(1), n(5), SuppressedEvent::default(), FakeRelativeClock::default());
            let mut waiting = vec![Some(UserId(1)); 50];
            waiting.extend((2..11).map(|i| Some(UserId(i))));
            bot += usize::from(limiter.admit(&waiting, &mut rng)[..50].contains(&true));
        }
        // Ten senders, five tokens: one in two. Five standard deviations are 112.
        assert!((888..=1112).contains(&bot), "the bot passed {bot} of 2,000 times");
    }
}
