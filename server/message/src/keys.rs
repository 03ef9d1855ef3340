//! Idempotency keys of posts: an account's key stands for one danmaku in a room, for 24 hours.

use std::time::Duration;

use common::{Clock, Lifecycle};
use idl::{IdempotencyKey, RoomId, Timestamp, UserId};
use sha2::{Digest as _, Sha256};

use crate::store::Store;

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
    /// Hashes a key.
    pub(crate) fn new(user: UserId, room: RoomId, key: &IdempotencyKey) -> Self {
        let digest = Sha256::new()
            .chain_update(user.0.to_be_bytes())
            .chain_update(room.0.to_be_bytes())
            .chain_update(key.as_str())
            .finalize();
        Self(hex::encode(&digest[..16]))
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
    fn account_room_and_key_all_count() {
        let hash =
            |user, room, key: &str| KeyHash::new(UserId(user), RoomId(room), &key.to_owned().try_into().unwrap());
        let one = hash(1, 2, "k");
        assert_eq!(one, hash(1, 2, "k"));
        assert_ne!(one, hash(2, 1, "k"));
        assert_ne!(one, hash(1, 3, "k"));
        assert_ne!(one, hash(1, 2, "K"));
        assert_eq!(one.0.len(), 32);
    }
}
