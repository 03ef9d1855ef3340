//! The SQL of a replay's danmaku, wherever they come from.

use common::Db;
use common::db::{Tx, like_anywhere};
use idl::danmaku::{Color, DanmakuText};
use idl::replay::{ReplayDanmaku, SenderHash};
use idl::{DanmakuId, ReplayId, RoomId, SessionId, Timestamp, UserId};
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use super::{mode, mode_code, size, size_code};

/// Rows in one statement: below every database's limit of parameters.
const ROWS_AT_ONCE: usize = 500;

/// Danmaku that are counted in one statement, which a database may cut after seconds.
const COUNTED_AT_ONCE: i64 = 10_000;

/// Where a replay's danmaku are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// They were said in a broadcast.
    Session { room: RoomId, session: SessionId, began: Timestamp },
    /// They were brought in a file.
    File(ReplayId),
}

/// Which danmaku of a replay, by (time, id).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range<'a> {
    /// After this one: its time (that of sending, of a broadcast's; else since the beginning) and its id.
    pub(crate) after: Option<(i64, i64)>,
    /// Up to this one, with it.
    pub(crate) until: Option<(i64, i64)>,
    /// From this time on, since the beginning.
    pub(crate) from_ms: u64,
    /// Before this time.
    pub(crate) before_ms: Option<u64>,
    /// With this in their text.
    pub(crate) text: Option<&'a str>,
}

/// A danmaku as it is stored, with its place in the order.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) place: (i64, i64),
    /// Of a broadcast's: who said it. Its hash in `danmaku` is not made yet.
    pub(crate) user: Option<UserId>,
    pub(crate) danmaku: ReplayDanmaku,
}

/// How many there are, and the time of the last one since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) count: u64,
    pub(crate) last_ms: u64,
}

impl Source {
    /// How many danmaku there are that were not deleted, counted in portions.
    pub(crate) async fn extent(self, db: &Db) -> sqlx::Result<Extent> {
        self.extent_by(db, COUNTED_AT_ONCE).await
    }

    async fn extent_by(self, db: &Db, portion: i64) -> sqlx::Result<Extent> {
        let (mut extent, mut range) = (Extent { count: 0, last_ms: 0 }, Range::default());
        loop {
            range.until = self.place(db, range, portion).await?;
            let there = self.extent_of(db, range).await?;
            extent.count += there.count;
            extent.last_ms = extent.last_ms.max(there.last_ms);
            if range.until.is_none() {
                return Ok(extent);
            }
            range.after = range.until.take();
        }
    }

    async fn extent_of(self, db: &Db, range: Range<'_>) -> sqlx::Result<Extent> {
        let mut sql = QueryBuilder::<Any>::new("SELECT COUNT(*), COALESCE(MAX(");
        let origin = match self {
            Self::Session { .. } => "sent_at_ms), 0) FROM danmaku WHERE deleted_at_ms IS NULL",
            Self::File(_) => "at_ms), 0) FROM imported_danmaku WHERE deleted_at_ms IS NULL",
        };
        sql.push(origin);
        self.only(&mut sql);
        self.within(&mut sql, range);
        let row = sql.build().fetch_one(db.reader()).await?;
        let last: i64 = row.try_get(1)?;
        let last_ms = last.saturating_sub(self.zero()).max(0).cast_unsigned();
        Ok(Extent { count: row.try_get::<i64, _>(0)?.cast_unsigned(), last_ms })
    }

    /// At most `limit` danmaku of a range, in order.
    pub(crate) async fn read(self, db: &Db, range: Range<'_>, limit: i64) -> sqlx::Result<Vec<Line>> {
        let mut sql = QueryBuilder::<Any>::new("SELECT id, text, mode, color, size, sent_at_ms, user_name, ");
        let rest = match self {
            Self::Session { .. } => "offset_ms, user_id FROM danmaku WHERE deleted_at_ms IS NULL",
            Self::File(_) => "at_ms, sender_hash FROM imported_danmaku WHERE deleted_at_ms IS NULL",
        };
        sql.push(rest);
        self.only(&mut sql);
        self.within(&mut sql, range);
        if let Some(text) = range.text {
            sql.push(" AND text").push(db.like()).push_bind(like_anywhere(text)).push(" ESCAPE '!'");
        }
        sql.push(" ORDER BY ").push(self.time()).push(", id LIMIT ").push_bind(limit);
        let rows = sql.build().fetch_all(db.reader()).await?;
        rows.iter().map(|row| self.line(row)).collect()
    }

    /// The place of the danmaku that ends the first `count` of a range, whatever their texts
    /// and also those that were deleted; `None` if there are not more than that. Reads an
    /// index alone.
    pub(crate) async fn place(self, db: &Db, range: Range<'_>, count: i64) -> sqlx::Result<Option<(i64, i64)>> {
        let mut sql = QueryBuilder::<Any>::new("SELECT ");
        sql.push(self.time()).push(match self {
            Self::Session { .. } => ", id FROM danmaku WHERE 1 = 1",
            Self::File(_) => ", id FROM imported_danmaku WHERE 1 = 1",
        });
        self.only(&mut sql);
        self.within(&mut sql, range);
        sql.push(" ORDER BY ").push(self.time()).push(", id LIMIT 2 OFFSET ").push_bind(count - 1);
        let rows = sql.build().fetch_all(db.reader()).await?;
        match rows.as_slice() {
            [last, _] => Ok(Some((last.try_get(0)?, last.try_get(1)?))),
            _ => Ok(None),
        }
    }

    /// The column that orders them.
    const fn time(self) -> &'static str {
        match self {
            Self::Session { .. } => "sent_at_ms",
            Self::File(_) => "at_ms",
        }
    }

    /// Time 0 of the replay, in the column that orders it.
    const fn zero(self) -> i64 {
        match self {
            Self::Session { began, .. } => began.0,
            Self::File(_) => 0,
        }
    }

    fn only(self, sql: &mut QueryBuilder<Any>) {
        match self {
            Self::Session { room, session, .. } => {
                sql.push(" AND room_id = ").push_bind(room.as_i64());
                sql.push(" AND session_id = ").push_bind(session.as_i64());
            }
            Self::File(replay) => _ = sql.push(" AND replay_id = ").push_bind(replay.as_i64()),
        }
    }

    fn within(self, sql: &mut QueryBuilder<Any>, range: Range<'_>) {
        let (time, since) = (self.time(), |ms: u64| self.zero().saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)));
        if range.from_ms > 0 {
            sql.push(" AND ").push(time).push(" >= ").push_bind(since(range.from_ms));
        }
        if let Some(before_ms) = range.before_ms {
            sql.push(" AND ").push(time).push(" < ").push_bind(since(before_ms));
        }
        if let Some((at, id)) = range.after {
            // Not a comparison of pairs: MySQL would not use the index for it.
            sql.push(" AND ").push(time).push(" >= ").push_bind(at);
            sql.push(" AND (").push(time).push(" > ").push_bind(at);
            sql.push(" OR id > ").push_bind(id).push(")");
        }
        if let Some((at, id)) = range.until {
            sql.push(" AND ").push(time).push(" <= ").push_bind(at);
            sql.push(" AND (").push(time).push(" < ").push_bind(at);
            sql.push(" OR id <= ").push_bind(id).push(")");
        }
    }

    fn line(self, row: &AnyRow) -> sqlx::Result<Line> {
        let number = |at: usize| row.try_get::<i64, _>(at);
        let (id, sent_at, at_ms, sender) = (number(0)?, number(5)?, number(7)?, number(8)?);
        let (place, user, hash) = match self {
            Self::Session { .. } => ((sent_at, id), Some(UserId::from_i64(sender)), 0),
            Self::File(_) => ((at_ms, id), None, u32::try_from(sender).unwrap_or_default()),
        };
        let danmaku = ReplayDanmaku {
            id: DanmakuId::from_i64(id),
            at_ms: at_ms.max(0).cast_unsigned(),
            sent_at: Timestamp(sent_at),
            mode: mode(number(2)?),
            color: Color::from_rgb(u32::try_from(number(3)?).unwrap_or_default()),
            size: size(number(4)?),
            text: DanmakuText::from_stored(row.try_get(1)?),
            sender_hash: SenderHash(hash),
            user_name: row.try_get(6)?,
        };
        Ok(Line { place, user, danmaku })
    }
}

/// Stores danmaku of a file, all or none.
pub(crate) async fn import(tx: &mut Tx, replay: ReplayId, danmaku: &[ReplayDanmaku]) -> sqlx::Result<()> {
    for rows in danmaku.chunks(ROWS_AT_ONCE) {
        let mut sql = QueryBuilder::<Any>::new(
            "INSERT INTO imported_danmaku (replay_id, at_ms, id, sent_at_ms, sender_hash, user_name, text, mode, \
             color, size) ",
        );
        sql.push_values(rows, |mut row, d| {
            row.push_bind(replay.as_i64()).push_bind(d.at_ms.cast_signed()).push_bind(d.id.as_i64());
            row.push_bind(d.sent_at.0).push_bind(i64::from(d.sender_hash.0)).push_bind(d.user_name.as_deref());
            row.push_bind(d.text.as_str()).push_bind(mode_code(d.mode)).push_bind(i64::from(d.color.rgb()));
            row.push_bind(size_code(d.size));
        });
        sql.build().execute(&mut **tx).await?;
    }
    Ok(())
}

/// Marks a danmaku of a file as deleted; `false` if there is none that is not.
pub(crate) async fn delete_imported(
    tx: &mut Tx,
    replay: ReplayId,
    id: DanmakuId,
    now: Timestamp,
) -> sqlx::Result<bool> {
    const DELETE: &str =
        "UPDATE imported_danmaku SET deleted_at_ms = ? WHERE replay_id = ? AND id = ? AND deleted_at_ms IS NULL";
    let deleted = sqlx::query(DELETE).bind(now.0).bind(replay.as_i64()).bind(id.as_i64()).execute(&mut **tx).await?;
    Ok(deleted.rows_affected() == 1)
}

/// Whether a file had this danmaku, deleted or not.
pub(crate) async fn was_imported(db: &Db, replay: ReplayId, id: DanmakuId) -> sqlx::Result<bool> {
    const FIND: &str = "SELECT 1 FROM imported_danmaku WHERE replay_id = ? AND id = ?";
    let row = sqlx::query(FIND).bind(replay.as_i64()).bind(id.as_i64()).fetch_optional(db.reader()).await?;
    Ok(row.is_some())
}

/// Removes what was stored of a file, a portion in each transaction.
pub(crate) async fn remove_imported(db: &Db, replay: ReplayId) -> sqlx::Result<()> {
    loop {
        const PAGE: &str = "SELECT id FROM imported_danmaku WHERE replay_id = ? LIMIT ?";
        let rows = sqlx::query(PAGE)
            .bind(replay.as_i64())
            .bind(i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX))
            .fetch_all(db.reader())
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut sql = QueryBuilder::<Any>::new("DELETE FROM imported_danmaku WHERE replay_id = ");
        sql.push_bind(replay.as_i64()).push(" AND id IN (");
        let mut list = sql.separated(", ");
        for row in &rows {
            list.push_bind(row.try_get::<i64, _>(0)?);
        }
        sql.push(")");
        let mut tx = db.begin().await?;
        sql.build().execute(&mut *tx).await?;
        tx.commit().await?;
    }
}

#[cfg(test)]
mod tests {
    use idl::danmaku::{Mode, Size};

    use super::*;

    #[tokio::test]
    async fn portions_count_each_once_and_no_deleted_one() {
        let dir = tempfile::tempdir().unwrap();
        let url = common::native::db_url(dir.path());
        let db = Db::open(&url, dir.path(), "message", &sqlx::migrate!()).await.unwrap();
        let danmaku = |id: u64| ReplayDanmaku {
            id: DanmakuId(id),
            at_ms: id / 4, // several in one millisecond
            sent_at: Timestamp(7),
            mode: Mode::default(),
            color: Color::from_rgb(0),
            size: Size::default(),
            text: DanmakuText::from_stored("hello".to_owned()),
            sender_hash: SenderHash(1),
            user_name: None,
        };
        let of = |replay| Source::File(ReplayId(replay));
        let mut tx = db.begin().await.unwrap();
        import(&mut tx, ReplayId(1), &(1..=12).map(danmaku).collect::<Vec<_>>()).await.unwrap();
        import(&mut tx, ReplayId(2), &[danmaku(99)]).await.unwrap();
        for gone in [1, 6, 12] {
            assert!(delete_imported(&mut tx, ReplayId(1), DanmakuId(gone), Timestamp(8)).await.unwrap());
        }
        tx.commit().await.unwrap();
        for portion in [1, 2, 3, 4, 5, 11, 12, 13, 100] {
            let extent = of(1).extent_by(&db, portion).await.unwrap();
            assert_eq!(extent, Extent { count: 9, last_ms: 2 }, "in portions of {portion}");
        }
        assert_eq!(of(3).extent(&db).await.unwrap(), Extent { count: 0, last_ms: 0 });
    }
}
