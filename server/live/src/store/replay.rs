//! The table of replays, in SQL.

use common::cursor::Position;
use common::db::Tx;
use common::telemetry::traces::Trace;
use idl::live::{Replay, ReplayIndexed, ReplayState, Visibility};
use idl::replay::ReplayOrigin;
use idl::{ReplayId, RoomId, SessionId, Timestamp, UserId};
use sqlx::{Any, Executor};

const IMPORTING: i64 = 0;
const INDEXING: i64 = 1;
const READY: i64 = 2;

/// A replay as its table has it, with what decides who may see it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct ReplayRow {
    id: i64,
    room_id: i64,
    session_id: Option<i64>,
    pub(crate) title: String,
    state: i64,
    deleted: i64,
    hidden: i64,
    started_at_ms: i64,
    duration_ms: i64,
    danmaku_count: i64,
    version: i64,
    revision: i64,
    pub(crate) prefix: String,
    owner_id: i64,
    guests: i64,
}

macro_rules! replay_columns {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.room_id, r.session_id, r.title, r.state, r.deleted, r.hidden, r.started_at_ms, \
             r.duration_ms, r.danmaku_count, r.version, r.revision, r.prefix, room.owner_id, room.guests \
             FROM replay r JOIN room ON room.id = r.room_id ",
            $rest
        )
    };
}

impl ReplayRow {
    pub(crate) const fn replay(&self) -> ReplayId {
        ReplayId::from_i64(self.id)
    }

    pub(crate) const fn room(&self) -> RoomId {
        RoomId::from_i64(self.room_id)
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        self.session_id.map(SessionId::from_i64)
    }

    pub(crate) const fn is_importing(&self) -> bool {
        self.state == IMPORTING
    }

    pub(crate) const fn is_deleted(&self) -> bool {
        self.deleted != 0
    }

    pub(crate) const fn is_hidden(&self) -> bool {
        self.hidden != 0
    }

    pub(crate) const fn started_at(&self) -> Timestamp {
        Timestamp(self.started_at_ms)
    }

    pub(crate) const fn revision(&self) -> u64 {
        self.revision.cast_unsigned()
    }

    /// The owner of its room.
    pub(crate) const fn owner(&self) -> UserId {
        UserId::from_i64(self.owner_id)
    }

    /// Whether its room takes guests.
    pub(crate) const fn takes_guests(&self) -> bool {
        self.guests != 0
    }

    pub(crate) const fn position(&self) -> Position {
        Position { rank: self.started_at_ms, id: self.id }
    }
}

impl From<ReplayRow> for Replay {
    fn from(row: ReplayRow) -> Self {
        Self {
            id: row.replay(),
            room_id: row.room(),
            session_id: row.session(),
            origin: if row.session_id.is_some() { ReplayOrigin::Broadcast } else { ReplayOrigin::File },
            state: match row.state {
                IMPORTING => ReplayState::Importing,
                INDEXING => ReplayState::Indexing,
                READY => ReplayState::Ready,
                _ => ReplayState::Unknown,
            },
            visibility: if row.is_hidden() { Visibility::Hidden } else { Visibility::Public },
            started_at: row.started_at(),
            duration_ms: row.duration_ms.cast_unsigned(),
            danmaku_count: row.danmaku_count.cast_unsigned(),
            version: row.version.cast_unsigned(),
            title: row.title,
        }
    }
}

/// A replay that begins.
#[derive(Debug)]
pub(crate) struct NewReplay<'a> {
    pub(crate) id: ReplayId,
    pub(crate) room: RoomId,
    pub(crate) title: &'a str,
    pub(crate) started_at: Timestamp,
    pub(crate) prefix: &'a str,
    pub(crate) of: Source,
}

/// What a new replay is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// A broadcast that ends now; it is indexed at once.
    Broadcast { session: SessionId, duration_ms: u64 },
    /// A file that has to be read until then.
    File { until: Timestamp },
}

pub(crate) async fn insert(tx: &mut Tx, new: NewReplay<'_>) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO replay (id, room_id, session_id, title, state, deleted, hidden, started_at_ms, \
         duration_ms, danmaku_count, version, revision, due_ms, wakes, prefix, traceparent) \
         VALUES (?, ?, ?, ?, ?, 0, 0, ?, ?, 0, 0, 1, ?, 0, ?, ?)";
    let (session, state, duration_ms, due_ms) = match new.of {
        Source::Broadcast { session, duration_ms } => (Some(session.as_i64()), INDEXING, duration_ms.cast_signed(), 0),
        Source::File { until } => (None, IMPORTING, 0, until.0),
    };
    sqlx::query(INSERT)
        .bind(new.id.as_i64())
        .bind(new.room.as_i64())
        .bind(session)
        .bind(new.title)
        .bind(state)
        .bind(new.started_at.0)
        .bind(duration_ms)
        .bind(due_ms)
        .bind(new.prefix)
        .bind(Trace::header_here())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The replay, also one that is importing or deleted.
pub(crate) async fn find<'e>(db: impl Executor<'e, Database = Any>, id: ReplayId) -> sqlx::Result<Option<ReplayRow>> {
    sqlx::query_as(replay_columns!("WHERE r.id = ?")).bind(id.as_i64()).fetch_optional(db).await
}

/// The room's replays after `from` that are not importing and not deleted, latest first.
pub(crate) async fn list<'e>(
    db: impl Executor<'e, Database = Any>,
    room: RoomId,
    with_hidden: bool,
    from: Position,
    limit: i64,
) -> sqlx::Result<Vec<ReplayRow>> {
    const PAGE: &str = replay_columns!(
        "WHERE r.room_id = ? AND r.state > 0 AND r.deleted = 0 AND r.hidden <= ? \
         AND r.started_at_ms <= ? AND (r.started_at_ms < ? OR r.id < ?) \
         ORDER BY r.started_at_ms DESC, r.id DESC LIMIT ?"
    );
    sqlx::query_as(PAGE)
        .bind(room.as_i64())
        .bind(i64::from(with_hidden))
        .bind(from.rank)
        .bind(from.rank)
        .bind(from.id)
        .bind(limit)
        .fetch_all(db)
        .await
}

/// How many replays of the room were brought in files, or are being brought.
pub(crate) async fn count_imported(tx: &mut Tx, room: RoomId) -> sqlx::Result<i64> {
    // Not `IS NULL`: SQLite would look at all files of the site, by the index of sessions.
    const COUNT: &str = "SELECT COUNT(*) FROM replay WHERE room_id = ? AND COALESCE(session_id, 0) = 0 AND deleted = 0";
    sqlx::query_scalar(COUNT).bind(room.as_i64()).fetch_one(&mut **tx).await
}

pub(crate) async fn update_text(tx: &mut Tx, id: ReplayId, title: &str, hidden: bool) -> sqlx::Result<()> {
    const UPDATE: &str = "UPDATE replay SET title = ?, hidden = ? WHERE id = ?";
    sqlx::query(UPDATE).bind(title).bind(i64::from(hidden)).bind(id.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// Has it indexed again; an index that is being made counts no more.
pub(crate) async fn revise(tx: &mut Tx, id: ReplayId) -> sqlx::Result<()> {
    const REVISE: &str =
        "UPDATE replay SET revision = revision + 1, due_ms = 0, wakes = 0, traceparent = ? WHERE id = ?";
    sqlx::query(REVISE).bind(Trace::header_here()).bind(id.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// Has the replay of a broadcast indexed again; `false` if there is none.
pub(crate) async fn revise_of_session(tx: &mut Tx, session: SessionId) -> sqlx::Result<bool> {
    const REVISE: &str = "UPDATE replay SET revision = revision + 1, due_ms = 0, wakes = 0, traceparent = ? \
        WHERE session_id = ? AND deleted = 0";
    let revised = sqlx::query(REVISE).bind(Trace::header_here()).bind(session.as_i64()).execute(&mut **tx).await?;
    Ok(revised.rows_affected() == 1)
}

/// From now on nobody sees it, and what is left of it has to go.
pub(crate) async fn delete(tx: &mut Tx, id: ReplayId) -> sqlx::Result<()> {
    const DELETE: &str = "UPDATE replay SET deleted = 1, revision = revision + 1, due_ms = 0, wakes = 0, traceparent = ? \
        WHERE id = ? AND deleted = 0";
    sqlx::query(DELETE).bind(Trace::header_here()).bind(id.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// Deletes an import whose time is over; `false` if it has ended by now.
pub(crate) async fn delete_stale(tx: &mut Tx, id: ReplayId, now: Timestamp) -> sqlx::Result<bool> {
    const DELETE: &str = "UPDATE replay SET deleted = 1, revision = revision + 1, due_ms = 0, wakes = 0 \
         WHERE id = ? AND state = 0 AND deleted = 0 AND due_ms <= ?";
    let deleted = sqlx::query(DELETE).bind(id.as_i64()).bind(now.0).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// Its file was read; nothing changes if that is known.
pub(crate) async fn end_import(tx: &mut Tx, id: ReplayId, duration_ms: i64) -> sqlx::Result<()> {
    const END: &str = "UPDATE replay SET state = ?, duration_ms = ?, due_ms = 0, wakes = 0, traceparent = ? \
        WHERE id = ? AND state = 0 AND deleted = 0";
    let end = sqlx::query(END).bind(INDEXING).bind(duration_ms).bind(Trace::header_here()).bind(id.as_i64());
    end.execute(&mut **tx).await?;
    Ok(())
}

/// Shows an index; `false` if a later one is shown, or nothing may be. One statement: of two
/// that are told at once the later one stays.
pub(crate) async fn show(tx: &mut Tx, index: &ReplayIndexed) -> sqlx::Result<bool> {
    const SHOW: &str = "UPDATE replay SET state = ?, duration_ms = ?, danmaku_count = ?, version = ?, \
         due_ms = CASE WHEN revision <= ? THEN NULL ELSE 0 END, wakes = 0 \
         WHERE id = ? AND version < ? AND state > 0 AND deleted = 0";
    let shown = sqlx::query(SHOW)
        .bind(READY)
        .bind(index.duration_ms.cast_signed())
        .bind(index.danmaku_count.cast_signed())
        .bind(index.version.cast_signed())
        .bind(index.revision.cast_signed())
        .bind(index.replay.as_i64())
        .bind(index.version.cast_signed())
        .execute(&mut **tx)
        .await?;
    Ok(shown.rows_affected() == 1)
}

/// Removes the row of a replay that was deleted; `false` if it is there and was not.
pub(crate) async fn forget(tx: &mut Tx, id: ReplayId) -> sqlx::Result<bool> {
    const FORGET: &str = "DELETE FROM replay WHERE id = ? AND deleted = 1";
    if sqlx::query(FORGET).bind(id.as_i64()).execute(&mut **tx).await?.rows_affected() == 1 {
        return Ok(true);
    }
    Ok(find(&mut **tx, id).await?.is_none())
}

/// A replay about which there is something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) replay: ReplayId,
    /// Its import has not ended in time.
    pub(crate) is_stale_import: bool,
    /// How often somebody was woken for it.
    pub(crate) wakes: u32,
    /// The trace of what made it due, if that is kept.
    pub(crate) traceparent: Option<String>,
    since: Timestamp,
    revision: i64,
}

/// A row of [`due`].
type DueRow = (i64, i64, i64, i64, i64, i64, Option<String>);

/// Replays that are due, longest due first.
pub(crate) async fn due<'e>(
    db: impl Executor<'e, Database = Any>,
    now: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<Due>> {
    const DUE: &str = "SELECT id, state, deleted, wakes, due_ms, revision, traceparent FROM replay WHERE due_ms <= ? \
         ORDER BY due_ms, id LIMIT ?";
    let rows: Vec<DueRow> = sqlx::query_as(DUE).bind(now.0).bind(limit).fetch_all(db).await?;
    let due = rows.into_iter().map(|(id, state, deleted, wakes, due_ms, revision, traceparent)| Due {
        replay: ReplayId::from_i64(id),
        is_stale_import: state == IMPORTING && deleted == 0,
        wakes: u32::try_from(wakes).unwrap_or(u32::MAX),
        traceparent,
        since: Timestamp(due_ms),
        revision,
    });
    Ok(due.collect())
}

/// Somebody was woken: it is due again at `then`, unless something has happened since it was
/// read.
pub(crate) async fn woken(tx: &mut Tx, due: &Due, then: Timestamp) -> sqlx::Result<()> {
    const WOKEN: &str = "UPDATE replay SET due_ms = ?, wakes = wakes + 1 WHERE id = ? AND due_ms = ? AND revision = ?";
    let woken = sqlx::query(WOKEN).bind(then.0).bind(due.replay.as_i64()).bind(due.since.0).bind(due.revision);
    woken.execute(&mut **tx).await?;
    Ok(())
}
