//! lottery: lotteries of rooms, their entries, draws and proofs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::draw::{Cancelled, Closed, Hash, InclusionProof, Opened, Prize, Proof, Receipt, Replaced};
use crate::event::{LotteryPhase, LotteryWinner};
use crate::{Caller, DanmakuId, IdempotencyKey, LotteryId, Refusal, RoomId, SessionId, Timestamp};

/// The contract of the lottery service.
#[tarpc::service]
pub trait Lottery {
    /// Opens a lottery. Owner and site admins. Durable when answered; its spec never changes,
    /// and its seed is bound from then on. The same key of the same account gives the same
    /// lottery again.
    async fn open(request: OpenLottery) -> Result<RoomLottery, Refusal>;
    /// Calls an open lottery off, for everybody to see. Owner and site admins. Cancelling it
    /// again changes nothing.
    async fn cancel(request: CancelLottery) -> Result<RoomLottery, Refusal>;
    /// One lottery.
    async fn lottery(request: GetLottery) -> Result<RoomLottery, Refusal>;
    /// A room's lotteries, latest first.
    async fn lotteries(request: ListLotteries) -> Result<Lotteries, Refusal>;
    /// Enters an account; the answer comes when that is durable. Entering again gives the
    /// same receipt again.
    async fn enter(request: EnterLottery) -> Result<Entered, Refusal>;
    /// An account's own entry, and what became of it.
    async fn my_entry(request: GetMyEntry) -> Result<MyEntry, Refusal>;
    /// An account's own entries in all rooms, latest entry first.
    async fn my_entries(request: ListMyEntries) -> Result<MyEntries, Refusal>;
    /// Who holds the prizes of a drawn lottery, by rank.
    async fn winners(request: ListWinners) -> Result<Winners, Refusal>;
    /// The winner takes the prize; nobody can draw it again. Claiming again changes nothing.
    async fn claim(request: ClaimPrize) -> Result<MyEntry, Refusal>;
    /// The winner does not want the prize: the next in the ranking gets it. Declining again
    /// changes nothing.
    async fn decline(request: ClaimPrize) -> Result<MyEntry, Refusal>;
    /// Takes a winner out who has not claimed in time; the next in the ranking gets the
    /// prize. Owner and site admins. A winner who is out already stays out.
    async fn redraw(request: RedrawPrize) -> Result<RoomLottery, Refusal>;
    /// Everything from which the result of a drawn lottery can be recomputed.
    async fn proof(request: GetLottery) -> Result<Proof, Refusal>;
    /// A page of a closed lottery's entries.
    async fn entries(request: ReadEntries) -> Result<EntriesPage, Refusal>;
    /// That an entry of a closed lottery lies under its root.
    async fn inclusion(request: GetInclusion) -> Result<InclusionProof, Refusal>;
    /// The keys that ever signed anything about a lottery.
    async fn keys(request: ListKeys) -> Result<Keys, Refusal>;
}

/// See [`Lottery::open`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenLottery {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// What.
    pub body: LotteryBody,
    /// Idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// What a lottery is. Exactly one of `draw_at` and `duration_s` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LotteryBody {
    /// What it is called: 1 to 60 characters, one line.
    #[schema(min_length = 1, max_length = 60, example = "Midnight draw")]
    pub title: String,
    /// The tiers of prizes, best first; at most 1,000 prizes in all.
    #[schema(min_items = 1, max_items = 10)]
    pub prizes: Vec<Prize>,
    /// Who posts this as a danmaku enters, and nobody else: 1 to 20 characters. Two texts are
    /// the same if they are after trimming, NFKC and lower-casing.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 20, nullable = true)]
    pub keyword: Option<String>,
    /// Only who has posted a danmaku in this broadcast may enter.
    #[serde(default)]
    pub posted: bool,
    /// How long a winner has to claim, in seconds: at most 30 days; 0: nothing needs to be claimed.
    #[serde(default)]
    #[schema(maximum = 2_592_000)]
    pub claim_s: u64,
    /// When it is drawn: at most 7 days from now.
    #[serde(default)]
    #[schema(nullable = true)]
    pub draw_at: Option<Timestamp>,
    /// It is drawn so many seconds from now.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 604_800, nullable = true)]
    pub duration_s: Option<u64>,
    /// A rehearsal: only while no broadcast is on; the streamer and the room's admins may
    /// enter, too. It is drawn and proved like any other, and marked everywhere.
    #[serde(default)]
    pub test: bool,
}

/// See [`Lottery::cancel`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CancelLottery {
    /// Who asks.
    pub caller: Caller,
    /// Which.
    pub lottery: LotteryId,
    /// Why, for everybody: 1 to 200 characters, one line.
    pub reason: String,
}

/// See [`Lottery::lottery`] and [`Lottery::proof`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetLottery {
    /// Which.
    pub lottery: LotteryId,
}

/// A lottery, as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomLottery {
    /// The lottery.
    pub id: LotteryId,
    /// Its room.
    pub room_id: RoomId,
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
    pub claim_s: u64,
    /// Since when entries are taken.
    pub opens_at: Timestamp,
    /// Until when they are.
    pub draw_at: Timestamp,
    /// Entries so far, or in all.
    pub entrants: u64,
    /// The promise: keep it, and nobody can change the lottery unnoticed.
    pub opened: Opened,
    /// What was frozen, from then on.
    pub closed: Option<Closed>,
    /// When the winners were stored.
    pub drawn_at: Option<Timestamp>,
    /// The first 100 of those who hold a prize, by rank.
    pub winners: Vec<LotteryWinner>,
    /// How many hold one.
    pub winners_total: u64,
    /// Who was taken out, and why.
    pub replaced: Vec<Replaced>,
    /// That it was called off.
    pub cancelled: Option<Cancelled>,
}

/// See [`Lottery::lotteries`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListLotteries {
    /// Which room.
    pub room: RoomId,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 50.
    pub limit: u32,
}

/// See [`Lottery::lotteries`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Lotteries {
    /// The page.
    pub items: Vec<RoomLottery>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// See [`Lottery::enter`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnterLottery {
    /// Who enters.
    pub caller: Caller,
    /// Which.
    pub lottery: LotteryId,
    /// The keyword danmaku that is the entry.
    pub danmaku: Option<DanmakuId>,
}

/// See [`Lottery::enter`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entered {
    /// Keep it.
    pub receipt: Receipt,
    /// The account was not in before.
    pub is_new: bool,
}

/// See [`Lottery::my_entry`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetMyEntry {
    /// Whose.
    pub caller: Caller,
    /// Of which lottery.
    pub lottery: LotteryId,
}

/// An account's entry, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MyEntry {
    /// The lottery.
    pub lottery_id: LotteryId,
    /// Its room.
    pub room_id: RoomId,
    /// What it is called.
    pub title: String,
    /// When it is or was drawn.
    pub draw_at: Timestamp,
    /// The receipt, as it was given.
    pub receipt: Receipt,
    /// How it stands.
    pub result: EntryResult,
    /// The prize, as long as the account holds one.
    pub prize: Option<WonPrize>,
}

/// How an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryResult {
    /// Nothing is decided yet.
    Pending,
    /// It holds a prize.
    Won,
    /// It does not (yet: a winner may be replaced).
    Lost,
    /// It held a prize and gave it up, or did not claim it in time.
    Replaced,
    /// The lottery was called off.
    Cancelled,
    /// Something that this build does not know.
    #[serde(other)]
    Unknown,
}

/// A prize that an account holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WonPrize {
    /// Which, as an index into the lottery's prizes.
    pub prize: u64,
    /// What it is.
    pub name: String,
    /// It has to be claimed by then, or another may be drawn for it; `null`: it need not be.
    pub claim_by: Option<Timestamp>,
    /// When it was claimed.
    pub claimed_at: Option<Timestamp>,
}

/// See [`Lottery::my_entries`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListMyEntries {
    /// Whose.
    pub caller: Caller,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 100.
    pub limit: u32,
}

/// See [`Lottery::my_entries`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MyEntries {
    /// The page.
    pub items: Vec<MyEntry>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// See [`Lottery::winners`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListWinners {
    /// Of which lottery.
    pub lottery: LotteryId,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 200.
    pub limit: u32,
}

/// See [`Lottery::winners`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Winners {
    /// The page.
    pub items: Vec<LotteryWinner>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// See [`Lottery::claim`] and [`Lottery::decline`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClaimPrize {
    /// The winner.
    pub caller: Caller,
    /// Of which lottery.
    pub lottery: LotteryId,
}

/// See [`Lottery::redraw`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RedrawPrize {
    /// Who asks.
    pub caller: Caller,
    /// Of which lottery.
    pub lottery: LotteryId,
    /// The winner's entry.
    pub n: u64,
}

/// So many entries are in a page of [`Lottery::entries`], the last one excepted. A power of
/// two, so that a page is a subtree under the root.
pub const ENTRIES_PER_PAGE: u64 = 8_192;

/// See [`Lottery::entries`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadEntries {
    /// Of which lottery.
    pub lottery: LotteryId,
    /// From 0.
    pub page: u64,
}

/// See [`Lottery::entries`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EntriesPage {
    /// [`ENTRIES_PER_PAGE`] lines of NDJSON ([`crate::draw::Entry`]), at most 1 MiB; fewer in
    /// the last page, none after it.
    pub ndjson: Bytes,
    /// How many entries there are in all pages.
    pub count: u64,
}

/// See [`Lottery::inclusion`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetInclusion {
    /// Of which lottery.
    pub lottery: LotteryId,
    /// Which entry.
    pub n: u64,
}

/// See [`Lottery::keys`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListKeys {}

/// See [`Lottery::keys`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Keys {
    /// The oldest first.
    pub items: Vec<Key>,
}

/// A key that signs, or signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// The Ed25519 public key.
    pub key: Hash,
    /// Lotteries were opened with it since then,
    pub since: Timestamp,
    /// and until then; `null`: they still are.
    pub until: Option<Timestamp>,
}
