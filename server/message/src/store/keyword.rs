//! The SQL of what lotteries ask: their keyword danmaku, and who has posted.

use idl::message::{Cursor, HasPosted, KeywordPost};
use idl::{DanmakuId, LotteryId, RoomId, Timestamp, UserId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Store, role};

macro_rules! keyword_columns {
    ($rest:literal) => {
        concat!("SELECT id, room_id, user_id, user_name, role, sent_at_ms FROM danmaku ", $rest)
    };
}

const PAGE: &str = keyword_columns!(
    "WHERE lottery_id = ? AND sent_at_ms >= ? AND (sent_at_ms > ? OR id > ?) ORDER BY sent_at_ms, id LIMIT ?"
);

/// One range of the sender's danmaku in the room, the broadcast's; it ends at the first that
/// is found. Broadcasts of a room do not overlap in time (unless the clock was set back, so
/// each row is looked at).
const POSTED: &str = "SELECT id FROM danmaku WHERE room_id = ? AND user_id = ? \
     AND sent_at_ms >= (SELECT MIN(sent_at_ms) FROM danmaku WHERE room_id = ? AND session_id = ?) \
     AND sent_at_ms <= (SELECT MAX(sent_at_ms) FROM danmaku WHERE room_id = ? AND session_id = ?) \
     AND session_id = ? LIMIT 1";

impl Store {
    /// A lottery's keyword danmaku, deleted or not.
    pub(crate) async fn keyword_post(&self, lottery: LotteryId, id: DanmakuId) -> sqlx::Result<Option<KeywordPost>> {
        const ONE: &str = keyword_columns!("WHERE id = ? AND lottery_id = ?");
        let row = sqlx::query(ONE).bind(id.as_i64()).bind(lottery.as_i64()).fetch_optional(self.db.reader()).await?;
        row.as_ref().map(keyword_post).transpose()
    }

    /// A lottery's keyword danmaku after a position, deleted or not, oldest first.
    pub(crate) async fn keyword_posts(
        &self,
        lottery: LotteryId,
        after: Cursor,
        limit: u32,
    ) -> sqlx::Result<Vec<KeywordPost>> {
        let rows = sqlx::query(PAGE)
            .bind(lottery.as_i64())
            .bind(after.sent_at_ms)
            .bind(after.sent_at_ms)
            .bind(after.id.cast_signed())
            .bind(i64::from(limit))
            .fetch_all(self.db.reader())
            .await?;
        rows.iter().map(keyword_post).collect()
    }

    /// Whether an account has posted in a broadcast; deleted danmaku count.
    pub(crate) async fn has_posted(&self, asked: &HasPosted) -> sqlx::Result<bool> {
        let (room, session) = (asked.room.as_i64(), asked.session.as_i64());
        let row = sqlx::query(POSTED)
            .bind(room)
            .bind(asked.user.as_i64())
            .bind(room)
            .bind(session)
            .bind(room)
            .bind(session)
            .bind(session)
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.is_some())
    }
}

fn keyword_post(row: &AnyRow) -> sqlx::Result<KeywordPost> {
    Ok(KeywordPost {
        danmaku: DanmakuId::from_i64(row.try_get("id")?),
        room: RoomId::from_i64(row.try_get("room_id")?),
        user: UserId::from_i64(row.try_get("user_id")?),
        user_name: row.try_get("user_name")?,
        role: role(row.try_get("role")?),
        sent_at: Timestamp(row.try_get("sent_at_ms")?),
    })
}

#[cfg(test)]
mod tests {
    use common::Db;

    use super::*;

    /// How SQLite goes about a query, step by step.
    async fn plan(query: &str, numbers: usize) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open("sqlite:", dir.path(), "message", &sqlx::migrate!()).await.unwrap();
        let explain = format!("EXPLAIN QUERY PLAN {query}");
        let explain = (0..numbers).fold(sqlx::query(sqlx::AssertSqlSafe(explain)), |query, _| query.bind(1_i64));
        let steps = explain.fetch_all(db.reader()).await.unwrap();
        steps.iter().map(|step| step.try_get("detail").unwrap()).collect()
    }

    #[tokio::test]
    async fn whether_somebody_has_posted_reads_no_whole_broadcast() {
        let plan = plan(POSTED, 7).await;
        assert!(
            plan[0].ends_with("INDEX danmaku_by_sender (room_id=? AND user_id=? AND sent_at_ms>? AND sent_at_ms<?)"),
            "{plan:#?}"
        );
        assert_eq!(plan.iter().filter(|step| step.starts_with("SCALAR SUBQUERY")).count(), 2, "{plan:#?}");
        assert!(!plan.iter().any(|step| step.contains("SCAN ")), "{plan:#?}");
    }

    #[tokio::test]
    async fn a_page_of_keyword_danmaku_is_one_range_in_order() {
        let plan = plan(PAGE, 5).await;
        assert_eq!(plan, ["SEARCH danmaku USING INDEX danmaku_by_lottery (lottery_id=? AND sent_at_ms>?)"]);
    }
}
