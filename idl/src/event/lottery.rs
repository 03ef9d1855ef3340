//! What viewers see of lotteries.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::draw::{Cancelled, Closed, Opened, Prize};
use crate::{LotteryId, SessionId, UserId};

/// What happened to a lottery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LotteryChange {
    /// Entries are taken from now on.
    Opened,
    /// More accounts have entered; at most once a second.
    Entered,
    /// The entries are frozen.
    Closed,
    /// The winners are known.
    Drawn,
    /// A winner was taken out, and the next one got the prize.
    Redrawn,
    /// It was called off.
    Cancelled,
    /// A change that this build does not know.
    #[serde(other)]
    Unknown,
}

/// `lottery`: something happened to a lottery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotteryEvent {
    /// What.
    pub change: LotteryChange,
    /// To which.
    pub lottery_id: LotteryId,
    /// Entries so far, or in all.
    pub entrants: u64,
    /// How it is now, whole; left out when only the number of entries changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lottery: Option<LotteryState>,
    /// The first 100 of those who hold a prize, by rank; of `drawn` and `redrawn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub winners: Vec<LotteryWinner>,
    /// How many hold one; all of them are at `/api/v1/lotteries/{id}/winners`.
    #[serde(default)]
    pub winners_total: u64,
}

/// A lottery as a room's viewers need it; kept beside the feed for those who come later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotteryState {
    /// The lottery.
    pub id: LotteryId,
    /// Counts the changes but those of `entrants`; a higher one is newer.
    pub version: u64,
    /// How far it is.
    pub phase: LotteryPhase,
    /// A rehearsal.
    pub test: bool,
    /// What it is called.
    pub title: String,
    /// The tiers of prizes, best first.
    pub prizes: Vec<Prize>,
    /// What has to be posted as a danmaku to enter.
    pub keyword: Option<String>,
    /// Only who has posted in this broadcast may enter.
    pub posted_in: Option<SessionId>,
    /// How long a winner has to claim; 0: nothing needs to be claimed.
    pub claim_ms: u64,
    /// Since when entries are taken.
    pub opens_at_ms: i64,
    /// Until when they are.
    pub draw_at_ms: i64,
    /// Entries so far, or in all.
    pub entrants: u64,
    /// The promise: keep it, and nobody can change the lottery unnoticed.
    pub opened: Opened,
    /// What was frozen, from then on.
    pub closed: Option<Closed>,
    /// That it was called off.
    pub cancelled: Option<Cancelled>,
    /// When it was drawn or called off.
    pub decided_at_ms: Option<i64>,
}

/// How far a lottery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LotteryPhase {
    /// It takes entries.
    Open,
    /// The entries are frozen, the winners not known.
    Closed,
    /// The winners are known.
    Drawn,
    /// It was called off.
    Cancelled,
    /// Something that this build does not know.
    #[serde(other)]
    Unknown,
}

/// Who holds a prize of a lottery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotteryWinner {
    /// The entry.
    pub n: u64,
    /// Whose it is.
    pub user_id: UserId,
    /// The account's name when it entered.
    pub name: String,
    /// Which prize, as an index into the lottery's.
    pub prize: u64,
    /// The prize was claimed.
    #[serde(default)]
    pub claimed: bool,
    /// Until then only this winner can have it; left out if it need not be claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_by_ms: Option<i64>,
}
