//! What viewers see: the payload of every event of a room's stream, as JSON.
//!
//! Times here are milliseconds since 1970 (`…_ms`): the page computes with them.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::danmaku::{Color, DanmakuText, Mode, Size};
use crate::{DanmakuId, RoomId, SessionId, UserId};

mod lottery;

pub use lottery::{LotteryChange, LotteryEvent, LotteryPhase, LotteryState, LotteryWinner};

/// The `event:` of a stream event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// [`DanmakuEvent`].
    Danmaku,
    /// [`RoomEvent`].
    Room,
    /// [`ModerationEvent`].
    Moderation,
    /// [`LotteryEvent`].
    Lottery,
    /// [`SuppressedEvent`].
    Suppressed,
    /// An event of a newer publisher; it is carried, not understood.
    #[serde(other)]
    Unknown,
}

impl EventType {
    /// As it stands after `event:`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Danmaku => "danmaku",
            Self::Room => "room",
            Self::Moderation => "moderation",
            Self::Lottery => "lottery",
            Self::Suppressed => "suppressed",
            Self::Unknown => "unknown",
        }
    }
}

/// Somebody, as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sender {
    /// The account.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// What it is in the room.
    pub role: RoomRole,
}

/// What an account is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomRole {
    /// The streamer.
    Owner,
    /// Named by the owner (or an admin of the site): may moderate.
    Admin,
    /// Everybody else.
    #[default]
    #[serde(other)]
    Viewer,
}

impl RoomRole {
    /// May delete, mute and post past slow mode.
    #[must_use]
    pub const fn moderates(self) -> bool {
        matches!(self, Self::Owner | Self::Admin)
    }
}

/// `danmaku`: somebody said something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DanmakuEvent {
    /// Its id; the page drops a copy of what it has already.
    pub id: DanmakuId,
    /// The broadcast it belongs to.
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
    pub sent_at_ms: i64,
    /// So many people said the same at the same moment, the sender with them; this one
    /// event stands for all of theirs. Left out when it is 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schema(minimum = 1, default = 1)]
    pub count: u64,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
const fn is_one(count: &u64) -> bool {
    *count == 1
}

/// What happened to the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomChange {
    /// It was made.
    Created,
    /// A broadcast began.
    Opened,
    /// The broadcast ended.
    Closed,
    /// Title, description, category or cover changed.
    Edited,
    /// The rules changed.
    Rules,
    /// A change that this build does not know.
    #[serde(other)]
    Unknown,
}

/// `room`: the room changed; the whole new state is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomEvent {
    /// What changed.
    pub change: RoomChange,
    /// How the room is now.
    pub room: RoomState,
}

/// A room as its viewers need it; kept beside the feed for those who come later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomState {
    /// The room.
    pub id: RoomId,
    /// Counts the changes; a higher one is newer.
    pub version: u64,
    /// Its title.
    pub title: String,
    /// The streamer.
    pub owner: Owner,
    /// Where the cover image is, if there is one.
    pub cover_url: Option<String>,
    /// The broadcast, if one is on.
    pub session: Option<LiveSession>,
    /// What is allowed.
    pub rules: RoomRules,
}

/// The streamer, as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Owner {
    /// The account.
    pub id: UserId,
    /// Its name.
    pub name: String,
}

/// A broadcast that is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveSession {
    /// The broadcast.
    pub id: SessionId,
    /// When it began.
    pub opened_at_ms: i64,
}

/// What is allowed in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RoomRules {
    /// Slow mode: the seconds that an ordinary viewer waits between two danmaku. 0 to 120; 0 is the
    /// site's default, which is none unless its operator set one.
    #[schema(minimum = 0, maximum = 120)]
    pub slow_mode_s: u32,
    /// Nobody but the streamer and the room's admins may post.
    pub mute_all: bool,
    /// Viewers who are not signed in may watch.
    pub guests: bool,
    /// How many ordinary danmaku a second the live stream shows at most, 1 to 1,000; more is
    /// sampled out of it, and kept. `null` is the site's default.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1_000)]
    pub danmaku_per_s: Option<NonZeroU32>,
}

impl Default for RoomRules {
    fn default() -> Self {
        Self { slow_mode_s: 0, mute_all: false, guests: true, danmaku_per_s: None }
    }
}

/// `moderation`: take these away; this account was muted or unmuted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModerationEvent {
    /// Danmaku that were deleted.
    pub deleted: Vec<DanmakuId>,
    /// The account that was muted or unmuted.
    pub muted: Option<Mute>,
}

/// A mute that was set or lifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mute {
    /// The account.
    pub user_id: UserId,
    /// Muted from now on (`true`) or no longer (`false`).
    pub muted: bool,
    /// When it ends by itself; `null` is never.
    pub until_ms: Option<i64>,
}

/// `suppressed`: what became of the ordinary danmaku of this epoch, as running totals.
/// `accepted` = `shown` + `folded` + `suppressed`, always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuppressedEvent {
    /// That reached the flow limiter.
    pub accepted: u64,
    /// That went into the live stream.
    pub shown: u64,
    /// That went into the live stream as part of another one's `count`: the same text at
    /// the same moment.
    pub folded: u64,
    /// That are in the history and the replay only.
    pub suppressed: u64,
}

/// `welcome`: the first event of a connection; has no id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WelcomeEvent {
    /// The server's clock; countdowns are computed against it.
    pub server_time_ms: i64,
    /// The stream goes on where `Last-Event-ID` said; no `hello` follows.
    pub resumed: bool,
    /// The stream ends by itself about then (`bye`), and the client comes back.
    pub lease_ms: u64,
    /// The account that the stream was opened for; `null` for a guest.
    pub user_id: Option<UserId>,
}

/// `hello`: where the room stands; its id is the position that the stream goes on from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HelloEvent {
    /// The room.
    pub room: RoomState,
    /// Open connections, not people.
    pub viewers: u64,
    /// The flow limiter's totals.
    pub totals: SuppressedEvent,
    /// Lotteries that are on, and those that were decided lately: within three minutes, or
    /// longer ago if nothing has happened in the room since.
    #[serde(default)]
    pub lotteries: Vec<LotteryState>,
    /// The latest danmaku, oldest first, at most 50.
    pub danmaku: Vec<DanmakuEvent>,
}

/// `viewers`: how many connections are open; has no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ViewersEvent {
    /// Open connections, not people.
    pub connections: u64,
}

/// `gap`: events were missed and will not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GapEvent {
    /// Exactly how many; `null` only after a change of epoch.
    pub n: Option<u64>,
    /// History cursor at or before the first one that was missed, if it is known.
    pub from: Option<String>,
    /// History cursor after the last one that was missed.
    pub to: Option<String>,
    /// When to read the history: spread, so that not everybody reads at once.
    pub retry_after_ms: u64,
}

/// `bye`: the server ends this connection; has no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ByeEvent {
    /// Why.
    pub reason: ByeReason,
    /// When to come back: spread. `null`: not by itself (log in again first).
    pub reconnect_in_ms: Option<u64>,
}

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ByeReason {
    /// The process stops; come back to another one.
    Draining,
    /// Streams are leases; come back for the next.
    Lease,
    /// The log-in ended or the account was shut out.
    Revoked,
    /// The room no longer takes guests.
    GuestsOut,
    /// `?max_events=` was reached.
    Complete,
}
