//! Guessing a password: after so many wrong ones a client may try no more for a while, and
//! after many more nobody may. One stranger so shuts out only himself; many together still
//! don't guess for ever. Names that nobody has are counted alike, or the difference would
//! tell which names there are.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use common::{Clock, Outcome};
use idl::{Code, DeviceId, Refusal};
use tokio::sync::{Mutex, MutexGuard};

use crate::store::{Store, WrongPasswords};

/// Passwords share so many queues. More guesses at once than are allowed one after another
/// must not slip through between checking and counting, so that guesses at one password
/// take turns.
const QUEUES: usize = 1_024;
/// How long a guess waits for its turn.
const WAIT: Duration = Duration::from_secs(2);
/// Of what a client is called, so much counts.
const MAX_CLIENT_CHARS: usize = 64;

/// The rule, and whose turn it is.
#[derive(Debug)]
pub(crate) struct Attempts {
    allowed: Allowed,
    window_ms: u64,
    queues: Vec<Mutex<()>>,
    /// Seeded at random: nobody can aim at another name's queue.
    hasher: RandomState,
}

/// Wrong passwords that are allowed in a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed {
    /// By one client.
    pub(crate) by_client: u32,
    /// By all together.
    pub(crate) by_all: u32,
}

/// What is guessed at, and by whom: what wrong passwords are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guess {
    pub(crate) subject: String,
    pub(crate) client: String,
}

/// The right to try one password.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    guess: Guess,
    window_ms: u64,
    had_wrong_ones: bool,
    _queue: MutexGuard<'a, ()>,
}

impl Guess {
    /// At a name's password.
    pub(crate) fn at_name(login_name: &str, client: Option<&str>) -> Self {
        Self { subject: subject_of_name(login_name), client: client_key(client) }
    }

    /// By somebody who is signed in: they count by themselves, so that strangers who guess
    /// at the name can't keep its owner from changing the password.
    pub(crate) fn on_device(device: DeviceId, client: Option<&str>) -> Self {
        Self { subject: format!("device:{device}"), client: client_key(client) }
    }
}

/// What all guesses at a name's password are counted by.
pub(crate) fn subject_of_name(login_name: &str) -> String {
    format!("name:{login_name}")
}

/// Never empty: that stands for all clients together.
fn client_key(client: Option<&str>) -> String {
    let known = client.filter(|client| !client.is_empty());
    known.unwrap_or("unknown").chars().take(MAX_CLIENT_CHARS).collect()
}

impl Attempts {
    pub(crate) fn new(allowed: Allowed, window: Duration) -> Self {
        Self {
            allowed,
            window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Waits for a turn; refuses when there were too many wrong passwords.
    pub(crate) async fn turn(&self, store: &Store, clock: &Clock, guess: Guess) -> Outcome<Turn<'_>> {
        let index = usize::try_from(self.hasher.hash_one(&guess.subject) % QUEUES as u64).unwrap_or(0);
        let Ok(queue) = tokio::time::timeout(WAIT, self.queues[index].lock()).await else {
            return Err(Refusal::new(Code::Unavailable, "too many log-ins at once").retry_after_ms(1_000).into());
        };
        let wrong = store.wrong_passwords(&guess).await?;
        let now = clock.now();
        let ends = [(wrong.by_client, self.allowed.by_client), (wrong.by_all, self.allowed.by_all)].into_iter();
        let ends = ends.filter_map(|(wrong, allowed)| {
            let WrongPasswords { times, ends_at } = wrong?;
            (times >= i64::from(allowed) && now < ends_at).then_some(ends_at)
        });
        if let Some(end) = ends.max() {
            let refusal = Refusal::new(Code::RateLimited, "too many wrong passwords; wait");
            return Err(refusal.retry_after_ms(end.since_ms(now)).into());
        }
        Ok(Turn { guess, window_ms: self.window_ms, had_wrong_ones: wrong.by_client.is_some(), _queue: queue })
    }
}

impl Turn<'_> {
    /// The password was wrong.
    pub(crate) async fn wrong(self, store: &Store, clock: &Clock) -> sqlx::Result<()> {
        let now = clock.now();
        store.count_wrong_password(&self.guess, now, now.plus_ms(self.window_ms)).await
    }

    /// The password was right: this client's wrong ones are forgotten, in the transaction
    /// that it opens the door for. Those of all together stay: an owner who logs in must
    /// not give the others new guesses.
    pub(crate) async fn right(self, tx: &mut common::db::Tx) -> sqlx::Result<()> {
        if self.had_wrong_ones {
            crate::store::forget_wrong_passwords_of_client(tx, &self.guess).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_a_short_key_that_is_never_empty() {
        let key = |client: Option<&str>| Guess::at_name("mei", client).client;
        assert_eq!(key(Some("192.0.2.7")), "192.0.2.7");
        assert_eq!(key(Some(&"9".repeat(10_000))).len(), MAX_CLIENT_CHARS);
        assert_eq!((key(None), key(Some(""))), ("unknown".to_owned(), "unknown".to_owned()));
    }
}
