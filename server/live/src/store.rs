//! The tables of rooms and broadcasts, in SQL. Who else is in a room: [`people`]; what its
//! lotteries' keywords are: [`keyword`]. What is left of broadcasts: [`replay`], [`mark`].

use std::num::NonZeroU32;

use common::Db;
use common::db::{Tx, like_anywhere};
use idl::event::{LiveSession, Owner, RoomRules, RoomState};
use idl::live::{ListRooms, Room, RoomText, Session};
use idl::{RoomId, SessionId, Timestamp, UserId};
use sqlx::{Any, Executor, QueryBuilder};

use common::cursor::Position;

pub(crate) mod keyword;
pub(crate) mod mark;
pub(crate) mod people;
pub(crate) mod replay;

/// A room as its table has it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct RoomRow {
    id: i64,
    owner_id: i64,
    pub(crate) owner_name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) category: String,
    slow_mode_s: i64,
    mute_all: i64,
    guests: i64,
    danmaku_per_s: Option<i64>,
    version: i64,
    pub(crate) cover_version: i64,
    session_id: Option<i64>,
    opened_at_ms: Option<i64>,
    pub(crate) viewers: i64,
    created_at_ms: i64,
}

macro_rules! room_columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, owner_id, owner_name, title, description, category, slow_mode_s, mute_all, guests, danmaku_per_s, \
             version, cover_version, session_id, opened_at_ms, viewers, created_at_ms FROM room ",
            $rest
        )
    };
}

impl RoomRow {
    pub(crate) const fn room(&self) -> RoomId {
        RoomId::from_i64(self.id)
    }

    pub(crate) const fn owner(&self) -> UserId {
        UserId::from_i64(self.owner_id)
    }

    pub(crate) fn session(&self) -> Option<LiveSession> {
        let (id, opened_at_ms) = self.session_id.zip(self.opened_at_ms)?;
        Some(LiveSession { id: SessionId::from_i64(id), opened_at_ms })
    }

    pub(crate) fn rules(&self) -> RoomRules {
        RoomRules {
            slow_mode_s: u32::try_from(self.slow_mode_s).unwrap_or_default(),
            mute_all: self.mute_all != 0,
            guests: self.guests != 0,
            danmaku_per_s: self.danmaku_per_s.and_then(|rate| NonZeroU32::new(u32::try_from(rate).ok()?)),
        }
    }

    pub(crate) const fn version(&self) -> u64 {
        self.version.cast_unsigned()
    }

    /// Where the list of rooms continues after this one.
    pub(crate) const fn position(&self, live: bool) -> Position {
        Position { rank: if live { self.viewers } else { self.id }, id: self.id }
    }

    /// As viewers see it beside the feed.
    pub(crate) fn state(&self) -> RoomState {
        RoomState {
            id: self.room(),
            version: self.version(),
            title: self.title.clone(),
            owner: Owner { id: self.owner(), name: self.owner_name.clone() },
            cover_url: self.cover_url(),
            session: self.session(),
            rules: self.rules(),
        }
    }

    fn cover_url(&self) -> Option<String> {
        (self.cover_version != 0).then(|| format!("/api/v1/rooms/{}/cover?v={}", self.id, self.cover_version))
    }
}

impl From<RoomRow> for Room {
    fn from(row: RoomRow) -> Self {
        Self {
            id: row.room(),
            cover_url: row.cover_url(),
            session: row.session(),
            viewers: row.viewers.cast_unsigned(),
            rules: row.rules(),
            created_at: Timestamp(row.created_at_ms),
            owner: Owner { id: row.owner(), name: row.owner_name },
            title: row.title,
            description: row.description,
            category: row.category,
        }
    }
}

/// The room, if there is one.
pub(crate) async fn find_room<'e>(db: impl Executor<'e, Database = Any>, id: RoomId) -> sqlx::Result<Option<RoomRow>> {
    sqlx::query_as(room_columns!("WHERE id = ?")).bind(id.as_i64()).fetch_optional(db).await
}

/// The room, locked against other writers until the transaction ends.
pub(crate) async fn lock_room(tx: &mut Tx, id: RoomId) -> sqlx::Result<Option<RoomRow>> {
    const LOCK: &str = "UPDATE room SET version = version WHERE id = ?";
    if sqlx::query(LOCK).bind(id.as_i64()).execute(&mut **tx).await?.rows_affected() == 0 {
        return Ok(None);
    }
    find_room(&mut **tx, id).await
}

/// One more room for the account; `false` if it has `most` already.
pub(crate) async fn claim_room(tx: &mut Tx, insert_ignore: &str, owner: UserId, most: u32) -> sqlx::Result<bool> {
    const CLAIM: &str = "UPDATE room_owner SET rooms = rooms + 1 WHERE user_id = ? AND rooms < ?";
    let claim = || sqlx::query(CLAIM).bind(owner.as_i64()).bind(i64::from(most));
    // First of all the update: two that have both found the row by inserting it wait for each other.
    if claim().execute(&mut **tx).await?.rows_affected() == 1 {
        return Ok(true);
    }
    let first = format!("{insert_ignore}room_owner (user_id, rooms) VALUES (?, 0)");
    sqlx::query(sqlx::AssertSqlSafe(first)).bind(owner.as_i64()).execute(&mut **tx).await?;
    Ok(claim().execute(&mut **tx).await?.rows_affected() == 1)
}

/// A new room, closed, with the rules that a room begins with.
pub(crate) async fn insert_room(
    tx: &mut Tx,
    id: RoomId,
    owner: &Owner,
    text: &RoomText,
    now: Timestamp,
) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO room (id, owner_id, owner_name, title, description, category, slow_mode_s, \
         mute_all, guests, danmaku_per_s, version, cover_version, live, viewers, created_at_ms) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, ?)";
    let rules = RoomRules::default();
    sqlx::query(INSERT)
        .bind(id.as_i64())
        .bind(owner.id.as_i64())
        .bind(owner.name.as_str())
        .bind(text.title.as_str())
        .bind(text.description.as_str())
        .bind(text.category.as_str())
        .bind(i64::from(rules.slow_mode_s))
        .bind(i64::from(rules.mute_all))
        .bind(i64::from(rules.guests))
        .bind(rules.danmaku_per_s.map(|rate| i64::from(rate.get())))
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(crate) async fn update_text(tx: &mut Tx, id: RoomId, text: &RoomText) -> sqlx::Result<()> {
    const UPDATE: &str = "UPDATE room SET title = ?, description = ?, category = ?, version = version + 1 WHERE id = ?";
    sqlx::query(UPDATE)
        .bind(text.title.as_str())
        .bind(text.description.as_str())
        .bind(text.category.as_str())
        .bind(id.as_i64())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(crate) async fn update_rules(tx: &mut Tx, id: RoomId, rules: &RoomRules) -> sqlx::Result<()> {
    const UPDATE: &str = "UPDATE room SET slow_mode_s = ?, mute_all = ?, guests = ?, danmaku_per_s = ?, \
         version = version + 1 WHERE id = ?";
    sqlx::query(UPDATE)
        .bind(i64::from(rules.slow_mode_s))
        .bind(i64::from(rules.mute_all))
        .bind(i64::from(rules.guests))
        .bind(rules.danmaku_per_s.map(|rate| i64::from(rate.get())))
        .bind(id.as_i64())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// `false` if the cover is not the one of `before` any more.
pub(crate) async fn flip_cover(tx: &mut Tx, id: RoomId, before: i64, after: i64) -> sqlx::Result<bool> {
    const FLIP: &str = "UPDATE room SET cover_version = ?, version = version + 1 WHERE id = ? AND cover_version = ?";
    let flipped = sqlx::query(FLIP).bind(after).bind(id.as_i64()).bind(before).execute(&mut **tx).await?;
    Ok(flipped.rows_affected() == 1)
}

/// Only the hash of a stream key is kept. Viewers see nothing of it: no new version.
pub(crate) async fn set_stream_key(tx: &mut Tx, id: RoomId, hash: &str) -> sqlx::Result<()> {
    const SET: &str = "UPDATE room SET stream_key_hash = ? WHERE id = ?";
    sqlx::query(SET).bind(hash).bind(id.as_i64()).execute(&mut **tx).await?;
    Ok(())
}

/// Rooms after `from`, at most `limit`, in the order of the list.
pub(crate) async fn list_rooms(
    db: &Db,
    filter: &ListRooms,
    search: Option<&str>,
    from: Position,
    limit: i64,
) -> sqlx::Result<Vec<RoomRow>> {
    let mut sql = QueryBuilder::<Any>::new(room_columns!("WHERE "));
    if filter.live {
        // In this form one range of the index is the answer, in order.
        sql.push("live = 1 AND viewers <= ").push_bind(from.rank);
        sql.push(" AND (viewers < ").push_bind(from.rank).push(" OR id < ").push_bind(from.id).push(")");
    } else {
        sql.push("id < ").push_bind(from.id);
    }
    if let Some(owner) = filter.owner {
        sql.push(" AND owner_id = ").push_bind(owner.as_i64());
    }
    if let Some(search) = search {
        let pattern = like_anywhere(search);
        sql.push(" AND (title").push(db.like()).push_bind(pattern.clone());
        sql.push(" ESCAPE '!' OR category").push(db.like()).push_bind(pattern.clone());
        sql.push(" ESCAPE '!' OR owner_name").push(db.like()).push_bind(pattern).push(" ESCAPE '!')");
    }
    sql.push(if filter.live { " ORDER BY viewers DESC, id DESC LIMIT " } else { " ORDER BY id DESC LIMIT " });
    sql.push_bind(limit);
    sql.build_query_as().fetch_all(db.reader()).await
}

/// Rooms that are live, by ascending id after `after`.
pub(crate) async fn open_rooms<'e>(
    db: impl Executor<'e, Database = Any>,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<RoomRow>> {
    sqlx::query_as(room_columns!("WHERE live = 1 AND id > ? ORDER BY id LIMIT ?"))
        .bind(after)
        .bind(limit)
        .fetch_all(db)
        .await
}

/// The room's viewers and its broadcast's peak, unless that broadcast has ended.
pub(crate) async fn count_viewers(tx: &mut Tx, room: RoomId, session: SessionId, viewers: i64) -> sqlx::Result<()> {
    const NOW: &str = "UPDATE room SET viewers = ? WHERE id = ? AND session_id = ?";
    const PEAK: &str =
        "UPDATE broadcast SET peak_viewers = ? WHERE id = ? AND closed_at_ms IS NULL AND peak_viewers < ?";
    sqlx::query(NOW).bind(viewers).bind(room.as_i64()).bind(session.as_i64()).execute(&mut **tx).await?;
    sqlx::query(PEAK).bind(viewers).bind(session.as_i64()).bind(viewers).execute(&mut **tx).await?;
    Ok(())
}

/// A broadcast as its table has it.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct SessionRow {
    id: i64,
    room_id: i64,
    title: String,
    opened_at_ms: i64,
    closed_at_ms: Option<i64>,
    peak_viewers: i64,
}

impl SessionRow {
    pub(crate) const fn position(&self) -> Position {
        Position { rank: self.opened_at_ms, id: self.id }
    }
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            id: SessionId::from_i64(row.id),
            room_id: RoomId::from_i64(row.room_id),
            title: row.title,
            opened_at: Timestamp(row.opened_at_ms),
            closed_at: row.closed_at_ms.map(Timestamp),
            peak_viewers: row.peak_viewers.cast_unsigned(),
        }
    }
}

/// Begins a broadcast; `false` if one is on.
pub(crate) async fn open_session(tx: &mut Tx, room: &RoomRow, id: SessionId, now: Timestamp) -> sqlx::Result<bool> {
    const OPEN: &str = "UPDATE room SET session_id = ?, opened_at_ms = ?, live = 1, viewers = 0, \
         version = version + 1 WHERE id = ? AND session_id IS NULL";
    let opened = sqlx::query(OPEN).bind(id.as_i64()).bind(now.0).bind(room.id).execute(&mut **tx).await?;
    if opened.rows_affected() == 0 {
        return Ok(false);
    }
    const INSERT: &str =
        "INSERT INTO broadcast (id, room_id, title, opened_at_ms, peak_viewers) VALUES (?, ?, ?, ?, 0)";
    sqlx::query(INSERT)
        .bind(id.as_i64())
        .bind(room.id)
        .bind(room.title.as_str())
        .bind(now.0)
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// Ends the broadcast; `false` if it is not on.
pub(crate) async fn close_session(tx: &mut Tx, room: RoomId, id: SessionId, now: Timestamp) -> sqlx::Result<bool> {
    const CLOSE: &str = "UPDATE room SET session_id = NULL, opened_at_ms = NULL, live = 0, viewers = 0, \
         version = version + 1 WHERE id = ? AND session_id = ?";
    let closed = sqlx::query(CLOSE).bind(room.as_i64()).bind(id.as_i64()).execute(&mut **tx).await?;
    if closed.rows_affected() == 0 {
        return Ok(false);
    }
    const END: &str = "UPDATE broadcast SET closed_at_ms = ? WHERE id = ?";
    sqlx::query(END).bind(now.0).bind(id.as_i64()).execute(&mut **tx).await?;
    Ok(true)
}

macro_rules! session_columns {
    ($rest:literal) => {
        concat!("SELECT id, room_id, title, opened_at_ms, closed_at_ms, peak_viewers FROM broadcast ", $rest)
    };
}

pub(crate) async fn find_session<'e>(
    db: impl Executor<'e, Database = Any>,
    room: RoomId,
    id: SessionId,
) -> sqlx::Result<Option<SessionRow>> {
    sqlx::query_as(session_columns!("WHERE id = ? AND room_id = ?"))
        .bind(id.as_i64())
        .bind(room.as_i64())
        .fetch_optional(db)
        .await
}

/// The room's broadcasts after `from`, latest first.
pub(crate) async fn list_sessions<'e>(
    db: impl Executor<'e, Database = Any>,
    room: RoomId,
    from: Position,
    limit: i64,
) -> sqlx::Result<Vec<SessionRow>> {
    const PAGE: &str = session_columns!(
        "WHERE room_id = ? AND opened_at_ms <= ? AND (opened_at_ms < ? OR id < ?) \
         ORDER BY opened_at_ms DESC, id DESC LIMIT ?"
    );
    sqlx::query_as(PAGE)
        .bind(room.as_i64())
        .bind(from.rank)
        .bind(from.rank)
        .bind(from.id)
        .bind(limit)
        .fetch_all(db)
        .await
}
