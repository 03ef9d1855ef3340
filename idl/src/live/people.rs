//! Who has a say in a room, and who has none.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::Owner;
use crate::{Caller, RoomId, Timestamp, UserId};

/// See [`Live::admins`](super::Live::admins).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListAdmins {
    /// Which room.
    pub room: RoomId,
}

/// See [`Live::admins`](super::Live::admins).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Admins {
    /// At most 50.
    pub items: Vec<Owner>,
}

/// See [`Live::set_admin`](super::Live::set_admin).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetAdmin {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// Is one (`true`) or no longer (`false`).
    pub admin: bool,
}

/// See [`Live::mutes`](super::Live::mutes).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListMutes {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 100.
    pub limit: u32,
}

/// See [`Live::mutes`](super::Live::mutes).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Mutes {
    /// The page.
    pub items: Vec<MutedUser>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// A mute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MutedUser {
    /// Who.
    pub user: Owner,
    /// When it ends; `null` is never.
    pub until: Option<Timestamp>,
    /// It ends with the broadcast, too.
    pub session_only: bool,
    /// When it was set.
    pub created_at: Timestamp,
}

/// See [`Live::mute`](super::Live::mute).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MuteUser {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
    /// For how long.
    pub span: MuteSpan,
}

/// How long a mute lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MuteSpan {
    /// Until the broadcast ends; only while one is on.
    Session,
    /// So many hours; 1 to 720.
    Hours(u32),
    /// Until it is lifted.
    Forever,
}

/// See [`Live::unmute`](super::Live::unmute).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnmuteUser {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// Who.
    pub user: UserId,
}
