//! The table of what happened in broadcasts, in SQL.

use common::Db;
use common::db::Tx;
use idl::live::{MarkReplay, ReplayMark, ReplayMarkKind};
use idl::{LotteryId, RoomId, SessionId, Timestamp};
use sqlx::{Any, Executor};

/// The broadcast of the room that was on at a moment, and whether it has ended. Where one
/// ended in the millisecond in which the next began: the next.
pub(crate) async fn session_at(tx: &mut Tx, room: RoomId, at: Timestamp) -> sqlx::Result<Option<(SessionId, bool)>> {
    const FIND: &str = "SELECT id, closed_at_ms FROM broadcast WHERE room_id = ? AND opened_at_ms <= ? \
         AND (closed_at_ms IS NULL OR closed_at_ms >= ?) ORDER BY opened_at_ms DESC, id DESC LIMIT 1";
    let found: Option<(i64, Option<i64>)> =
        sqlx::query_as(FIND).bind(room.as_i64()).bind(at.0).bind(at.0).fetch_optional(&mut **tx).await?;
    Ok(found.map(|(id, closed_at_ms)| (SessionId::from_i64(id), closed_at_ms.is_some())))
}

/// `false` if it is there already.
pub(crate) async fn insert(
    tx: &mut Tx,
    db: &Db,
    session: SessionId,
    kind: i64,
    title: &str,
    mark: &MarkReplay,
) -> sqlx::Result<bool> {
    let insert = format!(
        "{}replay_mark (session_id, lottery_id, kind, at_ms, title) VALUES (?, ?, ?, ?, ?)",
        db.insert_ignore()
    );
    let inserted = sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(session.as_i64())
        .bind(mark.lottery.as_i64())
        .bind(kind)
        .bind(mark.at.0)
        .bind(title)
        .execute(&mut **tx)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(crate) async fn count(tx: &mut Tx, session: SessionId) -> sqlx::Result<i64> {
    const COUNT: &str = "SELECT COUNT(*) FROM replay_mark WHERE session_id = ?";
    sqlx::query_scalar(COUNT).bind(session.as_i64()).fetch_one(&mut **tx).await
}

/// What happened in a broadcast that began at `start`, in order.
pub(crate) async fn of_session<'e>(
    db: impl Executor<'e, Database = Any>,
    session: SessionId,
    start: Timestamp,
) -> sqlx::Result<Vec<ReplayMark>> {
    const ALL: &str = "SELECT kind, at_ms, lottery_id, title FROM replay_mark WHERE session_id = ? \
         ORDER BY at_ms, lottery_id, kind";
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(ALL).bind(session.as_i64()).fetch_all(db).await?;
    let marks = rows.into_iter().map(|(kind, at_ms, lottery, title)| ReplayMark {
        kind: kind_of(kind),
        at_ms: Timestamp(at_ms).since_ms(start),
        lottery_id: LotteryId::from_i64(lottery),
        title,
    });
    Ok(marks.collect())
}

pub(crate) async fn delete_of_session(tx: &mut Tx, session: SessionId) -> sqlx::Result<()> {
    const DELETE: &str = "DELETE FROM replay_mark WHERE session_id = ?";
    sqlx::query(DELETE).bind(session.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// As the table has it; `None` if this build does not know the kind.
pub(crate) const fn kind_number(kind: ReplayMarkKind) -> Option<i64> {
    match kind {
        ReplayMarkKind::LotteryOpened => Some(1),
        ReplayMarkKind::LotteryDrawn => Some(2),
        ReplayMarkKind::LotteryCancelled => Some(3),
        ReplayMarkKind::Unknown => None,
    }
}

const fn kind_of(number: i64) -> ReplayMarkKind {
    match number {
        1 => ReplayMarkKind::LotteryOpened,
        2 => ReplayMarkKind::LotteryDrawn,
        3 => ReplayMarkKind::LotteryCancelled,
        _ => ReplayMarkKind::Unknown,
    }
}
