//! What an account may do in a room, and which of its danmaku are a lottery's.

use serde::{Deserialize, Serialize};

use crate::event::{LiveSession, RoomRole, RoomRules};
use crate::{Caller, LotteryId, RoomId, Timestamp, UserId};

/// See [`Live::standing`](super::Live::standing).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetStanding {
    /// Which room.
    pub room: RoomId,
    /// Whose; roles of the site are the asking service's to add, they are in the token.
    pub user: UserId,
}

/// What an account may do in a room now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it is there.
    pub role: RoomRole,
    /// The broadcast, if one is on.
    pub session: Option<LiveSession>,
    /// What is allowed.
    pub rules: RoomRules,
    /// Muted now.
    pub muted: bool,
    /// When the mute ends by itself.
    pub muted_until: Option<Timestamp>,
    /// Keywords of the room's lotteries whose time is not over, at most 50, each form once.
    #[serde(default)]
    pub keywords: Vec<RoomKeyword>,
}

/// A lottery's keyword in its room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomKeyword {
    /// The lottery.
    pub lottery: LotteryId,
    /// The keyword's [form](crate::danmaku::keyword_form): what has the same form, equals it.
    pub form: String,
    /// Danmaku from before this moment belong to the lottery.
    pub until: Timestamp,
}

/// See [`Live::set_keyword`](super::Live::set_keyword).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetKeyword {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// Whose keyword it is.
    pub lottery: LotteryId,
    /// As it was typed: 1 to 20 characters, a valid text of a danmaku.
    pub keyword: String,
    /// Danmaku from before this moment belong to the lottery. A moment that has passed
    /// changes nothing.
    pub until: Timestamp,
}

/// See [`Live::end_keyword`](super::Live::end_keyword).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndKeyword {
    /// Which room.
    pub room: RoomId,
    /// Whose keyword ends.
    pub lottery: LotteryId,
}
