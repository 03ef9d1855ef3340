//! The SQL of danmaku and their idempotency keys.

use std::collections::HashMap;

use common::db::Tx;
use common::outbox::Outbox;
use common::{Db, Ids};
use idl::danmaku::{Color, DanmakuText, Mode, Size};
use idl::event::{RoomRole, Sender};
use idl::message::{Cursor, Danmaku, Delivery};
use idl::{DanmakuId, LotteryId, RoomId, SessionId, Timestamp, UserId};
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use crate::keys::KeyHash;

mod keyword;
pub(crate) mod lines;
pub(crate) mod replay;

/// Danmaku and keys in their database. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) db: Db,
    pub(crate) ids: Ids,
    pub(crate) outbox: Outbox,
}

/// A danmaku that may have been deleted.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) danmaku: Danmaku,
    pub(crate) deleted: bool,
}

/// Which danmaku of a room a page of history is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter {
    pub(crate) room: RoomId,
    pub(crate) session: Option<SessionId>,
    pub(crate) sender: Option<UserId>,
}

/// The side of a position that is read, nearest first.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    /// Everything, from the latest on.
    Latest,
    /// Older than the position.
    Before(Cursor),
    /// Newer than the position.
    After(Cursor),
}

const COLUMNS: &str = "d.id, d.room_id, d.session_id, d.user_id, d.user_name, d.role, d.text, d.mode, d.color, \
                       d.size, d.sent_at_ms, d.offset_ms, d.delivery, d.lottery_id, d.deleted_at_ms";

impl Store {
    /// A danmaku of a room, deleted or not.
    pub(crate) async fn find(&self, room: RoomId, id: DanmakuId) -> sqlx::Result<Option<Kept>> {
        let mut sql = QueryBuilder::<Any>::new("SELECT ");
        sql.push(COLUMNS).push(" FROM danmaku d WHERE d.id = ").push_bind(id.as_i64());
        sql.push(" AND d.room_id = ").push_bind(room.as_i64());
        sql.build().fetch_optional(self.db.reader()).await?.as_ref().map(kept).transpose()
    }

    /// The danmaku that a key stands for, deleted or not, if the key is from after a moment.
    pub(crate) async fn find_by_key(&self, key: &KeyHash, after: Timestamp) -> sqlx::Result<Option<Danmaku>> {
        let mut sql = QueryBuilder::<Any>::new("SELECT ");
        sql.push(COLUMNS).push(" FROM post_key k JOIN danmaku d ON d.id = k.danmaku_id WHERE k.key_hash = ");
        sql.push_bind(key.0.as_str()).push(" AND k.created_at_ms > ").push_bind(after.0);
        let row = sql.build().fetch_optional(self.db.reader()).await?;
        row.map(|row| Ok(kept(&row)?.danmaku)).transpose()
    }

    /// At most `limit` danmaku on one side of a position, the nearest first.
    pub(crate) async fn read(&self, filter: &Filter, side: Side, limit: u32) -> sqlx::Result<Vec<Danmaku>> {
        let mut sql = QueryBuilder::<Any>::new("SELECT ");
        sql.push(COLUMNS).push(" FROM danmaku d WHERE d.deleted_at_ms IS NULL AND d.room_id = ");
        sql.push_bind(filter.room.as_i64());
        if let Some(session) = filter.session {
            sql.push(" AND d.session_id = ").push_bind(session.as_i64());
        }
        if let Some(sender) = filter.sender {
            sql.push(" AND d.user_id = ").push_bind(sender.as_i64());
        }
        // Not a comparison of pairs: MySQL would not use the index for it.
        let order = match side {
            Side::Latest => "DESC",
            Side::Before(at) => {
                sql.push(" AND d.sent_at_ms <= ").push_bind(at.sent_at_ms);
                sql.push(" AND (d.sent_at_ms < ").push_bind(at.sent_at_ms);
                sql.push(" OR d.id < ").push_bind(at.id.cast_signed()).push(")");
                "DESC"
            }
            Side::After(at) => {
                sql.push(" AND d.sent_at_ms >= ").push_bind(at.sent_at_ms);
                sql.push(" AND (d.sent_at_ms > ").push_bind(at.sent_at_ms);
                sql.push(" OR d.id > ").push_bind(at.id.cast_signed()).push(")");
                "ASC"
            }
        };
        sql.push(format_args!(" ORDER BY d.sent_at_ms {order}, d.id {order} LIMIT ")).push_bind(i64::from(limit));
        let rows = sql.build().fetch_all(self.db.reader()).await?;
        rows.iter().map(|row| Ok(kept(row)?.danmaku)).collect()
    }

    /// When the danmaku with the highest id was sent.
    pub(crate) async fn latest_sent_at(&self) -> sqlx::Result<Option<Timestamp>> {
        let row = sqlx::query("SELECT sent_at_ms FROM danmaku ORDER BY id DESC LIMIT 1")
            .fetch_optional(self.db.reader())
            .await?;
        row.map(|row| row.try_get(0).map(Timestamp)).transpose()
    }

    /// Removes at most `limit` keys from before a moment; returns how many.
    pub(crate) async fn remove_keys(&self, before: Timestamp, limit: usize) -> sqlx::Result<usize> {
        let rows = sqlx::query("SELECT key_hash FROM post_key WHERE created_at_ms <= ? LIMIT ?")
            .bind(before.0)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.db.reader())
            .await?;
        let keys = rows.iter().map(|row| row.try_get(0).map(KeyHash)).collect::<sqlx::Result<Vec<_>>>()?;
        if !keys.is_empty() {
            let mut tx = self.db.begin().await?;
            delete_keys(&mut tx, &keys).await?;
            tx.commit().await?;
        }
        Ok(keys.len())
    }
}

/// The danmaku that `keys` stand for. Keys from before `oldest_kept` count no more and
/// are removed.
pub(crate) async fn danmaku_by_key(
    tx: &mut Tx,
    keys: &[&KeyHash],
    oldest_kept: Timestamp,
) -> sqlx::Result<HashMap<KeyHash, Danmaku>> {
    let (mut by_key, mut expired) = (HashMap::new(), Vec::new());
    if keys.is_empty() {
        return Ok(by_key);
    }
    let mut sql = QueryBuilder::<Any>::new("SELECT ");
    sql.push(COLUMNS).push(", k.key_hash, k.created_at_ms FROM post_key k JOIN danmaku d ON d.id = k.danmaku_id");
    sql.push(" WHERE k.key_hash IN (");
    let mut list = sql.separated(", ");
    for key in keys {
        list.push_bind(key.0.as_str());
    }
    sql.push(")");
    for row in sql.build().fetch_all(&mut **tx).await? {
        let key = KeyHash(row.try_get("key_hash")?);
        if row.try_get::<i64, _>("created_at_ms")? > oldest_kept.0 {
            by_key.insert(key, kept(&row)?.danmaku);
        } else {
            expired.push(key);
        }
    }
    delete_keys(tx, &expired).await?;
    Ok(by_key)
}

async fn delete_keys(tx: &mut Tx, keys: &[KeyHash]) -> sqlx::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Any>::new("DELETE FROM post_key WHERE key_hash IN (");
    let mut list = sql.separated(", ");
    for key in keys {
        list.push_bind(key.0.as_str());
    }
    sql.push(")");
    sql.build().execute(&mut **tx).await?;
    Ok(())
}

/// Senders whose latest danmaku one statement looks for; SQLite takes at most 500.
const SENDERS_AT_ONCE: usize = 100;

/// When accounts last posted in rooms, if that was after the time given for them. Deleted
/// danmaku count: who takes one back has still posted.
pub(crate) async fn last_sent(
    tx: &mut Tx,
    senders: &[(RoomId, UserId, Timestamp)],
) -> sqlx::Result<HashMap<(RoomId, UserId), Timestamp>> {
    let mut last = HashMap::with_capacity(senders.len());
    for senders in senders.chunks(SENDERS_AT_ONCE) {
        let mut sql = QueryBuilder::<Any>::new("");
        for (at, (room, user, after)) in senders.iter().enumerate() {
            sql.push(if at == 0 { "" } else { " UNION ALL " });
            sql.push("SELECT room_id, user_id, MAX(sent_at_ms) FROM danmaku WHERE room_id = ").push_bind(room.as_i64());
            sql.push(" AND user_id = ").push_bind(user.as_i64());
            sql.push(" AND sent_at_ms > ").push_bind(after.0).push(" GROUP BY room_id, user_id");
        }
        for row in sql.build().fetch_all(&mut **tx).await? {
            let sender = (RoomId::from_i64(row.try_get(0)?), UserId::from_i64(row.try_get(1)?));
            last.insert(sender, Timestamp(row.try_get(2)?));
        }
    }
    Ok(last)
}

/// Inserts danmaku, all or none.
pub(crate) async fn insert(tx: &mut Tx, danmaku: &[Danmaku]) -> sqlx::Result<()> {
    if danmaku.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Any>::new(
        "INSERT INTO danmaku (id, room_id, session_id, user_id, user_name, role, text, mode, color, size, \
         sent_at_ms, offset_ms, lottery_id) ",
    );
    sql.push_values(danmaku, |mut row, d| {
        row.push_bind(d.id.as_i64()).push_bind(d.room_id.as_i64()).push_bind(d.session_id.as_i64());
        row.push_bind(d.sender.id.as_i64()).push_bind(d.sender.name.as_str()).push_bind(role_code(d.sender.role));
        row.push_bind(d.text.as_str()).push_bind(mode_code(d.mode)).push_bind(i64::from(d.color.rgb()));
        row.push_bind(size_code(d.size)).push_bind(d.sent_at.0).push_bind(d.offset_ms.cast_signed());
        row.push_bind(d.lottery_id.map(LotteryId::as_i64));
    });
    let rows = sql.build().execute(&mut **tx).await?.rows_affected();
    if usize::try_from(rows) == Ok(danmaku.len()) { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}

/// Whether a danmaku is there.
pub(crate) async fn is_stored(tx: &mut Tx, id: DanmakuId) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT 1 FROM danmaku WHERE id = ?").bind(id.as_i64()).fetch_optional(&mut **tx).await?;
    Ok(row.is_some())
}

/// Claims keys for danmaku; `false` if one of them stands for another danmaku already.
pub(crate) async fn insert_keys(
    tx: &mut Tx,
    insert_ignore: &str,
    keys: &[(&KeyHash, DanmakuId)],
    now: Timestamp,
) -> sqlx::Result<bool> {
    if keys.is_empty() {
        return Ok(true);
    }
    let mut sql = QueryBuilder::<Any>::new(insert_ignore);
    sql.push("post_key (key_hash, danmaku_id, created_at_ms) ");
    sql.push_values(keys, |mut row, (key, danmaku)| {
        row.push_bind(key.0.as_str()).push_bind(danmaku.as_i64()).push_bind(now.0);
    });
    let rows = sql.build().execute(&mut **tx).await?.rows_affected();
    Ok(usize::try_from(rows) == Ok(keys.len()))
}

/// Marks a danmaku as deleted; `false` if it was already.
pub(crate) async fn mark_deleted(tx: &mut Tx, id: DanmakuId, by: UserId, now: Timestamp) -> sqlx::Result<bool> {
    let done =
        sqlx::query("UPDATE danmaku SET deleted_at_ms = ?, deleted_by = ? WHERE id = ? AND deleted_at_ms IS NULL")
            .bind(now.0)
            .bind(by.as_i64())
            .bind(id.as_i64())
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes what became of danmaku on the stream.
pub(crate) async fn mark_delivered(tx: &mut Tx, delivered: &[(DanmakuId, Delivery)]) -> sqlx::Result<()> {
    for delivery in [Delivery::Live, Delivery::Sampled] {
        let mut sql = QueryBuilder::<Any>::new("UPDATE danmaku SET delivery = ");
        sql.push_bind(delivery_code(delivery)).push(" WHERE id IN (");
        let mut list = sql.separated(", ");
        let mut any = false;
        for (id, _) in delivered.iter().filter(|(_, of)| *of == delivery) {
            list.push_bind(id.as_i64());
            any = true;
        }
        sql.push(")");
        if any {
            sql.build().execute(&mut **tx).await?;
        }
    }
    Ok(())
}

fn kept(row: &AnyRow) -> sqlx::Result<Kept> {
    let number = |column| row.try_get::<i64, _>(column);
    let danmaku = Danmaku {
        id: DanmakuId::from_i64(number("id")?),
        room_id: RoomId::from_i64(number("room_id")?),
        session_id: SessionId::from_i64(number("session_id")?),
        sender: Sender {
            id: UserId::from_i64(number("user_id")?),
            name: row.try_get("user_name")?,
            role: role(number("role")?),
        },
        text: DanmakuText::from_stored(row.try_get("text")?),
        mode: mode(number("mode")?),
        color: Color::from_rgb(u32::try_from(number("color")?).unwrap_or_default()),
        size: size(number("size")?),
        sent_at: Timestamp(number("sent_at_ms")?),
        offset_ms: number("offset_ms")?.cast_unsigned(),
        delivery: delivery(number("delivery")?),
        lottery_id: row.try_get::<Option<i64>, _>("lottery_id")?.map(LotteryId::from_i64),
    };
    Ok(Kept { danmaku, deleted: row.try_get::<Option<i64>, _>("deleted_at_ms")?.is_some() })
}

const fn role_code(role: RoomRole) -> i32 {
    match role {
        RoomRole::Viewer => 0,
        RoomRole::Admin => 1,
        RoomRole::Owner => 2,
    }
}

const fn role(code: i64) -> RoomRole {
    match code {
        2 => RoomRole::Owner,
        1 => RoomRole::Admin,
        _ => RoomRole::Viewer,
    }
}

const fn mode_code(mode: Mode) -> i32 {
    match mode {
        Mode::Scroll => 0,
        Mode::Top => 1,
        Mode::Bottom => 2,
        Mode::Reverse => 3,
    }
}

const fn mode(code: i64) -> Mode {
    match code {
        1 => Mode::Top,
        2 => Mode::Bottom,
        3 => Mode::Reverse,
        _ => Mode::Scroll,
    }
}

const fn size_code(size: Size) -> i32 {
    match size {
        Size::Small => 0,
        Size::Standard => 1,
        Size::Large => 2,
    }
}

const fn size(code: i64) -> Size {
    match code {
        0 => Size::Small,
        2 => Size::Large,
        _ => Size::Standard,
    }
}

const fn delivery_code(delivery: Delivery) -> i32 {
    match delivery {
        Delivery::Stored | Delivery::Unknown => 0,
        Delivery::Live => 1,
        Delivery::Sampled => 2,
    }
}

const fn delivery(code: i64) -> Delivery {
    match code {
        1 => Delivery::Live,
        2 => Delivery::Sampled,
        _ => Delivery::Stored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_as_a_number_comes_back() {
        for each in [RoomRole::Viewer, RoomRole::Admin, RoomRole::Owner] {
            assert_eq!(role(role_code(each).into()), each);
        }
        for each in [Mode::Scroll, Mode::Top, Mode::Bottom, Mode::Reverse] {
            assert_eq!(mode(mode_code(each).into()), each);
        }
        for each in [Size::Small, Size::Standard, Size::Large] {
            assert_eq!(size(size_code(each).into()), each);
        }
        for each in [Delivery::Stored, Delivery::Live, Delivery::Sampled] {
            assert_eq!(delivery(delivery_code(each).into()), each);
        }
    }

    #[test]
    fn the_migration_holds_the_platforms_tables() {
        let migration = include_str!("../migrations/0001_init.sql");
        assert!(migration.contains(Ids::TABLE) && migration.contains(Outbox::TABLE));
    }
}
