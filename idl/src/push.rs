//! push: what every viewer sees now.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{EventType, LotteryState, RoomState};
use crate::{Caller, DeviceId, Refusal, RoomId, UserId};

/// The contract of the push service.
#[tarpc::service]
pub trait Push {
    /// Offers publications to a room's viewers, in this order. The answer comes when each
    /// was appended to the feed or sampled out. A source that was appended before is not
    /// appended again.
    async fn publish(request: Publish) -> Result<Published, Refusal>;
    /// Keeps states of rooms and lotteries for viewers who come later, without an event. A
    /// version that is not higher than the kept one changes nothing.
    async fn retain(request: Retain) -> Result<Retained, Refusal>;
    /// Open connections of rooms, as of the last two seconds.
    async fn viewers(request: ViewersOf) -> Result<Viewers, Refusal>;
    /// The rooms of this process in which most is going on, as of now. Site admins.
    async fn top_rooms(request: TopRooms) -> Result<RoomActivities, Refusal>;
    /// Appends to the reserved feed of revocations. Idempotent.
    async fn revoke(request: Revoke) -> Result<Revoked, Refusal>;
    /// Reads the reserved feed of revocations from a position on; waits up to `wait_ms` for
    /// something new.
    async fn revocations(request: FollowRevocations) -> Result<RevocationPage, Refusal>;
}

/// At most so many publications travel in one [`Publish`].
pub const MAX_PUBLICATIONS: usize = 500;

/// See [`Push::publish`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish {
    /// Whose viewers.
    pub room: RoomId,
    /// What, at most [`MAX_PUBLICATIONS`].
    pub publications: Vec<Publication>,
}

/// Something for a room's viewers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Stable id of what happened (`danmaku:17`): the same source is appended once.
    pub source: String,
    /// The event's type.
    pub event: EventType,
    /// The payload, one line of JSON.
    pub data: String,
    /// When it happened (ms since 1970); a reader of a gap finds it in the history by this.
    pub at_ms: i64,
    /// Whether it may be sampled out.
    pub lane: Lane,
    /// Who said it; ordinary danmaku share the tokens fairly by sender.
    #[serde(default)]
    pub sender: Option<UserId>,
    /// Sources whose events are blanked out for everybody who reads them from now on.
    #[serde(default)]
    pub tombstones: Vec<String>,
    /// The room's state after this, kept for viewers who come later.
    #[serde(default)]
    pub state: Option<RoomState>,
    /// The lottery's, likewise.
    #[serde(default)]
    pub lottery: Option<LotteryState>,
}

/// The two lanes of the flow limiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Always passes, in order.
    Guaranteed,
    /// Passes while the room has tokens.
    #[serde(other)]
    Ordinary,
}

/// See [`Push::publish`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// What became of each publication, in order.
    pub outcomes: Vec<Outcome>,
    /// The room's next write of ordinary danmaku comes after so long: what is gathered until
    /// shortly before it is shown no later than what is sent at once.
    #[serde(default)]
    pub writes_again_in_ms: u32,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is in the feed, now or since an earlier try.
    Appended,
    /// It is in the feed as part of another danmaku's count: the same text at the same moment.
    Folded,
    /// The room had no token for it.
    Suppressed,
    /// An answer of a newer peer.
    #[serde(other)]
    Unknown,
}

/// See [`Push::retain`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Retain {
    /// The states, at most 500.
    #[serde(default)]
    pub states: Vec<RoomState>,
    /// Lotteries with their rooms, at most 500.
    #[serde(default)]
    pub lotteries: Vec<(RoomId, LotteryState)>,
}

/// See [`Push::retain`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Retained {}

/// See [`Push::viewers`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ViewersOf {
    /// Which rooms, at most 1,000.
    pub rooms: Vec<RoomId>,
}

/// See [`Push::viewers`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Viewers {
    /// For each room that was asked for, in that order.
    pub connections: Vec<u64>,
}

/// See [`Push::top_rooms`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TopRooms {
    /// Who asks.
    pub caller: Caller,
    /// By what.
    pub by: TopBy,
}

/// What puts a room at the top.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopBy {
    /// Open streams.
    #[default]
    Viewers,
    /// Events that were handed to viewers.
    Deliveries,
    /// Ordinary danmaku that reached the flow limiter.
    Accepted,
    /// Ordinary danmaku that it let through.
    Shown,
    /// Ordinary danmaku that it did not.
    Suppressed,
    /// Events that viewers missed because they read too slowly.
    Missed,
}

/// At most so many rooms are in [`RoomActivities`].
pub const MAX_TOP_ROOMS: usize = 20;

/// See [`Push::top_rooms`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RoomActivities {
    /// What they are ordered by.
    pub by: TopBy,
    /// The most first, at most 20; of those that have as much, the one with the lowest id.
    #[schema(max_items = 20)]
    pub items: Vec<RoomActivity>,
}

/// What is going on in a room, as far as this process has it. Everything but `viewers` is
/// of the last minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomActivity {
    /// The room.
    pub room_id: RoomId,
    /// Its title, if it is known.
    pub title: Option<String>,
    /// Open streams, now.
    pub viewers: u64,
    /// Within how long the rest was counted: 60 to 67 seconds, or less if the room was opened
    /// in this process since.
    pub window_ms: u64,
    /// Events that were handed to viewers: one for each event and viewer.
    pub deliveries: u64,
    /// Ordinary danmaku that reached the flow limiter: `shown` + `folded` + `suppressed`.
    pub accepted: u64,
    /// Of them, that went into the live stream.
    pub shown: u64,
    /// Of them, that went into the live stream as part of another one's count.
    pub folded: u64,
    /// Of them, that did not.
    pub suppressed: u64,
    /// How often a viewer fell out of the feed.
    pub gaps: u64,
    /// Events that were missed that way.
    pub missed: u64,
}

/// A log-in that must not be accepted any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Stable id: the same one is appended once.
    pub source: String,
    /// The account.
    pub user: UserId,
    /// The log-in.
    pub device: DeviceId,
    /// By then its last access token has expired, and this may be forgotten (ms since 1970).
    pub until_ms: i64,
}

/// See [`Push::revoke`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revoke {
    /// What to append, at most [`MAX_PUBLICATIONS`].
    pub revocations: Vec<Revocation>,
}

/// See [`Push::revoke`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Revoked {}

/// See [`Push::revocations`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FollowRevocations {
    /// The `next` of the page before; `None` reads all that is kept.
    pub after: Option<String>,
    /// How long to wait when there is nothing new; shorter than the call's deadline.
    pub wait_ms: u64,
}

/// See [`Push::revocations`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevocationPage {
    /// In order, at most 1,000.
    pub revocations: Vec<Revocation>,
    /// The position after the last of them.
    pub next: String,
}
