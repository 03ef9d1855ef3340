//! replay: what is left of a broadcast, or was imported; its danmaku, and how they are written to JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::danmaku::{Color, DanmakuText, Mode, Size};
use crate::live::ReplayMark;
use crate::{DanmakuId, ReplayId, RoomId, Timestamp};

pub mod layout;

/// A danmaku of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayDanmaku {
    /// The danmaku.
    pub id: DanmakuId,
    /// When it appears, in milliseconds from the replay's beginning.
    pub at_ms: u64,
    /// When it was sent: the server's time, or what an imported file says.
    pub sent_at: Timestamp,
    /// How it moves.
    pub mode: Mode,
    /// In which colour.
    pub color: Color,
    /// How large.
    pub size: Size,
    /// What it says.
    pub text: DanmakuText,
    /// The same for all lines of a sender in this replay, and different in others.
    pub sender_hash: SenderHash,
    /// Who said it; left out where an imported file has no names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub user_name: Option<String>,
}

/// Stands for a sender in a replay: 8 hexadecimal digits in lower case, which say nothing
/// about the account to who lacks the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[0-9a-f]{8}$", example = "a16fe0dd")]
pub struct SenderHash(pub u32);

/// The text is not a sender's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sender's hash is written as 8 hexadecimal digits in lower case")]
pub struct BadSenderHash;

impl fmt::Display for SenderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for SenderHash {
    type Err = BadSenderHash;
    fn from_str(text: &str) -> Result<Self, BadSenderHash> {
        let well_formed = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !well_formed {
            return Err(BadSenderHash);
        }
        u32::from_str_radix(text, 16).map(Self).map_err(|_| BadSenderHash)
    }
}

impl TryFrom<String> for SenderHash {
    type Error = BadSenderHash;
    fn try_from(text: String) -> Result<Self, BadSenderHash> {
        text.parse()
    }
}

impl From<SenderHash> for String {
    fn from(hash: SenderHash) -> Self {
        hash.to_string()
    }
}

/// Where a replay's danmaku come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOrigin {
    /// They were said in a broadcast of the room.
    Broadcast,
    /// They were in a file that the room's owner brought.
    File,
}

/// What the exports of a replay say about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayHead {
    /// The replay.
    pub id: ReplayId,
    /// Its room.
    pub room_id: RoomId,
    /// What it is called.
    pub title: String,
    /// Where its danmaku come from.
    pub origin: ReplayOrigin,
    /// When the broadcast began; for a file, when it was imported.
    pub started_at: Timestamp,
    /// How long it is.
    pub duration_ms: u64,
    /// How many danmaku it has.
    pub danmaku_count: u64,
}

/// A replay as one JSON document: every danmaku stands in a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayDocument {
    /// The replay.
    pub replay: ReplayHead,
    /// All of its danmaku, by (`at_ms`, `id`).
    pub danmaku: Vec<ReplayDanmaku>,
}

/// What an index of a replay consists of. The last of its objects: where it is, all are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayManifest {
    /// The replay.
    pub replay: ReplayHead,
    /// The version that all this is of.
    pub version: u64,
    /// Its danmaku in parts, in order. Each lies within one segment of six minutes and has at
    /// most 6,000 danmaku; a segment in which more was said has several, one in which nothing
    /// was said has none.
    pub parts: Vec<ReplayPart>,
    /// How much was said when.
    pub heat: HeatCurve,
    /// What happened besides.
    pub marks: Vec<ReplayMark>,
}

/// A part of a replay's danmaku.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayPart {
    /// Which, from 1.
    pub part: u64,
    /// The segment that it lies in, from 1: segment n begins at (n − 1) × 360,000 ms.
    pub segment: u64,
    /// When its first danmaku appears, in milliseconds from the replay's beginning.
    pub from_ms: u64,
    /// When its last one does. The next part may begin in the same millisecond.
    pub to_ms: u64,
    /// How many danmaku it has.
    pub danmaku_count: u64,
}

/// The danmaku of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayLines {
    /// By (`at_ms`, `id`).
    pub danmaku: Vec<ReplayDanmaku>,
}

/// How many danmaku appeared in each step of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeatCurve {
    /// How long a step is: a second, unless the replay is longer than a day.
    pub step_ms: u64,
    /// How many danmaku appeared in each step, from the beginning to the end.
    pub counts: Vec<u32>,
}

/// What became of the lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// So many are danmaku of the replay.
    pub accepted: u64,
    /// So many are not, by reason: `special-mode` (positioned or scripted), `unknown-mode`,
    /// `bad-parameters`, `far-time` (more than a year), `empty-text`, `long-text`, `bad-text`,
    /// `paid` (messages, gifts, subscriptions).
    pub skipped: BTreeMap<String, u64>,
    /// So many of those that are were changed to fit, by how: `before-start` (moved to the
    /// beginning), `mode`, `size`, `color`, `trimmed`, `joined` (several lines made one),
    /// `sent-at`, `id`, `user-name` (left out, as they can't be kept).
    pub changed: BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senders_hash_has_eight_digits() {
        assert_eq!(SenderHash(0x31_43AB).to_string(), "003143ab");
        assert_eq!("a16fe0dd".parse(), Ok(SenderHash(0xA16F_E0DD)));
        for bad in ["", "A16FE0DD", "3143ab", "a16fe0dd0", "+16fe0dd", "a16fe0dé"] {
            assert_eq!(bad.parse::<SenderHash>(), Err(BadSenderHash), "{bad}");
        }
    }

    #[test]
    fn a_danmaku_without_a_name_leaves_it_out() {
        let json = r##"{"id":"7","at_ms":1500,"sent_at":"2023-11-14T22:13:20.120Z","mode":"top","color":"#ffd302","size":"large","text":"哈哈","sender_hash":"0000a16f"}"##;
        let danmaku: ReplayDanmaku = serde_json::from_str(json).unwrap();
        assert_eq!((danmaku.sender_hash, &danmaku.user_name), (SenderHash(0xA16F), &None));
        assert_eq!(serde_json::to_string(&danmaku).unwrap(), json);
    }
}
