//! A lottery service with stand-ins around it, and the hands to play with it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use common::keys::ConfiguredKey;
use common::queue::Queue;
use common::token::Signer;
use common::{Clock, Lifecycle, Platform, rpc};
use idl::access::SiteRole;
use idl::draw::{Entry, Prize, Receipt};
use idl::event::{LotteryChange, LotteryPhase};
use idl::lottery::*;
use idl::{Caller, DanmakuId, DeviceId, LotteryId, Refusal, RoomId, Timestamp, UserId};
use lottery::protocol::verify::{Checked, Documents, verify};
use lottery::{Lottery, Settings};
use tempfile::TempDir;

use crate::fakes::{FakeLive, FakeMessage, FakePush};

pub(crate) const ROOM: RoomId = RoomId(7);
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);
/// The room's owner.
pub(crate) const HOST: u64 = 1;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    dir: TempDir,
    pub(crate) clock: Clock,
    pub(crate) live: FakeLive,
    pub(crate) message: FakeMessage,
    pub(crate) push: FakePush,
    pub(crate) queue: Queue,
    pub(crate) lottery: rpc::LotteryClient,
    lifecycle: Lifecycle,
    signer: Signer,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let around = (FakeLive::default(), FakeMessage::default(), FakePush::default());
        Self::start_in(dir, Clock::manual(START), around).await
    }

    async fn start_in(dir: TempDir, clock: Clock, (live, message, push): (FakeLive, FakeMessage, FakePush)) -> Self {
        let lifecycle = Lifecycle::new();
        clock.watch(dir.path(), &lifecycle);
        let queue = Queue::open("process:").expect("a queue");
        let signer = Signer::load_or_create(dir.path(), clock.clone()).expect("a key");
        let around = (&live, &message, &push);
        let started = start(settings(), dir.path(), &clock, around, &queue, &signer, &lifecycle).await;
        let lottery = started.expect("it starts");
        Self { dir, clock, live, message, push, queue, lottery, lifecycle, signer }
    }

    /// Stops, and starts again on the same machine; what happens to its clock meanwhile is given.
    pub(crate) async fn restarted(self, meanwhile: impl FnOnce(&Clock)) -> Self {
        self.lifecycle.stop(PATIENCE).await;
        meanwhile(&self.clock);
        Self::start_in(self.dir, self.clock.of_next_process(), (self.live, self.message, self.push)).await
    }

    /// Stops the service.
    pub(crate) async fn stop(&self) {
        self.lifecycle.stop(PATIENCE).await;
    }

    /// A second instance on the same database, with a queue of its own.
    pub(crate) async fn second(&self) -> rpc::LotteryClient {
        self.start(settings()).await.expect("it starts")
    }

    /// Another instance, with these settings.
    pub(crate) async fn start(&self, settings: Settings) -> anyhow::Result<rpc::LotteryClient> {
        let queue = Queue::open("process:").expect("a queue");
        let around = (&self.live, &self.message, &self.push);
        start(settings, self.dir.path(), &self.clock, around, &queue, &self.signer, &Lifecycle::new()).await
    }

    /// The secret of the receipt key in the data folder.
    pub(crate) fn receipt_key(&self) -> ConfiguredKey {
        let secret = std::fs::read(self.dir.path().join("keys/lottery-receipt.key")).expect("a key");
        configured_key(secret.try_into().expect("32 bytes"))
    }

    pub(crate) fn caller(&self, user: u64) -> Caller {
        let (role, hour) = (SiteRole::Member, Duration::from_hours(24));
        let name = format!("user{user}");
        let (token, _) = self.signer.sign(UserId(user), &name, role, DeviceId(user), hour).expect("a token");
        Caller { token }
    }

    pub(crate) async fn open(&self, body: LotteryBody) -> LotteryId {
        self.try_open(body).await.expect("it opens").id
    }

    pub(crate) async fn try_open(&self, body: LotteryBody) -> Result<RoomLottery, Refusal> {
        let request = OpenLottery { caller: self.caller(HOST), room: ROOM, body, key: None };
        rpc::answer(self.lottery.open(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn enter(&self, id: LotteryId, user: u64) -> Result<Entered, Refusal> {
        self.enter_by(id, user, None).await
    }

    pub(crate) async fn enter_by(
        &self,
        lottery: LotteryId,
        user: u64,
        danmaku: Option<DanmakuId>,
    ) -> Result<Entered, Refusal> {
        let request = EnterLottery { caller: self.caller(user), lottery, danmaku };
        rpc::answer(self.lottery.enter(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn claim(&self, lottery: LotteryId, user: u64) -> Result<MyEntry, Refusal> {
        let request = ClaimPrize { caller: self.caller(user), lottery };
        rpc::answer(self.lottery.claim(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn redraw(&self, lottery: LotteryId, n: u64) -> Result<RoomLottery, Refusal> {
        let request = RedrawPrize { caller: self.caller(HOST), lottery, n };
        rpc::answer(self.lottery.redraw(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn decline(&self, lottery: LotteryId, user: u64) -> Result<MyEntry, Refusal> {
        let request = ClaimPrize { caller: self.caller(user), lottery };
        rpc::answer(self.lottery.decline(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn cancel(&self, lottery: LotteryId) -> Result<RoomLottery, Refusal> {
        let request = CancelLottery { caller: self.caller(HOST), lottery, reason: "a mistake".into() };
        rpc::answer(self.lottery.cancel(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn now(&self, lottery: LotteryId) -> RoomLottery {
        rpc::answer(self.lottery.lottery(rpc::within(PATIENCE), GetLottery { lottery }).await).expect("it is there")
    }

    /// Waits until it is drawn and viewers know.
    pub(crate) async fn drawn(&self, lottery: LotteryId) -> RoomLottery {
        self.until_told(lottery, LotteryChange::Drawn).await;
        let drawn = self.now(lottery).await;
        assert_eq!(drawn.phase, LotteryPhase::Drawn);
        drawn
    }

    /// Waits until viewers were told of a change.
    pub(crate) async fn until_told(&self, lottery: LotteryId, change: LotteryChange) {
        let mut changes = self.push.changes();
        let wait = async {
            while self.push.told(lottery).iter().all(|event| event.change != change) {
                changes.changed().await.expect("push is there");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("viewers were not told of {change:?}"));
    }

    /// What viewers were told, in order.
    pub(crate) fn changes(&self, lottery: LotteryId) -> Vec<LotteryChange> {
        self.push.told(lottery).iter().map(|event| event.change).collect()
    }

    pub(crate) async fn entries(&self, lottery: LotteryId) -> Vec<Entry> {
        let request = ReadEntries { lottery, page: 0 };
        let page = rpc::answer(self.lottery.entries(rpc::within(PATIENCE), request).await).expect("a page");
        assert!(page.count <= ENTRIES_PER_PAGE);
        page.ndjson.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(entry).collect()
    }

    /// Checks a drawn lottery as anyone could who kept what was announced and these receipts.
    pub(crate) async fn check(&self, lottery: LotteryId, receipts: &[Receipt]) -> Checked {
        let context = || rpc::within(PATIENCE);
        let proof = rpc::answer(self.lottery.proof(context(), GetLottery { lottery }).await).expect("a proof");
        let page = ReadEntries { lottery, page: 0 };
        let entries = rpc::answer(self.lottery.entries(context(), page).await).expect("a page").ndjson;
        let told = self.push.told(lottery);
        let states: Vec<_> = told.into_iter().filter_map(|event| event.lottery).collect();
        let opened = json(&states[0].opened);
        let closed = json(states.iter().find_map(|state| state.closed.as_ref()).expect("it was announced"));
        let (proof, receipts) = (json(&proof), receipts.iter().map(json).collect::<Vec<_>>());
        let documents = Documents { proof: &proof, opened: Some(&opened), closed: Some(&closed), receipts: &receipts };
        let checked = verify(&documents, &entries[..]).unwrap_or_else(|fault| panic!("lottery {lottery}: {fault}"));
        assert_eq!(checked.exit_code(), 0);
        checked
    }
}

fn entry(line: &[u8]) -> Entry {
    serde_json::from_slice(line).expect("a line")
}

fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("it is JSON")
}

pub(crate) fn configured_key(secret: [u8; 32]) -> ConfiguredKey {
    serde_json::from_value(hex::encode(secret).into()).expect("a key")
}

pub(crate) fn settings() -> Settings {
    let n = |n| NonZeroUsize::new(n).expect("not 0");
    Settings {
        waiting_entries: n(5_000),
        batch_entries: n(50),
        open_per_room: NonZeroU32::new(5).expect("not 0"),
        draws_at_once: n(2),
        seed_key: Default::default(),
        receipt_key: Default::default(),
        retired_receipt_keys: Vec::new(),
    }
}

async fn start(
    settings: Settings,
    dir: &Path,
    clock: &Clock,
    (live, message, push): (&FakeLive, &FakeMessage, &FakePush),
    queue: &Queue,
    signer: &Signer,
    lifecycle: &Lifecycle,
) -> anyhow::Result<rpc::LotteryClient> {
    let platform = Platform { queue: queue.clone(), ..common::native::platform(dir, clock, lifecycle, signer) };
    let (live, message, push) =
        (live.serve_in_process(lifecycle), message.serve_in_process(lifecycle), push.serve_in_process(lifecycle));
    Ok(Lottery::start(settings, &platform, live, message, push).await?.serve_in_process())
}

/// One prize, drawn after a minute.
pub(crate) fn minute() -> LotteryBody {
    LotteryBody {
        title: "The draw".to_owned(),
        prizes: vec![Prize { name: "a book".to_owned(), count: 1 }],
        duration_s: Some(60),
        ..LotteryBody::default()
    }
}
