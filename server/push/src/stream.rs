//! One viewer's stream: what it is sent, in which order, and when it ends.
//!
//! A viewer costs a cursor into the room's feed and at most one batch of shared bytes; it has
//! no queue and no timer of its own. Who reads too slowly falls out of the feed and skips
//! ahead, told exactly how much it missed.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::http::admission::Place;
use common::http::{Filled, Ready, Script};
use common::revocation::Revocations;
use common::telemetry::traces::Lasting;
use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use idl::DeviceId;
use idl::event::{ByeEvent, ByeReason, GapEvent, ViewersEvent, WelcomeEvent};
use rand::RngExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Settings;
use crate::feed::{Parts, Read, Resume};
use crate::frame::{self, Position};
use crate::hello::Hello;
use crate::room::{Room, Viewing};

/// A viewer is handed at most about so much at once; the rest follows when it is taken.
const MAX_BATCH_BYTES: usize = 64 << 10;
/// After a gap clients read the history, spread over so long.
const GAP_SPREAD_MS: u64 = 3_000;
/// A connection that breaks is not tried again sooner.
const MIN_RETRY_MS: u64 = 500;

/// How a viewer came.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The log-in, and the account; `None` is a guest.
    pub(crate) device: Option<(DeviceId, idl::UserId)>,
    /// What it saw last; `Some(None)` is an id that isn't one of ours.
    pub(crate) last_event_id: Option<Option<Position>>,
    /// End after so many events.
    pub(crate) max_events: Option<u64>,
    /// No more ordinary danmaku a second than this.
    pub(crate) rate_per_s: Option<u32>,
    pub(crate) server_time_ms: i64,
}

/// A viewer's stream.
pub(crate) struct Stream {
    viewing: Viewing,
    /// The address's place, held as long as the stream.
    _place: Option<Place>,
    device: Option<DeviceId>,
    /// The number of the last event that was handed out, and the epoch that it is of.
    seen: u64,
    epoch: u64,
    /// Handed out next. Holds one batch; nothing is added before it is empty.
    ready: Parts,
    /// Events that may still be handed out.
    left: u64,
    ended: bool,
    /// The latest batch went to the end of the feed.
    has_said_all: bool,
    /// What the viewer asked for, if it is less than all.
    thinned: Option<Thinned>,
    /// The number of viewers that was told last.
    connections_told: u64,
    revocations: Revocations,
    soft: CancellationToken,
    ends_at: Instant,
    end_reason: ByeReason,
    beat_at: Instant,
    heartbeat: Duration,
    spread_ms: u64,
    drain_ms: u64,
    /// When the viewer came (ms since 1970).
    came_ms: i64,
    trace: Lasting,
}

/// A viewer's own choice of less; it counts nowhere.
enum Thinned {
    Nothing,
    To(Box<RateLimiter<NotKeyed, InMemoryState, DefaultClock>>),
}

impl Thinned {
    fn to(rate_per_s: u32) -> Self {
        let quota = NonZeroU32::new(rate_per_s).map(Quota::per_second);
        quota.map_or(Self::Nothing, |quota| Self::To(Box::new(RateLimiter::direct(quota))))
    }

    fn wants_another(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::To(limiter) => limiter.check().is_ok(),
        }
    }
}

impl Stream {
    /// A stream with its first words ready. `None`: nobody ever said what the room is.
    pub(crate) fn begin(
        viewing: Viewing,
        place: Option<Place>,
        arrival: &Arrival,
        settings: &Settings,
        revocations: &Revocations,
        soft: CancellationToken,
    ) -> Option<Self> {
        let room = Arc::clone(&viewing.room);
        let hello = Hello::of(&room)?;
        let lease_ms = rand::rng().random_range(settings.lease_min_ms..=settings.lease_max_ms);
        let now = Instant::now();
        let ends_at = now + Duration::from_millis(lease_ms);
        let heartbeat = Duration::from_millis(settings.heartbeat_ms);
        let mut stream = Self {
            _place: place,
            device: arrival.device.map(|(device, _)| device),
            seen: 0,
            epoch: hello.position.epoch,
            ready: Parts::new(),
            left: arrival.max_events.unwrap_or(u64::MAX),
            ended: false,
            has_said_all: false,
            thinned: arrival.rate_per_s.map(Thinned::to),
            connections_told: room.connections_announced(),
            revocations: revocations.clone(),
            soft,
            ends_at,
            end_reason: ByeReason::Lease,
            beat_at: now + heartbeat,
            heartbeat,
            spread_ms: settings.reconnect_spread_ms,
            drain_ms: settings.drain_ms,
            came_ms: arrival.server_time_ms,
            trace: Lasting::begin("stream"),
            viewing,
        };
        let resume = arrival.last_event_id.map(|seen| match seen {
            Some(seen) => (Some(seen.seq), room.feed().resume(seen)),
            None => (None, Resume::Missed { n: None, at: 0 }),
        });
        let resumed = matches!(resume, Some((_, Resume::At(_))));
        stream.ready.push(frame::retry(MIN_RETRY_MS + jitter(settings.reconnect_spread_ms)));
        let user_id = arrival.device.map(|(_, user)| user);
        stream.say("welcome", &WelcomeEvent { server_time_ms: arrival.server_time_ms, resumed, lease_ms, user_id });
        match resume {
            Some((_, Resume::At(seen))) => {
                stream.seen = seen;
                stream.epoch = arrival.last_event_id.flatten().map_or(stream.epoch, |seen| seen.epoch);
            }
            Some((seen, Resume::Missed { n, at })) => {
                // Go on with all that is left; a foreign id never knew any of it.
                let same_epoch = arrival.last_event_id.flatten().is_some_and(|seen| seen.epoch == hello.position.epoch);
                let at = if n.is_some() && same_epoch { at } else { hello.position.seq };
                stream.gap(n, seen.filter(|_| n.is_some()), at);
                stream.hello(&hello, at);
            }
            None => stream.hello(&hello, hello.position.seq),
        }
        Some(stream)
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.viewing.room
    }

    /// Makes the next bytes ready, or ends. `false`: there is nothing to say now.
    fn step(&mut self, now: Instant) -> bool {
        self.heed_stop(now);
        let room = &self.viewing.room;
        if self.left == 0 {
            self.bye(ByeReason::Complete);
        } else if now >= self.ends_at {
            self.bye(self.end_reason);
        } else if self.is_revoked() {
            self.bye(ByeReason::Revoked);
        } else if self.device.is_none() && !guests_may_watch(room) {
            self.bye(ByeReason::GuestsOut);
        } else if self.read(now) {
            // It is ready, or was passed over.
        } else if self.viewing.room.has_ended() && self.end_reason != ByeReason::Draining {
            // Its writer broke: whoever comes back makes a new one.
            self.bye(ByeReason::Lease);
        } else {
            return self.tell_viewers() || self.beat(now);
        }
        true
    }

    /// When the process stops, streams end spread over the drain, and sooner than the lease would.
    fn heed_stop(&mut self, now: Instant) {
        if self.end_reason != ByeReason::Draining && self.soft.is_cancelled() {
            self.end_reason = ByeReason::Draining;
            self.ends_at = self.ends_at.min(now + Duration::from_millis(jitter(self.drain_ms)));
        }
    }

    /// Takes the next batch from the feed, if there is one.
    fn read(&mut self, now: Instant) -> bool {
        let thinned = &self.thinned;
        let wants = |ordinary: bool| !ordinary || thinned.as_ref().is_none_or(Thinned::wants_another);
        let feed = self.viewing.room.feed();
        if feed.epoch() != self.epoch {
            drop(feed);
            self.begin_anew();
            return true;
        }
        match feed.read(self.seen, self.left, MAX_BATCH_BYTES, wants) {
            Read::Nothing => return false,
            Read::Frames { parts, last, events } => {
                let appended_ms = feed.appended_ms(self.seen + 1).unwrap_or(i64::MAX);
                self.ready.extend(parts);
                self.seen = last;
                self.left -= events;
                self.has_said_all = last == feed.last();
                if events > 0 {
                    self.trace.add("goligoli.events", events);
                    let statistics = &self.viewing.room.statistics;
                    statistics.delivered(events, statistics.lag_ms(now, appended_ms, self.came_ms));
                    self.beat_at = now + self.heartbeat;
                }
                return true;
            }
            Read::Missed { .. } => {}
        }
        drop(feed);
        self.skip_ahead();
        true
    }

    /// Too slow for the feed: tell how much is missed and go on where the room is now.
    fn skip_ahead(&mut self) {
        let Some(hello) = Hello::of(&self.viewing.room) else { return self.bye(ByeReason::Lease) };
        if hello.position.epoch != self.epoch {
            return; // the next look finds it
        }
        let at = hello.position.seq.max(self.seen);
        self.viewing.room.statistics.skipped(at - self.seen);
        self.trace.add("goligoli.missed", at - self.seen);
        self.gap(Some(at - self.seen), Some(self.seen), at);
        self.hello(&hello, at);
    }

    /// What was seen may be gone: numbers of two epochs must not be compared.
    fn begin_anew(&mut self) {
        let Some(hello) = Hello::of(&self.viewing.room) else { return self.bye(ByeReason::Lease) };
        self.gap(None, None, hello.position.seq);
        self.hello(&hello, hello.position.seq);
        self.epoch = hello.position.epoch;
    }

    fn gap(&mut self, n: Option<u64>, after: Option<u64>, at: u64) {
        let (from, to) = self.viewing.room.feed().cursors(after, at + 1);
        self.say("gap", &GapEvent { n, from, to, retry_after_ms: jitter(GAP_SPREAD_MS) });
    }

    fn hello(&mut self, hello: &Hello, at: u64) {
        if self.left == 0 {
            return;
        }
        let position = Position { seq: at, ..hello.position };
        self.ready.extend(if position == hello.position { hello.frame() } else { hello.frame_before(position) });
        self.seen = at;
        self.left -= 1;
    }

    fn say<T: serde::Serialize>(&mut self, event: &str, payload: &T) {
        if self.left > 0 {
            self.ready.push(frame::unnumbered(event, payload));
            self.left -= 1;
        }
    }

    fn bye(&mut self, reason: ByeReason) {
        self.trace.set("goligoli.bye", format!("{reason:?}"));
        let reconnect_in_ms = match reason {
            ByeReason::Draining | ByeReason::Lease => Some(jitter(self.spread_ms)),
            ByeReason::Complete => Some(0),
            ByeReason::Revoked | ByeReason::GuestsOut => None,
        };
        self.ready.push(frame::unnumbered("bye", &ByeEvent { reason, reconnect_in_ms }));
        self.ended = true;
    }

    /// There is something to say besides the feed.
    fn has_other_news(&self, now: Instant) -> bool {
        let room = &self.viewing.room;
        self.left == 0
            || now >= self.ends_at
            || room.has_ended()
            || room.connections_announced() != self.connections_told
    }

    fn is_revoked(&self) -> bool {
        self.device.is_some_and(|device| self.revocations.is_revoked(device))
    }

    /// Tells how many viewers there are, if that was announced since.
    fn tell_viewers(&mut self) -> bool {
        let connections = self.viewing.room.connections_announced();
        let is_new = connections != self.connections_told;
        if is_new {
            self.connections_told = connections;
            self.say("viewers", &ViewersEvent { connections });
        }
        is_new
    }

    /// Tells the position, if nothing else did for a while.
    fn beat(&mut self, now: Instant) -> bool {
        let is_due = now >= self.beat_at;
        if is_due {
            let position = Position { epoch: self.epoch, seq: self.seen };
            self.ready.push(frame::id_only(position));
            self.beat_at = now + self.heartbeat;
        }
        is_due
    }
}

impl Script for Stream {
    fn fill(&mut self, now: Instant, ready: &mut Ready) -> Filled {
        self.has_said_all = false;
        loop {
            while !self.ready.is_empty() && !ready.is_full() {
                ready.push(self.ready.remove(0));
            }
            if !self.ready.is_empty() || ready.is_full() {
                return Filled::Some;
            }
            if self.ended {
                return Filled::All;
            }
            let is_all = self.has_said_all && !self.has_other_news(now);
            if is_all || !self.step(now) {
                return Filled::AllForNow;
            }
        }
    }

    fn due(&self) -> Instant {
        self.ends_at.min(self.beat_at)
    }
}

/// Whether the room takes viewers who are not signed in.
pub(crate) fn guests_may_watch(room: &Room) -> bool {
    room.feed().state.as_ref().is_none_or(|state| state.rules.guests)
}

/// A random time up to `most_ms`.
pub(crate) fn jitter(most_ms: u64) -> u64 {
    rand::rng().random_range(0..=most_ms)
}
