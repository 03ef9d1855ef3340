//! Removes what has run out, every hour: expired log-ins (their tokens ended by
//! themselves) and windows of wrong passwords.

use std::sync::Arc;
use std::time::Duration;

use common::{Lifecycle, Outcome};
use sqlx::Row as _;

use crate::accounts::Accounts;

const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that one transaction removes, so that writers never wait long for it.
const BATCH: i64 = 500;

pub(crate) fn start(accounts: Arc<Accounts>, lifecycle: &Lifecycle) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("user.sweep", async move {
        let forever = async {
            loop {
                match accounts.sweep().await {
                    Ok(0) => {}
                    Ok(rows) => tracing::debug!(rows, "swept expired log-ins and wrong passwords"),
                    Err(error) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "sweeping accounts failed");
                    }
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        soft.run_until_cancelled(forever).await;
    });
}

impl Accounts {
    /// Removes all that has run out by now; returns how many rows went.
    pub(crate) async fn sweep(&self) -> Outcome<u64> {
        let mut swept = 0;
        loop {
            let batch = self.sweep_devices().await?;
            swept += batch;
            if batch < BATCH.unsigned_abs() {
                break;
            }
        }
        loop {
            let batch = self.sweep_wrong_passwords().await?;
            swept += batch;
            if batch < BATCH.unsigned_abs() {
                return Ok(swept);
            }
        }
    }

    async fn sweep_devices(&self) -> sqlx::Result<u64> {
        let expired = sqlx::query("SELECT id FROM device WHERE expires_at_ms <= ? LIMIT ?")
            .bind(self.clock.now().0)
            .bind(BATCH)
            .fetch_all(self.store.db().reader())
            .await?;
        let mut tx = self.store.db().begin().await?;
        for row in &expired {
            let id: i64 = row.try_get(0)?;
            sqlx::query("DELETE FROM device WHERE id = ?").bind(id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(expired.len() as u64)
    }

    async fn sweep_wrong_passwords(&self) -> sqlx::Result<u64> {
        let now = self.clock.now().0;
        let over = sqlx::query("SELECT subject, client FROM wrong_password WHERE ends_at_ms <= ? LIMIT ?")
            .bind(now)
            .bind(BATCH)
            .fetch_all(self.store.db().reader())
            .await?;
        let mut tx = self.store.db().begin().await?;
        for row in &over {
            // Once more with the time: a new window may have begun since.
            sqlx::query("DELETE FROM wrong_password WHERE subject = ? AND client = ? AND ends_at_ms <= ?")
                .bind(row.try_get::<String, _>(0)?)
                .bind(row.try_get::<String, _>(1)?)
                .bind(now)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(over.len() as u64)
    }
}
