//! Replays: what is left of broadcasts, or was brought in files. live has their rows, and says
//! who may see them; their danmaku and their objects are another service's. That one is woken
//! until it has indexed them ([`wake`]), and tells what it has done ([`index`]).

use anyhow::Context as _;
use common::cursor::{self, List};
use common::idempotency::Key;
use common::{Failure, Outcome};
use idl::access::Identity;
use idl::live::{BeginImport, EditReplay, ListReplays, LocatedReplay, Replay, Replays, Session, Visibility};
use idl::user::Done;
use idl::{Code, Refusal, ReplayId, RoomId, Timestamp};

use crate::change::{Change, Told, vanished};
use crate::role::Deed;
use crate::store::replay::{self as table, NewReplay, ReplayRow, Source};
use crate::{Core, MAX_PAGE, text};

mod index;
mod mark;
pub(crate) mod wake;

/// Of a room: replays that were brought in files. Those of broadcasts are not counted.
const MAX_IMPORTED: i64 = 1_000;
const IMPORT_WITHIN_MS: u64 = 60 * 60 * 1_000;
/// Who repeats an import that is not over may ask again after this.
const IMPORT_RETRY_MS: u64 = 5_000;

impl Core {
    /// A page of a room's replays, latest first.
    pub(crate) async fn list_replays(&self, who: Option<&Identity>, asked: &ListReplays) -> Outcome<Replays> {
        let limit = cursor::limit(asked.limit, MAX_PAGE)?;
        let list = List::new(format!("replays of room {}", asked.room));
        let from = list.read(asked.cursor.as_deref())?;
        let room = self.find_room(asked.room).await?;
        if who.is_none() && !room.rules().guests {
            return Err(no_guests().into());
        }
        let with_hidden = runs(who, room.owner());
        let reader = self.db.reader();
        let rows = table::list(reader, asked.room, with_hidden, from, cursor::with_one_more(limit)).await?;
        let (rows, next_cursor) = cursor::page(rows, limit, &list, ReplayRow::position);
        Ok(Replays { items: rows.into_iter().map(Replay::from).collect(), next_cursor })
    }

    /// One replay, for who may see it.
    pub(crate) async fn replay(&self, who: Option<&Identity>, id: ReplayId) -> Outcome<LocatedReplay> {
        let row = self.find_replay(id).await?;
        require_seen(&row, who)?;
        Ok(LocatedReplay { prefix: row.prefix.clone(), replay: row.into() })
    }

    /// Changes its title and who may see it. The title is in the index, too.
    pub(crate) async fn edit_replay(&self, who: &Identity, edit: &EditReplay) -> Outcome<Replay> {
        let title = edit.body.title.as_deref().map(text::title).transpose()?;
        let hidden = edit.body.visibility.map(hidden).transpose()?;
        let (mut change, row) = self.change_replay(who, edit.replay).await?;
        let title = title.unwrap_or_else(|| row.title.clone());
        let hidden = hidden.unwrap_or_else(|| row.is_hidden());
        if title == row.title && hidden == row.is_hidden() {
            return Ok(row.into());
        }
        table::update_text(&mut change.tx, edit.replay, &title, hidden).await?;
        if title != row.title {
            table::revise(&mut change.tx, edit.replay).await?;
        }
        self.finish_replay(change, edit.replay).await
    }

    /// Has a replay indexed again.
    pub(crate) async fn index_replay(&self, who: &Identity, id: ReplayId) -> Outcome<Replay> {
        let (mut change, _) = self.change_replay(who, id).await?;
        table::revise(&mut change.tx, id).await?;
        self.finish_replay(change, id).await
    }

    /// Deletes a replay: nobody sees it from now on. Also one that is importing: whoever runs
    /// the room can give that up, and it never ends then.
    pub(crate) async fn delete_replay(&self, who: &Identity, id: ReplayId) -> Outcome<Done> {
        let row = self.find_replay(id).await?;
        if !runs(Some(who), row.owner()) {
            require_seen(&row, Some(who))?;
        }
        let mut change = self.change(row.room(), who, Deed::Run).await?;
        table::delete(&mut change.tx, id).await?;
        self.finish(change, Told::Nothing).await?;
        self.replay_due.notify_one();
        Ok(Done {})
    }

    /// Begins a replay whose danmaku are brought in a file. Nobody sees it before it ends.
    pub(crate) async fn begin_import(&self, who: &Identity, asked: &BeginImport) -> Outcome<Replay> {
        let title = text::title(&asked.title)?;
        let key =
            asked.key.clone().map(|key| Key::new(key, who.user, "begin_import", &[&asked.room.to_string(), &title]));
        let id = ReplayId(self.ids.next().await?);
        let mut change = self.change(asked.room, who, Deed::Run).await?;
        if let Some(key) = &key
            && let Some(earlier) = key.claim(&self.db, &mut change.tx, id.as_i64(), self.platform.clock.now()).await?
        {
            let earlier = table::find(&mut *change.tx, ReplayId::from_i64(earlier)).await?;
            match earlier.filter(|row| !row.is_deleted()) {
                Some(row) if row.is_importing() => {
                    let refusal = Refusal::new(Code::ReplayNotReady, "the import with this key has not ended yet");
                    return Err(refusal.retry_after_ms(IMPORT_RETRY_MS).into());
                }
                Some(row) => return Ok(row.into()),
                None => key.pass_on(&mut change.tx, id.as_i64()).await?,
            }
        }
        if table::count_imported(&mut change.tx, asked.room).await? >= MAX_IMPORTED {
            let detail = format!("a room has at most {MAX_IMPORTED} replays that were brought in files");
            return Err(Refusal::new(Code::LimitReached, detail).into());
        }
        let now = self.platform.clock.now();
        let prefix = prefix(asked.room, id, now)?;
        let of = Source::File { until: now.plus_ms(IMPORT_WITHIN_MS) };
        let new = NewReplay { id, room: asked.room, title: &title, started_at: now, prefix: &prefix, of };
        table::insert(&mut change.tx, new).await?;
        self.finish_replay(change, id).await
    }

    /// Adds the replay of a broadcast that ended at `closed_at` to the change that ends it. Its
    /// id was taken before. Also if nobody said anything: then it is a short one.
    pub(crate) async fn add_replay(
        &self,
        change: &mut Change,
        id: ReplayId,
        session: &Session,
        closed_at: Timestamp,
    ) -> Outcome<()> {
        let (room, started_at) = (session.room_id, session.opened_at);
        let prefix = prefix(room, id, started_at)?;
        let of = Source::Broadcast { session: session.id, duration_ms: closed_at.since_ms(started_at) };
        let new = NewReplay { id, room, title: &session.title, started_at, prefix: &prefix, of };
        Ok(table::insert(&mut change.tx, new).await?)
    }

    /// Begins to change a replay that `who` sees and may change.
    async fn change_replay(&self, who: &Identity, id: ReplayId) -> Outcome<(Change, ReplayRow)> {
        let row = self.find_replay(id).await?;
        require_seen(&row, Some(who))?;
        let mut change = self.change(row.room(), who, Deed::Run).await?;
        // It may have been deleted before its room was locked.
        let row = table::find(&mut *change.tx, id).await?.ok_or_else(|| no_such_replay(id))?;
        require_seen(&row, Some(who))?;
        Ok((change, row))
    }

    /// Ends a change of a replay, and returns it as it is now.
    async fn finish_replay(&self, mut change: Change, id: ReplayId) -> Outcome<Replay> {
        let row = table::find(&mut *change.tx, id).await?.ok_or_else(|| vanished("replay", id.0))?;
        self.finish(change, Told::Nothing).await?;
        self.replay_due.notify_one();
        Ok(row.into())
    }

    /// The replay, also one that is importing or deleted.
    async fn find_replay(&self, id: ReplayId) -> Outcome<ReplayRow> {
        Ok(table::find(self.db.reader(), id).await?.ok_or_else(|| no_such_replay(id))?)
    }
}

/// Where the objects of a replay are. By room and month, for who looks at the store; with
/// random digits, so that nobody finds those of a hidden one by trying.
fn prefix(room: RoomId, id: ReplayId, started_at: Timestamp) -> Outcome<String> {
    let started_at = jiff::Timestamp::from_millisecond(started_at.0).context("the clock shows no time of any year");
    let month = started_at.map_err(Failure::Broken)?.strftime("%Y/%m");
    // The thread's generator is cryptographically secure and seeded by the system.
    let secret: u64 = rand::random();
    Ok(format!("replays/{room}/{month}/{id}-{secret:016x}"))
}

/// Refuses who may not see the replay. A guest who would see it signed in learns that.
fn require_seen(row: &ReplayRow, who: Option<&Identity>) -> Result<(), Refusal> {
    let is_there = !row.is_importing() && !row.is_deleted();
    if !is_there || (row.is_hidden() && !runs(who, row.owner())) {
        return Err(no_such_replay(row.replay()));
    }
    if who.is_none() && !row.takes_guests() {
        return Err(no_guests());
    }
    Ok(())
}

fn runs(who: Option<&Identity>, owner: idl::UserId) -> bool {
    who.is_some_and(|who| Deed::Run.require(who, owner, false).is_ok())
}

fn hidden(visibility: Visibility) -> Result<bool, Refusal> {
    match visibility {
        Visibility::Public => Ok(false),
        Visibility::Hidden => Ok(true),
        Visibility::Unknown => Err(Refusal::field("/visibility", "public or hidden")),
    }
}

pub(crate) fn no_such_replay(id: ReplayId) -> Refusal {
    Refusal::new(Code::NoSuchReplay, format!("there is no replay {id}"))
}

fn no_guests() -> Refusal {
    Refusal::new(Code::NotSignedIn, "this room takes no guests; sign in to watch")
}
