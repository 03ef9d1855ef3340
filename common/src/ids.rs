//! Ids from blocks that an instance takes in its service's own database: unique across
//! instances without a clock or a node number, and below 2^53 for JavaScript's sake.
//! They count up within an instance, not across them: nothing may be ordered by id alone.

use std::ops::Range;
use std::sync::Arc;

use sqlx::Row as _;
use tokio::sync::Mutex;

use crate::Db;

/// Ids in a block: one write for so many of them; a restart wastes at most so many.
const BLOCK: i64 = 10_000;
/// More than any site gives out between two backups.
const SINCE_A_BACKUP: i64 = 10_000_000_000;
/// 2^53: the first integer that a double can't tell from its neighbour.
const LIMIT: i64 = 1 << 53;

/// Gives out ids. Needs the table of [`Ids::TABLE`]. Clones share the block.
#[derive(Debug, Clone)]
pub struct Ids {
    db: Db,
    block: Arc<Mutex<Range<i64>>>,
}

impl Ids {
    /// What a service's first migration holds for this.
    pub const TABLE: &str = "CREATE TABLE id_block (name VARCHAR(16) NOT NULL PRIMARY KEY, next_id BIGINT NOT NULL);
INSERT INTO id_block (name, next_id) VALUES ('all', 1);";

    /// Ids of the service that owns `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db, block: Arc::new(Mutex::new(0..0)) }
    }

    /// A new id. Must not be called inside a write transaction: it may need one itself.
    ///
    /// # Errors
    /// The database did not give a block.
    pub async fn next(&self) -> sqlx::Result<u64> {
        Ok(self.take(1).await?[0])
    }

    /// `n` new ids, ascending. The rule of [`Ids::next`] holds.
    ///
    /// # Errors
    /// The database did not give a block.
    pub async fn take(&self, n: usize) -> sqlx::Result<Vec<u64>> {
        let mut block = self.block.lock().await;
        let mut ids = Vec::with_capacity(n);
        while ids.len() < n {
            match block.next() {
                Some(id) => ids.push(id.cast_unsigned()),
                None => *block = self.new_block().await?,
            }
        }
        Ok(ids)
    }

    /// Passes over ids that may have been given out since the database was copied: it was put
    /// back from a backup.
    ///
    /// # Errors
    /// The database fails.
    pub async fn skip(&self) -> sqlx::Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query("UPDATE id_block SET next_id = next_id + ? WHERE name = 'all'")
            .bind(SINCE_A_BACKUP)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        *self.block.lock().await = 0..0;
        Ok(())
    }

    async fn new_block(&self) -> sqlx::Result<Range<i64>> {
        let mut tx = self.db.begin().await?;
        sqlx::query("UPDATE id_block SET next_id = next_id + ? WHERE name = 'all'")
            .bind(BLOCK)
            .execute(&mut *tx)
            .await?;
        let end: i64 =
            sqlx::query("SELECT next_id FROM id_block WHERE name = 'all'").fetch_one(&mut *tx).await?.try_get(0)?;
        if end > LIMIT {
            return Err(sqlx::Error::Protocol("the ids below 2^53 are used up".into()));
        }
        tx.commit().await?;
        Ok(end - BLOCK..end)
    }
}
