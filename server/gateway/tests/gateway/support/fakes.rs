//! The fakes themselves.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use idl::danmaku::DanmakuText;
use idl::event::{Owner, RoomRole, RoomRules, Sender};
use idl::live::*;
use idl::message::*;
use idl::push::*;
use idl::replay::{ImportReport, ReplayOrigin};
use idl::user::*;
use idl::{DanmakuId, DeviceId, Refusal, ReplayId, RoomId, SessionId, UserId};
use tarpc::context::Context;

use super::{Behind, NOW};

mod lottery;

pub(crate) const JPEG: &[u8] = b"\xff\xd8\xff\xe0 not quite a picture";
/// Where the objects of the replay are.
pub(crate) const REPLAY_PREFIX: &str = "replays/7/2026/09/41-0123456789abcdef";

impl Behind {
    async fn answer<T>(&self, request: impl Debug, answer: T) -> Result<T, Refusal> {
        self.answer_to(format!("{request:?}"), answer).await
    }

    async fn answer_to<T>(&self, request: String, answer: T) -> Result<T, Refusal> {
        self.asked.lock().unwrap().push(request.clone());
        if *self.hangs.lock().unwrap() {
            std::future::pending::<()>().await;
        }
        let refusals = self.refusals.lock().unwrap();
        if let Some((_, refusal)) = refusals.iter().find(|(begin, _)| request.starts_with(**begin)) {
            return Err(refusal.clone());
        }
        let refusal = self.refusal.lock().unwrap().clone();
        refusal.map_or(Ok(answer), Err)
    }
}

impl Behind {
    fn next_version(&self) -> Option<u64> {
        let mut versions = self.versions.lock().unwrap();
        if versions.len() > 1 { versions.pop_front() } else { versions.front().copied() }
    }
}

fn logged_in() -> LoggedIn {
    LoggedIn {
        account: account(),
        device: DeviceId(1_021),
        access_token: Secret("the-access-token".to_owned()),
        access_expires_at: NOW.plus_ms(900_000),
        refresh_token: Secret("the-refresh-token".to_owned()),
        refresh_expires_at: NOW.plus_ms(86_400_000),
    }
}

fn account() -> Account {
    Account {
        id: UserId(21),
        name: "mei".to_owned(),
        role: idl::access::SiteRole::Member,
        bio: String::new(),
        created_at: NOW,
    }
}

fn owner() -> Owner {
    Owner { id: UserId(21), name: "mei".to_owned() }
}

fn a_room() -> Room {
    Room {
        id: RoomId(7),
        owner: owner(),
        title: "Night train".to_owned(),
        description: String::new(),
        category: String::new(),
        cover_url: None,
        session: None,
        viewers: 3,
        rules: RoomRules::default(),
        created_at: NOW,
    }
}

fn a_session() -> Session {
    Session {
        id: SessionId(301),
        room_id: RoomId(7),
        title: "Night train".to_owned(),
        opened_at: NOW,
        closed_at: None,
        peak_viewers: 3,
    }
}

fn a_replay() -> Replay {
    Replay {
        id: ReplayId(41),
        room_id: RoomId(7),
        session_id: Some(SessionId(301)),
        title: "Night train".to_owned(),
        origin: ReplayOrigin::Broadcast,
        state: ReplayState::Ready,
        visibility: Visibility::Public,
        started_at: NOW,
        duration_ms: 600_000,
        danmaku_count: 0,
        version: 3,
    }
}

fn a_danmaku(body: DanmakuBody) -> Danmaku {
    let lottery_id = (body.text.as_str() == "the-keyword").then_some(idl::LotteryId(17));
    Danmaku {
        id: DanmakuId(9_001),
        room_id: RoomId(7),
        session_id: SessionId(301),
        sender: Sender { id: UserId(21), name: "mei".to_owned(), role: RoomRole::Owner },
        text: body.text,
        mode: body.mode,
        color: body.color,
        size: body.size,
        sent_at: NOW,
        offset_ms: 0,
        delivery: Delivery::Stored,
        lottery_id,
    }
}

fn some_danmaku() -> Danmaku {
    let text = DanmakuText::parse("哈哈哈").unwrap();
    a_danmaku(DanmakuBody { text, mode: Default::default(), color: Default::default(), size: Default::default() })
}

fn muted() -> MutedUser {
    MutedUser { user: owner(), until: None, session_only: true, created_at: NOW }
}

impl User for Behind {
    async fn register(self, _: Context, request: Register) -> Result<LoggedIn, Refusal> {
        self.answer(request, logged_in()).await
    }
    async fn log_in(self, _: Context, request: LogIn) -> Result<LoggedIn, Refusal> {
        self.answer(request, logged_in()).await
    }
    async fn refresh(self, _: Context, request: Refresh) -> Result<LoggedIn, Refusal> {
        let shown = format!("Refresh {{ {} }}", request.refresh_token.0);
        self.answer_to(shown, logged_in()).await
    }
    async fn log_out(self, _: Context, request: LogOut) -> Result<Done, Refusal> {
        let shown = format!("LogOut {{ {} }}", request.caller.token);
        self.answer_to(shown, Done {}).await
    }
    async fn devices(self, _: Context, request: ListDevices) -> Result<Devices, Refusal> {
        self.answer(request, Devices { items: Vec::new() }).await
    }
    async fn revoke_device(self, _: Context, request: RevokeDevice) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn change_password(self, _: Context, request: ChangePassword) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn me(self, _: Context, request: Me) -> Result<Account, Refusal> {
        self.answer(request, account()).await
    }
    async fn edit_profile(self, _: Context, request: EditProfile) -> Result<Account, Refusal> {
        self.answer(request, account()).await
    }
    async fn profile(self, _: Context, request: GetProfile) -> Result<Profile, Refusal> {
        let Account { id, name, bio, created_at, .. } = account();
        self.answer(request, Profile { id, name, bio, created_at }).await
    }
}

impl Live for Behind {
    async fn create_room(self, _: Context, request: CreateRoom) -> Result<Room, Refusal> {
        self.answer(request, a_room()).await
    }
    async fn edit_room(self, _: Context, request: EditRoom) -> Result<Room, Refusal> {
        self.answer(request, a_room()).await
    }
    async fn room(self, _: Context, request: GetRoom) -> Result<Room, Refusal> {
        self.answer(request, a_room()).await
    }
    async fn rooms(self, _: Context, request: ListRooms) -> Result<Rooms, Refusal> {
        self.answer(request, Rooms { items: vec![a_room(); 50], next_cursor: None }).await
    }
    async fn set_rules(self, _: Context, request: SetRules) -> Result<Room, Refusal> {
        self.answer(request, a_room()).await
    }
    async fn set_cover(self, _: Context, request: SetCover) -> Result<Room, Refusal> {
        let shown = format!("SetCover {{ {} bytes }}", request.image.len());
        self.answer_to(shown, a_room()).await
    }
    async fn cover(self, _: Context, request: GetCover) -> Result<Cover, Refusal> {
        self.answer(request, Cover { jpeg: Bytes::from_static(JPEG), version: 2 }).await
    }
    async fn open(self, _: Context, request: OpenSession) -> Result<Session, Refusal> {
        self.answer(request, a_session()).await
    }
    async fn close(self, _: Context, request: CloseSession) -> Result<Session, Refusal> {
        self.answer(request, a_session()).await
    }
    async fn session(self, _: Context, request: GetSession) -> Result<Session, Refusal> {
        self.answer(request, a_session()).await
    }
    async fn sessions(self, _: Context, request: ListSessions) -> Result<Sessions, Refusal> {
        self.answer(request, Sessions { items: vec![a_session()], next_cursor: None }).await
    }
    async fn rotate_stream_key(self, _: Context, request: RotateStreamKey) -> Result<StreamKey, Refusal> {
        self.answer(request, StreamKey { stream_key: Secret("shown-once".to_owned()) }).await
    }
    async fn admins(self, _: Context, request: ListAdmins) -> Result<Admins, Refusal> {
        self.answer(request, Admins { items: vec![owner()] }).await
    }
    async fn set_admin(self, _: Context, request: SetAdmin) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn mutes(self, _: Context, request: ListMutes) -> Result<Mutes, Refusal> {
        self.answer(request, Mutes { items: vec![muted()], next_cursor: None }).await
    }
    async fn mute(self, _: Context, request: MuteUser) -> Result<MutedUser, Refusal> {
        self.answer(request, muted()).await
    }
    async fn unmute(self, _: Context, request: UnmuteUser) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn standing(self, _: Context, _: GetStanding) -> Result<Standing, Refusal> {
        Err(Refusal::internal())
    }
    async fn set_keyword(self, _: Context, _: SetKeyword) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
    async fn end_keyword(self, _: Context, _: EndKeyword) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
    async fn replays(self, _: Context, request: ListReplays) -> Result<Replays, Refusal> {
        self.answer(request, Replays { items: vec![a_replay()], next_cursor: None }).await
    }
    async fn replay(self, _: Context, request: GetReplay) -> Result<LocatedReplay, Refusal> {
        let replay = Replay { version: self.next_version().unwrap_or(a_replay().version), ..a_replay() };
        self.answer(request, LocatedReplay { replay, prefix: REPLAY_PREFIX.to_owned() }).await
    }
    async fn edit_replay(self, _: Context, request: EditReplay) -> Result<Replay, Refusal> {
        self.answer(request, a_replay()).await
    }
    async fn delete_replay(self, _: Context, request: DeleteReplay) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn index_replay(self, _: Context, request: IndexReplay) -> Result<Replay, Refusal> {
        self.answer(request, a_replay()).await
    }
    async fn begin_import(self, _: Context, request: BeginImport) -> Result<Replay, Refusal> {
        let begun =
            Replay { session_id: None, origin: ReplayOrigin::File, state: ReplayState::Importing, ..a_replay() };
        self.answer(request, begun).await
    }
    async fn end_import(self, _: Context, _: EndImport) -> Result<Replay, Refusal> {
        Err(Refusal::internal())
    }
    async fn give_import_up(self, _: Context, request: GiveImportUp) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn replay_job(self, _: Context, _: GetReplayJob) -> Result<ReplayJob, Refusal> {
        Err(Refusal::internal())
    }
    async fn replay_indexed(self, _: Context, _: ReplayIndexed) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
    async fn replay_wiped(self, _: Context, _: ReplayWiped) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
    async fn mark_replay(self, _: Context, _: MarkReplay) -> Result<Done, Refusal> {
        Err(Refusal::internal())
    }
}

impl Message for Behind {
    async fn post(self, _: Context, request: PostDanmaku) -> Result<Danmaku, Refusal> {
        let danmaku = a_danmaku(request.body.clone());
        self.answer(request, danmaku).await
    }
    async fn repeat(self, _: Context, request: PostDanmaku) -> Result<Danmaku, Refusal> {
        let danmaku = a_danmaku(request.body.clone());
        self.answer_to(format!("Repeat {request:?}"), danmaku).await
    }
    async fn danmaku(self, _: Context, request: GetDanmaku) -> Result<Danmaku, Refusal> {
        self.answer(request, some_danmaku()).await
    }
    async fn history(self, _: Context, request: ReadHistory) -> Result<History, Refusal> {
        let page = History { items: vec![some_danmaku()], before_cursor: None, after_cursor: None };
        self.answer(request, page).await
    }
    async fn delete(self, _: Context, request: DeleteDanmaku) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn keyword_post(self, _: Context, _: GetKeywordPost) -> Result<KeywordPost, Refusal> {
        Err(Refusal::internal())
    }
    async fn keyword_posts(self, _: Context, _: ReadKeywordPosts) -> Result<KeywordPosts, Refusal> {
        Err(Refusal::internal())
    }
    async fn has_posted(self, _: Context, _: HasPosted) -> Result<Posted, Refusal> {
        Err(Refusal::internal())
    }
    async fn replay_danmaku(self, _: Context, request: ReadReplayDanmaku) -> Result<ReplayDanmakuPage, Refusal> {
        self.answer(request, ReplayDanmakuPage { items: Vec::new(), next_cursor: None }).await
    }
    async fn delete_replay_danmaku(self, _: Context, request: DeleteReplayDanmaku) -> Result<Done, Refusal> {
        self.answer(request, Done {}).await
    }
    async fn import_replay(self, _: Context, request: ImportReplay) -> Result<ImportedReplay, Refusal> {
        let report = ImportReport { accepted: 0, skipped: BTreeMap::new(), changed: BTreeMap::new() };
        self.answer(request, ImportedReplay { replay: a_replay(), report: Some(report) }).await
    }
}

impl Push for Behind {
    async fn publish(self, _: Context, _: Publish) -> Result<Published, Refusal> {
        Err(Refusal::internal())
    }
    async fn retain(self, _: Context, _: Retain) -> Result<Retained, Refusal> {
        Err(Refusal::internal())
    }
    async fn viewers(self, _: Context, _: ViewersOf) -> Result<Viewers, Refusal> {
        Err(Refusal::internal())
    }
    async fn revoke(self, _: Context, _: Revoke) -> Result<Revoked, Refusal> {
        Err(Refusal::internal())
    }
    async fn top_rooms(self, _: Context, request: TopRooms) -> Result<RoomActivities, Refusal> {
        let by = request.by;
        let activity = RoomActivity {
            room_id: RoomId(7),
            title: None,
            viewers: 3,
            window_ms: 60_000,
            deliveries: 0,
            accepted: 0,
            shown: 0,
            folded: 0,
            suppressed: 0,
            gaps: 0,
            missed: 0,
        };
        self.answer(request, RoomActivities { by, items: vec![activity] }).await
    }
    async fn revocations(self, _: Context, request: FollowRevocations) -> Result<RevocationPage, Refusal> {
        if let Some(refusal) = self.refusals.lock().unwrap().get("FollowRevocations") {
            return Err(refusal.clone());
        }
        tokio::time::sleep(Duration::from_millis(request.wait_ms)).await;
        Ok(RevocationPage { revocations: Vec::new(), next: "1-0".to_owned() })
    }
}
