//! What viewers are told. Ordinary danmaku go to push at most once, through bounded
//! queues: a push that hangs costs a danmaku its live delivery and the poster nothing.
//! Facts (moderators' danmaku, deletions) go through the outbox until push has them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use common::outbox::Outbox;
use common::rpc::PushClient;
use common::telemetry::traces::{self, Trace};
use common::{Lifecycle, rpc};
use futures::future::{BoxFuture, TryFutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};
use idl::event::{DanmakuEvent, EventType, ModerationEvent};
use idl::message::Danmaku;
use idl::push::{Lane, MAX_PUBLICATIONS, Publication, Publish};
use idl::{DanmakuId, Refusal, RoomId, Timestamp};
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::Settings;
use crate::delivery::Deliveries;

/// A danmaku on its way to viewers, and where it came from.
pub(crate) struct Announcement {
    pub(crate) danmaku: Danmaku,
    pub(crate) trace: Option<Trace>,
}

/// Counts danmaku that were stored, but not handed to viewers.
pub(crate) fn count_undelivered(n: usize) {
    metrics::counter!("goligoli_danmaku_undelivered_total").increment(u64::try_from(n).unwrap_or(u64::MAX));
}

/// The publication of a danmaku.
pub(crate) fn publication(danmaku: &Danmaku, lane: Lane) -> Publication {
    let event = DanmakuEvent {
        id: danmaku.id,
        session_id: danmaku.session_id,
        sender: danmaku.sender.clone(),
        text: danmaku.text.clone(),
        mode: danmaku.mode,
        color: danmaku.color,
        size: danmaku.size,
        sent_at_ms: danmaku.sent_at.0,
        count: 1,
    };
    Publication {
        source: source(danmaku.id),
        event: EventType::Danmaku,
        data: json(&event),
        at_ms: danmaku.sent_at.0,
        lane,
        sender: Some(danmaku.sender.id),
        tombstones: Vec::new(),
        state: None,
        lottery: None,
    }
}

/// The publication of a deletion: the danmaku goes from every page and from what is read again.
pub(crate) fn deletion(danmaku: DanmakuId, now: Timestamp) -> Publication {
    Publication {
        source: format!("deletion:{danmaku}"),
        event: EventType::Moderation,
        data: json(&ModerationEvent { deleted: vec![danmaku], muted: None }),
        at_ms: now.0,
        lane: Lane::Guaranteed,
        sender: None,
        tombstones: vec![source(danmaku)],
        state: None,
        lottery: None,
    }
}

const SOURCE: &str = "danmaku:";

fn source(danmaku: DanmakuId) -> String {
    format!("{SOURCE}{danmaku}")
}

/// The danmaku that a publication is of, if it is of one.
fn danmaku_of(publication: &Publication) -> Option<DanmakuId> {
    publication.source.strip_prefix(SOURCE)?.parse().ok()
}

/// The payloads have string keys only, and nothing in them can fail to serialize.
fn json(event: &impl serde::Serialize) -> String {
    serde_json::to_string(event).unwrap_or_default()
}

/// Relays the outbox to push until the process stops; what is left goes at the next start.
pub(crate) fn relay_facts(outbox: Outbox, push: PushClient, deliveries: Deliveries, lifecycle: &Lifecycle) {
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("message.facts", async move {
        let deliver =
            |room, facts: Vec<Publication>| publish(push.clone(), RoomId(room), facts, deliveries.clone()).map_ok(drop);
        outbox.relay(soft, deliver).await;
    });
}

/// Hands publications to push; returns after how long it writes ordinary danmaku again.
async fn publish(
    push: PushClient,
    room: RoomId,
    mut publications: Vec<Publication>,
    deliveries: Deliveries,
) -> Result<Duration, Refusal> {
    let mut writes_again_in = Duration::ZERO;
    while !publications.is_empty() {
        let rest = publications.split_off(publications.len().min(MAX_PUBLICATIONS));
        let danmaku: Vec<_> = publications.iter().map(danmaku_of).collect();
        let request = Publish { room, publications };
        let published = rpc::answer(push.publish(rpc::within(rpc::PUBLISH_DEADLINE), request).await)?;
        for (danmaku, outcome) in danmaku.into_iter().zip(published.outcomes) {
            danmaku.into_iter().for_each(|danmaku| deliveries.note(danmaku, outcome));
        }
        writes_again_in = Duration::from_millis(published.writes_again_in_ms.into());
        publications = rest;
    }
    Ok(writes_again_in)
}

/// Starts handing ordinary danmaku to push. Ends when the queue's senders are gone and
/// what waits was sent.
pub(crate) fn start(
    settings: &Settings,
    push: PushClient,
    deliveries: Deliveries,
    lifecycle: &Lifecycle,
) -> mpsc::Sender<Announcement> {
    count_undelivered(0); // shows the metric from the start
    let (sender, queue) = mpsc::channel(settings.waiting_announcements.get());
    let announcer = Announcer {
        push,
        deliveries,
        most_waiting: settings.waiting_announcements.get(),
        most_waiting_per_room: settings.waiting_announcements_per_room.get(),
        rooms_at_once: settings.announced_rooms_at_once.get(),
        rooms: HashMap::new(),
        ready: VecDeque::new(),
        waiting: 0,
        calls: FuturesUnordered::new(),
        gathering: FuturesUnordered::new(),
        push_is_away: false,
    };
    let hard = lifecycle.hard().clone();
    lifecycle.spawn("message.announcer", async move {
        hard.run_until_cancelled(announcer.run(queue)).await;
    });
    sender
}

/// A room's next call is made this long before push writes again, so that it is there then.
const CALL_BEFORE_WRITE: Duration = Duration::from_millis(4);
/// Whatever push says, no danmaku is held back for longer.
const MAX_GATHERING: Duration = Duration::from_millis(100);

/// Gathers danmaku by room while the room's call before is under way, and until push is about
/// to write again: one call per room at a time keeps their order, and a room whose call
/// hangs delays no other.
struct Announcer {
    push: PushClient,
    deliveries: Deliveries,
    // Full: nothing is taken from the queue, which then fills up (see its sender).
    most_waiting: usize,
    // Full: further danmaku of that room are not shown live and counted as undelivered.
    most_waiting_per_room: usize,
    rooms_at_once: usize,
    /// What waits of each room that is ready, is called, or gathers.
    rooms: HashMap<RoomId, VecDeque<(Publication, Option<Trace>)>>,
    /// Rooms with something waiting that may be called, in the order they came.
    ready: VecDeque<RoomId>,
    waiting: usize,
    calls: FuturesUnordered<BoxFuture<'static, Called>>,
    /// Rooms that push would not write for yet; as many as were called a moment ago.
    gathering: FuturesUnordered<BoxFuture<'static, RoomId>>,
    push_is_away: bool,
}

struct Called {
    room: RoomId,
    publications: usize,
    outcome: Result<Duration, Refusal>,
}

impl Announcer {
    async fn run(mut self, mut queue: mpsc::Receiver<Announcement>) {
        let mut taken = Vec::with_capacity(MAX_PUBLICATIONS);
        let mut open = true;
        loop {
            self.call();
            if !open && self.calls.is_empty() && self.gathering.is_empty() {
                return;
            }
            tokio::select! {
                Some(called) = self.calls.next(), if !self.calls.is_empty() => self.called(called),
                Some(room) = self.gathering.next(), if !self.gathering.is_empty() => self.gathered(room),
                n = queue.recv_many(&mut taken, MAX_PUBLICATIONS), if open && self.waiting < self.most_waiting => {
                    open = n > 0;
                    taken.drain(..).for_each(|announcement| self.gather(announcement));
                }
            }
        }
    }

    fn gather(&mut self, Announcement { danmaku, trace }: Announcement) {
        let waiting = match self.rooms.entry(danmaku.room_id) {
            Entry::Occupied(room) => room.into_mut(),
            Entry::Vacant(room) => {
                self.ready.push_back(danmaku.room_id);
                room.insert(VecDeque::new())
            }
        };
        if waiting.len() >= self.most_waiting_per_room {
            return count_undelivered(1);
        }
        waiting.push_back((publication(&danmaku, Lane::Ordinary), trace));
        self.waiting += 1;
    }

    fn call(&mut self) {
        while self.calls.len() < self.rooms_at_once
            && let Some(room) = self.ready.pop_front()
        {
            let Some(waiting) = self.rooms.get_mut(&room) else { continue };
            let (publications, traces): (Vec<_>, Vec<_>) = waiting.drain(..waiting.len().min(MAX_PUBLICATIONS)).unzip();
            let span = tracing::info_span!("message.announce", room.id = %room, danmaku = publications.len());
            traces::stand_for(&span, traces.iter().flatten());
            self.waiting -= publications.len();
            let (push, deliveries) = (self.push.clone(), self.deliveries.clone());
            let call = async move {
                let n = publications.len();
                Called { room, publications: n, outcome: publish(push, room, publications, deliveries).await }
            };
            self.calls.push(Box::pin(call.instrument(span)));
        }
    }

    fn called(&mut self, called: Called) {
        let pause = called.outcome.as_ref().map_or(Duration::ZERO, |writes_again_in| {
            writes_again_in.saturating_sub(CALL_BEFORE_WRITE).min(MAX_GATHERING)
        });
        if pause.is_zero() {
            self.gathered(called.room);
        } else {
            let room = called.room;
            self.gathering.push(Box::pin(async move {
                tokio::time::sleep(pause).await;
                room
            }));
        }
        // Not again: it may be in the feed already, and history has it in any case.
        if called.outcome.is_err() {
            count_undelivered(called.publications);
        }
        match (called.outcome, self.push_is_away) {
            (Err(refusal), false) => {
                tracing::warn!(room.id = %called.room, error = %refusal, "danmaku are not shown live: push fails");
                self.push_is_away = true;
            }
            (Ok(_), true) => {
                tracing::info!("danmaku are shown live again");
                self.push_is_away = false;
            }
            _ => {}
        }
    }

    /// A room may be called again.
    fn gathered(&mut self, room: RoomId) {
        match self.rooms.entry(room) {
            Entry::Occupied(waiting) if waiting.get().is_empty() => drop(waiting.remove()),
            _ => self.ready.push_back(room),
        }
    }
}
