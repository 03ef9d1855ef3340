//! Replays: what is left of a broadcast, or was brought in a file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::replay::ReplayOrigin;
use crate::{Caller, IdempotencyKey, LotteryId, ReplayId, RoomId, SessionId, Timestamp};

/// A replay, without its danmaku.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// The replay.
    pub id: ReplayId,
    /// Its room.
    pub room_id: RoomId,
    /// The broadcast that it is of; left out if it was brought in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub session_id: Option<SessionId>,
    /// What it is called.
    pub title: String,
    /// Where its danmaku come from.
    pub origin: ReplayOrigin,
    /// Whether it can be watched yet.
    pub state: ReplayState,
    /// Who may see it.
    pub visibility: Visibility,
    /// When the broadcast began; of a file: when it was brought.
    pub started_at: Timestamp,
    /// How long it is, in milliseconds. While it is indexed for the first time: how long the
    /// broadcast was, or 0.
    pub duration_ms: u64,
    /// How many danmaku it has; 0 while it is indexed for the first time.
    pub danmaku_count: u64,
    /// Which index is shown; 0 while it is indexed for the first time. A later one has a larger
    /// number, not always the next: a try that failed has used one up. What belongs to a
    /// version never changes.
    pub version: u64,
}

/// Whether a replay can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayState {
    /// Its danmaku are being stored, from a file. Nobody is shown this.
    Importing,
    /// It is being indexed for the first time.
    Indexing,
    /// It can be watched.
    Ready,
    /// Something that this build does not know.
    #[serde(other)]
    Unknown,
}

/// Who may see a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Whoever may watch the room.
    #[default]
    Public,
    /// The room's owner and site admins.
    Hidden,
    /// Something that this build does not know.
    #[serde(other)]
    Unknown,
}

/// See [`Live::replays`](super::Live::replays).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListReplays {
    /// Who asks; `None` is a guest, and so is whose token does not hold.
    pub caller: Option<Caller>,
    /// Which room.
    pub room: RoomId,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 100.
    pub limit: u32,
}

/// See [`Live::replays`](super::Live::replays).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Replays {
    /// The page.
    pub items: Vec<Replay>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// See [`Live::replay`](super::Live::replay).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetReplay {
    /// Who asks; `None` is a guest, and so is whose token does not hold.
    pub caller: Option<Caller>,
    /// Which replay.
    pub replay: ReplayId,
}

/// See [`Live::replay`](super::Live::replay).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocatedReplay {
    /// The replay.
    pub replay: Replay,
    /// See [`ReplayJob::prefix`]. Not for the outside.
    pub prefix: String,
}

/// What a replay says about itself; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplayText {
    /// What it is called: 1 to 60 characters.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 60)]
    pub title: Option<String>,
    /// Who may see it.
    #[serde(default)]
    pub visibility: Option<Visibility>,
}

/// See [`Live::edit_replay`](super::Live::edit_replay).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditReplay {
    /// Who asks.
    pub caller: Caller,
    /// Which replay.
    pub replay: ReplayId,
    /// What changes.
    pub body: ReplayText,
}

/// See [`Live::delete_replay`](super::Live::delete_replay).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteReplay {
    /// Who asks.
    pub caller: Caller,
    /// Which replay.
    pub replay: ReplayId,
}

/// See [`Live::index_replay`](super::Live::index_replay).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IndexReplay {
    /// Who asks.
    pub caller: Caller,
    /// Which replay.
    pub replay: ReplayId,
}

/// See [`Live::begin_import`](super::Live::begin_import).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BeginImport {
    /// Who asks.
    pub caller: Caller,
    /// Into which room.
    pub room: RoomId,
    /// What it is called: 1 to 60 characters.
    pub title: String,
    /// Makes a repetition safe.
    #[serde(default)]
    pub key: Option<IdempotencyKey>,
}

/// See [`Live::give_import_up`](super::Live::give_import_up).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GiveImportUp {
    /// Which replay.
    pub replay: ReplayId,
}

/// See [`Live::end_import`](super::Live::end_import).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndImport {
    /// Which replay.
    pub replay: ReplayId,
    /// How long it is: until a moment after the last danmaku.
    pub duration_ms: u64,
}

/// See [`Live::replay_job`](super::Live::replay_job).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetReplayJob {
    /// Which replay.
    pub replay: ReplayId,
}

/// What is to be done about a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayJob {
    /// The replay as it is now.
    pub replay: Replay,
    /// Its objects' keys begin with this: unguessable, without a slash at the end.
    pub prefix: String,
    /// Counts what an index must show: marks, titles, wishes for a new one.
    pub revision: u64,
    /// What happened, in order; at most 1,000.
    pub marks: Vec<ReplayMark>,
    /// It was deleted: nothing may be left of it.
    pub deleted: bool,
}

/// Something on a replay's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayMark {
    /// What happened.
    pub kind: ReplayMarkKind,
    /// When, in milliseconds from the replay's beginning.
    pub at_ms: u64,
    /// Which lottery.
    pub lottery_id: LotteryId,
    /// What it is called.
    pub title: String,
}

/// What happened at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayMarkKind {
    /// A lottery was opened.
    LotteryOpened,
    /// A lottery was drawn.
    LotteryDrawn,
    /// A lottery was called off.
    LotteryCancelled,
    /// Something that this build does not know.
    #[serde(other)]
    Unknown,
}

/// See [`Live::mark_replay`](super::Live::mark_replay).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MarkReplay {
    /// In which room.
    pub room: RoomId,
    /// What happened.
    pub kind: ReplayMarkKind,
    /// When. What happened while no broadcast was on is on no replay.
    pub at: Timestamp,
    /// Which lottery.
    pub lottery: LotteryId,
    /// What it is called.
    pub title: String,
}

/// See [`Live::replay_indexed`](super::Live::replay_indexed).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayIndexed {
    /// Which replay.
    pub replay: ReplayId,
    /// The version: a later index has a larger one.
    pub version: u64,
    /// The [`ReplayJob::revision`] that it shows.
    pub revision: u64,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// How many danmaku it has.
    pub danmaku_count: u64,
}

/// See [`Live::replay_wiped`](super::Live::replay_wiped).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayWiped {
    /// Which replay.
    pub replay: ReplayId,
}
