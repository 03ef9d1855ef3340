//! The tables of room admins and mutes, in SQL.

use common::db::Tx;
use idl::event::Owner;
use idl::live::MutedUser;
use idl::{RoomId, SessionId, Timestamp, UserId};
use sqlx::{Any, Executor, Row as _};

use common::cursor::Position;

/// The room's admins, by id.
pub(crate) async fn admins<'e>(db: impl Executor<'e, Database = Any>, room: RoomId) -> sqlx::Result<Vec<Owner>> {
    const ALL: &str = "SELECT user_id, user_name FROM room_admin WHERE room_id = ? ORDER BY user_id";
    let rows = sqlx::query(ALL).bind(room.as_i64()).fetch_all(db).await?;
    rows.iter().map(|row| Ok(Owner { id: UserId::from_i64(row.try_get(0)?), name: row.try_get(1)? })).collect()
}

pub(crate) async fn is_admin<'e>(
    db: impl Executor<'e, Database = Any>,
    room: RoomId,
    user: UserId,
) -> sqlx::Result<bool> {
    const ONE: &str = "SELECT user_id FROM room_admin WHERE room_id = ? AND user_id = ?";
    Ok(sqlx::query(ONE).bind(room.as_i64()).bind(user.as_i64()).fetch_optional(db).await?.is_some())
}

pub(crate) async fn insert_admin(tx: &mut Tx, room: RoomId, user: &Owner) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO room_admin (room_id, user_id, user_name) VALUES (?, ?, ?)";
    sqlx::query(INSERT).bind(room.as_i64()).bind(user.id.as_i64()).bind(user.name.as_str()).execute(&mut **tx).await?;
    Ok(())
}

/// `false` if the account was no admin.
pub(crate) async fn delete_admin(tx: &mut Tx, room: RoomId, user: UserId) -> sqlx::Result<bool> {
    const DELETE: &str = "DELETE FROM room_admin WHERE room_id = ? AND user_id = ?";
    let deleted = sqlx::query(DELETE).bind(room.as_i64()).bind(user.as_i64()).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// When a mute ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct MuteEnd {
    until_ms: Option<i64>,
    session_id: Option<i64>,
}

impl MuteEnd {
    pub(crate) fn new(until: Option<Timestamp>, session: Option<SessionId>) -> Self {
        Self { until_ms: until.map(|t| t.0), session_id: session.map(SessionId::as_i64) }
    }

    /// Whether it holds now, while `session` is on.
    pub(crate) fn holds(&self, now: Timestamp, session: Option<SessionId>) -> bool {
        self.until_ms.is_none_or(|until| now.0 < until)
            && self.session_id.is_none_or(|its| session.is_some_and(|now_on| now_on.as_i64() == its))
    }

    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.until_ms.map(Timestamp)
    }
}

pub(crate) async fn find_mute<'e>(
    db: impl Executor<'e, Database = Any>,
    room: RoomId,
    user: UserId,
) -> sqlx::Result<Option<MuteEnd>> {
    const ONE: &str = "SELECT until_ms, session_id FROM mute WHERE room_id = ? AND user_id = ?";
    sqlx::query_as(ONE).bind(room.as_i64()).bind(user.as_i64()).fetch_optional(db).await
}

/// Sets the mute in place of any that was there.
pub(crate) async fn put_mute(
    tx: &mut Tx,
    room: RoomId,
    user: &Owner,
    end: MuteEnd,
    now: Timestamp,
) -> sqlx::Result<()> {
    delete_mute(tx, room, user.id).await?;
    const INSERT: &str = "INSERT INTO mute (room_id, user_id, user_name, until_ms, session_id, created_at_ms) \
         VALUES (?, ?, ?, ?, ?, ?)";
    sqlx::query(INSERT)
        .bind(room.as_i64())
        .bind(user.id.as_i64())
        .bind(user.name.as_str())
        .bind(end.until_ms)
        .bind(end.session_id)
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// `false` if there was none.
pub(crate) async fn delete_mute(tx: &mut Tx, room: RoomId, user: UserId) -> sqlx::Result<bool> {
    const DELETE: &str = "DELETE FROM mute WHERE room_id = ? AND user_id = ?";
    let deleted = sqlx::query(DELETE).bind(room.as_i64()).bind(user.as_i64()).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// The mutes after `from` that hold now, latest first.
pub(crate) async fn list_mutes<'e>(
    db: impl Executor<'e, Database = Any>,
    room: RoomId,
    session: Option<SessionId>,
    now: Timestamp,
    from: Position,
    limit: i64,
) -> sqlx::Result<Vec<MutedUser>> {
    const PAGE: &str = "SELECT user_id, user_name, until_ms, session_id, created_at_ms FROM mute WHERE room_id = ? \
         AND (until_ms IS NULL OR until_ms > ?) AND (session_id IS NULL OR session_id = ?) \
         AND created_at_ms <= ? AND (created_at_ms < ? OR user_id < ?) \
         ORDER BY created_at_ms DESC, user_id DESC LIMIT ?";
    let rows = sqlx::query(PAGE)
        .bind(room.as_i64())
        .bind(now.0)
        .bind(session.map_or(0, SessionId::as_i64)) // no broadcast has the id 0
        .bind(from.rank)
        .bind(from.rank)
        .bind(from.id)
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(MutedUser {
                user: Owner { id: UserId::from_i64(row.try_get(0)?), name: row.try_get(1)? },
                until: row.try_get::<Option<i64>, _>(2)?.map(Timestamp),
                session_only: row.try_get::<Option<i64>, _>(3)?.is_some(),
                created_at: Timestamp(row.try_get(4)?),
            })
        })
        .collect()
}

/// Removes mutes that hold no more.
pub(crate) async fn sweep_mutes(tx: &mut Tx, now: Timestamp) -> sqlx::Result<u64> {
    const ENDED: &str = "DELETE FROM mute WHERE until_ms <= ?";
    // Only a broadcast that has ended: an open one's mutes hold, whatever else is true.
    const CLOSED: &str = "DELETE FROM mute WHERE session_id IS NOT NULL AND EXISTS \
         (SELECT 1 FROM broadcast b WHERE b.id = mute.session_id AND b.closed_at_ms IS NOT NULL)";
    let ended = sqlx::query(ENDED).bind(now.0).execute(&mut **tx).await?.rows_affected();
    let closed = sqlx::query(CLOSED).execute(&mut **tx).await?.rows_affected();
    Ok(ended + closed)
}
