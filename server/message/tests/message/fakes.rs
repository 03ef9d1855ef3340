//! Stand-ins for user, live and push.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::{Lifecycle, rpc};
use idl::event::{LiveSession, Owner, RoomRole, RoomRules};
use idl::live::*;
use idl::push::*;
use idl::user::*;
use idl::{Code, Refusal, RoomId, SessionId, Timestamp, UserId};
use tarpc::context::Context;
use tarpc::server::Channel as _;
use tokio::sync::watch;

mod replays;

pub(crate) use replays::FakeReplays;

/// Methods that message never calls.
macro_rules! unused {
    ($($method:ident($request:ty) -> $reply:ty;)*) => {
        $(async fn $method(self, _: Context, _: $request) -> Result<$reply, Refusal> {
            panic!("message called {}", stringify!($method))
        })*
    };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Accounts below 1,000 exist.
#[derive(Clone)]
pub(crate) struct FakeUser;

impl FakeUser {
    pub(crate) fn serve_in_process(&self, lifecycle: &Lifecycle) -> rpc::UserClient {
        let service = self.clone();
        rpc::in_process(lifecycle, |far| far.execute(service.serve())).into()
    }
}

impl User for FakeUser {
    async fn profile(self, _: Context, request: GetProfile) -> Result<Profile, Refusal> {
        let id = request.user;
        if id.0 >= 1_000 {
            return Err(Refusal::new(Code::NoSuchUser, "no such user"));
        }
        Ok(Profile { id, name: format!("user{id}"), bio: String::new(), created_at: Timestamp(0) })
    }

    unused! {
        register(Register) -> LoggedIn;
        log_in(LogIn) -> LoggedIn;
        refresh(Refresh) -> LoggedIn;
        log_out(LogOut) -> Done;
        devices(ListDevices) -> Devices;
        revoke_device(RevokeDevice) -> Done;
        change_password(ChangePassword) -> Done;
        me(Me) -> Account;
        edit_profile(EditProfile) -> Account;
    }
}

/// A room as the test wants it.
#[derive(Clone, Default)]
pub(crate) struct RoomThere {
    pub(crate) session: Option<LiveSession>,
    pub(crate) rules: RoomRules,
    pub(crate) roles: HashMap<UserId, RoomRole>,
    pub(crate) mutes: HashMap<UserId, Option<Timestamp>>,
    pub(crate) keywords: Vec<RoomKeyword>,
}

#[derive(Clone, Default)]
pub(crate) struct FakeLive {
    rooms: Arc<Mutex<HashMap<RoomId, RoomThere>>>,
    pub(crate) replays: FakeReplays,
    away: Arc<Mutex<bool>>,
}

impl FakeLive {
    /// Opens a room with a broadcast that has the number of the room.
    pub(crate) fn open(&self, room: RoomId, now: Timestamp) {
        let session = Some(LiveSession { id: SessionId(room.0), opened_at_ms: now.0 });
        self.change(room, |there| there.session = session);
    }

    pub(crate) fn change(&self, room: RoomId, how: impl FnOnce(&mut RoomThere)) {
        how(lock(&self.rooms).entry(room).or_default());
    }

    pub(crate) fn set_away(&self, away: bool) {
        *lock(&self.away) = away;
    }

    fn there(&self, room: RoomId) -> Result<RoomThere, Refusal> {
        if *lock(&self.away) {
            return Err(Refusal::new(Code::Unavailable, "live is away"));
        }
        lock(&self.rooms).get(&room).cloned().ok_or_else(|| Refusal::new(Code::NoSuchRoom, "no such room"))
    }

    pub(crate) fn serve_in_process(&self, lifecycle: &Lifecycle) -> rpc::LiveClient {
        let service = self.clone();
        rpc::in_process(lifecycle, |far| far.execute(service.serve())).into()
    }
}

impl Live for FakeLive {
    async fn standing(self, _: Context, request: GetStanding) -> Result<Standing, Refusal> {
        let there = self.there(request.room)?;
        let mute = there.mutes.get(&request.user);
        Ok(Standing {
            role: there.roles.get(&request.user).copied().unwrap_or_default(),
            session: there.session,
            rules: there.rules.clone(),
            muted: mute.is_some(),
            muted_until: mute.copied().flatten(),
            keywords: there.keywords.clone(),
        })
    }

    async fn room(self, _: Context, request: GetRoom) -> Result<Room, Refusal> {
        let there = self.there(request.room)?;
        Ok(Room {
            id: request.room,
            owner: Owner { id: UserId(1), name: "owner".into() },
            title: "title".into(),
            description: String::new(),
            category: String::new(),
            cover_url: None,
            session: there.session,
            viewers: 0,
            rules: there.rules,
            created_at: Timestamp(0),
        })
    }

    async fn replay(self, _: Context, request: GetReplay) -> Result<LocatedReplay, Refusal> {
        self.replays.locate(request.replay)
    }

    async fn replay_job(self, _: Context, request: GetReplayJob) -> Result<ReplayJob, Refusal> {
        self.replays.answer_job(request.replay)
    }

    async fn replay_indexed(self, _: Context, request: ReplayIndexed) -> Result<Done, Refusal> {
        Ok(self.replays.indexed(request))
    }

    async fn replay_wiped(self, _: Context, request: ReplayWiped) -> Result<Done, Refusal> {
        Ok(self.replays.wiped(request.replay))
    }

    async fn end_import(self, _: Context, request: EndImport) -> Result<Replay, Refusal> {
        self.replays.end_import(&request)
    }

    async fn give_import_up(self, _: Context, request: GiveImportUp) -> Result<Done, Refusal> {
        self.replays.give_up(request.replay)
    }

    unused! {
        create_room(CreateRoom) -> Room;
        edit_room(EditRoom) -> Room;
        rooms(ListRooms) -> Rooms;
        set_rules(SetRules) -> Room;
        set_cover(SetCover) -> Room;
        cover(GetCover) -> Cover;
        open(OpenSession) -> Session;
        close(CloseSession) -> Session;
        session(GetSession) -> Session;
        sessions(ListSessions) -> Sessions;
        rotate_stream_key(RotateStreamKey) -> StreamKey;
        admins(ListAdmins) -> Admins;
        set_admin(SetAdmin) -> Done;
        mutes(ListMutes) -> Mutes;
        mute(MuteUser) -> MutedUser;
        unmute(UnmuteUser) -> Done;
        set_keyword(SetKeyword) -> Done;
        end_keyword(EndKeyword) -> Done;
        replays(ListReplays) -> Replays;
        edit_replay(EditReplay) -> Replay;
        index_replay(IndexReplay) -> Replay;
        delete_replay(DeleteReplay) -> Done;
        begin_import(BeginImport) -> Replay;
        mark_replay(MarkReplay) -> Done;
    }
}

/// What push was given.
#[derive(Default)]
struct Given {
    publications: Vec<(RoomId, Publication)>,
    in_flight: HashSet<RoomId>,
    hanging: HashSet<RoomId>,
    away: bool,
    samples: bool,
    writes_again_in_ms: u32,
    calls: usize,
    overlapped: bool,
}

#[derive(Clone, Default)]
pub(crate) struct FakePush {
    given: Arc<Mutex<Given>>,
    changed: watch::Sender<()>,
}

impl FakePush {
    /// Calls for this room never return (until their deadline).
    pub(crate) fn hang(&self, room: RoomId) {
        lock(&self.given).hanging.insert(room);
    }

    /// Every call is refused.
    pub(crate) fn set_away(&self, away: bool) {
        lock(&self.given).away = away;
    }

    /// Ordinary danmaku are taken, but not shown.
    pub(crate) fn set_samples(&self, samples: bool) {
        lock(&self.given).samples = samples;
    }

    pub(crate) fn heal(&self) {
        let mut given = lock(&self.given);
        given.hanging.clear();
        given.away = false;
    }

    /// What was taken for a room, in order.
    pub(crate) fn taken(&self, room: RoomId) -> Vec<Publication> {
        lock(&self.given).publications.iter().filter(|(of, _)| *of == room).map(|(_, p)| p.clone()).collect()
    }

    /// How often push was called, whatever came of it.
    pub(crate) fn writes_only_every_ms(&self, ms: u32) {
        lock(&self.given).writes_again_in_ms = ms;
    }

    pub(crate) fn calls(&self) -> usize {
        lock(&self.given).calls
    }

    /// Two calls for one room ran at the same time.
    pub(crate) fn overlapped(&self) -> bool {
        lock(&self.given).overlapped
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn serve_in_process(&self, lifecycle: &Lifecycle) -> rpc::PushClient {
        let service = self.clone();
        rpc::in_process(lifecycle, |far| far.execute(service.serve())).into()
    }
}

/// Ends a call's being in flight also when the caller gives up.
struct InFlight(FakePush, RoomId);

impl Drop for InFlight {
    fn drop(&mut self) {
        lock(&self.0.given).in_flight.remove(&self.1);
    }
}

impl Push for FakePush {
    async fn publish(self, _: Context, request: Publish) -> Result<Published, Refusal> {
        assert!(request.publications.len() <= MAX_PUBLICATIONS);
        let facts = request.publications.iter().any(|p| p.lane == Lane::Guaranteed);
        let (hang, away) = {
            let mut given = lock(&self.given);
            given.calls += 1;
            // The outbox has a way of its own, which may overlap with the ordinary one.
            if !facts && !given.in_flight.insert(request.room) {
                given.overlapped = true;
            }
            (given.hanging.contains(&request.room), given.away)
        };
        let _in_flight = (!facts).then(|| InFlight(self.clone(), request.room));
        self.changed.send_replace(());
        if hang {
            std::future::pending::<()>().await;
        }
        if away {
            return Err(Refusal::new(Code::Unavailable, "push is away"));
        }
        // A call takes a moment, so that more comes meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        let samples = lock(&self.given).samples;
        let outcome = |p: &Publication| match p.lane {
            Lane::Ordinary if samples => Outcome::Suppressed,
            _ => Outcome::Appended,
        };
        let outcomes = request.publications.iter().map(outcome).collect();
        let taken = request.publications.into_iter().map(|p| (request.room, p));
        lock(&self.given).publications.extend(taken);
        self.changed.send_replace(());
        let writes_again_in_ms = lock(&self.given).writes_again_in_ms;
        Ok(Published { outcomes, writes_again_in_ms })
    }

    unused! {
        retain(Retain) -> Retained;
        viewers(ViewersOf) -> Viewers;
        top_rooms(TopRooms) -> RoomActivities;
        revoke(Revoke) -> Revoked;
        revocations(FollowRevocations) -> RevocationPage;
    }
}
