//! The rooms that this process has in memory: read from their files when first needed,
//! put away when nobody has needed them for a while.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use common::revocation::Revocations;
use common::{Clock, Dynamic, Failure, Lifecycle};
use idl::push::{RoomActivity, TopBy};
use idl::{Code, Refusal, RoomId};
use tokio::time::Instant;

use crate::egress::{self, Demand};
use crate::feed::Feed;
use crate::frame::Position;
use crate::log::Log;
use crate::record::{Record, Retention};
use crate::room::{Command, Room, Viewing};
use crate::shared::{self, Mirror, Shared};
use crate::store::Store;
use crate::writer::{Writer, flow_of};
use crate::{FlowRate, Settings, statistics, top};

/// A room without viewers is put away after so long without a publication.
const IDLE: Duration = Duration::from_secs(120);
const SWEEP_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// An ended log-in is noticed by its streams within so long; many that end together wake
/// the viewers once.
const RING_AFTER: Duration = Duration::from_secs(1);
/// On the wire, while nothing was sent that could be measured.
const TYPICAL_EVENT_BYTES: usize = 250;

/// The rooms of this process. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Rooms {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    home: Home,
    settings: Settings,
    flow: Dynamic<FlowRate>,
    clock: Clock,
    lifecycle: Lifecycle,
    open: Mutex<HashMap<RoomId, Open>>,
    /// Whoever reads a room's file, or puts it away, holds the lock of its share of the ids:
    /// two readers must not make two writers of one room.
    turns: [Arc<tokio::sync::Mutex<()>>; 64],
    /// Open connections of all rooms.
    streams: Arc<AtomicU64>,
}

/// Where the rooms' feeds are kept.
#[derive(Debug)]
pub(crate) enum Home {
    Folder(PathBuf),
    Shared(Shared),
}

#[derive(Debug)]
struct Open {
    room: Arc<Room>,
    used_at: Instant,
}

impl Rooms {
    pub(crate) fn new(
        home: Home,
        settings: Settings,
        flow: Dynamic<FlowRate>,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Self {
        let (open, streams) = (Mutex::default(), Arc::default());
        let turns = std::array::from_fn(|_| Arc::default());
        Self { inner: Arc::new(Inner { home, settings, flow, clock, lifecycle, open, turns, streams }) }
    }

    /// Counts a viewer into a room. `None`: nobody has ever published to such a room. If it saw
    /// more elsewhere than is here, the room is read first: a copy that lags has lost nothing.
    pub(crate) async fn join(&self, id: RoomId, seen: Option<Position>) -> Result<Option<Viewing>, Refusal> {
        let Some(viewing) = self.find(id).await?.map(|room| room.join(&self.inner.streams)) else { return Ok(None) };
        let room = &viewing.room;
        if room.is_shared() && seen.is_some_and(|seen| room.feed().lacks(seen)) {
            room.confirmed().await?;
        }
        Ok(Some(viewing))
    }

    /// A room. `None`: nobody has ever published to such a room.
    pub(crate) async fn find(&self, id: RoomId) -> Result<Option<Arc<Room>>, Refusal> {
        self.get(id, false).await
    }

    /// Hands a command to a room's writer; makes the room if need be.
    pub(crate) async fn send(&self, id: RoomId, mut command: Command) -> Result<(), Refusal> {
        // A writer that has just been put away gives the command back; its successor takes it.
        for _ in 0..3 {
            let Some(room) = self.get(id, true).await? else { break };
            match room.send(command) {
                Ok(()) => return Ok(()),
                Err(back) => command = back,
            }
            room.close().await;
            if self.inner.lifecycle.soft().is_cancelled() {
                break; // its last viewers still get what other processes write
            }
            self.forget(&room);
        }
        Err(unavailable())
    }

    /// Open connections of rooms, in all processes; of those that can't be asked, as far as
    /// it is known here.
    pub(crate) async fn connections(&self, ids: &[RoomId]) -> Vec<u64> {
        let (here, known): (Vec<u64>, Vec<u64>) = {
            let open = self.open();
            let room = |id: &RoomId| {
                open.get(id).map_or((0, 0), |open| (open.room.connections_here(), open.room.connections()))
            };
            ids.iter().map(room).unzip()
        };
        match &self.inner.home {
            Home::Folder(_) => here,
            Home::Shared(shared) => match shared.viewers.elsewhere(ids).await {
                Ok(elsewhere) => here.iter().zip(elsewhere).map(|(here, elsewhere)| here + elsewhere).collect(),
                Err(_) => known,
            },
        }
    }

    /// Open connections of all rooms.
    pub(crate) fn streams_open(&self) -> u64 {
        self.inner.streams.load(Ordering::Relaxed)
    }

    /// The rooms in memory in which most is going on.
    pub(crate) fn top(&self, by: TopBy) -> Vec<RoomActivity> {
        top::top(&self.in_use(), by)
    }

    /// How much a room keeps.
    pub(crate) fn keep(&self) -> Retention {
        self.inner.settings.retention()
    }

    /// A room, if it is in memory; this is no use of it.
    pub(crate) fn peek(&self, id: RoomId) -> Option<Arc<Room>> {
        self.open().get(&id).map(|open| Arc::clone(&open.room))
    }

    /// The rooms in memory.
    pub(crate) fn in_use(&self) -> Vec<Arc<Room>> {
        self.open().values().map(|open| Arc::clone(&open.room)).collect()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<RoomId, Open>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_memory(&self, id: RoomId) -> Option<Arc<Room>> {
        let mut open = self.open();
        let room = open.get_mut(&id)?;
        if room.room.has_ended() && !self.inner.lifecycle.soft().is_cancelled() {
            // Its writer broke: whoever comes makes a new one.
            open.remove(&id);
            return None;
        }
        room.used_at = Instant::now();
        Some(Arc::clone(&room.room))
    }

    fn turn(&self, id: RoomId) -> &Arc<tokio::sync::Mutex<()>> {
        let share = usize::try_from(id.0 % self.inner.turns.len() as u64).unwrap_or_default();
        &self.inner.turns[share]
    }

    async fn get(&self, id: RoomId, make: bool) -> Result<Option<Arc<Room>>, Refusal> {
        if let Some(room) = self.in_memory(id) {
            return Ok(Some(room));
        }
        let turn = Arc::clone(self.turn(id)).lock_owned().await;
        if let Some(room) = self.in_memory(id) {
            return Ok(Some(room));
        }
        if self.inner.lifecycle.soft().is_cancelled() {
            return Err(unavailable());
        }
        // Who asks may go away, but the thread that reads the file goes on, and what it cuts off
        // the file would be what the writer of a second reader has appended since.
        let rooms = self.clone();
        let loading = async move {
            let loaded = rooms.load(id, make).await;
            drop(turn);
            loaded.map_err(|error| {
                tracing::error!(room.id = %id, error = %format!("{error:#}"), "reading the feed of room {id} failed");
                Failure::Refused(unavailable())
            })
        };
        let loaded = self.inner.lifecycle.effect(loading).await;
        loaded.map_err(|failure| failure.into_refusal(&format!("reading the feed of room {id}")))
    }

    async fn load(&self, id: RoomId, make: bool) -> anyhow::Result<Option<Arc<Room>>> {
        let loaded = match &self.inner.home {
            Home::Folder(folder) => self.load_file(file_of(folder, id), id, make).await?,
            Home::Shared(shared) => self.load_shared(shared, id, make).await?,
        };
        let Some((feed, store)) = loaded else { return Ok(None) };
        let flow = self.inner.flow.clone();
        let (room, writer) = Writer::new(id, feed, store, &self.inner.settings, flow, self.inner.clock.clone());
        let lifecycle = self.inner.lifecycle.clone();
        // Before its writer looks for what was written while it was read.
        self.open().insert(id, Open { room: Arc::clone(&room), used_at: Instant::now() });
        self.inner.lifecycle.spawn_one_of_many(writer.run(lifecycle));
        Ok(Some(room))
    }

    async fn load_file(&self, path: PathBuf, id: RoomId, make: bool) -> anyhow::Result<Option<(Feed, Store)>> {
        let (keep, now_ms) = (self.keep(), self.inner.clock.now().0.cast_unsigned());
        tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let file = match Log::<Record>::load(&path)? {
                None if !make => return Ok(None),
                file => file,
            };
            if let Some(file) = &file
                && !file.damaged
                && matches!(file.records.first(), Some(Record::Head(_)))
            {
                let log = Log::resume(&path, file)?;
                return Ok(Some((Feed::from_records(file.records.clone(), keep), Store::Log(Some(log)))));
            }
            if file.is_some() {
                tracing::warn!(room.id = %id, "the feed of room {id} was damaged; it begins a new epoch");
            }
            let feed = Feed::begun_anew(file.map_or(Vec::new(), |file| file.records), now_ms, keep);
            let log = Log::rewrite(&path, feed.records())?;
            Ok(Some((feed, Store::Log(Some(log)))))
        })
        .await
        .context("the feed's reader thread ended early")?
    }

    async fn load_shared(&self, shared: &Shared, id: RoomId, make: bool) -> anyhow::Result<Option<(Feed, Store)>> {
        let (keep, now_ms) = (self.keep(), self.inner.clock.now().0);
        // Listened to before it is read: little falls between.
        let hold = shared.subscriptions.hold(id).await;
        let loaded = shared::load(&shared.link, id, now_ms, keep).await?;
        let Some(feed) = loaded.or_else(|| make.then(|| shared::blank(now_ms))) else { return Ok(None) };
        let mirror = Mirror::new(shared.link.clone(), id, keep, self.inner.clock.clone(), hold);
        Ok(Some((feed, Store::Shared(Box::new(mirror)))))
    }

    fn forget(&self, gone: &Arc<Room>) {
        let mut open = self.open();
        if open.get(&gone.id).is_some_and(|open| Arc::ptr_eq(&open.room, gone)) {
            open.remove(&gone.id);
        }
    }

    /// Puts idle rooms away, announces viewer counts and shares out what may be sent, until
    /// the process stops; then wakes everybody.
    pub(crate) async fn keep_house(self) {
        let soft = self.inner.lifecycle.soft().clone();
        let mut swept_at = Instant::now();
        let mut accepted_before = HashMap::new();
        while soft.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let rooms = self.in_use();
            if let Home::Shared(shared) = &self.inner.home
                && let Err(error) = shared.viewers.exchange(&rooms).await
            {
                tracing::debug!(error = %format!("{error:#}"), "the viewers of other processes can't be counted");
            }
            rooms.iter().for_each(|room| room.announce_viewers());
            accepted_before = self.share_egress(&rooms, &accepted_before);
            statistics::survey(rooms.iter().map(|room| &**room), self.inner.settings.retention());
            if swept_at.elapsed() >= SWEEP_EVERY {
                swept_at = Instant::now();
                self.put_idle_away().await;
            }
        }
        self.ring_all();
        if let Home::Shared(shared) = &self.inner.home {
            // The streams are about to end; nobody needs to wait for the counts to expire.
            shared.viewers.leave().await;
        }
    }

    /// Wakes the streams when log-ins have ended, until the process stops.
    pub(crate) async fn heed_revocations(self, revocations: Revocations) {
        let soft = self.inner.lifecycle.soft().clone();
        let mut changes = revocations.changes();
        while let Some(Ok(())) = soft.run_until_cancelled(changes.changed()).await {
            if soft.run_until_cancelled(tokio::time::sleep(RING_AFTER)).await.is_some() {
                changes.mark_unchanged();
                self.ring_all();
            }
        }
    }

    fn ring_all(&self) {
        self.open().values().for_each(|open| open.room.ring());
    }

    /// Lets no room show more than the process can afford. Returns what each has accepted.
    fn share_egress(&self, rooms: &[Arc<Room>], before: &HashMap<RoomId, u64>) -> HashMap<RoomId, u64> {
        let flow = self.inner.flow.now();
        let mut accepted = HashMap::with_capacity(rooms.len());
        let mut demand = |room: &Arc<Room>| {
            let feed = room.feed();
            accepted.insert(room.id, feed.totals.accepted);
            let known = before.get(&room.id).copied().unwrap_or(feed.totals.accepted);
            let new = feed.totals.accepted.saturating_sub(known);
            let per_s = u32::try_from(new / LOOK_EVERY.as_secs()).unwrap_or(u32::MAX);
            let rate = flow_of(&flow, &feed, u32::MAX).rate.get();
            let bytes = feed.bytes().checked_div(feed.len()).unwrap_or(TYPICAL_EVENT_BYTES);
            Demand { viewers: room.connections_here(), danmaku_per_s: per_s.min(rate), bytes: bytes as u64 }
        };
        let demands: Vec<_> = rooms.iter().map(&mut demand).collect();
        let most_per_s = egress::most_per_s(flow.egress_mbps, &demands);
        rooms.iter().for_each(|room| room.afford(most_per_s));
        accepted
    }

    async fn put_idle_away(&self) {
        let is_idle = |open: &Open| open.used_at.elapsed() > IDLE && open.room.connections_here() == 0;
        let idle: Vec<RoomId> = self.open().iter().filter(|(_, open)| is_idle(open)).map(|(id, _)| *id).collect();
        for id in idle {
            let _turn = self.turn(id).lock().await;
            // Somebody may have come since. A join counts at once, and renews `used_at` before.
            let gone = {
                let mut open = self.open();
                if open.get(&id).is_some_and(is_idle) { open.remove(&id) } else { None }
            };
            if let Some(gone) = gone {
                gone.room.close().await;
            }
        }
    }
}

/// Where a room's feed lies.
pub(crate) fn file_of(folder: &Path, id: RoomId) -> PathBuf {
    folder.join(format!("{:02x}", id.0 % 256)).join(format!("{id}.feed"))
}

fn unavailable() -> Refusal {
    Refusal::new(Code::Unavailable, "the room's feed is not available").retry_after_ms(1_000)
}

#[cfg(test)]
mod tests;
