//! The contract's implementation: who asks, which function, how it fails. Nothing else.

use std::sync::Arc;

use common::Outcome;
use common::failure::again;
use idl::access::Identity;
use idl::live::{
    Admins, BeginImport, CloseSession, Cover, CreateRoom, DeleteReplay, EditReplay, EditRoom, EndImport, EndKeyword,
    GetCover, GetReplay, GetReplayJob, GetRoom, GetSession, GetStanding, GiveImportUp, IndexReplay, ListAdmins,
    ListMutes, ListReplays, ListRooms, ListSessions, Live, LocatedReplay, MarkReplay, MuteUser, MutedUser, Mutes,
    OpenSession, Replay, ReplayIndexed, ReplayJob, ReplayWiped, Replays, Room, Rooms, RotateStreamKey, Session,
    Sessions, SetAdmin, SetCover, SetKeyword, SetRules, Standing, StreamKey, UnmuteUser,
};
use idl::user::Done;
use idl::{Caller, Refusal};
use tarpc::context::Context;

use crate::Core;

/// Answers calls. Clones are one service.
#[derive(Clone)]
pub(crate) struct Service {
    core: Arc<Core>,
}

impl Service {
    pub(crate) const fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    fn who(&self, caller: &Caller) -> Result<Arc<Identity>, Refusal> {
        self.core.platform.verifier.verify(caller)
    }

    /// `None` is a guest; who has a token that does not hold is one, too.
    fn who_or_guest(&self, caller: Option<&Caller>) -> Option<Arc<Identity>> {
        caller.and_then(|caller| self.who(caller).ok())
    }

    /// Runs what changes something to its end, also if the caller goes away meanwhile.
    async fn effect<T, R, F>(
        &self,
        what: String,
        request: R,
        work: impl Fn(Arc<Core>, R) -> F + Send + Sync + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        R: Clone + Send + Sync + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let core = Arc::clone(&self.core);
        let work = async move { again(|| work(Arc::clone(&core), request.clone())).await };
        let done = self.core.platform.lifecycle.effect(work).await;
        done.map_err(|failure| failure.into_refusal(&what))
    }
}

impl Live for Service {
    async fn create_room(self, _: Context, r: CreateRoom) -> Result<Room, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("making a room for user {}", who.user);
        self.effect(what, (who, r), |core, (who, r)| async move { core.create_room(&who, &r.text, r.key).await }).await
    }

    async fn edit_room(self, _: Context, r: EditRoom) -> Result<Room, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("editing room {}", r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.edit_room(&who, &r).await }).await
    }

    async fn room(self, _: Context, r: GetRoom) -> Result<Room, Refusal> {
        let room = self.core.find_room(r.room).await.map(Room::from);
        room.map_err(|failure| failure.into_refusal(&format!("reading room {}", r.room)))
    }

    async fn rooms(self, _: Context, r: ListRooms) -> Result<Rooms, Refusal> {
        self.core.list_rooms(&r).await.map_err(|failure| failure.into_refusal("listing rooms"))
    }

    async fn set_rules(self, _: Context, r: SetRules) -> Result<Room, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("changing the rules of room {}", r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.set_rules(&who, r.room, &r.rules).await }).await
    }

    async fn set_cover(self, _: Context, r: SetCover) -> Result<Room, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("setting the cover of room {}", r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.set_cover(&who, r.room, r.image).await }).await
    }

    async fn cover(self, _: Context, r: GetCover) -> Result<Cover, Refusal> {
        let cover = self.core.cover(r.room).await;
        cover.map_err(|failure| failure.into_refusal(&format!("reading the cover of room {}", r.room)))
    }

    async fn open(self, _: Context, r: OpenSession) -> Result<Session, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("opening room {}", r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.open(&who, r.room, r.key).await }).await
    }

    async fn close(self, _: Context, r: CloseSession) -> Result<Session, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("closing session {} of room {}", r.session, r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.close(&who, r.room, r.session).await }).await
    }

    async fn session(self, _: Context, r: GetSession) -> Result<Session, Refusal> {
        let session = self.core.session(r.room, r.session).await;
        session.map_err(|failure| failure.into_refusal(&format!("reading session {} of room {}", r.session, r.room)))
    }

    async fn sessions(self, _: Context, r: ListSessions) -> Result<Sessions, Refusal> {
        let sessions = self.core.list_sessions(&r).await;
        sessions.map_err(|failure| failure.into_refusal(&format!("listing the sessions of room {}", r.room)))
    }

    async fn rotate_stream_key(self, _: Context, r: RotateStreamKey) -> Result<StreamKey, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("making a stream key for room {}", r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.rotate_stream_key(&who, r.room).await }).await
    }

    async fn admins(self, _: Context, r: ListAdmins) -> Result<Admins, Refusal> {
        let admins = self.core.admins(r.room).await;
        admins.map_err(|failure| failure.into_refusal(&format!("listing the admins of room {}", r.room)))
    }

    async fn set_admin(self, context: Context, r: SetAdmin) -> Result<Done, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("making user {} an admin of room {} ({})", r.user, r.room, r.admin);
        self.effect(what, (context, who, r), |core, (context, who, r)| async move {
            core.set_admin(context, &who, r.room, r.user, r.admin).await
        })
        .await
    }

    async fn mutes(self, _: Context, r: ListMutes) -> Result<Mutes, Refusal> {
        let who = self.who(&r.caller)?;
        let mutes = self.core.list_mutes(&who, &r).await;
        mutes.map_err(|failure| failure.into_refusal(&format!("listing the mutes of room {}", r.room)))
    }

    async fn mute(self, context: Context, r: MuteUser) -> Result<MutedUser, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("muting user {} in room {}", r.user, r.room);
        self.effect(what, (context, who, r), |core, (context, who, r)| async move {
            core.mute(context, &who, r.room, r.user, r.span).await
        })
        .await
    }

    async fn unmute(self, _: Context, r: UnmuteUser) -> Result<Done, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("unmuting user {} in room {}", r.user, r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.unmute(&who, r.room, r.user).await }).await
    }

    async fn standing(self, _: Context, r: GetStanding) -> Result<Standing, Refusal> {
        let standing = self.core.standing(r.room, r.user).await;
        standing.map_err(|failure| failure.into_refusal(&format!("standing of user {} in room {}", r.user, r.room)))
    }

    async fn set_keyword(self, _: Context, r: SetKeyword) -> Result<Done, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("setting the keyword of lottery {} in room {}", r.lottery, r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.set_keyword(&who, &r).await }).await
    }

    async fn end_keyword(self, _: Context, r: EndKeyword) -> Result<Done, Refusal> {
        let what = format!("ending the keyword of lottery {} in room {}", r.lottery, r.room);
        self.effect(what, r, |core, r| async move { core.end_keyword(&r).await }).await
    }

    async fn replays(self, _: Context, r: ListReplays) -> Result<Replays, Refusal> {
        let who = self.who_or_guest(r.caller.as_ref());
        let replays = self.core.list_replays(who.as_deref(), &r).await;
        replays.map_err(|failure| failure.into_refusal(&format!("listing the replays of room {}", r.room)))
    }

    async fn replay(self, _: Context, r: GetReplay) -> Result<LocatedReplay, Refusal> {
        let who = self.who_or_guest(r.caller.as_ref());
        let replay = self.core.replay(who.as_deref(), r.replay).await;
        replay.map_err(|failure| failure.into_refusal(&format!("reading replay {}", r.replay)))
    }

    async fn edit_replay(self, _: Context, r: EditReplay) -> Result<Replay, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("editing replay {}", r.replay);
        self.effect(what, (who, r), |core, (who, r)| async move { core.edit_replay(&who, &r).await }).await
    }

    async fn delete_replay(self, _: Context, r: DeleteReplay) -> Result<Done, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("deleting replay {}", r.replay);
        self.effect(what, (who, r), |core, (who, r)| async move { core.delete_replay(&who, r.replay).await }).await
    }

    async fn index_replay(self, _: Context, r: IndexReplay) -> Result<Replay, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("having replay {} indexed again", r.replay);
        self.effect(what, (who, r), |core, (who, r)| async move { core.index_replay(&who, r.replay).await }).await
    }

    async fn begin_import(self, _: Context, r: BeginImport) -> Result<Replay, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("beginning an import into room {}", r.room);
        self.effect(what, (who, r), |core, (who, r)| async move { core.begin_import(&who, &r).await }).await
    }

    async fn end_import(self, _: Context, r: EndImport) -> Result<Replay, Refusal> {
        let what = format!("ending the import of replay {}", r.replay);
        self.effect(what, r, |core, r| async move { core.end_import(&r).await }).await
    }

    async fn give_import_up(self, _: Context, r: GiveImportUp) -> Result<Done, Refusal> {
        let what = format!("giving the import of replay {} up", r.replay);
        self.effect(what, r, |core, r| async move { core.give_import_up(r.replay).await }).await
    }

    async fn replay_job(self, _: Context, r: GetReplayJob) -> Result<ReplayJob, Refusal> {
        let job = self.core.replay_job(r.replay).await;
        job.map_err(|failure| failure.into_refusal(&format!("reading what is to be done about replay {}", r.replay)))
    }

    async fn replay_indexed(self, _: Context, r: ReplayIndexed) -> Result<Done, Refusal> {
        let what = format!("showing version {} of replay {}", r.version, r.replay);
        self.effect(what, r, |core, r| async move { core.replay_indexed(&r).await }).await
    }

    async fn replay_wiped(self, _: Context, r: ReplayWiped) -> Result<Done, Refusal> {
        let what = format!("forgetting replay {}", r.replay);
        self.effect(what, r, |core, r| async move { core.replay_wiped(r.replay).await }).await
    }

    async fn mark_replay(self, _: Context, r: MarkReplay) -> Result<Done, Refusal> {
        let what = format!("marking lottery {} in room {}", r.lottery, r.room);
        self.effect(what, r, |core, r| async move { core.mark_replay(&r).await }).await
    }
}
