//! The time as a parameter: the machine's clocks in production, hand-set ones in tests.
//!
//! A wall clock can be set; one that counts since the machine started can't. The two are held
//! against each other at every reading. A step of more than two seconds is not believed:
//! [`Clock::now`] goes on as the steady clock says, and an alarm is raised. A wall clock that
//! is put right again changes nothing. One that stays where it was put for ten minutes is
//! believed: it was wrong before. Smaller steps are followed, and so is a clock that is slewed
//! (on Linux that moves both).
//!
//! What is known is kept in the data folder (`clock.json`), so that a process that begins goes
//! on as if it had gone on running ([`Clock::watch`]). The limits:
//! - Nothing is known at the first start, nor without the file: the wall clock is believed.
//! - If the machine was started since, or has no boot id to tell that, the steady clock begins
//!   anew. A wall clock behind the kept time is then wrong, as time never goes back; until it
//!   is put right, time goes on from the kept one. A wall clock that is ahead can't be judged,
//!   and is believed.
//! - A virtual machine that is frozen and goes on later finds its wall clock ahead of its
//!   steady one by that time, if it puts only the first right: ten minutes of doubt.
//! - Who knows better than to wait for ten minutes removes the file while nothing runs.
//!
//! All that a process does goes by this time, also tokens and cookies: they are issued and
//! judged by the same clock, and a step must end no log-in. Only the log's lines and HTTP's
//! `Date` have the wall clock's.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use idl::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use crate::lifecycle::Lifecycle;

mod anchor;
mod kept;

use anchor::Anchor;
pub use kept::boot_id;

const READ_EVERY: Duration = Duration::from_secs(1);
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// Who needs longer to read both clocks was stopped between them.
const ONE_MOMENT_MS: i64 = 100;
const MAX_LOOKS: usize = 4;

/// Tells the time. Clones are one clock: they share what is known of it, and its hands.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Of a manual clock.
    by_hand: Option<Arc<Mutex<Hands>>>,
    anchor: Arc<Mutex<Anchor>>,
}

/// What both clocks show at one moment.
#[derive(Debug, Clone, Copy)]
struct Hands {
    /// Since 1970.
    wall_ms: i64,
    /// Since some moment; it goes on while the process is stopped and while the machine sleeps.
    steady_ms: i64,
}

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Both clocks agree.
    Certain(Timestamp),
    /// By the steady clock: the wall clock was set.
    Doubtful(Timestamp),
}

impl Reading {
    /// The time to go by.
    #[must_use]
    pub const fn now(self) -> Timestamp {
        match self {
            Self::Certain(now) | Self::Doubtful(now) => now,
        }
    }

    /// The time for what can't be taken back, if there is one.
    #[must_use]
    pub const fn certain(self) -> Option<Timestamp> {
        match self {
            Self::Certain(now) => Some(now),
            Self::Doubtful(_) => None,
        }
    }
}

impl Clock {
    /// The machine's clock, believed as it is now.
    #[must_use]
    pub fn system() -> Self {
        Self::of(None)
    }

    /// A clock that stands still until it is moved.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self::of(Some(Arc::new(Mutex::new(Hands { wall_ms: start.0, steady_ms: 0 }))))
    }

    /// The clock of the same machine in a process that begins now: it knows nothing of this one.
    #[must_use]
    pub fn of_next_process(&self) -> Self {
        Self::of(self.by_hand.clone())
    }

    fn of(by_hand: Option<Arc<Mutex<Hands>>>) -> Self {
        let anchor = Arc::new(Mutex::new(Anchor::at(hands(by_hand.as_deref()))));
        Self { by_hand, anchor }
    }

    /// The time to go by. It does not follow a clock that is set until that is believed, and
    /// may go back only then (or by the two seconds that are no step).
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.read().now()
    }

    /// The time, and whether it is certain.
    #[must_use]
    pub fn read(&self) -> Reading {
        let mut anchor = lock(&self.anchor);
        // With the lock in hand: nobody puts an older reading after a later one.
        anchor.read(hands(self.by_hand.as_deref()))
    }

    /// Goes on from what an earlier process kept in `folder`, and keeps it there from now on:
    /// every ten seconds and at an orderly stop. If that fails, it is only logged. Also reads
    /// the clock every second, so that steps are seen however little goes on, and tells
    /// whether it is in doubt (`goligoli_clock_in_doubt`).
    pub fn watch(&self, folder: &Path, lifecycle: &Lifecycle) {
        let boot_id = if self.by_hand.is_some() { Some("by hand".to_owned()) } else { boot_id() };
        if let Some(kept) = kept::load(folder) {
            *lock(&self.anchor) = kept.resume(boot_id.as_deref(), hands(self.by_hand.as_deref()));
        }
        let (clock, soft) = (self.clone(), lifecycle.soft().clone());
        lifecycle.spawn("clock.watch", async move {
            loop {
                let in_doubt = clock.read().certain().is_none();
                metrics::gauge!("goligoli_clock_in_doubt").set(f64::from(u8::from(in_doubt)));
                if soft.run_until_cancelled(tokio::time::sleep(READ_EVERY)).await.is_none() {
                    break;
                }
            }
        });
        let mut keeper = kept::Keeper::new(folder, boot_id);
        let (clock, soft, hard) = (self.clone(), lifecycle.soft().clone(), lifecycle.hard().clone());
        lifecycle.spawn("clock.keep", async move {
            loop {
                let is_last = soft.is_cancelled();
                let known = lock(&clock.anchor).moved_to(hands(clock.by_hand.as_deref()));
                // A disk that hangs must not keep the process from ending.
                if hard.run_until_cancelled(keeper.keep(known)).await.is_none() || is_last {
                    break;
                }
                _ = soft.run_until_cancelled(tokio::time::sleep(KEEP_EVERY)).await;
            }
        });
    }

    /// Lets time pass on a manual clock; does nothing to the machine's.
    pub fn advance_ms(&self, ms: i64) {
        if let Some(hands) = &self.by_hand {
            let mut hands = lock(hands);
            *hands = Hands { wall_ms: hands.wall_ms + ms, steady_ms: hands.steady_ms + ms };
        }
    }

    /// Sets a manual clock forward or back, while no time passes; does nothing to the machine's.
    pub fn step_ms(&self, ms: i64) {
        if let Some(hands) = &self.by_hand {
            lock(hands).wall_ms += ms;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hands(by_hand: Option<&Mutex<Hands>>) -> Hands {
    by_hand.map_or_else(machine, |hands| *lock(hands))
}

/// Reads both clocks; who was stopped between them reads again, as it would look like a step.
fn machine() -> Hands {
    let mut before_ms = boottime_ms();
    for _ in 1..MAX_LOOKS {
        let (wall_ms, steady_ms) = (wall_ms(), boottime_ms());
        if steady_ms - before_ms <= ONE_MOMENT_MS {
            return Hands { wall_ms, steady_ms };
        }
        before_ms = steady_ms;
    }
    Hands { wall_ms: wall_ms(), steady_ms: before_ms }
}

fn boottime_ms() -> i64 {
    let since = clock_gettime(ClockId::Boottime);
    since.tv_sec * 1_000 + since.tv_nsec / 1_000_000
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
