//! The SQL of replays: how far each is indexed, and which broadcasts are sealed.

use std::collections::HashSet;

use common::Db;
use common::db::Tx;
use idl::{ReplayId, RoomId, SessionId, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

/// How far a replay is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexRow {
    pub(crate) changes: u64,
    pub(crate) attempt: u64,
    /// Somebody is at that attempt until then.
    pub(crate) leased_until: Timestamp,
    /// The attempt that is shown; 0 is none.
    pub(crate) version: u64,
    pub(crate) done_revision: u64,
    pub(crate) done_changes: u64,
    pub(crate) danmaku_count: u64,
    pub(crate) duration_ms: u64,
    pub(crate) settled: bool,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Indexed {
    pub(crate) attempt: u64,
    pub(crate) revision: u64,
    pub(crate) changes: u64,
    pub(crate) danmaku_count: u64,
    pub(crate) duration_ms: u64,
}

/// Begins to know a replay; a broadcast takes no more posts from then on.
pub(crate) async fn seal(db: &Db, replay: ReplayId, session: Option<SessionId>, room: RoomId) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    begin(db, &mut tx, replay, session, room).await?;
    tx.commit().await
}

/// The same in the caller's transaction.
pub(crate) async fn begin(
    db: &Db,
    tx: &mut Tx,
    replay: ReplayId,
    session: Option<SessionId>,
    room: RoomId,
) -> sqlx::Result<()> {
    let insert = format!(
        "{}replay_index (replay_id, session_id, room_id, changes, attempt, leased_until_ms, version, done_revision, \
         done_changes, danmaku_count, duration_ms, settled) VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        db.insert_ignore()
    );
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(replay.as_i64())
        .bind(session.map(SessionId::as_i64))
        .bind(room.as_i64())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Which of these broadcasts are sealed.
pub(crate) async fn sealed(tx: &mut Tx, sessions: &HashSet<SessionId>) -> sqlx::Result<HashSet<SessionId>> {
    if sessions.is_empty() {
        return Ok(HashSet::new());
    }
    let mut sql = QueryBuilder::<Any>::new("SELECT session_id FROM replay_index WHERE session_id IN (");
    let mut list = sql.separated(", ");
    sessions.iter().for_each(|session| _ = list.push_bind(session.as_i64()));
    sql.push(")");
    let rows = sql.build().persistent(false).fetch_all(&mut **tx).await?;
    rows.iter().map(|row| row.try_get(0).map(SessionId::from_i64)).collect()
}

/// How far the replay is indexed; `None` if it is not known here.
pub(crate) async fn find(db: &Db, replay: ReplayId) -> sqlx::Result<Option<IndexRow>> {
    const FIND: &str = "SELECT changes, attempt, version, done_revision, done_changes, danmaku_count, duration_ms, \
         settled, leased_until_ms FROM replay_index WHERE replay_id = ?";
    sqlx::query(FIND).bind(replay.as_i64()).fetch_optional(db.reader()).await?.as_ref().map(index_row).transpose()
}

fn index_row(row: &AnyRow) -> sqlx::Result<IndexRow> {
    let number = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned);
    Ok(IndexRow {
        changes: number(0)?,
        attempt: number(1)?,
        version: number(2)?,
        done_revision: number(3)?,
        done_changes: number(4)?,
        danmaku_count: number(5)?,
        duration_ms: number(6)?,
        settled: number(7)? != 0,
        leased_until: Timestamp(row.try_get(8)?),
    })
}

/// Begins an attempt; `false` if there is nothing to index that `revision` asks for, or
/// somebody is at it.
pub(crate) async fn claim(
    db: &Db,
    replay: ReplayId,
    revision: u64,
    now: Timestamp,
    until: Timestamp,
) -> sqlx::Result<bool> {
    const CLAIM: &str = "UPDATE replay_index SET attempt = attempt + 1, leased_until_ms = ?, settled = 0 \
         WHERE replay_id = ? AND leased_until_ms <= ? \
         AND (version = 0 OR done_revision < ? OR done_changes < changes)";
    let mut tx = db.begin().await?;
    let claimed = sqlx::query(CLAIM)
        .bind(until.0)
        .bind(replay.as_i64())
        .bind(now.0)
        .bind(revision.cast_signed())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(claimed.rows_affected() == 1)
}

/// Goes on with an attempt; `false` if another one has begun.
pub(crate) async fn renew(db: &Db, replay: ReplayId, attempt: u64, until: Timestamp) -> sqlx::Result<bool> {
    const RENEW: &str = "UPDATE replay_index SET leased_until_ms = ? WHERE replay_id = ? AND attempt = ?";
    let mut tx = db.begin().await?;
    let renewed =
        sqlx::query(RENEW).bind(until.0).bind(replay.as_i64()).bind(attempt.cast_signed()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(renewed.rows_affected() == 1)
}

/// An attempt has ended without a result: another one may begin at once.
pub(crate) async fn give_up(db: &Db, replay: ReplayId, attempt: u64) -> sqlx::Result<()> {
    renew(db, replay, attempt, Timestamp(0)).await.map(drop)
}

/// From now on this attempt is shown; `false` if another one has begun.
pub(crate) async fn flip(db: &Db, replay: ReplayId, done: Indexed) -> sqlx::Result<bool> {
    const FLIP: &str = "UPDATE replay_index SET version = attempt, done_revision = ?, done_changes = ?, \
         danmaku_count = ?, duration_ms = ?, leased_until_ms = 0 WHERE replay_id = ? AND attempt = ? AND version < ?";
    let mut tx = db.begin().await?;
    let flipped = sqlx::query(FLIP)
        .bind(done.revision.cast_signed())
        .bind(done.changes.cast_signed())
        .bind(done.danmaku_count.cast_signed())
        .bind(done.duration_ms.cast_signed())
        .bind(replay.as_i64())
        .bind(done.attempt.cast_signed())
        .bind(done.attempt.cast_signed())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(flipped.rows_affected() == 1)
}

/// Nothing is left to do, unless something has happened since `row` was read.
pub(crate) async fn settle(db: &Db, replay: ReplayId, row: &IndexRow) -> sqlx::Result<()> {
    const SETTLE: &str = "UPDATE replay_index SET settled = 1 \
         WHERE replay_id = ? AND attempt = ? AND version = ? AND changes = ? AND done_changes = changes";
    let mut tx = db.begin().await?;
    sqlx::query(SETTLE)
        .bind(replay.as_i64())
        .bind(row.attempt.cast_signed())
        .bind(row.version.cast_signed())
        .bind(row.changes.cast_signed())
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Some of the replays about which something is to be done that nobody is at.
pub(crate) async fn unsettled(db: &Db, now: Timestamp, limit: i64) -> sqlx::Result<Vec<ReplayId>> {
    const PAGE: &str = "SELECT replay_id FROM replay_index \
         WHERE settled = 0 AND leased_until_ms <= ? ORDER BY replay_id LIMIT ?";
    let rows = sqlx::query(PAGE).bind(now.0).bind(limit).fetch_all(db.reader()).await?;
    rows.iter().map(|row| row.try_get(0).map(ReplayId::from_i64)).collect()
}

/// A danmaku of a broadcast was deleted: if it has a replay, that is to be indexed again.
pub(crate) async fn session_changed(tx: &mut Tx, session: SessionId) -> sqlx::Result<()> {
    const CHANGED: &str = "UPDATE replay_index SET changes = changes + 1, settled = 0 WHERE session_id = ?";
    sqlx::query(CHANGED).bind(session.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// The same for a replay that was brought in a file.
pub(crate) async fn replay_changed(tx: &mut Tx, replay: ReplayId) -> sqlx::Result<()> {
    const CHANGED: &str = "UPDATE replay_index SET changes = changes + 1, settled = 0 WHERE replay_id = ?";
    sqlx::query(CHANGED).bind(replay.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// The replay was deleted. A broadcast stays sealed.
pub(crate) async fn forget(db: &Db, replay: ReplayId) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query("UPDATE replay_index SET settled = 1 WHERE replay_id = ?")
        .bind(replay.as_i64())
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM replay_index WHERE replay_id = ? AND session_id IS NULL")
        .bind(replay.as_i64())
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Passes over attempts that may have been made since the database was copied: what was shown
/// of them may be kept by caches for ever.
pub(crate) async fn skip_attempts(db: &Db) -> sqlx::Result<()> {
    const SINCE_A_BACKUP: i64 = 1_000_000;
    let mut tx = db.begin().await?;
    sqlx::query("UPDATE replay_index SET attempt = attempt + ?").bind(SINCE_A_BACKUP).execute(&mut *tx).await?;
    tx.commit().await
}

/// Nobody who could be at one is left: the database was this process's alone before.
pub(crate) async fn void_leases(db: &Db) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query("UPDATE replay_index SET leased_until_ms = 0 WHERE leased_until_ms > 0").execute(&mut *tx).await?;
    tx.commit().await
}
