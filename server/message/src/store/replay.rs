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
    /// Something is to be done that live does not know of.
    pub(crate) is_due: bool,
}

/// A replay about which something is to be done that live does not know of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) replay: ReplayId,
    since: Timestamp,
    /// How often it was begun before.
    pub(crate) tries: u32,
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
    // Whoever stores a post has looked before and is done, or looks after this: see `pass_gate`.
    sqlx::query("UPDATE gate SET passed = passed + 1 WHERE name = 'seal'").execute(&mut *tx).await?;
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
         done_changes, danmaku_count, duration_ms, tries) VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
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

/// No broadcast is sealed from now on until the transaction ends.
pub(crate) async fn pass_gate(db: &Db, tx: &mut Tx) -> sqlx::Result<()> {
    if db.is_shared() {
        let pass = format!("SELECT passed FROM gate WHERE name = 'seal'{}", db.share_lock());
        sqlx::query(sqlx::AssertSqlSafe(pass)).fetch_one(&mut **tx).await?;
    }
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
    let rows = sql.build().fetch_all(&mut **tx).await?;
    rows.iter().map(|row| row.try_get(0).map(SessionId::from_i64)).collect()
}

/// How far the replay is indexed; `None` if it is not known here.
pub(crate) async fn find(db: &Db, replay: ReplayId) -> sqlx::Result<Option<IndexRow>> {
    const FIND: &str = "SELECT changes, attempt, version, done_revision, done_changes, danmaku_count, duration_ms, \
         due_ms, leased_until_ms FROM replay_index WHERE replay_id = ?";
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
        is_due: row.try_get::<Option<i64>, _>(7)?.is_some(),
        leased_until: Timestamp(row.try_get(8)?),
    })
}

/// Where the objects of a replay lie that live may not know any more; `None`: there are none.
pub(crate) async fn prefix(db: &Db, replay: ReplayId) -> sqlx::Result<Option<String>> {
    const FIND: &str = "SELECT prefix FROM replay_index WHERE replay_id = ?";
    let row = sqlx::query(FIND).bind(replay.as_i64()).fetch_optional(db.reader()).await?;
    row.map_or(Ok(None), |row| row.try_get(0))
}

/// Begins an attempt below `prefix`; `false` if there is nothing to index that `revision` asks
/// for, or somebody is at it.
pub(crate) async fn claim(
    db: &Db,
    replay: ReplayId,
    prefix: &str,
    revision: u64,
    now: Timestamp,
    until: Timestamp,
) -> sqlx::Result<bool> {
    const CLAIM: &str = "UPDATE replay_index SET attempt = attempt + 1, leased_until_ms = ?, prefix = ? \
         WHERE replay_id = ? AND leased_until_ms <= ? \
         AND (version = 0 OR done_revision < ? OR done_changes < changes)";
    let mut tx = db.begin().await?;
    let claimed = sqlx::query(CLAIM)
        .bind(until.0)
        .bind(prefix)
        .bind(replay.as_i64())
        .bind(now.0)
        .bind(revision.cast_signed())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(claimed.rows_affected() == 1)
}

/// Begins to know a replay whose file is being stored, and keeps it from being wiped; gives
/// the attempt that [`renew_in`] goes on with, or `None` if somebody is at it.
pub(crate) async fn begin_import(
    db: &Db,
    replay: ReplayId,
    room: RoomId,
    now: Timestamp,
    until: Timestamp,
) -> sqlx::Result<Option<u64>> {
    const LEASE: &str = "UPDATE replay_index SET leased_until_ms = ? WHERE replay_id = ? AND leased_until_ms <= ?";
    let mut tx = db.begin().await?;
    begin(db, &mut tx, replay, None, room).await?;
    let leased = sqlx::query(LEASE).bind(until.0).bind(replay.as_i64()).bind(now.0).execute(&mut *tx).await?;
    if leased.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(None);
    }
    let row = sqlx::query("SELECT attempt FROM replay_index WHERE replay_id = ?");
    let attempt = row.bind(replay.as_i64()).fetch_one(&mut *tx).await?.try_get::<i64, _>(0)?;
    tx.commit().await?;
    Ok(Some(attempt.cast_unsigned()))
}

/// Goes on with an attempt; `false` if another one has begun.
pub(crate) async fn renew(db: &Db, replay: ReplayId, attempt: u64, until: Timestamp) -> sqlx::Result<bool> {
    let mut tx = db.begin().await?;
    let renewed = renew_in(&mut tx, replay, attempt, until).await?;
    tx.commit().await?;
    Ok(renewed)
}

/// The same in the caller's transaction: no other attempt begins before its end.
pub(crate) async fn renew_in(tx: &mut Tx, replay: ReplayId, attempt: u64, until: Timestamp) -> sqlx::Result<bool> {
    const RENEW: &str = "UPDATE replay_index SET leased_until_ms = ? WHERE replay_id = ? AND attempt = ?";
    let renew = sqlx::query(RENEW).bind(until.0).bind(replay.as_i64()).bind(attempt.cast_signed());
    Ok(renew.execute(&mut **tx).await?.rows_affected() == 1)
}

/// An attempt has ended without a result: another one may begin at once.
pub(crate) async fn give_up(db: &Db, replay: ReplayId, attempt: u64) -> sqlx::Result<()> {
    renew(db, replay, attempt, Timestamp(0)).await.map(drop)
}

/// From now on this attempt is shown; `false` if another one has begun. What is to be done
/// besides is due at `then`, or at once if something has changed meanwhile.
pub(crate) async fn flip(db: &Db, replay: ReplayId, done: Indexed, then: Timestamp) -> sqlx::Result<bool> {
    const FLIP: &str = "UPDATE replay_index SET version = attempt, done_revision = ?, done_changes = ?, \
         danmaku_count = ?, duration_ms = ?, leased_until_ms = 0, tries = 0, \
         due_ms = CASE WHEN changes > ? THEN 0 ELSE ? END WHERE replay_id = ? AND attempt = ? AND version < ?";
    let mut tx = db.begin().await?;
    let flipped = sqlx::query(FLIP)
        .bind(done.revision.cast_signed())
        .bind(done.changes.cast_signed())
        .bind(done.danmaku_count.cast_signed())
        .bind(done.duration_ms.cast_signed())
        .bind(done.changes.cast_signed())
        .bind(then.0)
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
    const SETTLE: &str = "UPDATE replay_index SET due_ms = NULL, tries = 0 \
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

/// What is due that nobody is at, longest due first.
pub(crate) async fn due(db: &Db, now: Timestamp, limit: i64) -> sqlx::Result<Vec<Due>> {
    const PAGE: &str = "SELECT replay_id, due_ms, tries FROM replay_index \
         WHERE due_ms <= ? AND leased_until_ms <= ? ORDER BY due_ms, replay_id LIMIT ?";
    let rows = sqlx::query(PAGE).bind(now.0).bind(now.0).bind(limit).fetch_all(db.reader()).await?;
    let due = |row: &AnyRow| {
        let (replay, since) = (ReplayId::from_i64(row.try_get(0)?), Timestamp(row.try_get(1)?));
        Ok(Due { replay, since, tries: u32::try_from(row.try_get::<i64, _>(2)?).unwrap_or(u32::MAX) })
    };
    rows.iter().map(due).collect()
}

/// Somebody begins with it: it is due again at `then`, unless something has happened since it
/// was read.
pub(crate) async fn begun(db: &Db, due: Due, then: Timestamp) -> sqlx::Result<()> {
    const BEGUN: &str = "UPDATE replay_index SET due_ms = ?, tries = tries + 1 WHERE replay_id = ? AND due_ms = ?";
    let mut tx = db.begin().await?;
    sqlx::query(BEGUN).bind(then.0).bind(due.replay.as_i64()).bind(due.since.0).execute(&mut *tx).await?;
    tx.commit().await
}

/// A danmaku of a broadcast was deleted: if it has a replay, that is to be indexed again.
pub(crate) async fn session_changed(tx: &mut Tx, session: SessionId) -> sqlx::Result<()> {
    const CHANGED: &str = "UPDATE replay_index SET changes = changes + 1, due_ms = 0, tries = 0 WHERE session_id = ?";
    sqlx::query(CHANGED).bind(session.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// The same for a replay that was brought in a file.
pub(crate) async fn replay_changed(tx: &mut Tx, replay: ReplayId) -> sqlx::Result<()> {
    const CHANGED: &str = "UPDATE replay_index SET changes = changes + 1, due_ms = 0, tries = 0 WHERE replay_id = ?";
    sqlx::query(CHANGED).bind(replay.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// The replay was deleted. A broadcast stays sealed.
pub(crate) async fn forget(db: &Db, replay: ReplayId) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    const FORGET: &str =
        "UPDATE replay_index SET due_ms = NULL, leased_until_ms = 0, prefix = NULL WHERE replay_id = ?";
    sqlx::query(FORGET).bind(replay.as_i64()).execute(&mut *tx).await?;
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

/// Nobody who could be at one is left: the database was this process's alone before. What they
/// were at is due.
pub(crate) async fn void_leases(db: &Db) -> sqlx::Result<()> {
    const VOID: &str = "UPDATE replay_index SET leased_until_ms = 0, due_ms = 0, tries = 0 WHERE leased_until_ms > 0";
    let mut tx = db.begin().await?;
    sqlx::query(VOID).execute(&mut *tx).await?;
    tx.commit().await
}

/// Whoever had these leases is gone, or somebody else may have them: what they were for is due.
pub(crate) async fn end_leases(db: &Db, now: Timestamp) -> sqlx::Result<()> {
    const ENDED: &str =
        "SELECT replay_id FROM replay_index WHERE leased_until_ms > 0 AND leased_until_ms <= ? LIMIT 100";
    const END: &str = "UPDATE replay_index SET leased_until_ms = 0, due_ms = 0, tries = 0 \
         WHERE replay_id = ? AND leased_until_ms > 0 AND leased_until_ms <= ?";
    for row in sqlx::query(ENDED).bind(now.0).fetch_all(db.reader()).await? {
        let mut tx = db.begin().await?;
        sqlx::query(END).bind(row.try_get::<i64, _>(0)?).bind(now.0).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}
