//! The fake of the lottery service.

use bytes::Bytes;
use idl::draw::{Closed, Hash, InclusionProof, Opened, PROTOCOL, Prize, Proof, Receipt, Signature};
use idl::event::LotteryPhase;
use idl::lottery::*;
use idl::{LotteryId, Refusal, RoomId, Timestamp, UserId};
use tarpc::context::Context;

use super::super::{Behind, NOW};

const ID: LotteryId = LotteryId(17);

fn a_lottery() -> RoomLottery {
    RoomLottery {
        id: ID,
        room_id: RoomId(7),
        phase: LotteryPhase::Closed,
        test: false,
        title: "Midnight draw".to_owned(),
        prizes: vec![Prize { name: "a keyboard".to_owned(), count: 1 }],
        keyword: None,
        posted_in: None,
        claim_s: 0,
        opens_at: NOW,
        draw_at: NOW,
        entrants: 1,
        opened: Opened { spec: "{}".to_owned(), commitment: Hash([1; 32]), signature: Signature([2; 64]) },
        closed: Some(Closed {
            lottery_id: ID,
            root: Hash([3; 32]),
            count: 1,
            closed_at_ms: 0,
            signature: Signature([2; 64]),
        }),
        drawn_at: None,
        winners: Vec::new(),
        winners_total: 0,
        replaced: Vec::new(),
        cancelled: None,
    }
}

fn a_receipt() -> Receipt {
    Receipt { lottery_id: ID, n: 0, user_id: UserId(21), entered_at_ms: 0, weight: 1, signature: Signature([2; 64]) }
}

fn my_entry() -> MyEntry {
    MyEntry {
        lottery_id: ID,
        room_id: RoomId(7),
        title: "Midnight draw".to_owned(),
        draw_at: NOW,
        receipt: a_receipt(),
        result: EntryResult::Pending,
        prize: None,
    }
}

impl Lottery for Behind {
    async fn open(self, _: Context, request: OpenLottery) -> Result<RoomLottery, Refusal> {
        self.answer(request, a_lottery()).await
    }
    async fn cancel(self, _: Context, request: CancelLottery) -> Result<RoomLottery, Refusal> {
        self.answer(request, a_lottery()).await
    }
    async fn lottery(self, _: Context, request: GetLottery) -> Result<RoomLottery, Refusal> {
        self.answer(request, a_lottery()).await
    }
    async fn lotteries(self, _: Context, request: ListLotteries) -> Result<Lotteries, Refusal> {
        self.answer(request, Lotteries { items: vec![a_lottery()], next_cursor: None }).await
    }
    async fn enter(self, _: Context, request: EnterLottery) -> Result<Entered, Refusal> {
        // The second time it is no longer new.
        let is_new = !self.asked.lock().unwrap().iter().any(|asked| asked.starts_with("EnterLottery"));
        self.answer(request, Entered { receipt: a_receipt(), is_new }).await
    }
    async fn my_entry(self, _: Context, request: GetMyEntry) -> Result<MyEntry, Refusal> {
        self.answer(request, my_entry()).await
    }
    async fn my_entries(self, _: Context, request: ListMyEntries) -> Result<MyEntries, Refusal> {
        self.answer(request, MyEntries { items: vec![my_entry()], next_cursor: None }).await
    }
    async fn winners(self, _: Context, request: ListWinners) -> Result<Winners, Refusal> {
        self.answer(request, Winners { items: Vec::new(), next_cursor: None }).await
    }
    async fn claim(self, _: Context, request: ClaimPrize) -> Result<MyEntry, Refusal> {
        self.answer(request, my_entry()).await
    }
    async fn decline(self, _: Context, request: ClaimPrize) -> Result<MyEntry, Refusal> {
        self.answer(request, my_entry()).await
    }
    async fn redraw(self, _: Context, request: RedrawPrize) -> Result<RoomLottery, Refusal> {
        self.answer(request, a_lottery()).await
    }
    async fn proof(self, _: Context, request: GetLottery) -> Result<Proof, Refusal> {
        let proof = Proof {
            protocol: PROTOCOL.to_owned(),
            spec: "{}".to_owned(),
            commitment: Hash([1; 32]),
            opened_signature: Signature([2; 64]),
            root: Hash([3; 32]),
            count: 1,
            closed_at_ms: 0,
            closed_signature: Signature([2; 64]),
            seed: Hash([4; 32]),
            beacon: None,
            winners: Vec::new(),
            replaced: Vec::new(),
        };
        self.answer(request, proof).await
    }
    async fn entries(self, _: Context, request: ReadEntries) -> Result<EntriesPage, Refusal> {
        // Two pages and a bit.
        let ndjson = Bytes::from(format!("{{\"page\":{}}}\n", request.page));
        self.answer(request, EntriesPage { ndjson, count: 2 * ENTRIES_PER_PAGE + 1 }).await
    }
    async fn inclusion(self, _: Context, request: GetInclusion) -> Result<InclusionProof, Refusal> {
        let proof =
            InclusionProof { n: request.n, count: 2, root: Hash([3; 32]), leaf: Hash([5; 32]), path: Vec::new() };
        self.answer(request, proof).await
    }
    async fn keys(self, _: Context, request: ListKeys) -> Result<Keys, Refusal> {
        let key = Key { key: Hash([6; 32]), since: Timestamp(0), until: None };
        self.answer(request, Keys { items: vec![key] }).await
    }
}
