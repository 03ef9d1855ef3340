//! Whether the wall clock is believed. Pure: what the clocks show is given.

use std::time::Duration;

use idl::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Hands, Reading};

const MAX_STEP: Duration = Duration::from_secs(2);
const BELIEVED_AFTER: Duration = Duration::from_mins(10);

/// A moment at which the wall clock was believed, and what is held against it since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Anchor {
    wall_ms: i64,
    steady_ms: i64,
    /// It was at least that late: nothing is wrong with a wall clock that is ahead.
    at_least: bool,
    doubt: Option<Doubt>,
}

/// The wall clock is off by so much, since then on the steady one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    off_ms: i64,
    since_ms: i64,
}

impl Anchor {
    /// Believes what the wall clock shows.
    pub(super) const fn at(hands: Hands) -> Self {
        let Hands { wall_ms, steady_ms } = hands;
        Self { wall_ms, steady_ms, at_least: false, doubt: None }
    }

    /// The same on a machine that was started since, no one knows how long ago.
    pub(super) const fn after_boot(self, hands: Hands) -> Self {
        Self { wall_ms: self.wall_ms, steady_ms: hands.steady_ms, at_least: true, doubt: None }
    }

    /// The same knowledge, told of this moment.
    pub(super) const fn moved_to(self, hands: Hands) -> Self {
        Self { wall_ms: self.expected_ms(hands), steady_ms: hands.steady_ms, ..self }
    }

    /// Whether it may be of this boot of the machine.
    pub(super) const fn is_before(&self, hands: Hands) -> bool {
        self.steady_ms <= hands.steady_ms
    }

    /// What the wall clock should show.
    const fn expected_ms(&self, hands: Hands) -> i64 {
        self.wall_ms.saturating_add(hands.steady_ms.saturating_sub(self.steady_ms))
    }

    /// Tells the time. Small differences are taken over with each reading.
    pub(super) fn read(&mut self, hands: Hands) -> Reading {
        let expected_ms = self.expected_ms(hands);
        let off_ms = hands.wall_ms.saturating_sub(expected_ms);
        if is_step(off_ms) && !(self.at_least && off_ms > 0) {
            let same = self.doubt.filter(|doubt| !is_step(off_ms.saturating_sub(doubt.off_ms)));
            let doubt = same.unwrap_or(Doubt { off_ms, since_ms: hands.steady_ms });
            if same.is_none() {
                tracing::error!(
                    off_ms,
                    "the clock was set: time goes on without it until it is right, or has stayed so for ten minutes"
                );
            }
            let doubted_ms = hands.steady_ms.saturating_sub(doubt.since_ms);
            if doubted_ms < BELIEVED_AFTER.as_millis().cast_signed() as i64 {
                self.doubt = Some(doubt);
                return Reading::Doubtful(Timestamp(expected_ms.max(0)));
            }
            tracing::error!(off_ms, "the clock has stayed as it was set, and is believed from now on");
        } else if self.doubt.is_some() {
            tracing::info!("the clock is right again");
        }
        *self = Self::at(hands);
        Reading::Certain(Timestamp(hands.wall_ms.max(0)))
    }
}

const fn is_step(off_ms: i64) -> bool {
    off_ms.unsigned_abs() > MAX_STEP.as_millis() as u64
}
