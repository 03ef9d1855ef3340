//! Idempotency keys of posts: an account's key stands for one danmaku in a room, for 24 hours.

use std::time::Duration;

use common::{Clock, Lifecycle};
use idl::{Code, Refusal, RoomId, Timestamp, UserId};
use sha2::{Digest as _, Sha256};

use crate::store::Store;

const MAX_KEY_CHARS: usize = 64;
/// How long a key is kept.
const LIFETIME_MS: i64 = 24 * 3_600 * 1_000;
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// Keys that one sweeping transaction removes: posts wait for it, so it is short.
const SWEEP_BATCH: usize = 500;

/// What a key is kept as: a hash over account, room and key, so that all three are one
/// short column. 128 bits; an account could only ever collide with itself on purpose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyHash(pub(crate) String);

impl KeyHash {
    /// Checks a key and hashes it.
    ///
    /// # Errors
    /// `malformed-request` unless the key is 1 to 64 visible ASCII characters.
    pub(crate) fn new(user: UserId, room: RoomId, key: &str) -> Result<Self, Refusal> {
        if !(1..=MAX_KEY_CHARS).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            let detail = "an idempotency key is 1 to 64 visible ASCII characters";
            return Err(Refusal::new(Code::MalformedRequest, detail));
        }
        let digest = Sha256::new()
            .chain_update(user.0.to_be_bytes())
            .chain_update(room.0.to_be_bytes())
            .chain_update(key.as_bytes())
            .finalize();
        Ok(Self(hex::encode(&digest[..16])))
    }
}

/// Keys from before this moment count no more.
pub(crate) fn oldest_kept(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(LIFETIME_MS))
}

/// Removes keys that count no more, once an hour until the process stops.
pub(crate) fn sweep_hourly(store: Store, clock: Clock, lifecycle: &Lifecycle) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("message.keys", async move {
        while !soft.is_cancelled() {
            match store.remove_keys(oldest_kept(clock.now()), SWEEP_BATCH).await {
                Ok(SWEEP_BATCH) => continue, // there may be more
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys were not removed");
                }
            }
            soft.run_until_cancelled(tokio::time::sleep(SWEEP_EVERY)).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_visible_ascii() {
        let hash = |key: &str| KeyHash::new(UserId(1), RoomId(2), key);
        for good in ["k", "~!/\\\"'", &"x".repeat(64)] {
            assert!(hash(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "a\n", "\u{7f}", "é", "键", "\0", &"x".repeat(65)] {
            assert_eq!(hash(bad).unwrap_err().code, Code::MalformedRequest, "{bad:?}");
        }
    }

    #[test]
    fn account_room_and_key_all_count() {
        let one = KeyHash::new(UserId(1), RoomId(2), "k").unwrap();
        assert_eq!(one, KeyHash::new(UserId(1), RoomId(2), "k").unwrap());
        assert_ne!(one, KeyHash::new(UserId(2), RoomId(1), "k").unwrap());
        assert_ne!(one, KeyHash::new(UserId(1), RoomId(3), "k").unwrap());
        assert_ne!(one, KeyHash::new(UserId(1), RoomId(2), "K").unwrap());
        assert_eq!(one.0.len(), 32);
    }
}
