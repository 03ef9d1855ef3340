//! Broadcasts: opening, closing, reading.

use common::Outcome;
use idl::access::Identity;
use idl::event::RoomChange;
use idl::live::{ListSessions, Session, Sessions};
use idl::{Code, IdempotencyKey, Refusal, ReplayId, RoomId, SessionId, Timestamp};

use crate::change::{Told, vanished};
use crate::role::Deed;
use crate::{Core, MAX_PAGE, store};
use common::cursor::{self, List};
use common::idempotency::Key;

impl Core {
    /// Begins a broadcast, unless one is on.
    pub(crate) async fn open(&self, who: &Identity, room: RoomId, key: Option<IdempotencyKey>) -> Outcome<Session> {
        let key = key.map(|key| Key::new(key, who.user, "open", &[&room.to_string()]));
        let id = SessionId(self.ids.next().await?);
        let mut change = self.change(room, who, Deed::Run).await?;
        let now = self.platform.clock.now();
        if let Some(key) = &key
            && let Some(earlier) = key.claim(&self.db, &mut change.tx, id.as_i64(), now).await?
        {
            let earlier = SessionId::from_i64(earlier);
            let row = store::find_session(&mut *change.tx, room, earlier).await?;
            return Ok(row.ok_or_else(|| vanished("session", earlier.0))?.into());
        }
        if !store::open_session(&mut change.tx, &change.row, id, now).await? {
            return Err(Refusal::new(Code::RoomOpen, format!("room {room} is live already")).into());
        }
        let row = store::find_session(&mut *change.tx, room, id).await?.ok_or_else(|| vanished("session", id.0))?;
        self.finish(change, Told::Room(RoomChange::Opened)).await?;
        Ok(row.into())
    }

    /// Ends a broadcast; one that has ended stays as it is. Mutes that were only for it
    /// hold no more from then on, and it has a replay.
    pub(crate) async fn close(&self, who: &Identity, room: RoomId, id: SessionId) -> Outcome<Session> {
        let replay = ReplayId(self.ids.next().await?);
        let mut change = self.change(room, who, Deed::Run).await?;
        let row = store::find_session(&mut *change.tx, room, id).await?;
        let before: Session = row.ok_or_else(|| no_such_session(room, id))?.into();
        // A clock that was set back must not end a broadcast before it began.
        let now = Timestamp(self.platform.clock.now().0.max(before.opened_at.0));
        if !store::close_session(&mut change.tx, room, id, now).await? {
            return Ok(before);
        }
        self.add_replay(&mut change, replay, &before, now).await?;
        self.finish(change, Told::Room(RoomChange::Closed)).await?;
        self.replay_due.notify_one();
        Ok(Session { closed_at: Some(now), ..before })
    }

    /// One broadcast of a room.
    pub(crate) async fn session(&self, room: RoomId, id: SessionId) -> Outcome<Session> {
        let row = store::find_session(self.db.reader(), room, id).await?;
        Ok(row.ok_or_else(|| no_such_session(room, id))?.into())
    }

    /// A page of a room's broadcasts, latest first.
    pub(crate) async fn list_sessions(&self, asked: &ListSessions) -> Outcome<Sessions> {
        let limit = cursor::limit(asked.limit, MAX_PAGE)?;
        let list = List::new(format!("sessions of room {}", asked.room));
        let from = list.read(asked.cursor.as_deref())?;
        self.find_room(asked.room).await?;
        let rows = store::list_sessions(self.db.reader(), asked.room, from, cursor::with_one_more(limit)).await?;
        let (rows, next_cursor) = cursor::page(rows, limit, &list, store::SessionRow::position);
        Ok(Sessions { items: rows.into_iter().map(Session::from).collect(), next_cursor })
    }
}

fn no_such_session(room: RoomId, id: SessionId) -> Refusal {
    Refusal::new(Code::NoSuchSession, format!("room {room} has no session {id}"))
}
