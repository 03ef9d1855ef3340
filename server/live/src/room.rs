//! Rooms: making, editing, listing; their rules and their stream keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::Outcome;
use idl::access::Identity;
use idl::event::{Owner, RoomChange, RoomRules};
use idl::live::{EditRoom, ListRooms, Room, RoomText, Rooms, StreamKey};
use idl::user::Secret;
use idl::{Code, IdempotencyKey, Refusal, RoomId};
use sha2::{Digest as _, Sha256};

use crate::change::{Told, vanished};
use crate::role::Deed;
use crate::{Core, MAX_PAGE, announce, store, text};
use common::cursor::{self, List};
use common::idempotency::Key;

impl Core {
    /// Makes a room. Waits a moment for push to know it, so that who subscribes at once
    /// finds it.
    pub(crate) async fn create_room(
        &self,
        who: &Identity,
        asked: &RoomText,
        key: Option<IdempotencyKey>,
    ) -> Outcome<Room> {
        let text = text::room_text(asked)?;
        let body = [text.title.as_str(), &text.description, &text.category];
        let key = key.map(|key| Key::new(key, who.user, "create_room", &body));
        self.platform.space.check()?;
        let id = RoomId(self.ids.next().await?);
        let slot = self.outbox.slots(1).await?[0];
        let now = self.platform.clock.now();
        let mut tx = self.db.begin().await?;
        if let Some(key) = &key
            && let Some(earlier) = key.claim(&self.db, &mut tx, id.as_i64(), now).await?
        {
            let earlier = RoomId::from_i64(earlier);
            let row = store::find_room(&mut *tx, earlier).await?.ok_or_else(|| vanished("room", earlier.0))?;
            return Ok(row.into());
        }
        let most = self.settings.rooms_per_account;
        if !store::claim_room(&mut tx, self.db.insert_ignore(), who.user, most).await? {
            return Err(Refusal::new(Code::LimitReached, format!("an account has at most {most} rooms")).into());
        }
        let owner = Owner { id: who.user, name: who.name.clone() };
        store::insert_room(&mut tx, id, &owner, &text, now).await?;
        let row = store::find_room(&mut *tx, id).await?.ok_or_else(|| vanished("room", id.0))?;
        let publication = announce::room_changed(&row, RoomChange::Created, now)?;
        self.outbox.add(&mut tx, slot, id.0, &publication).await?;
        let arrival = self.arrivals.expect(id);
        tx.commit().await?;
        self.outbox.committed();
        arrival.wait().await;
        Ok(row.into())
    }

    /// Changes the given parts; nobody is told if they were the same before.
    pub(crate) async fn edit_room(&self, who: &Identity, edit: &EditRoom) -> Outcome<Room> {
        let title = edit.title.as_deref().map(text::title).transpose()?;
        let description = edit.description.as_deref().map(text::description).transpose()?;
        let category = edit.category.as_deref().map(text::category).transpose()?;
        let mut change = self.change(edit.room, who, Deed::Run).await?;
        let before = RoomText {
            title: change.row.title.clone(),
            description: change.row.description.clone(),
            category: change.row.category.clone(),
        };
        let after = RoomText {
            title: title.unwrap_or_else(|| before.title.clone()),
            description: description.unwrap_or_else(|| before.description.clone()),
            category: category.unwrap_or_else(|| before.category.clone()),
        };
        if after == before {
            return Ok(change.row.into());
        }
        store::update_text(&mut change.tx, edit.room, &after).await?;
        Ok(self.finish(change, Told::Room(RoomChange::Edited)).await?.into())
    }

    /// Changes the rules; nobody is told if they were the same before.
    pub(crate) async fn set_rules(&self, who: &Identity, room: RoomId, rules: &RoomRules) -> Outcome<Room> {
        text::rules(rules)?;
        let mut change = self.change(room, who, Deed::Run).await?;
        if change.row.rules() == *rules {
            return Ok(change.row.into());
        }
        store::update_rules(&mut change.tx, room, rules).await?;
        Ok(self.finish(change, Told::Room(RoomChange::Rules)).await?.into())
    }

    /// A page of rooms. The live ones move while their viewers come and go: between two
    /// pages a room may then be seen twice or not at all.
    pub(crate) async fn list_rooms(&self, filter: &ListRooms) -> Outcome<Rooms> {
        let limit = cursor::limit(filter.limit, MAX_PAGE)?;
        let search = filter.search.as_deref().map(text::search).transpose()?.flatten();
        let list = List::new(format!("rooms live={} owner={:?} search={search:?}", filter.live, filter.owner));
        let from = list.read(filter.cursor.as_deref())?;
        let rows = store::list_rooms(&self.db, filter, search.as_deref(), from, cursor::with_one_more(limit)).await?;
        let (rows, next_cursor) = cursor::page(rows, limit, &list, |row| row.position(filter.live));
        Ok(Rooms { items: rows.into_iter().map(Room::from).collect(), next_cursor })
    }

    /// Makes a stream key in place of the one before.
    pub(crate) async fn rotate_stream_key(&self, who: &Identity, room: RoomId) -> Outcome<StreamKey> {
        // The thread's generator is cryptographically secure and seeded by the system.
        let secret: [u8; 32] = rand::random();
        let stream_key = format!("gl_live_{}", URL_SAFE_NO_PAD.encode(secret));
        let mut change = self.change(room, who, Deed::Stream).await?;
        // A plain hash is enough for 256 random bits: there is nothing to guess.
        store::set_stream_key(&mut change.tx, room, &hex::encode(Sha256::digest(&stream_key))).await?;
        self.finish(change, Told::Nothing).await?;
        Ok(StreamKey { stream_key: Secret(stream_key) })
    }
}
