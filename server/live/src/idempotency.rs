//! Idempotency keys: per account and method, kept for a day.

use common::Outcome;
use common::db::Tx;
use idl::{Code, IdempotencyKey, Refusal, Timestamp, UserId};
use sha2::{Digest as _, Sha256};

use crate::Core;
use crate::store::people::{self, KeyName, KeyUse};

const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// A key with the request that it stands for.
#[derive(Debug)]
pub(crate) struct Key {
    user: UserId,
    method: &'static str,
    key: IdempotencyKey,
    body_hash: String,
}

impl Key {
    /// `body` is what must be the same whenever the key is used again.
    pub(crate) fn new(key: IdempotencyKey, user: UserId, method: &'static str, body: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in body {
            // With its length before it no part can be taken for the end of another.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { user, method, key, body_hash: hex::encode(hash.finalize()) }
    }
}

/// Keys that were used at or before this moment are forgotten.
pub(crate) const fn horizon(now: Timestamp) -> Timestamp {
    Timestamp(now.0 - KEPT_MS)
}

impl Core {
    /// Takes the key (if there is one) for what is being made as `result`. If it was used
    /// for the same request before, returns what that made.
    pub(crate) async fn claim_key(
        &self,
        tx: &mut Tx,
        key: Option<&Key>,
        result: i64,
        now: Timestamp,
    ) -> Outcome<Option<i64>> {
        let Some(key) = key else { return Ok(None) };
        let name = KeyName { user: key.user, method: key.method, key: key.key.as_str() };
        let this = KeyUse { body_hash: key.body_hash.clone(), result_id: result };
        let used = people::claim_key(tx, self.db.insert_ignore(), name, &this, horizon(now), now).await?;
        match used {
            Some(used) if used.body_hash != this.body_hash => {
                let detail = "the idempotency key was used with another request in the last 24 hours";
                Err(Refusal::new(Code::KeyReused, detail).into())
            }
            used => Ok(used.map(|used| used.result_id)),
        }
    }
}
