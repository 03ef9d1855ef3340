//! Keywords that are being set for lotteries that are not stored yet.

use common::Db;
use common::db::Tx;
use idl::{LotteryId, RoomId, Timestamp};
use sqlx::Row as _;

/// A lottery that is about to be stored with a keyword.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Intent {
    pub(crate) lottery: LotteryId,
    pub(crate) room: RoomId,
}

/// Keeps that a keyword is about to be set.
pub(crate) async fn intend(db: &Db, intent: Intent, now: Timestamp) -> sqlx::Result<()> {
    const INSERT: &str =
        "INSERT INTO keyword_intent (lottery_id, room_id, created_at_ms, abandoned) VALUES (?, ?, ?, 0)";
    let mut tx = db.begin().await?;
    sqlx::query(INSERT).bind(intent.lottery.as_i64()).bind(intent.room.as_i64()).bind(now.0).execute(&mut *tx).await?;
    tx.commit().await
}

/// The lottery is being stored, and the keyword is its own; `false` if it is being freed.
pub(crate) async fn fulfil(tx: &mut Tx, lottery: LotteryId) -> sqlx::Result<bool> {
    const DELETE: &str = "DELETE FROM keyword_intent WHERE lottery_id = ? AND abandoned = 0";
    Ok(sqlx::query(DELETE).bind(lottery.as_i64()).execute(&mut **tx).await?.rows_affected() == 1)
}

/// The lottery will not be stored; `false` if it was.
pub(crate) async fn abandon(db: &Db, lottery: LotteryId) -> sqlx::Result<bool> {
    let mut tx = db.begin().await?;
    let abandoned = sqlx::query("UPDATE keyword_intent SET abandoned = 1 WHERE lottery_id = ?")
        .bind(lottery.as_i64())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(abandoned.rows_affected() == 1)
}

/// Nothing comes any more of intents from before that moment.
pub(crate) async fn abandon_before(db: &Db, before: Timestamp) -> sqlx::Result<()> {
    const ABANDON: &str = "UPDATE keyword_intent SET abandoned = 1 WHERE abandoned = 0 AND created_at_ms < ?";
    let mut tx = db.begin().await?;
    sqlx::query(ABANDON).bind(before.0).execute(&mut *tx).await?;
    tx.commit().await
}

/// Some of the intents, those first that nothing comes of.
pub(crate) async fn oldest(db: &Db, limit: i64) -> sqlx::Result<Vec<(Intent, bool)>> {
    const PAGE: &str =
        "SELECT lottery_id, room_id, abandoned FROM keyword_intent ORDER BY abandoned DESC, lottery_id LIMIT ?";
    let rows = sqlx::query(PAGE).bind(limit).fetch_all(db.reader()).await?;
    let intent = |row: &sqlx::any::AnyRow| {
        let intent = Intent { lottery: LotteryId::from_i64(row.try_get(0)?), room: RoomId::from_i64(row.try_get(1)?) };
        Ok((intent, row.try_get::<i64, _>(2)? != 0))
    };
    rows.iter().map(intent).collect()
}

/// The keyword is free.
pub(crate) async fn forget(db: &Db, lottery: LotteryId) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query("DELETE FROM keyword_intent WHERE lottery_id = ?").bind(lottery.as_i64()).execute(&mut *tx).await?;
    tx.commit().await
}
