//! How a room is changed: in its turn, locked, by somebody who may, with the fact that
//! viewers are told in the same transaction.

use std::sync::Arc;

use common::db::Tx;
use common::outbox::Slot;
use common::{Failure, Outcome};
use idl::access::Identity;
use idl::event::{Mute, RoomChange};
use idl::{Code, Refusal, RoomId};
use tokio::sync::OwnedMutexGuard;

use crate::role::Deed;
use crate::store::{self, RoomRow, people};
use crate::{Core, announce};

/// A room that is being changed. Dropped without [`Core::finish`] it stays as it was.
pub(crate) struct Change {
    // Rolled back before the turn passes on: fields are dropped in this order.
    pub(crate) tx: Tx,
    /// The room as it was before.
    pub(crate) row: RoomRow,
    slot: Slot,
    _turn: OwnedMutexGuard<()>,
}

/// What viewers are told of a change.
pub(crate) enum Told {
    /// They see nothing of it.
    Nothing,
    /// The room's new state.
    Room(RoomChange),
    /// The mute; the number is an id of its own, taken before the change began.
    Mute(u64, Mute),
}

impl Core {
    /// Begins to change a room, if `who` may. No id may be taken until the change ends.
    pub(crate) async fn change(&self, room: RoomId, who: &Identity, deed: Deed) -> Outcome<Change> {
        let mut change = self.change_for_service(room).await?;
        let is_admin = deed == Deed::Moderate && people::is_admin(&mut *change.tx, room, who.user).await?;
        deed.require(who, change.row.owner(), is_admin)?;
        Ok(change)
    }

    /// Begins to change a room in nobody's name, because another service asks for it. No id
    /// may be taken until the change ends.
    pub(crate) async fn change_for_service(&self, room: RoomId) -> Outcome<Change> {
        self.platform.space.check()?;
        let turn = Arc::clone(&self.turns[room.0 as usize % self.turns.len()]).lock_owned().await;
        let slot = self.outbox.slots(1).await?[0];
        let mut tx = self.db.begin().await?;
        let row = store::lock_room(&mut tx, room).await?.ok_or_else(|| no_such_room(room))?;
        Ok(Change { tx, row, slot, _turn: turn })
    }

    /// Ends a change: it is durable, and every answer of this process knows of it, when
    /// this returns. Returns the room as it is now.
    pub(crate) async fn finish(&self, mut change: Change, told: Told) -> Outcome<RoomRow> {
        let room = change.row.room();
        let row = store::find_room(&mut *change.tx, room).await?.ok_or_else(|| vanished("room", room.0))?;
        let now = self.platform.clock.now();
        let publication = match &told {
            Told::Nothing => None,
            Told::Room(what) => Some(announce::room_changed(&row, *what, now)?),
            Told::Mute(n, mute) => Some(announce::mute_changed(room, *n, *mute, now)?),
        };
        if let Some(publication) = publication {
            self.outbox.add(&mut change.tx, change.slot, room.0, &publication).await?;
        }
        let committed = change.tx.commit().await;
        // Also if the commit's result is unknown: forgetting too much costs one query.
        self.standings.forget_room(room);
        if let Told::Mute(_, mute) = told {
            self.standings.forget_mute(room, mute.user_id);
        }
        committed?;
        self.outbox.committed();
        Ok(row)
    }

    /// Whether `who` may, by what was committed last; for work that comes before a change.
    pub(crate) async fn check_deed(&self, room: RoomId, who: &Identity, deed: Deed) -> Outcome<RoomRow> {
        let row = self.find_room(room).await?;
        let is_admin = deed == Deed::Moderate && people::is_admin(self.db.reader(), room, who.user).await?;
        deed.require(who, row.owner(), is_admin)?;
        Ok(row)
    }

    /// The room.
    pub(crate) async fn find_room(&self, room: RoomId) -> Outcome<RoomRow> {
        Ok(store::find_room(self.db.reader(), room).await?.ok_or_else(|| no_such_room(room))?)
    }
}

/// What is asked for is not there.
pub(crate) fn no_such_room(room: RoomId) -> Refusal {
    Refusal::new(Code::NoSuchRoom, format!("there is no room {room}"))
}

/// A row that our own transaction wrote, or that another row refers to, is not there.
pub(crate) fn vanished(what: &str, id: u64) -> Failure {
    Failure::Broken(anyhow::anyhow!("{what} {id} should be in the database, but is not"))
}
