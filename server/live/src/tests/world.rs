//! A live service on a folder of its own, and players for push and user.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::dynamic::Source;
use common::queue::Queue;
use common::rpc::LiveClient;
use common::token::Signer;
use common::{Clock, Lifecycle, rpc};
use idl::access::SiteRole;
use idl::event::RoomState;
use idl::live::{
    CreateRoom, EndKeyword, GetRoom, GetStanding, ListRooms, MuteSpan, MuteUser, MutedUser, OpenSession, Room,
    RoomText, Session, SetAdmin, SetKeyword, Standing,
};
use idl::push::{
    FollowRevocations, Outcome, Publication, Publish, Published, Push, Retain, Retained, RevocationPage, Revoke,
    Revoked, RoomActivities, TopRooms, Viewers, ViewersOf,
};
use idl::user::{
    Account, ChangePassword, Devices, Done, EditProfile, GetProfile, ListDevices, LogIn, LogOut, LoggedIn, Me, Profile,
    Refresh, Register, RevokeDevice, User,
};
use idl::{Caller, Code, DeviceId, IdempotencyKey, LotteryId, Refusal, RoomId, SessionId, Timestamp, UserId};
use tarpc::context::Context;
use tarpc::server::Channel as _;

use crate::{Live, Settings, SlowMode};

mod replays;

pub(crate) const NOON: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const HOUR_MS: u64 = 3_600_000;
/// Accounts 1 to 999 exist; this one doesn't.
pub(crate) const NOBODY: UserId = UserId(1_000);

pub(crate) struct World {
    pub(crate) live: Live,
    pub(crate) client: LiveClient,
    pub(crate) clock: Clock,
    pub(crate) push: PushPlayer,
    pub(crate) queue: Queue,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) dir: tempfile::TempDir,
    /// The site's slow mode.
    pub(crate) slow_mode: Source<SlowMode>,
    signer: Signer,
}

/// Within which a call must be answered.
pub(crate) fn soon() -> Context {
    rpc::within(Duration::from_secs(20))
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), PushPlayer::default()).await
    }

    /// On a folder that may have been used before.
    pub(crate) async fn start_in(dir: tempfile::TempDir, push: PushPlayer) -> Self {
        let (clock, lifecycle) = (Clock::manual(NOON), Lifecycle::new());
        let signer = Signer::load_or_create(dir.path(), clock.clone()).unwrap();
        let platform = common::native::platform(dir.path(), &clock, &lifecycle, &signer);
        let settings = Settings {
            rooms_per_account: 5,
            cover_workers: 1,
            viewer_count_interval_ms: 20,
            retain_interval_ms: 20,
            slow_mode_s: SlowMode::default(),
        };
        let (slow_mode, followed) = Source::new(settings.slow_mode_s);
        let user = rpc::in_process(&lifecycle, |far| far.execute(UserPlayer.serve())).into();
        let player = push.clone();
        let publisher = rpc::in_process(&lifecycle, |far| far.execute(player.serve())).into();
        let queue = platform.queue.clone();
        let live = Live::start(settings, followed, &platform, user, publisher).await.unwrap();
        Self { client: live.serve_in_process(), live, clock, push, queue, lifecycle, dir, slow_mode, signer }
    }

    /// Ends this process and begins the next one on the same folder.
    pub(crate) async fn restart(self) -> Self {
        self.lifecycle.stop(Duration::from_secs(5)).await;
        self.live.core.db.close().await;
        Self::start_in(self.dir, self.push).await
    }

    pub(crate) fn member(&self, user: u64) -> Caller {
        self.caller(user, SiteRole::Member)
    }

    pub(crate) fn site_admin(&self, user: u64) -> Caller {
        self.caller(user, SiteRole::SiteAdmin)
    }

    fn caller(&self, user: u64, role: SiteRole) -> Caller {
        // Tests move the clock by weeks; their tokens outlive that.
        let life = Duration::from_secs(400 * 24 * 60 * 60);
        let token = self.signer.sign(UserId(user), &format!("user{user}"), role, DeviceId(user), life);
        Caller { token: token.unwrap().0 }
    }

    pub(crate) async fn create(&self, owner: u64, title: &str) -> Result<Room, Refusal> {
        self.create_with(owner, title, None).await
    }

    pub(crate) async fn create_with(&self, owner: u64, title: &str, key: Option<&str>) -> Result<Room, Refusal> {
        let text = RoomText { title: title.to_owned(), ..RoomText::default() };
        let create = CreateRoom { caller: self.member(owner), text, key: key.map(idempotency_key) };
        rpc::answer(self.client.create_room(soon(), create).await)
    }

    pub(crate) async fn room(&self, room: RoomId) -> Result<Room, Refusal> {
        rpc::answer(self.client.room(soon(), GetRoom { room }).await)
    }

    /// All titles of a list, read in pages of two.
    pub(crate) async fn titles(&self, list: &ListRooms) -> Vec<String> {
        let (mut titles, mut cursor) = (Vec::new(), None);
        loop {
            let ask = ListRooms { cursor, limit: 2, ..list.clone() };
            let page = rpc::answer(self.client.rooms(soon(), ask).await).unwrap();
            assert!(page.items.len() <= 2);
            titles.extend(page.items.into_iter().map(|room| room.title));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return titles;
            }
        }
    }

    pub(crate) async fn open(&self, caller: Caller, room: RoomId, key: Option<&str>) -> Result<Session, Refusal> {
        let open = OpenSession { caller, room, key: key.map(idempotency_key) };
        rpc::answer(self.client.open(soon(), open).await)
    }

    pub(crate) async fn session(&self, room: RoomId, session: SessionId) -> Result<Session, Refusal> {
        let get = idl::live::GetSession { room, session };
        rpc::answer(self.client.session(soon(), get).await)
    }

    pub(crate) async fn close(&self, caller: Caller, session: &Session) -> Result<Session, Refusal> {
        let close = idl::live::CloseSession { caller, room: session.room_id, session: session.id };
        rpc::answer(self.client.close(soon(), close).await)
    }

    pub(crate) async fn set_admin(&self, by: Caller, room: RoomId, user: u64, admin: bool) -> Result<Done, Refusal> {
        let set = SetAdmin { caller: by, room, user: UserId(user), admin };
        rpc::answer(self.client.set_admin(soon(), set).await)
    }

    pub(crate) async fn mute(&self, by: Caller, room: RoomId, user: u64, span: MuteSpan) -> Result<MutedUser, Refusal> {
        let mute = MuteUser { caller: by, room, user: UserId(user), span };
        rpc::answer(self.client.mute(soon(), mute).await)
    }

    /// For an hour from now.
    pub(crate) async fn set_keyword(
        &self,
        by: Caller,
        room: RoomId,
        lottery: u64,
        keyword: &str,
    ) -> Result<Done, Refusal> {
        let (keyword, until) = (keyword.to_owned(), self.clock.now().plus_ms(HOUR_MS));
        let set = SetKeyword { caller: by, room, lottery: LotteryId(lottery), keyword, until };
        rpc::answer(self.client.set_keyword(soon(), set).await)
    }

    pub(crate) async fn end_keyword(&self, room: RoomId, lottery: u64) -> Result<Done, Refusal> {
        let end = EndKeyword { room, lottery: LotteryId(lottery) };
        rpc::answer(self.client.end_keyword(soon(), end).await)
    }

    pub(crate) async fn standing(&self, room: RoomId, user: u64) -> Result<Standing, Refusal> {
        rpc::answer(self.client.standing(soon(), GetStanding { room, user: UserId(user) }).await)
    }
}

/// Asserts the code of a refusal.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Refusal>, code: Code) -> Refusal {
    let refusal = answer.unwrap_err();
    assert_eq!(refusal.code, code, "{refusal}");
    refusal
}

/// Asks again until the answer is there.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap_or_else(|_| panic!("it never came: {what}"))
}

/// Plays push: keeps what it is told.
#[derive(Clone, Default)]
pub(crate) struct PushPlayer {
    pub(crate) told: Arc<Mutex<Vec<(RoomId, Publication)>>>,
    pub(crate) retained: Arc<Mutex<Vec<RoomState>>>,
    pub(crate) viewers: Arc<Mutex<HashMap<RoomId, u64>>>,
    pub(crate) away: Arc<AtomicBool>,
    /// Takes publications, but answers that it is away: the answer was lost.
    pub(crate) mute: Arc<AtomicBool>,
}

impl PushPlayer {
    /// The sources of what a room's viewers were told, each once, in order.
    pub(crate) fn sources(&self, room: RoomId) -> Vec<String> {
        let mut seen = HashSet::new();
        let told = self.told.lock().unwrap();
        let of_room = told.iter().filter(|(r, _)| *r == room).map(|(_, p)| p.source.clone());
        of_room.filter(|source| seen.insert(source.clone())).collect()
    }

    /// Waits until a room's viewers were told so many things.
    pub(crate) async fn wait_for(&self, room: RoomId, n: usize) -> Vec<Publication> {
        eventually("publications", async || (self.sources(room).len() >= n).then_some(())).await;
        let told = self.told.lock().unwrap();
        told.iter().filter(|(r, _)| *r == room).map(|(_, p)| p.clone()).collect()
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.away.load(Ordering::SeqCst) { Err(Refusal::new(Code::Unavailable, "push is away")) } else { Ok(()) }
    }
}

impl Push for PushPlayer {
    async fn publish(self, _: Context, r: Publish) -> Result<Published, Refusal> {
        self.check()?;
        assert!(r.publications.len() <= idl::push::MAX_PUBLICATIONS);
        let outcomes = vec![Outcome::Appended; r.publications.len()];
        self.told.lock().unwrap().extend(r.publications.into_iter().map(|p| (r.room, p)));
        if self.mute.load(Ordering::SeqCst) {
            return Err(Refusal::new(Code::Unavailable, "the answer is lost"));
        }
        Ok(Published { outcomes, writes_again_in_ms: 0 })
    }

    async fn retain(self, _: Context, r: Retain) -> Result<Retained, Refusal> {
        self.check()?;
        assert!(r.states.len() <= 500);
        self.retained.lock().unwrap().extend(r.states);
        Ok(Retained {})
    }

    async fn viewers(self, _: Context, r: ViewersOf) -> Result<Viewers, Refusal> {
        self.check()?;
        let viewers = self.viewers.lock().unwrap();
        Ok(Viewers { connections: r.rooms.iter().map(|room| viewers.get(room).copied().unwrap_or(0)).collect() })
    }

    async fn revoke(self, _: Context, _: Revoke) -> Result<Revoked, Refusal> {
        Err(Refusal::internal())
    }

    async fn top_rooms(self, _: Context, _: TopRooms) -> Result<RoomActivities, Refusal> {
        Err(Refusal::internal())
    }

    async fn revocations(self, _: Context, _: FollowRevocations) -> Result<RevocationPage, Refusal> {
        Err(Refusal::internal())
    }
}

/// Plays user: accounts 1 to 999 exist.
#[derive(Clone)]
struct UserPlayer;

impl User for UserPlayer {
    async fn profile(self, _: Context, r: GetProfile) -> Result<Profile, Refusal> {
        if r.user.0 == 0 || r.user >= NOBODY {
            return Err(Refusal::new(Code::NoSuchUser, "there is no such account"));
        }
        let name = format!("user{}", r.user);
        Ok(Profile { id: r.user, name, bio: String::new(), created_at: NOON })
    }

    async fn register(self, _: Context, _: Register) -> Result<LoggedIn, Refusal> {
        Err(Refusal::internal())
    }
    async fn log_in(self, _: Context, _: LogIn) -> Result<LoggedIn, Refusal> {
        Err(Refusal::internal())
    }
    async fn refresh(self, _: Context, _: Refresh) -> Result<LoggedIn, Refusal> {
        Err(Refusal::internal())
    }
    async fn log_out(self, _: Context, _: LogOut) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
    async fn devices(self, _: Context, _: ListDevices) -> Result<Devices, Refusal> {
        Err(Refusal::internal())
    }
    async fn revoke_device(self, _: Context, _: RevokeDevice) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
    async fn change_password(self, _: Context, _: ChangePassword) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
    async fn me(self, _: Context, _: Me) -> Result<Account, Refusal> {
        Err(Refusal::internal())
    }
    async fn edit_profile(self, _: Context, _: EditProfile) -> Result<Account, Refusal> {
        Err(Refusal::internal())
    }
}

fn idempotency_key(key: &str) -> IdempotencyKey {
    key.to_owned().try_into().unwrap()
}
