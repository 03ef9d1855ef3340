//! What an account may do in a room: asked before every post, so answered from memory.
//!
//! An entry carries the generation of its subject as it was before the database was read,
//! and counts only while that generation is still the current one. A change of this
//! process moves the generation on after its commit and before its answer: whatever was
//! read earlier is void from then on, even if it is put into the cache later. Changes of
//! other processes are seen when entries end, a second later at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::Outcome;
use idl::event::{LiveSession, RoomRole, RoomRules};
use idl::live::{RoomKeyword, Standing};
use idl::{RoomId, UserId};
use moka::sync::Cache;

use crate::Core;
use crate::store::keyword;
use crate::store::people::{self, MuteEnd};

const FRESH: Duration = Duration::from_secs(1);
/// Rooms and mutes in memory. Full: the least used is read again when it is asked for.
const ROOMS: u64 = 10_000;
const MUTES: u64 = 100_000;
/// Subjects share a generation with few others; to be voided with one costs one query.
const GENERATIONS: usize = 4_096;

/// The caches. One account's mute is an entry of its own: a room may have any number.
#[derive(Debug)]
pub(crate) struct Standings {
    rooms: Cache<RoomId, Entry<Arc<InRoom>>>,
    mutes: Cache<(RoomId, UserId), Entry<Option<MuteEnd>>>,
    room_generations: Vec<AtomicU64>,
    mute_generations: Vec<AtomicU64>,
}

#[derive(Debug, Clone)]
struct Entry<T> {
    generation: u64,
    value: T,
}

/// What is the same for everybody in the room.
#[derive(Debug)]
struct InRoom {
    owner: UserId,
    admins: Vec<UserId>,
    session: Option<LiveSession>,
    rules: RoomRules,
    /// Some may be over since they were read.
    keywords: Vec<RoomKeyword>,
}

impl InRoom {
    fn role(&self, user: UserId) -> RoomRole {
        if user == self.owner {
            RoomRole::Owner
        } else if self.admins.contains(&user) {
            RoomRole::Admin
        } else {
            RoomRole::Viewer
        }
    }
}

impl Standings {
    pub(crate) fn new() -> Self {
        let generations = || (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect();
        Self {
            rooms: Cache::builder().max_capacity(ROOMS).time_to_live(FRESH).build(),
            mutes: Cache::builder().max_capacity(MUTES).time_to_live(FRESH).build(),
            room_generations: generations(),
            mute_generations: generations(),
        }
    }

    /// The room's session, rules, owner, admins or keywords changed.
    pub(crate) fn forget_room(&self, room: RoomId) {
        self.room_generation(room).fetch_add(1, Ordering::SeqCst);
    }

    /// The account was muted or unmuted in the room.
    pub(crate) fn forget_mute(&self, room: RoomId, user: UserId) {
        self.mute_generation(room, user).fetch_add(1, Ordering::SeqCst);
    }

    fn room_generation(&self, room: RoomId) -> &AtomicU64 {
        &self.room_generations[room.0 as usize % GENERATIONS]
    }

    fn mute_generation(&self, room: RoomId, user: UserId) -> &AtomicU64 {
        &self.mute_generations[(room.0.wrapping_mul(31) ^ user.0) as usize % GENERATIONS]
    }
}

impl Core {
    /// What the account may do in the room now.
    pub(crate) async fn standing(&self, room: RoomId, user: UserId) -> Outcome<Standing> {
        let in_room = self.in_room(room).await?;
        let role = in_room.role(user);
        let session = in_room.session;
        let now = self.platform.clock.now();
        let mute = if role.moderates() { None } else { self.mute_of(room, user).await? };
        let mute = mute.filter(|mute| mute.holds(now, session.map(|s| s.id)));
        let mut rules = in_room.rules.clone();
        if rules.slow_mode_s == 0 {
            rules.slow_mode_s = self.slow_mode.now().into();
        }
        Ok(Standing {
            role,
            session,
            rules,
            muted: mute.is_some(),
            muted_until: mute.and_then(|mute| mute.until()),
            keywords: in_room.keywords.iter().filter(|keyword| now < keyword.until).cloned().collect(),
        })
    }

    async fn in_room(&self, room: RoomId) -> Outcome<Arc<InRoom>> {
        let generation = self.standings.room_generation(room).load(Ordering::SeqCst);
        if let Some(entry) = self.standings.rooms.get(&room).filter(|entry| entry.generation == generation) {
            return Ok(entry.value);
        }
        let row = self.find_room(room).await?;
        let admins = people::admins(self.db.reader(), room).await?;
        let keywords = keyword::keywords(self.db.reader(), room, self.platform.clock.now()).await?;
        let value = Arc::new(InRoom {
            owner: row.owner(),
            admins: admins.into_iter().map(|admin| admin.id).collect(),
            session: row.session(),
            rules: row.rules(),
            keywords,
        });
        self.standings.rooms.insert(room, Entry { generation, value: Arc::clone(&value) });
        Ok(value)
    }

    async fn mute_of(&self, room: RoomId, user: UserId) -> Outcome<Option<MuteEnd>> {
        let generation = self.standings.mute_generation(room, user).load(Ordering::SeqCst);
        if let Some(entry) = self.standings.mutes.get(&(room, user)).filter(|entry| entry.generation == generation) {
            return Ok(entry.value);
        }
        let value = people::find_mute(self.db.reader(), room, user).await?;
        self.standings.mutes.insert((room, user), Entry { generation, value });
        Ok(value)
    }
}
