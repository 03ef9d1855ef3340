//! What a room's log keeps of its feed.

use idl::event::{EventType, LotteryState, RoomState, SuppressedEvent};
use serde::{Deserialize, Serialize};

use crate::feed::Feed;
use crate::frame;

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

    /// The same upon a feed that has gone on since this was drafted, when its totals were
    /// `before`: without what is there by now, or is deleted.
    pub(crate) fn rebased(mut self, before: SuppressedEvent, feed: &Feed) -> Self {
        let mut mine = self.totals.minus(&before);
        self.events.retain(|event| {
            if event.event == EventType::Suppressed {
                return true;
            }
            let (is_known, is_deleted) = (feed.has(&event.source), feed.is_deleted_ahead(&event.source));
            if event.ordinary && (is_known || is_deleted) {
                mine.shown = mine.shown.saturating_sub(1);
                if is_known {
                    mine.accepted = mine.accepted.saturating_sub(1);
                } else {
                    mine.suppressed += 1;
                }
            }
            !is_known && !is_deleted
        });
        self.totals = feed.totals.plus(&mine);
        for event in self.events.iter_mut().filter(|event| event.event == EventType::Suppressed) {
            (event.source, event.data) = (totals_source(&self.totals), frame::json(&self.totals));
        }
        self.events.retain(|event| !feed.has(&event.source));
        let version = feed.state.as_ref().map_or(0, |state| state.version);
        self.state = self.state.filter(|state| state.version > version);
        self.lotteries.retain(|state| feed.lotteries.is_news(state));
        self
    }

    /// It says nothing that a feed with these totals does not.
    pub(crate) fn is_nothing_upon(&self, totals: SuppressedEvent) -> bool {
        let durable = self.durable;
        *self == Self { totals, durable, ..Self::default() }
    }

    /// A deleted line, or a room that has closed, must not be told to who comes after it.
    pub(crate) fn outdates_hello(&self) -> bool {
        self.state.is_some() || !self.lotteries.is_empty() || !self.tombstones.is_empty()
    }
}

/// The source of an event that tells these totals.
pub(crate) fn totals_source(totals: &SuppressedEvent) -> String {
    format!("totals:{}", totals.accepted)
}

/// Arithmetic of running totals.
pub(crate) trait Totals {
    fn plus(&self, more: &Self) -> Self;
    /// What was counted between; a feed that began anew counts from 0.
    fn minus(&self, before: &Self) -> Self;
}

impl Totals for SuppressedEvent {
    fn plus(&self, more: &Self) -> Self {
        Self {
            accepted: self.accepted + more.accepted,
            shown: self.shown + more.shown,
            folded: self.folded + more.folded,
            suppressed: self.suppressed + more.suppressed,
        }
    }

    fn minus(&self, before: &Self) -> Self {
        Self {
            accepted: self.accepted.saturating_sub(before.accepted),
            shown: self.shown.saturating_sub(before.shown),
            folded: self.folded.saturating_sub(before.folded),
            suppressed: self.suppressed.saturating_sub(before.suppressed),
        }
    }
}

/// Where a feed is that several processes write: what the next of them must know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Revision {
    /// Counts the changes of the epoch; 0 before the first.
    pub(crate) rev: u64,
    /// Drawn at random for each change, so that two histories are never taken for one; 0
    /// before the first.
    pub(crate) tag: u64,
}

/// How much a feed keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    pub(crate) events: usize,
    pub(crate) age_ms: i64,
    pub(crate) bytes: usize,
}
