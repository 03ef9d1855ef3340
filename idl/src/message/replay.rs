//! The danmaku of replays.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::live::Replay;
use crate::replay::{ImportReport, ReplayDanmaku};
use crate::{Caller, DanmakuId, ReplayId};

/// See [`Message::replay_danmaku`](super::Message::replay_danmaku).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadReplayDanmaku {
    /// Who asks; `None` is a guest, and so is whose token does not hold.
    pub caller: Option<Caller>,
    /// Which replay.
    pub replay: ReplayId,
    /// From this moment on, in milliseconds from the beginning.
    pub from_ms: u64,
    /// Before this moment; `None` is to the end.
    pub before_ms: Option<u64>,
    /// Only those with this in their text, whatever the case of ASCII letters: 1 to 100
    /// characters.
    pub text: Option<String>,
    /// The `next_cursor` of the page before, of the same question.
    pub cursor: Option<String>,
    /// 1 to 500.
    pub limit: u32,
}

/// See [`Message::replay_danmaku`](super::Message::replay_danmaku).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayDanmakuPage {
    /// The page, by time. A page of a search may have fewer than were asked for, or none, and
    /// not be the last one: of a long replay a part is searched at once.
    pub items: Vec<ReplayDanmaku>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// See [`Message::delete_replay_danmaku`](super::Message::delete_replay_danmaku).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeleteReplayDanmaku {
    /// Who asks.
    pub caller: Caller,
    /// Of which replay.
    pub replay: ReplayId,
    /// Which danmaku.
    pub danmaku: DanmakuId,
}

/// See [`Message::import_replay`](super::Message::import_replay).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportReplay {
    /// The replay that was begun for the file.
    pub replay: ReplayId,
}

impl ImportReplay {
    /// The key of the object that is the file: Bilibili's XML.
    #[must_use]
    pub fn object(&self) -> String {
        format!("imports/{}.xml", self.replay)
    }
}

/// See [`Message::import_replay`](super::Message::import_replay).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedReplay {
    /// The replay; it is being indexed.
    pub replay: Replay,
    /// What became of the file's lines; left out in the answer to a repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub report: Option<ImportReport>,
}
