//! The contract's implementation: who asks, which function, how it fails. Nothing else.

use std::sync::Arc;

use common::Outcome;
use idl::access::Identity;
use idl::live::{
    Admins, CloseSession, Cover, CreateRoom, EditRoom, EndKeyword, GetCover, GetRoom, GetSession, GetStanding,
    ListAdmins, ListMutes, ListRooms, ListSessions, Live, MuteUser, MutedUser, Mutes, OpenSession, Room, Rooms,
    RotateStreamKey, Session, Sessions, SetAdmin, SetCover, SetKeyword, SetRules, Standing, StreamKey, UnmuteUser,
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

    /// Runs what changes something to its end, also if the caller goes away meanwhile.
    async fn effect<T, F>(&self, what: String, work: impl FnOnce(Arc<Core>) -> F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let done = self.core.platform.lifecycle.effect(work(Arc::clone(&self.core))).await;
        done.map_err(|failure| failure.into_refusal(&what))
    }
}

impl Live for Service {
    async fn create_room(self, _: Context, r: CreateRoom) -> Result<Room, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("making a room for user {}", who.user);
        self.effect(what, |core| async move { core.create_room(&who, &r.text, r.key).await }).await
    }

    async fn edit_room(self, _: Context, r: EditRoom) -> Result<Room, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("editing room {}", r.room);
        self.effect(what, |core| async move { core.edit_room(&who, &r).await }).await
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
        self.effect(what, |core| async move { core.set_rules(&who, r.room, &r.rules).await }).await
    }

    async fn set_cover(self, _: Context, r: SetCover) -> Result<Room, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("setting the cover of room {}", r.room);
        self.effect(what, |core| async move { core.set_cover(&who, r.room, r.image).await }).await
    }

    async fn cover(self, _: Context, r: GetCover) -> Result<Cover, Refusal> {
        let cover = self.core.cover(r.room).await;
        cover.map_err(|failure| failure.into_refusal(&format!("reading the cover of room {}", r.room)))
    }

    async fn open(self, _: Context, r: OpenSession) -> Result<Session, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("opening room {}", r.room);
        self.effect(what, |core| async move { core.open(&who, r.room, r.key).await }).await
    }

    async fn close(self, _: Context, r: CloseSession) -> Result<Session, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("closing session {} of room {}", r.session, r.room);
        self.effect(what, |core| async move { core.close(&who, r.room, r.session).await }).await
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
        self.effect(what, |core| async move { core.rotate_stream_key(&who, r.room).await }).await
    }

    async fn admins(self, _: Context, r: ListAdmins) -> Result<Admins, Refusal> {
        let admins = self.core.admins(r.room).await;
        admins.map_err(|failure| failure.into_refusal(&format!("listing the admins of room {}", r.room)))
    }

    async fn set_admin(self, context: Context, r: SetAdmin) -> Result<Done, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("making user {} an admin of room {} ({})", r.user, r.room, r.admin);
        self.effect(what, |core| async move { core.set_admin(context, &who, r.room, r.user, r.admin).await }).await
    }

    async fn mutes(self, _: Context, r: ListMutes) -> Result<Mutes, Refusal> {
        let who = self.who(&r.caller)?;
        let mutes = self.core.list_mutes(&who, &r).await;
        mutes.map_err(|failure| failure.into_refusal(&format!("listing the mutes of room {}", r.room)))
    }

    async fn mute(self, context: Context, r: MuteUser) -> Result<MutedUser, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("muting user {} in room {}", r.user, r.room);
        self.effect(what, |core| async move { core.mute(context, &who, r.room, r.user, r.span).await }).await
    }

    async fn unmute(self, _: Context, r: UnmuteUser) -> Result<Done, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("unmuting user {} in room {}", r.user, r.room);
        self.effect(what, |core| async move { core.unmute(&who, r.room, r.user).await }).await
    }

    async fn standing(self, _: Context, r: GetStanding) -> Result<Standing, Refusal> {
        let standing = self.core.standing(r.room, r.user).await;
        standing.map_err(|failure| failure.into_refusal(&format!("standing of user {} in room {}", r.user, r.room)))
    }

    async fn set_keyword(self, _: Context, r: SetKeyword) -> Result<Done, Refusal> {
        let who = self.who(&r.caller)?;
        let what = format!("setting the keyword of lottery {} in room {}", r.lottery, r.room);
        self.effect(what, |core| async move { core.set_keyword(&who, &r).await }).await
    }

    async fn end_keyword(self, _: Context, r: EndKeyword) -> Result<Done, Refusal> {
        let what = format!("ending the keyword of lottery {} in room {}", r.lottery, r.room);
        self.effect(what, |core| async move { core.end_keyword(&r).await }).await
    }
}
