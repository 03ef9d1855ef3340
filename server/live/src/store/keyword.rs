//! The table of lotteries' keywords, in SQL.

use common::db::Tx;
use idl::live::RoomKeyword;
use idl::{LotteryId, RoomId, Timestamp};
use sqlx::{Any, Executor, Row as _};

/// The room's keywords whose time is not over, by lottery.
pub(crate) async fn keywords<'e>(
    db: impl Executor<'e, Database = Any>,
    room: RoomId,
    now: Timestamp,
) -> sqlx::Result<Vec<RoomKeyword>> {
    const ALL: &str =
        "SELECT lottery_id, form, until_ms FROM room_keyword WHERE room_id = ? AND until_ms > ? ORDER BY lottery_id";
    let rows = sqlx::query(ALL).bind(room.as_i64()).bind(now.0).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(RoomKeyword {
                lottery: LotteryId::from_i64(row.try_get(0)?),
                form: row.try_get(1)?,
                until: Timestamp(row.try_get(2)?),
            })
        })
        .collect()
}

pub(crate) async fn insert(tx: &mut Tx, room: RoomId, keyword: &RoomKeyword) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO room_keyword (room_id, lottery_id, form, until_ms) VALUES (?, ?, ?, ?)";
    sqlx::query(INSERT)
        .bind(room.as_i64())
        .bind(keyword.lottery.as_i64())
        .bind(keyword.form.as_str())
        .bind(keyword.until.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// `false` if the lottery has none in the room.
pub(crate) async fn delete(tx: &mut Tx, room: RoomId, lottery: LotteryId) -> sqlx::Result<bool> {
    const DELETE: &str = "DELETE FROM room_keyword WHERE room_id = ? AND lottery_id = ?";
    let deleted = sqlx::query(DELETE).bind(room.as_i64()).bind(lottery.as_i64()).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// Removes the room's keywords whose time is over.
pub(crate) async fn sweep_room(tx: &mut Tx, room: RoomId, now: Timestamp) -> sqlx::Result<()> {
    const OVER: &str = "DELETE FROM room_keyword WHERE room_id = ? AND until_ms <= ?";
    sqlx::query(OVER).bind(room.as_i64()).bind(now.0).execute(&mut **tx).await?;
    Ok(())
}

/// Removes all keywords whose time is over.
pub(crate) async fn sweep(tx: &mut Tx, now: Timestamp) -> sqlx::Result<u64> {
    const OVER: &str = "DELETE FROM room_keyword WHERE until_ms <= ?";
    Ok(sqlx::query(OVER).bind(now.0).execute(&mut **tx).await?.rows_affected())
}
