//! A message service with stand-ins around it, and the hands to play with it.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use common::data_dir::FreeSpace;
use common::health::Health;
use common::objects::Objects;
use common::queue::Queue;
use common::token::Signer;
use common::{Clock, Lifecycle, Platform, rpc};
use idl::access::SiteRole;
use idl::danmaku::{Color, DanmakuText, Mode, Size};
use idl::message::*;
use idl::user::Done;
use idl::{Caller, DanmakuId, DeviceId, IdempotencyKey, Refusal, RoomId, Timestamp, UserId};
use message::{Message, Settings};
use tempfile::TempDir;

use crate::fakes::{FakeLive, FakePush, FakeUser};

pub(crate) const ROOM: RoomId = RoomId(7);
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) dir: TempDir,
    pub(crate) clock: Clock,
    pub(crate) live: FakeLive,
    pub(crate) push: FakePush,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) message: rpc::MessageClient,
    pub(crate) queue: Queue,
    pub(crate) objects: Objects,
    pub(crate) db_url: String,
    signer: Signer,
}

pub(crate) fn settings() -> Settings {
    let n = |n| NonZeroUsize::new(n).expect("not 0");
    Settings {
        waiting_posts: n(4_096),
        batch_posts: n(500),
        waiting_announcements: n(20_000),
        waiting_announcements_per_room: n(2_000),
        announced_rooms_at_once: n(16),
        guaranteed_per_room_per_s: NonZeroU32::new(20).expect("not 0"),
        import_max_danmaku: NonZeroU64::new(2_000_000).expect("not 0"),
        sender_key: Default::default(),
    }
}

impl Stage {
    /// With [`ROOM`] open.
    pub(crate) async fn new() -> Self {
        Self::with(settings()).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let stage = Self::start(
            tempfile::tempdir().expect("a folder"),
            settings,
            Clock::manual(START),
            FakeLive::default(),
            FakePush::default(),
        )
        .await;
        stage.live.open(ROOM, START);
        stage
    }

    async fn start(dir: TempDir, settings: Settings, clock: Clock, live: FakeLive, push: FakePush) -> Self {
        let db_url = common::native::db_url(dir.path());
        Self::start_on(FreeSpace::default(), db_url, dir, settings, clock, live, push).await
    }

    /// Stops and starts again, on a disk that is full.
    #[cfg(target_os = "linux")]
    pub(crate) async fn restarted_on_a_full_disk(self) -> Self {
        self.lifecycle.stop(PATIENCE).await;
        // It has no room for anything.
        let space = FreeSpace::watch(Path::new("/proc"), &Health::default(), &Lifecycle::new());
        let full = async {
            while space.check().is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, full).await.expect("it is full");
        Self::start_on(space, self.db_url, self.dir, settings(), self.clock, self.live, self.push).await
    }

    async fn start_on(
        space: FreeSpace,
        db_url: String,
        dir: TempDir,
        settings: Settings,
        clock: Clock,
        live: FakeLive,
        push: FakePush,
    ) -> Self {
        let lifecycle = Lifecycle::new();
        let signer = Signer::load_or_create(dir.path(), clock.clone()).expect("a key");
        let embedded = common::native::platform(dir.path(), &clock, &lifecycle, &signer);
        let platform = Platform { db_url: db_url.clone(), space, ..embedded };
        let message = Message::start(
            settings,
            &platform,
            FakeUser.serve_in_process(&lifecycle),
            live.serve_in_process(&lifecycle),
            push.serve_in_process(&lifecycle),
        )
        .await
        .expect("it starts");
        let message = message.serve_in_process();
        let (queue, objects) = (platform.queue, platform.objects);
        Self { dir, clock, live, push, lifecycle, message, queue, objects, db_url, signer }
    }

    /// What a process would find that started after this one was killed now.
    pub(crate) async fn after_kill(&self) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        if self.db_url == "sqlite:" {
            for file in ["message.db", "message.db-wal"] {
                std::fs::copy(self.dir.path().join(file), dir.path().join(file)).expect("a copy");
            }
        }
        self.another_in(dir).await
    }

    /// A second instance on the same database, with another push; `None` where the database
    /// is a file, which one process has for itself.
    pub(crate) async fn another(&self) -> Option<Self> {
        if self.db_url == "sqlite:" {
            eprintln!("skipped: TEST_DB_URL names no server");
            return None;
        }
        Some(self.another_in(tempfile::tempdir().expect("a folder")).await)
    }

    async fn another_in(&self, dir: TempDir) -> Self {
        // The same keys.
        for entry in std::fs::read_dir(self.dir.path()).expect("a folder").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "key") {
                std::fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("a copy");
            }
        }
        let (space, clock, live) = (FreeSpace::default(), self.clock.clone(), self.live.clone());
        Self::start_on(space, self.db_url.clone(), dir, settings(), clock, live, FakePush::default()).await
    }

    /// Stops and starts again.
    pub(crate) async fn restarted(self) -> Self {
        self.lifecycle.stop(PATIENCE).await;
        Self::start(self.dir, settings(), self.clock, self.live, self.push).await
    }

    pub(crate) fn caller(&self, user: u64) -> Caller {
        self.caller_as(user, SiteRole::Member)
    }

    pub(crate) fn caller_as(&self, user: u64, role: SiteRole) -> Caller {
        assert!(user > 0, "an id is never 0");
        let name = format!("user{user}");
        let hour = Duration::from_secs(3_600);
        let (token, _) = self.signer.sign(UserId(user), &name, role, DeviceId(user), hour).expect("a token");
        Caller { token }
    }

    pub(crate) fn request(&self, user: u64, room: RoomId, words: &str, key: Option<&str>) -> PostDanmaku {
        PostDanmaku { caller: self.caller(user), room, body: body(words), key: key.map(idempotency_key) }
    }

    pub(crate) async fn send(&self, request: PostDanmaku) -> Result<Danmaku, Refusal> {
        rpc::answer(self.message.post(rpc::within(PATIENCE), request).await)
    }

    pub(crate) async fn post(&self, user: u64, words: &str) -> Result<Danmaku, Refusal> {
        self.send(self.request(user, ROOM, words, None)).await
    }

    pub(crate) async fn post_with(&self, user: u64, words: &str, key: &str) -> Result<Danmaku, Refusal> {
        self.send(self.request(user, ROOM, words, Some(key))).await
    }

    pub(crate) async fn repeat(&self, request: PostDanmaku) -> Result<Danmaku, Refusal> {
        rpc::answer(self.message.repeat(rpc::within(PATIENCE), request).await)
    }

    /// A danmaku as it was posted: what became of it since is left out.
    pub(crate) async fn get(&self, danmaku: DanmakuId) -> Result<Danmaku, Refusal> {
        let request = GetDanmaku { caller: None, room: ROOM, danmaku };
        rpc::answer(self.message.danmaku(rpc::within(PATIENCE), request).await).map(as_posted)
    }

    /// Waits until it reads like this what became of a danmaku.
    pub(crate) async fn until_it_is(&self, danmaku: DanmakuId, delivery: Delivery) {
        let wait = async {
            let request = || GetDanmaku { caller: None, room: ROOM, danmaku };
            while self
                .message
                .danmaku(rpc::within(PATIENCE), request())
                .await
                .expect("an answer")
                .expect("it is there")
                .delivery
                != delivery
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{danmaku} is not {delivery:?}"));
    }

    pub(crate) async fn delete(&self, caller: Caller, danmaku: DanmakuId) -> Result<Done, Refusal> {
        let request = DeleteDanmaku { caller, room: ROOM, danmaku };
        rpc::answer(self.message.delete(rpc::within(PATIENCE), request).await)
    }

    /// A page of danmaku as they were posted.
    pub(crate) async fn history(&self, request: ReadHistory) -> Result<History, Refusal> {
        let page = rpc::answer(self.message.history(rpc::within(PATIENCE), request).await)?;
        Ok(History { items: page.items.into_iter().map(as_posted).collect(), ..page })
    }

    /// The latest 200 of [`ROOM`], oldest first.
    pub(crate) async fn latest(&self) -> Vec<Danmaku> {
        self.history(page(HistoryFrom::Latest, 200)).await.expect("a page").items
    }

    /// Waits until push was told what the test waits for.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&FakePush) -> bool) {
        let mut changes = self.push.changes();
        let wait = async {
            while !reached(&self.push) {
                changes.changed().await.expect("push is there");
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
    }

    /// A second connection to the same database, to stand in its way.
    pub(crate) async fn other_db(&self) -> common::Db {
        let (url, dir) = (&self.db_url, self.dir.path());
        common::Db::open(url, dir, "message", &sqlx::migrate!()).await.expect("a database")
    }

    /// A transaction that no batch gets past until it ends, or for a second.
    pub(crate) async fn in_the_way(&self) -> common::db::Tx {
        let mut tx = self.other_db().await.begin().await.expect("a transaction");
        let hold = "UPDATE gate SET passed = passed WHERE name = 'seal'";
        sqlx::query(hold).execute(&mut *tx).await.expect("it works");
        tx
    }
}

fn as_posted(danmaku: Danmaku) -> Danmaku {
    Danmaku { delivery: Delivery::Stored, ..danmaku }
}

pub(crate) fn idempotency_key(key: &str) -> IdempotencyKey {
    key.to_owned().try_into().expect("a key")
}

pub(crate) fn body(words: &str) -> DanmakuBody {
    DanmakuBody {
        text: DanmakuText::parse(words).expect("a text"),
        mode: Mode::Top,
        color: Color::from_rgb(0x12_34_56),
        size: Size::Large,
    }
}

pub(crate) fn page(from: HistoryFrom, limit: u32) -> ReadHistory {
    ReadHistory { caller: None, room: ROOM, from, session: None, sender: None, limit }
}
