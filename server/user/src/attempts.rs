//! Guessing a password: after so many wrong ones a name takes none for a while. Names that
//! nobody has are counted alike, or the difference would tell which names there are.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use common::{Clock, Outcome};
use idl::{Code, Refusal};
use tokio::sync::{Mutex, MutexGuard};

use crate::store::Store;

/// Names share so many queues. More guesses at once than are allowed one after another
/// must not slip through between checking and counting, so that guesses at one name take
/// turns.
const QUEUES: usize = 1_024;
/// How long a guess waits for its turn.
const WAIT: Duration = Duration::from_secs(2);

/// The rule, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Attempts {
    allowed: i64,
    window_ms: u64,
    queues: Vec<Mutex<()>>,
    /// Seeded at random: nobody can aim at another name's queue.
    hasher: RandomState,
}

/// The right to try one password for a name.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    login_name: &'a str,
    window_ms: u64,
    had_wrong_ones: bool,
    _queue: MutexGuard<'a, ()>,
}

impl Attempts {
    pub(crate) fn new(allowed: u32, window: Duration) -> Self {
        Self {
            allowed: i64::from(allowed),
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits for a turn; refuses when the name had too many wrong passwords.
    pub(crate) async fn turn<'a>(&'a self, store: &Store, clock: &Clock, login_name: &'a str) -> Outcome<Turn<'a>> {
        let index = usize::try_from(self.hasher.hash_one(login_name) % QUEUES as u64).unwrap_or(0);
        let Ok(queue) = tokio::time::timeout(WAIT, self.queues[index].lock()).await else {
            return Err(Refusal::new(Code::Unavailable, "too many log-ins at once").retry_after_ms(1_000).into());
        };
        let wrong = store.wrong_passwords(login_name).await?;
        let now = clock.now();
        if let Some(wrong) = wrong
            && wrong.times >= self.allowed
            && now < wrong.ends_at
        {
            let refusal = Refusal::new(Code::RateLimited, "too many wrong passwords for this name; wait");
            return Err(refusal.retry_after_ms(wrong.ends_at.since_ms(now)).into());
        }
        Ok(Turn { login_name, window_ms: self.window_ms, had_wrong_ones: wrong.is_some(), _queue: queue })
    }
}

impl Turn<'_> {
    /// The password was wrong.
    pub(crate) async fn wrong(self, store: &Store, clock: &Clock) -> sqlx::Result<()> {
        let now = clock.now();
        store.count_wrong_password(self.login_name, now, now.plus_ms(self.window_ms)).await
    }

    /// The password was right: the wrong ones before are forgotten, in the transaction
    /// that it opens the door for.
    pub(crate) async fn right(self, tx: &mut common::db::Tx) -> sqlx::Result<()> {
        if self.had_wrong_ones {
            crate::store::forget_wrong_passwords(tx, self.login_name).await?;
        }
        Ok(())
    }
}
