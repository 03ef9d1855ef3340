//! message: danmaku and their history.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::danmaku::{Color, DanmakuText, Mode, Size};
use crate::event::{RoomRole, Sender};
use crate::user::Done;
use crate::{Caller, DanmakuId, IdempotencyKey, LotteryId, Refusal, RoomId, SessionId, Timestamp, UserId};

mod replay;

pub use replay::{DeleteReplayDanmaku, ImportReplay, ImportedReplay, ReadReplayDanmaku, ReplayDanmakuPage};

/// The contract of the message service.
#[tarpc::service]
pub trait Message {
    /// Stores a danmaku; the answer comes when it is durable. The same key of the same
    /// account in the same room gives the same danmaku again (for 24 hours).
    async fn post(request: PostDanmaku) -> Result<Danmaku, Refusal>;
    /// What [`Message::post`] answers to the repetition of an accepted post; `no-such-danmaku`
    /// if this is none (yet). Stores nothing, so it may be asked of who posts too often.
    async fn repeat(request: PostDanmaku) -> Result<Danmaku, Refusal>;
    /// One danmaku. A room that takes no guests shows it only to who is signed in.
    async fn danmaku(request: GetDanmaku) -> Result<Danmaku, Refusal>;
    /// A room's danmaku by (time, id), in pages both ways. A room that takes no guests shows
    /// them only to who is signed in.
    async fn history(request: ReadHistory) -> Result<History, Refusal>;
    /// Deletes a danmaku everywhere: its sender within two minutes, the room's owner and
    /// admins and site admins at any time. Deleting it again changes nothing.
    async fn delete(request: DeleteDanmaku) -> Result<Done, Refusal>;
    /// One keyword danmaku of a lottery; `no-such-danmaku` if it is none of its. A deleted
    /// one counts: deleting a line does not undo an entry. A service asks.
    async fn keyword_post(request: GetKeywordPost) -> Result<KeywordPost, Refusal>;
    /// A lottery's keyword danmaku by (time, id), deleted ones too, in pages. A page misses
    /// none that was acknowledged before it was asked for. A service asks.
    async fn keyword_posts(request: ReadKeywordPosts) -> Result<KeywordPosts, Refusal>;
    /// Whether an account has posted in a broadcast; a danmaku that was deleted counts. A
    /// service asks.
    async fn has_posted(request: HasPosted) -> Result<Posted, Refusal>;
    /// A replay's danmaku by (`at_ms`, `id`), in pages: all, of a range of time, or with a
    /// text in them. `no-such-replay` for who may not see it; `unavailable` if others search.
    async fn replay_danmaku(request: ReadReplayDanmaku) -> Result<ReplayDanmakuPage, Refusal>;
    /// Deletes a danmaku of a replay; of a broadcast's it is deleted everywhere. The index
    /// follows. The room's owner and admins, and site admins. Deleting it again changes nothing.
    async fn delete_replay_danmaku(request: DeleteReplayDanmaku) -> Result<Done, Refusal>;
    /// Stores the danmaku of a file that lies in the object store for a replay that was begun
    /// (`Live::begin_import`), all of it or nothing; the object is gone afterwards, and so is the
    /// replay if it failed. A service asks: who may was decided when it was begun. `bad-file` if
    /// it is no danmaku file; then the detail names the line.
    async fn import_replay(request: ImportReplay) -> Result<ImportedReplay, Refusal>;
}

/// A danmaku as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Danmaku {
    /// The danmaku.
    pub id: DanmakuId,
    /// Its room.
    pub room_id: RoomId,
    /// The broadcast it was posted in.
    pub session_id: SessionId,
    /// Who said it.
    pub sender: Sender,
    /// What was said.
    pub text: DanmakuText,
    /// How it moves.
    pub mode: Mode,
    /// In which colour.
    pub color: Color,
    /// How large.
    pub size: Size,
    /// When it was accepted.
    pub sent_at: Timestamp,
    /// Milliseconds from the broadcast's beginning to that moment.
    pub offset_ms: u64,
    /// Whether viewers were shown it live, as far as it is known. The answer to a post comes
    /// before that, and says `stored`.
    #[serde(default)]
    pub delivery: Delivery,
    /// The lottery whose keyword it is; left out if it is none's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lottery_id: Option<LotteryId>,
}

/// What became of a danmaku on the room's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// It is in the history; nothing else is known (yet).
    #[default]
    Stored,
    /// It was shown to who watched.
    Live,
    /// The room's flow limiter left it out of the stream.
    Sampled,
    /// Something that this build does not know.
    #[serde(other)]
    Unknown,
}

/// See [`Message::post`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostDanmaku {
    /// Who says it.
    pub caller: Caller,
    /// Where.
    pub room: RoomId,
    /// What.
    pub body: DanmakuBody,
    /// Idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// What a sender decides about a danmaku.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct DanmakuBody {
    /// What is said.
    pub text: DanmakuText,
    /// How it moves.
    #[serde(default)]
    pub mode: Mode,
    /// In which colour.
    #[serde(default)]
    pub color: Color,
    /// How large.
    #[serde(default)]
    pub size: Size,
}

/// See [`Message::danmaku`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetDanmaku {
    /// Who asks; `None` is a guest, and so is whose token does not hold.
    #[serde(default)]
    pub caller: Option<Caller>,
    /// Which room.
    pub room: RoomId,
    /// Which danmaku.
    pub danmaku: DanmakuId,
}

/// See [`Message::history`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadHistory {
    /// Who asks; `None` is a guest, and so is whose token does not hold.
    #[serde(default)]
    pub caller: Option<Caller>,
    /// Which room.
    pub room: RoomId,
    /// Where to start and which way to go.
    pub from: HistoryFrom,
    /// Only this broadcast.
    pub session: Option<SessionId>,
    /// Only this account's, which must exist.
    #[serde(default)]
    pub sender: Option<UserId>,
    /// 1 to 200.
    pub limit: u32,
}

/// Where a page of history starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryFrom {
    /// The latest page.
    Latest,
    /// The page that ends before this cursor.
    Before(String),
    /// The page that begins after this cursor.
    After(String),
}

/// A page of history.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Oldest first, whichever way was read.
    pub items: Vec<Danmaku>,
    /// For `before`: what is older than this page; `null` if nothing is.
    pub before_cursor: Option<String>,
    /// For `after`: what comes after this page. Also at the end, where more may come.
    pub after_cursor: Option<String>,
}

/// See [`Message::delete`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteDanmaku {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// Which danmaku.
    pub danmaku: DanmakuId,
}

/// See [`Message::keyword_post`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetKeywordPost {
    /// Whose keyword.
    pub lottery: LotteryId,
    /// Which danmaku.
    pub danmaku: DanmakuId,
}

/// A danmaku that is a lottery's keyword.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeywordPost {
    /// The danmaku.
    pub danmaku: DanmakuId,
    /// Its room.
    pub room: RoomId,
    /// Who posted it.
    pub user: UserId,
    /// The account's name, as it was then.
    pub user_name: String,
    /// What the account was in the room then.
    pub role: RoomRole,
    /// When it was accepted; before the keyword's end.
    pub sent_at: Timestamp,
}

/// See [`Message::keyword_posts`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadKeywordPosts {
    /// Whose keyword.
    pub lottery: LotteryId,
    /// The `after` of the page before; `None` is from the first one on.
    pub after: Option<String>,
    /// 1 to 500.
    pub limit: u32,
}

/// See [`Message::keyword_posts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeywordPosts {
    /// Oldest first; fewer than the limit: there are no more yet.
    pub items: Vec<KeywordPost>,
    /// What comes after this page; a [`Cursor`]. Also at the end, where more may come.
    pub after: String,
    /// Where a later look begins to miss none: not after `after`, and not where danmaku of an
    /// earlier time may still come. `None`, of an earlier build: nothing is known of that.
    #[serde(default)]
    pub settled: Option<String>,
}

/// See [`Message::has_posted`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HasPosted {
    /// In which room.
    pub room: RoomId,
    /// In which broadcast of it.
    pub session: SessionId,
    /// Who.
    pub user: UserId,
}

/// See [`Message::has_posted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// It has.
    pub posted: bool,
}

/// A position in a room's history: between two danmaku, by (time, id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The time of the danmaku that the cursor stands at.
    pub sent_at_ms: i64,
    /// Its id; 0 stands before all of that millisecond.
    pub id: u64,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.sent_at_ms, self.id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::new(crate::Code::BadCursor, "this is no cursor of a history");
        let (ms, id) = text.split_once('.').ok_or_else(bad)?;
        let sent_at_ms: u64 = ms.parse().map_err(|_| bad())?;
        let id: u64 = id.parse().map_err(|_| bad())?;
        let cursor = Self { sent_at_ms: i64::try_from(sent_at_ms).map_err(|_| bad())?, id };
        if i64::try_from(id).is_err() || cursor.to_string() != text { Err(bad()) } else { Ok(cursor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_survives_its_text(sent_at_ms in 0..i64::MAX, id in 0..(1u64 << 53)) {
            let cursor = Cursor { sent_at_ms, id };
            prop_assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }

        #[test]
        fn no_text_panics_the_cursor(text in ".{0,40}") {
            let _ = text.parse::<Cursor>();
        }
    }
}
