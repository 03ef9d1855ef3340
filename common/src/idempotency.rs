//! Idempotency keys: per account and method, kept for a day in the service's own database.

use idl::{Code, IdempotencyKey, Refusal, Timestamp, UserId};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use crate::db::Tx;
use crate::{Db, Outcome};

const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;

/// What a service's migrations hold for this.
pub const TABLE: &str = "CREATE TABLE idempotency (
    user_id BIGINT NOT NULL,
    method VARCHAR(16) NOT NULL,
    idempotency_key VARCHAR(64) NOT NULL,
    body_hash VARCHAR(64) NOT NULL,
    result_id BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (user_id, method, idempotency_key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at_ms);";

/// A key with the request that it stands for.
#[derive(Debug)]
pub struct Key {
    user: UserId,
    method: &'static str,
    key: IdempotencyKey,
    body_hash: String,
}

impl Key {
    /// `body` is what must be the same whenever the key is used again; `method` has at most
    /// 16 characters.
    #[must_use]
    pub fn new(key: IdempotencyKey, user: UserId, method: &'static str, body: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in body {
            // With its length before it no part can be taken for the end of another.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self { user, method, key, body_hash: hex::encode(hash.finalize()) }
    }

    /// Takes the key for what is being made as `result` in the same transaction. If it was
    /// used for the same request before, returns what that made.
    ///
    /// # Errors
    /// It was used for another request, or the database fails.
    pub async fn claim(&self, db: &Db, tx: &mut Tx, result: i64, now: Timestamp) -> Outcome<Option<i64>> {
        const EXPIRE: &str =
            "DELETE FROM idempotency WHERE user_id = ? AND method = ? AND idempotency_key = ? AND created_at_ms <= ?";
        sqlx::query(EXPIRE)
            .bind(self.user.as_i64())
            .bind(self.method)
            .bind(self.key.as_str())
            .bind(horizon(now).0)
            .execute(&mut **tx)
            .await?;
        let claim = format!(
            "{}idempotency (user_id, method, idempotency_key, body_hash, result_id, created_at_ms) \
             VALUES (?, ?, ?, ?, ?, ?)",
            db.insert_ignore()
        );
        let claimed = sqlx::query(sqlx::AssertSqlSafe(claim))
            .bind(self.user.as_i64())
            .bind(self.method)
            .bind(self.key.as_str())
            .bind(self.body_hash.as_str())
            .bind(result)
            .bind(now.0)
            .execute(&mut **tx)
            .await?;
        if claimed.rows_affected() == 1 {
            return Ok(None);
        }
        const USED: &str =
            "SELECT body_hash, result_id FROM idempotency WHERE user_id = ? AND method = ? AND idempotency_key = ?";
        let used = sqlx::query(USED)
            .bind(self.user.as_i64())
            .bind(self.method)
            .bind(self.key.as_str())
            .fetch_one(&mut **tx)
            .await?;
        if used.try_get::<String, _>(0)? != self.body_hash {
            let detail = "the idempotency key was used with another request in the last 24 hours";
            return Err(Refusal::new(Code::KeyReused, detail).into());
        }
        Ok(Some(used.try_get(1)?))
    }

    /// What the key stood for is not there any more: from now on it stands for what is being
    /// made as `result` in the same transaction. It has to be claimed in that before.
    ///
    /// # Errors
    /// The database fails.
    pub async fn pass_on(&self, tx: &mut Tx, result: i64) -> sqlx::Result<()> {
        const PASS_ON: &str =
            "UPDATE idempotency SET result_id = ? WHERE user_id = ? AND method = ? AND idempotency_key = ?";
        sqlx::query(PASS_ON)
            .bind(result)
            .bind(self.user.as_i64())
            .bind(self.method)
            .bind(self.key.as_str())
            .execute(&mut **tx)
            .await?;
        Ok(())
    }
}

/// Keys that were used at or before this moment are forgotten.
const fn horizon(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(KEPT_MS))
}

/// Forgets keys that count no more; returns how many.
///
/// # Errors
/// The database fails.
pub async fn sweep(tx: &mut Tx, now: Timestamp) -> sqlx::Result<u64> {
    const SWEEP: &str = "DELETE FROM idempotency WHERE created_at_ms <= ?";
    Ok(sqlx::query(SWEEP).bind(horizon(now).0).execute(&mut **tx).await?.rows_affected())
}
