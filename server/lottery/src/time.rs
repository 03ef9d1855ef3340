//! The time of lotteries: the wall clock, held against one that nobody can set.
//!
//! A step of more than [`MAX_STEP`] between the two is not believed: while it lasts nothing
//! is frozen, entries go on by the time that the steady clock expects, and an alarm is
//! raised. A wall clock that is put right again changes nothing. One that stays where it
//! was put for [`BELIEVED_AFTER`] is believed: it was wrong before.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::Clock;

const MAX_STEP: Duration = Duration::from_secs(2);
const BELIEVED_AFTER: Duration = Duration::from_mins(10);

/// Tells lotteries the time.
#[derive(Debug)]
pub(crate) struct LotteryClock {
    clock: Clock,
    anchor: Mutex<Anchor>,
}

/// A moment at which both clocks agreed.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    wall_ms: i64,
    steady_ms: i64,
    doubt: Option<Doubt>,
}

/// The wall clock is off by so much, since then on the steady one.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    off_ms: i64,
    since_ms: i64,
}

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// For certain (ms since 1970).
    Certain(u64),
    /// By the steady clock; the wall clock was set.
    Doubtful(u64),
}

impl Reading {
    /// By this entries are taken.
    pub(crate) const fn ms(self) -> u64 {
        match self {
            Self::Certain(ms) | Self::Doubtful(ms) => ms,
        }
    }

    /// By this lotteries are frozen.
    pub(crate) const fn certain(self) -> Option<u64> {
        match self {
            Self::Certain(ms) => Some(ms),
            Self::Doubtful(_) => None,
        }
    }
}

impl LotteryClock {
    /// Believes the wall clock as it is now.
    pub(crate) fn new(clock: Clock) -> Self {
        let anchor = Anchor { wall_ms: clock.now().0, steady_ms: clock.steady_ms(), doubt: None };
        alarm(false);
        Self { clock, anchor: Mutex::new(anchor) }
    }

    /// Reads both clocks. Must be read every few seconds: small differences are taken over
    /// with each reading, so that a clock that is slewed is followed.
    pub(crate) fn read(&self) -> Reading {
        let mut anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall_ms, steady_ms) = (self.clock.now().0, self.clock.steady_ms());
        let expected_ms = anchor.wall_ms + (steady_ms - anchor.steady_ms);
        let off_ms = wall_ms - expected_ms;
        let is_step = |off_ms: i64| off_ms.unsigned_abs() > MAX_STEP.as_millis() as u64;
        if is_step(off_ms) {
            let same = anchor.doubt.filter(|doubt| !is_step(off_ms - doubt.off_ms));
            let doubt = same.unwrap_or(Doubt { off_ms, since_ms: steady_ms });
            if same.is_none() {
                alarm(true);
                tracing::error!(off_ms, "the clock was set: lotteries are not frozen until it is right, or stays so");
            }
            if steady_ms - doubt.since_ms < BELIEVED_AFTER.as_millis().cast_signed() as i64 {
                anchor.doubt = Some(doubt);
                return Reading::Doubtful(expected_ms.max(0).cast_unsigned());
            }
            tracing::error!(off_ms, "the clock has stayed as it was set, and is believed from now on");
        } else if anchor.doubt.is_some() {
            tracing::info!("the clock is right again");
        }
        if anchor.doubt.is_some() {
            alarm(false);
        }
        *anchor = Anchor { wall_ms, steady_ms, doubt: None };
        Reading::Certain(wall_ms.max(0).cast_unsigned())
    }
}

fn alarm(rings: bool) {
    metrics::gauge!("goligoli_lottery_clock_in_doubt").set(f64::from(u8::from(rings)));
}

#[cfg(test)]
mod tests {
    use idl::Timestamp;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const START_MS: i64 = 1_700_000_000_000;

    fn clocks() -> (Clock, LotteryClock) {
        let clock = Clock::manual(Timestamp(START_MS));
        (clock.clone(), LotteryClock::new(clock))
    }

    fn at(ms: i64) -> u64 {
        (START_MS + ms).cast_unsigned()
    }

    #[test]
    fn time_passes() {
        let (clock, time) = clocks();
        clock.advance_ms(HOUR_MS);
        assert_eq!(time.read(), Reading::Certain(at(HOUR_MS)));
    }

    #[test]
    fn a_step_is_not_believed_until_it_is_undone() {
        for step_ms in [HOUR_MS, -HOUR_MS, 2_001, -2_001] {
            let (clock, time) = clocks();
            clock.step_ms(step_ms);
            clock.advance_ms(60_000);
            assert_eq!(time.read(), Reading::Doubtful(at(60_000)));
            clock.step_ms(-step_ms);
            clock.advance_ms(1);
            assert_eq!(time.read(), Reading::Certain(at(60_001)));
        }
    }

    #[test]
    fn a_slewed_clock_is_followed() {
        let (clock, time) = clocks();
        for n in 1..=100 {
            clock.advance_ms(1_000);
            clock.step_ms(100);
            assert_eq!(time.read(), Reading::Certain(at(n * 1_100)));
        }
    }

    #[test]
    fn what_stays_for_ten_minutes_is_believed_and_a_new_step_begins_anew() {
        let (clock, time) = clocks();
        clock.step_ms(HOUR_MS);
        assert_eq!(time.read(), Reading::Doubtful(at(0)));
        clock.advance_ms(599_000);
        assert_eq!(time.read().certain(), None);
        clock.step_ms(HOUR_MS);
        assert_eq!(time.read().certain(), None);
        clock.advance_ms(599_999);
        assert_eq!(time.read().certain(), None);
        clock.advance_ms(1);
        assert_eq!(time.read(), Reading::Certain(at(2 * HOUR_MS + 1_199_000)));
    }
}
