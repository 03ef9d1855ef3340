//! What a room's log keeps of its feed.

use idl::event::{EventType, LotteryState, RoomState, SuppressedEvent};
use serde::{Deserialize, Serialize};

/// An event as the log keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Stable id of what happened.
    pub(crate) source: String,
    pub(crate) event: EventType,
    /// One line of JSON; empty for an event that was deleted.
    pub(crate) data: String,
    /// When it happened.
    pub(crate) at_ms: i64,
    /// When it was appended.
    pub(crate) appended_ms: i64,
    /// It came in the ordinary lane: a viewer may have asked for fewer of these.
    #[serde(default)]
    pub(crate) ordinary: bool,
}

/// One write to the log. A file begins with a head; what came after it follows as changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    Head(Head),
    Change(Change),
}

/// Where a feed stood when its file was begun. The events that it kept are the first changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    /// The number of the first event that follows.
    pub(crate) first: u64,
    pub(crate) totals: SuppressedEvent,
    pub(crate) state: Option<RoomState>,
    #[serde(default)]
    pub(crate) lotteries: Vec<LotteryState>,
    pub(crate) marks: Vec<(u64, i64)>,
}

/// What one write added: all of it or nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) events: Vec<Event>,
    /// Sources to blank out.
    pub(crate) tombstones: Vec<String>,
    pub(crate) state: Option<RoomState>,
    #[serde(default)]
    pub(crate) lotteries: Vec<LotteryState>,
    pub(crate) totals: SuppressedEvent,
    /// It holds an event of the guaranteed lane.
    #[serde(skip)]
    pub(crate) durable: bool,
}

impl Change {
    /// Whoever sent this forgets it once it is accepted: the state of the room, deletions,
    /// and whatever else is not an ordinary danmaku.
    pub(crate) fn must_survive_power_loss(&self) -> bool {
        self.durable || self.outdates_hello()
    }

    /// A deleted line, or a room that has closed, must not be told to who comes after it.
    pub(crate) fn outdates_hello(&self) -> bool {
        self.state.is_some() || !self.lotteries.is_empty() || !self.tombstones.is_empty()
    }
}

/// How much a feed keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) events: usize,
    pub(crate) age_ms: i64,
    pub(crate) bytes: usize,
}
