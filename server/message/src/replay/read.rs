//! A replay's danmaku as they are asked for: a range of time, or a text in them; and how one
//! is deleted.

use std::time::Duration;

use common::cursor::{List, Position};
use common::{Outcome, cursor, rpc};
use idl::access::{Identity, SiteRole};
use idl::event::RoomRole;
use idl::live::{GetReplay, GetStanding, Replay};
use idl::message::{DeleteReplayDanmaku, ReadReplayDanmaku, ReplayDanmakuPage};
use idl::replay::ReplayOrigin;
use idl::{Caller, Code, Refusal, ReplayId, UserId};
use tarpc::context::Context;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Replays;
use crate::delete;
use crate::store::lines::{self, Range, Source};
use crate::store::replay as table;

/// The most danmaku on a page.
const MAX_LIMIT: u32 = 500;
/// The most characters that are searched for: no danmaku has more.
const MAX_TEXT_CHARS: usize = 100;
/// Danmaku that are searched for one page: the database needs some 20 ms for them.
const SEARCHED_AT_ONCE: i64 = 50_000;
/// So long a search waits for those before it; then it is refused.
const SEARCH_WAIT: Duration = Duration::from_secs(1);

impl Replays {
    /// A page of a replay's danmaku.
    pub(crate) async fn read(&self, context: Context, asked: &ReadReplayDanmaku) -> Outcome<ReplayDanmakuPage> {
        let limit = cursor::limit(asked.limit, MAX_LIMIT)?;
        let text = asked.text.as_deref().map(checked).transpose()?;
        let of = (asked.replay, asked.from_ms, asked.before_ms, text);
        let list = List::new(format!("replay danmaku {of:?}"));
        let after = asked.cursor.as_deref().map(|cursor| list.read(Some(cursor))).transpose()?;
        let replay = self.visible(context, asked.replay, asked.caller.clone()).await?;
        let (source, db) = (source(&replay)?, &self.0.store.db);
        let after = after.map(|at| (at.rank, at.id));
        let mut range = Range { after, from_ms: asked.from_ms, before_ms: asked.before_ms, text, ..Range::default() };
        let turn = if text.is_some() { Some(self.0.searches.turn().await?) } else { None };
        if turn.is_some() {
            range.until = source.place(db, range, SEARCHED_AT_ONCE).await?;
        }
        let found = source.read(db, range, cursor::with_one_more(limit)).await?;
        drop(turn);
        let at = |(rank, id)| Position { rank, id };
        let (found, next_cursor) = cursor::page(found, limit, &list, |line: &lines::Line| at(line.place));
        Ok(ReplayDanmakuPage {
            items: found.into_iter().map(|line| self.shown(replay.id, line)).collect(),
            next_cursor: next_cursor.or_else(|| range.until.map(|place| list.write(at(place)))),
        })
    }

    /// Deletes a danmaku of a replay.
    pub(crate) async fn delete(&self, context: Context, who: &Identity, asked: &DeleteReplayDanmaku) -> Outcome<()> {
        let none = || Refusal::new(Code::NoSuchDanmaku, "there is no such danmaku in this replay");
        let (store, now) = (&self.0.store, self.0.clock.now());
        let replay = self.visible(context, asked.replay, Some(asked.caller.clone())).await?;
        self.require_moderator(context, who, &replay).await?;
        match source(&replay)? {
            Source::Session { room, session, .. } => {
                let kept = store.find(room, asked.danmaku).await?.filter(|kept| kept.danmaku.session_id == session);
                let kept = kept.ok_or_else(none)?;
                match kept.deleted {
                    true => Ok(()),
                    false => delete::delete(store.clone(), &kept, who.user, now).await,
                }
            }
            Source::File(replay) => {
                let mut tx = store.db.begin().await?;
                if lines::delete_imported(&mut tx, replay, asked.danmaku, now).await? {
                    table::replay_changed(&mut tx, replay).await?;
                    return Ok(tx.commit().await?);
                }
                drop(tx);
                match lines::was_imported(&store.db, replay, asked.danmaku).await? {
                    true => Ok(()),
                    false => Err(none().into()),
                }
            }
        }
    }

    async fn visible(&self, context: Context, replay: ReplayId, caller: Option<Caller>) -> Result<Replay, Refusal> {
        let request = GetReplay { caller, replay };
        rpc::answer(self.0.live.replay(rpc::at_most(context, rpc::EDGE_DEADLINE), request).await)
            .map(|located| located.replay)
    }

    async fn require_moderator(&self, context: Context, who: &Identity, replay: &Replay) -> Result<(), Refusal> {
        if who.role == SiteRole::SiteAdmin || self.role(context, who.user, replay).await?.moderates() {
            return Ok(());
        }
        Err(Refusal::new(Code::NotAllowed, "only the room's moderators may delete danmaku of its replays"))
    }

    async fn role(&self, context: Context, user: UserId, replay: &Replay) -> Result<RoomRole, Refusal> {
        let request = GetStanding { room: replay.room_id, user };
        Ok(rpc::answer(self.0.live.standing(rpc::at_most(context, rpc::EDGE_DEADLINE), request).await)?.role)
    }
}

/// Searches take turns: what they look through is not in any index, and the database's
/// connections are there for everybody.
#[derive(Debug)]
pub(super) struct Searches(Semaphore);

impl Default for Searches {
    fn default() -> Self {
        Self(Semaphore::new(1))
    }
}

impl Searches {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let full = || Refusal::new(Code::Unavailable, "too many search at the moment").retry_after_ms(1_000);
        match tokio::time::timeout(SEARCH_WAIT, self.0.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(full()),
        }
    }
}

/// Where the danmaku of a replay are.
pub(super) fn source(replay: &Replay) -> Outcome<Source> {
    match (replay.origin, replay.session_id) {
        (ReplayOrigin::File, _) => Ok(Source::File(replay.id)),
        (ReplayOrigin::Broadcast, Some(session)) => {
            Ok(Source::Session { room: replay.room_id, session, began: replay.started_at })
        }
        (ReplayOrigin::Broadcast, None) => Err(anyhow::anyhow!("replay {} is of no broadcast", replay.id).into()),
    }
}

fn checked(text: &str) -> Result<&str, Refusal> {
    let chars = text.chars().count();
    if (1..=MAX_TEXT_CHARS).contains(&chars) {
        return Ok(text);
    }
    Err(Refusal::field("/text", format!("a text to search for has 1 to {MAX_TEXT_CHARS} characters")))
}
