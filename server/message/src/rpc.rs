//! The contract, implemented: who asks, may they, and the domain function that does it.

use std::sync::Arc;
use std::time::Duration;

use common::data_dir::FreeSpace;
use common::failure::again;
use common::rpc::{LiveClient, UserClient};
use common::token::Verifier;
use common::{Clock, Failure, Lifecycle, Outcome, rpc};
use idl::access::Identity;
use idl::event::RoomRole;
use idl::live::{GetRoom, GetStanding, Standing};
use idl::message::{
    Danmaku, DanmakuBody, DeleteDanmaku, DeleteReplayDanmaku, GetDanmaku, GetKeywordPost, HasPosted, History,
    ImportReplay, ImportedReplay, KeywordPost, KeywordPosts, Message as Contract, PostDanmaku, Posted, ReadHistory,
    ReadKeywordPosts, ReadReplayDanmaku, ReplayDanmakuPage,
};
use idl::user::{Done, GetProfile};
use idl::{Caller, Code, Refusal, RoomId};
use tarpc::context::Context;

use crate::batch;
use crate::delete::{self, Right};
use crate::history::Page;
use crate::keys::{self, KeyHash};
use crate::keyword;
use crate::post::{self, Post};
use crate::replay::Replays;
use crate::store::Store;
use crate::writer::Writer;

/// Less than a request has: when live hangs there must be time left for the repetition of
/// an accepted post, which needs no standing.
const STANDING_DEADLINE: Duration = Duration::from_millis(1_000);

/// What the methods work with.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) store: Store,
    pub(crate) replays: Replays,
    pub(crate) writer: Writer,
    pub(crate) user: UserClient,
    pub(crate) live: LiveClient,
    pub(crate) clock: Clock,
    pub(crate) space: FreeSpace,
    pub(crate) verifier: Verifier,
    pub(crate) lifecycle: Lifecycle,
}

/// tarpc clones the server for every request; this makes it cheap.
#[derive(Debug, Clone)]
pub(crate) struct Shared(pub(crate) Arc<Service>);

impl Contract for Shared {
    async fn post(self, context: Context, request: PostDanmaku) -> Result<Danmaku, Refusal> {
        let room = request.room;
        self.0.post(context, request).await.map_err(|f| f.into_refusal(&format!("posting in room {room}")))
    }

    async fn repeat(self, _: Context, request: PostDanmaku) -> Result<Danmaku, Refusal> {
        let room = request.room;
        self.0.repeat(&request).await.map_err(|f| f.into_refusal(&format!("repeating a post in room {room}")))
    }

    async fn danmaku(self, context: Context, request: GetDanmaku) -> Result<Danmaku, Refusal> {
        let id = request.danmaku;
        self.0.danmaku(context, &request).await.map_err(|f| f.into_refusal(&format!("reading danmaku {id}")))
    }

    async fn history(self, context: Context, request: ReadHistory) -> Result<History, Refusal> {
        let room = request.room;
        self.0.history(context, &request).await.map_err(|f| f.into_refusal(&format!("reading room {room}'s history")))
    }

    async fn delete(self, context: Context, request: DeleteDanmaku) -> Result<Done, Refusal> {
        let id = request.danmaku;
        self.0.delete(context, &request).await.map_err(|f| f.into_refusal(&format!("deleting danmaku {id}")))
    }

    async fn keyword_post(self, _: Context, request: GetKeywordPost) -> Result<KeywordPost, Refusal> {
        let (id, lottery) = (request.danmaku, request.lottery);
        let post = keyword::post(&self.0.store, &request).await;
        post.map_err(|f| f.into_refusal(&format!("reading danmaku {id} of lottery {lottery}")))
    }

    async fn keyword_posts(self, _: Context, request: ReadKeywordPosts) -> Result<KeywordPosts, Refusal> {
        let lottery = request.lottery;
        let posts = keyword::posts(&self.0.store, self.0.clock.now(), &request).await;
        posts.map_err(|f| f.into_refusal(&format!("reading the keyword danmaku of lottery {lottery}")))
    }

    async fn has_posted(self, _: Context, request: HasPosted) -> Result<Posted, Refusal> {
        let (user, session) = (request.user, request.session);
        let posted = self.0.store.has_posted(&request).await.map_err(Failure::Db);
        let posted =
            posted.map_err(|f| f.into_refusal(&format!("whether user {user} has posted in session {session}")))?;
        Ok(Posted { posted })
    }

    async fn replay_danmaku(self, context: Context, request: ReadReplayDanmaku) -> Result<ReplayDanmakuPage, Refusal> {
        let replay = request.replay;
        let replays = self.0.replays.clone();
        // To its end: the turn of a search lasts as long as the database is at it, also if
        // nobody waits for it any more.
        let page = self.0.lifecycle.effect(async move { replays.read(context, &request).await }).await;
        page.map_err(|f| f.into_refusal(&format!("reading replay {replay}")))
    }

    async fn delete_replay_danmaku(self, context: Context, request: DeleteReplayDanmaku) -> Result<Done, Refusal> {
        let (id, replay) = (request.danmaku, request.replay);
        let who = self.0.verifier.verify(&request.caller)?;
        self.0.space.check()?;
        let replays = self.0.replays.clone();
        let deleted =
            self.0.lifecycle.effect(async move { again(|| replays.delete(context, &who, &request)).await }).await;
        deleted.map_err(|f| f.into_refusal(&format!("deleting danmaku {id} of replay {replay}")))?;
        Ok(Done {})
    }

    async fn import_replay(self, _: Context, request: ImportReplay) -> Result<ImportedReplay, Refusal> {
        let replay = request.replay;
        let replays = self.0.replays.clone();
        let imported = self.0.lifecycle.effect(async move { replays.import(&request).await }).await;
        imported.map_err(|f| f.into_refusal(&format!("importing replay {replay}")))
    }
}

impl Service {
    /// Not run as an effect: all of it happens in the writer, once the post is queued, and
    /// nothing before that.
    async fn post(&self, context: Context, request: PostDanmaku) -> Outcome<Danmaku> {
        let identity = self.verifier.verify(&request.caller)?;
        let (room, user) = (request.room, identity.user);
        let key = request.key.map(|key| KeyHash::new(user, room, &key));
        let admission = match (self.admit(context, room, &identity, &request.body).await, &key) {
            (Err(refusal), None) => return Err(Failure::Refused(refusal)),
            (admission, _) => admission,
        };
        let post = Post { room, user, user_name: identity.name.clone(), body: request.body, key, admission };
        self.writer.store(post).await
    }

    /// Beside the writer, which has other things to do for who posts too often: a first try
    /// that still waits there is not found.
    async fn repeat(&self, request: &PostDanmaku) -> Outcome<Danmaku> {
        let identity = self.verifier.verify(&request.caller)?;
        let none = || Refusal::new(Code::NoSuchDanmaku, "no danmaku was posted with this idempotency key");
        let key = request.key.as_ref().map(|key| KeyHash::new(identity.user, request.room, key)).ok_or_else(none)?;
        let found = self.store.find_by_key(&key, keys::oldest_kept(self.clock.now())).await?;
        Ok(batch::again(&found.ok_or_else(none)?, &request.body)?)
    }

    async fn admit(
        &self,
        context: Context,
        room: RoomId,
        who: &Identity,
        body: &DanmakuBody,
    ) -> Result<post::Admission, Refusal> {
        self.space.check()?;
        post::admit(&self.standing(context, room, who).await?, who, &body.text)
    }

    async fn standing(&self, context: Context, room: RoomId, who: &Identity) -> Result<Standing, Refusal> {
        let context = rpc::at_most(context, STANDING_DEADLINE);
        rpc::answer(self.live.standing(context, GetStanding { room, user: who.user }).await)
    }

    async fn danmaku(&self, context: Context, request: &GetDanmaku) -> Outcome<Danmaku> {
        self.reader(context, request.room, request.caller.as_ref()).await?;
        let found = self.store.find(request.room, request.danmaku).await?;
        Ok(found.filter(|kept| !kept.deleted).ok_or_else(no_such_danmaku)?.danmaku)
    }

    async fn history(&self, context: Context, request: &ReadHistory) -> Outcome<History> {
        let page = Page::parse(request)?;
        let reader = self.reader(context, request.room, request.caller.as_ref()).await?;
        if let Some(user) = request.sender {
            rpc::answer(self.user.profile(context, GetProfile { user }).await)?;
        }
        let history = page.read(&self.store, self.clock.now()).await?;
        if reader == Reader::Member && history.items.is_empty() && history.before_cursor.is_none() {
            // Nothing at all: either nobody has said anything yet, or there is no such room.
            // (For a guest the room was asked already.)
            rpc::answer(self.live.room(context, GetRoom { room: request.room }).await)?;
        }
        Ok(history)
    }

    /// Who reads what was said in a room. A guest may only where guests may watch.
    async fn reader(&self, context: Context, room: RoomId, caller: Option<&Caller>) -> Result<Reader, Refusal> {
        if caller.is_some_and(|caller| self.verifier.verify(caller).is_ok()) {
            return Ok(Reader::Member);
        }
        match rpc::answer(self.live.room(context, GetRoom { room }).await)?.rules.guests {
            true => Ok(Reader::Guest),
            false => Err(Refusal::new(Code::NotSignedIn, "this room takes no guests; sign in to read")),
        }
    }

    async fn delete(&self, context: Context, request: &DeleteDanmaku) -> Outcome<Done> {
        let identity = self.verifier.verify(&request.caller)?;
        let kept = self.store.find(request.room, request.danmaku).await?.ok_or_else(no_such_danmaku)?;
        let now = self.clock.now();
        let right = delete::right(&kept, &identity, now);
        let role = match right {
            Right::Allowed => RoomRole::Viewer,
            Right::IfModerator(_) => self.standing(context, request.room, &identity).await?.role,
        };
        right.with_role(role)?;
        if !kept.deleted {
            self.space.check()?;
            let (store, user) = (self.store.clone(), identity.user);
            let delete = async move { again(|| delete::delete(store.clone(), &kept, user, now)).await };
            self.lifecycle.effect(delete).await?;
        }
        Ok(Done {})
    }
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Somebody who is signed in.
    Member,
    /// Nobody who is signed in; the room is there and takes guests.
    Guest,
}

fn no_such_danmaku() -> Refusal {
    Refusal::new(Code::NoSuchDanmaku, "there is no such danmaku in this room")
}
