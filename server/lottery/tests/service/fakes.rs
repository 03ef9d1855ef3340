//! Stand-ins for live, message and push.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::{Lifecycle, rpc};
use idl::danmaku::keyword_form;
use idl::event::{EventType, LiveSession, LotteryChange, LotteryEvent, Owner, RoomRole, RoomRules};
use idl::live::*;
use idl::message::*;
use idl::push::*;
use idl::user::Done;
use idl::{Code, LotteryId, Refusal, SessionId, Timestamp, UserId};
use tarpc::context::Context;
use tarpc::server::Channel as _;
use tokio::sync::watch;

/// Methods that lottery never calls.
macro_rules! unused {
    ($($method:ident($request:ty) -> $reply:ty;)*) => {
        $(async fn $method(self, _: Context, _: $request) -> Result<$reply, Refusal> {
            panic!("lottery called {}", stringify!($method))
        })*
    };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One room, which is live unless a test says otherwise; user 1 is its owner.
#[derive(Clone, Default)]
pub(crate) struct FakeLive {
    keywords: Arc<Mutex<HashMap<LotteryId, String>>>,
    marks: Arc<Mutex<Vec<MarkReplay>>>,
    marked: watch::Sender<()>,
    off_air: watch::Sender<bool>,
    loses_answers: watch::Sender<bool>,
}

impl FakeLive {
    /// The forms of the keywords that are set.
    pub(crate) fn keywords(&self) -> Vec<String> {
        lock(&self.keywords).values().cloned().collect()
    }

    /// The room's broadcast ends, or one begins.
    pub(crate) fn set_off_air(&self, off_air: bool) {
        self.off_air.send_replace(off_air);
    }

    /// What was marked, in order, as often as it was.
    pub(crate) fn marks(&self) -> Vec<MarkReplay> {
        lock(&self.marks).clone()
    }

    /// Waits until this was marked.
    pub(crate) async fn until_marked(&self, lottery: LotteryId, kind: ReplayMarkKind) {
        let mut marked = self.marked.subscribe();
        let is_it = |mark: &MarkReplay| (mark.lottery, mark.kind) == (lottery, kind);
        let wait = marked.wait_for(|()| lock(&self.marks).iter().any(is_it));
        _ = tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it is marked").expect("live is there");
    }

    /// What is asked is done; who asks learns only that something failed.
    pub(crate) fn lose_answers(&self, lose: bool) {
        self.loses_answers.send_replace(lose);
    }

    pub(crate) fn serve_in_process(&self, lifecycle: &Lifecycle) -> rpc::LiveClient {
        let service = self.clone();
        rpc::in_process(lifecycle, |far| far.execute(service.serve())).into()
    }
}

impl FakeLive {
    fn done(&self) -> Result<Done, Refusal> {
        match *self.loses_answers.borrow() {
            true => Err(Refusal::new(Code::Unavailable, "no answer came")),
            false => Ok(Done {}),
        }
    }
}

impl Live for FakeLive {
    async fn standing(self, _: Context, request: GetStanding) -> Result<Standing, Refusal> {
        let role = if request.user == UserId(1) { RoomRole::Owner } else { RoomRole::Viewer };
        Ok(Standing {
            role,
            session: (!*self.off_air.borrow())
                .then_some(LiveSession { id: SessionId(request.room.0), opened_at_ms: 0 }),
            rules: RoomRules::default(),
            muted: false,
            muted_until: None,
            keywords: Vec::new(),
        })
    }

    async fn room(self, _: Context, request: GetRoom) -> Result<Room, Refusal> {
        Ok(Room {
            id: request.room,
            owner: Owner { id: UserId(1), name: "owner".into() },
            title: "title".into(),
            description: String::new(),
            category: String::new(),
            cover_url: None,
            session: None,
            viewers: 0,
            rules: RoomRules::default(),
            created_at: Timestamp(0),
        })
    }

    async fn set_keyword(self, _: Context, request: SetKeyword) -> Result<Done, Refusal> {
        let form = keyword_form(&request.keyword);
        let mut keywords = lock(&self.keywords);
        if keywords.iter().any(|(lottery, of)| *lottery != request.lottery && *of == form) {
            return Err(Refusal::new(Code::KeywordTaken, "taken"));
        }
        keywords.insert(request.lottery, form);
        self.done()
    }

    async fn mark_replay(self, _: Context, request: MarkReplay) -> Result<Done, Refusal> {
        lock(&self.marks).push(request);
        self.marked.send_replace(());
        self.done()
    }

    async fn end_keyword(self, _: Context, request: EndKeyword) -> Result<Done, Refusal> {
        lock(&self.keywords).remove(&request.lottery);
        Ok(Done {})
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
        replays(ListReplays) -> Replays;
        replay(GetReplay) -> LocatedReplay;
        edit_replay(EditReplay) -> Replay;
        delete_replay(DeleteReplay) -> Done;
        index_replay(IndexReplay) -> Replay;
        begin_import(BeginImport) -> Replay;
        end_import(EndImport) -> Replay;
        give_import_up(GiveImportUp) -> Done;
        replay_job(GetReplayJob) -> ReplayJob;
        replay_indexed(ReplayIndexed) -> Done;
        replay_wiped(ReplayWiped) -> Done;
    }
}

/// Danmaku that were posted: keywords, and who posted at all.
#[derive(Clone, Default)]
pub(crate) struct FakeMessage {
    keywords: Arc<Mutex<Vec<(LotteryId, KeywordPost)>>>,
    posted: Arc<Mutex<HashSet<UserId>>>,
    hangs: watch::Sender<bool>,
}

impl FakeMessage {
    /// Somebody posts a lottery's keyword.
    pub(crate) fn post_keyword(&self, lottery: LotteryId, post: KeywordPost) {
        lock(&self.keywords).push((lottery, post));
    }

    /// Somebody posts something.
    pub(crate) fn post(&self, user: UserId) {
        lock(&self.posted).insert(user);
    }

    /// Lists of keywords are not answered from now on.
    pub(crate) fn hang(&self) {
        self.hangs.send_replace(true);
    }

    pub(crate) fn serve_in_process(&self, lifecycle: &Lifecycle) -> rpc::MessageClient {
        let service = self.clone();
        rpc::in_process(lifecycle, |far| far.execute(service.serve())).into()
    }
}

impl Message for FakeMessage {
    async fn keyword_post(self, _: Context, request: GetKeywordPost) -> Result<KeywordPost, Refusal> {
        let keywords = lock(&self.keywords);
        let is_it = |(of, post): &&(LotteryId, KeywordPost)| *of == request.lottery && post.danmaku == request.danmaku;
        let found = keywords.iter().find(is_it).map(|(_, post)| post.clone());
        found.ok_or_else(|| Refusal::new(Code::NoSuchDanmaku, "no such danmaku"))
    }

    async fn keyword_posts(self, _: Context, request: ReadKeywordPosts) -> Result<KeywordPosts, Refusal> {
        if *self.hangs.borrow() {
            std::future::pending::<()>().await;
        }
        let read: usize = request.after.map_or(0, |after| after.parse().expect("a position of ours"));
        let keywords = lock(&self.keywords);
        let of_it = keywords.iter().filter(|(of, _)| *of == request.lottery).map(|(_, post)| post.clone());
        let items: Vec<KeywordPost> = of_it.skip(read).take(request.limit as usize).collect();
        let after = (read + items.len()).to_string();
        // Like one of several instances: the latest one is found again.
        let settled = Some((read + items.len()).saturating_sub(1).to_string());
        Ok(KeywordPosts { items, after, settled })
    }

    async fn has_posted(self, _: Context, request: HasPosted) -> Result<Posted, Refusal> {
        Ok(Posted { posted: lock(&self.posted).contains(&request.user) })
    }

    unused! {
        post(PostDanmaku) -> Danmaku;
        repeat(PostDanmaku) -> Danmaku;
        danmaku(GetDanmaku) -> Danmaku;
        history(ReadHistory) -> History;
        delete(DeleteDanmaku) -> Done;
        replay_danmaku(ReadReplayDanmaku) -> ReplayDanmakuPage;
        delete_replay_danmaku(DeleteReplayDanmaku) -> Done;
        import_replay(ImportReplay) -> ImportedReplay;
    }
}

/// What push was given: like the real one it takes a source once.
#[derive(Clone, Default)]
pub(crate) struct FakePush {
    taken: Arc<Mutex<Vec<Publication>>>,
    away: watch::Sender<bool>,
    changed: watch::Sender<()>,
}

impl FakePush {
    /// Every call is refused.
    pub(crate) fn set_away(&self, away: bool) {
        self.away.send_replace(away);
    }

    /// What viewers were told of a lottery, in order; how many have entered is left out.
    pub(crate) fn told(&self, lottery: LotteryId) -> Vec<LotteryEvent> {
        let events = lock(&self.taken);
        let events = events.iter().filter(|publication| publication.event == EventType::Lottery);
        let events = events.map(|publication| serde_json::from_str(&publication.data).expect("an event"));
        events
            .filter(|event: &LotteryEvent| event.lottery_id == lottery && event.change != LotteryChange::Entered)
            .collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn serve_in_process(&self, lifecycle: &Lifecycle) -> rpc::PushClient {
        let service = self.clone();
        rpc::in_process(lifecycle, |far| far.execute(service.serve())).into()
    }
}

impl Push for FakePush {
    async fn publish(self, _: Context, request: Publish) -> Result<Published, Refusal> {
        if *self.away.borrow() {
            return Err(Refusal::new(Code::Unavailable, "push is away"));
        }
        let outcomes = vec![Outcome::Appended; request.publications.len()];
        let mut taken = lock(&self.taken);
        for publication in request.publications {
            if taken.iter().all(|there| there.source != publication.source) {
                taken.push(publication);
            }
        }
        drop(taken);
        self.changed.send_replace(());
        Ok(Published { outcomes, writes_again_in_ms: 0 })
    }

    async fn retain(self, _: Context, _: Retain) -> Result<Retained, Refusal> {
        Ok(Retained::default())
    }

    unused! {
        viewers(ViewersOf) -> Viewers;
        top_rooms(TopRooms) -> RoomActivities;
        revoke(Revoke) -> Revoked;
        revocations(FollowRevocations) -> RevocationPage;
    }
}
