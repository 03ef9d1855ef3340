//! A room's one writer: takes publications from its inbox, lets the limiter decide,
//! writes the store, appends to the feed and wakes the viewers, in this order. Where other
//! processes write the feed, too, it also reads what they wrote.
//!
//! The first publication after a pause leaves at once, and a fact of the guaranteed lane
//! always does; ordinary danmaku that come within a tick of the last write are gathered into
//! one write, one frame of bytes and one wake-up.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use common::telemetry::traces;
use common::{Clock, Dynamic, Lifecycle};
use idl::event::{EventType, SuppressedEvent};
use idl::push::{Lane, Published};
use idl::{Code, Refusal, RoomId};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::bucket::Flow;
use crate::draft::Draft;
use crate::feed::Feed;
use crate::limiter::Limiter;
use crate::record::{Change, Retention};
use crate::room::{Command, Room, State};
use crate::shared::Place;
use crate::store::Store;
use crate::write_clock::WriteClock;
use crate::{FlowRate, Settings};

/// One write takes no more than so many publications; the rest is in the next.
const MAX_GATHERED: usize = 4_000;
/// Nor so many bytes: with what one more call may bring, a record stays below the log's limit.
const MAX_GATHERED_BYTES: usize = 1 << 20;
/// Running totals are announced at most this often, with whatever is written then…
const TOTALS_EVERY: Duration = Duration::from_secs(1);
/// …and by themselves only when they have not changed for so long: a write of their own
/// costs as much as a danmaku's.
const TOTALS_ALONE_AFTER: Duration = Duration::from_millis(750);
/// A stop waits this long for late publications before the file is put away.
const QUIET_BEFORE_CLOSE: Duration = Duration::from_millis(300);

/// A room's writer: all that only one may touch.
pub(crate) struct Writer {
    room: Arc<Room>,
    inbox: mpsc::Receiver<Command>,
    store: Store,
    flow: Dynamic<FlowRate>,
    limiter: Limiter,
    keep: Retention,
    tick: Duration,
    clock: Clock,
    /// What the limiter goes by.
    write_clock: WriteClock,
    wrote_at: Option<Instant>,
    totals_at: Option<Instant>,
    totals_changed_at: Instant,
    totals_told: SuppressedEvent,
    others: Others,
    /// The last write failed; said once.
    failing: bool,
}

/// What a writer knows of those that write its feed in other processes.
#[derive(Debug, Default)]
struct Others {
    /// Where the feed was after this writer's latest look.
    place: Option<Place>,
    /// Totals after its own latest write: whoever changed them last announces them.
    own: SuppressedEvent,
    /// They have shown ordinary danmaku: the room's tokens are fewer than the limiter has.
    have_shown: bool,
}

impl Writer {
    /// A room over its feed and its open store.
    pub(crate) fn new(
        id: RoomId,
        feed: Feed,
        store: Store,
        settings: &Settings,
        flow: Dynamic<FlowRate>,
        clock: Clock,
    ) -> (Arc<Room>, Self) {
        let write_clock = WriteClock::new();
        // A process that was killed may have counted more than it has told.
        let (totals, totals_told) = (feed.totals, feed.totals_told().unwrap_or_default());
        let first = flow_of(&flow.now(), &feed, u32::MAX);
        // A restart in the middle of a rush must not make another burst.
        let tokens = tokens_left(first, &feed, write_clock.look(&clock));
        let limiter = Limiter::new(first, tokens, totals, write_clock.clone());
        let (room, inbox) = Room::new(id, feed, store.is_shared());
        let writer = Self {
            room: Arc::clone(&room),
            inbox,
            store,
            flow,
            limiter,
            keep: settings.retention(),
            tick: Duration::from_millis(settings.tick_ms),
            clock,
            write_clock,
            wrote_at: None,
            totals_at: None,
            totals_changed_at: Instant::now(),
            totals_told,
            others: Others { own: totals, ..Others::default() },
            failing: false,
        };
        (room, writer)
    }

    /// Runs until it is closed, or the process stops and nothing comes any more. A feed that
    /// others write, too, is followed as long as it has viewers here.
    pub(crate) async fn run(mut self, lifecycle: Lifecycle) {
        // However it ends: who waits to read the file again must not wait for ever.
        let _end = End(Arc::clone(&self.room));
        let is_shared = self.store.is_shared();
        if is_shared {
            // What was written while the room was read.
            self.room.fall_behind();
        }
        loop {
            let totals_due = self.totals_due();
            let first = tokio::select! {
                command = self.inbox.recv() => command,
                asked = self.room.is_behind(), if is_shared => {
                    match self.store.catch_up(&self.room).await {
                        Ok(()) => self.room.confirm(asked),
                        // Whoever looks at the tails wakes this again when there is hope.
                        Err(error) => {
                            tracing::debug!(room.id = %self.room.id, error = %format!("{error:#}"), "the feed can't be read");
                        }
                    }
                    self.look_at_others();
                    continue;
                }
                () = sleep_until(totals_due) => None,
                () = stops(&lifecycle, is_shared.then_some(&*self.room)) => {
                    match tokio::time::timeout(QUIET_BEFORE_CLOSE, self.inbox.recv()).await {
                        Ok(command) => command,
                        Err(_) => break,
                    }
                }
            };
            let Some((commands, close)) = self.gather(first).await else { break };
            let span = span_of(&commands);
            let outcome = self.write(commands).instrument(span).await;
            self.note(outcome);
            if close || self.store.is_lost() {
                break;
            }
            self.store.rewrite_if_large(&self.room).await;
        }
        self.inbox.close();
        self.store.close(&self.room).await;
    }

    /// In a shared feed: takes over what others decided and announced.
    fn look_at_others(&mut self) {
        if !self.store.is_shared() {
            return;
        }
        let feed = self.room.feed();
        let place = feed.place();
        if self.others.place == Some(place) {
            return;
        }
        let told_before = self.others.place.map_or(0, |place| place.last);
        if feed.told() > told_before || self.others.place.is_some_and(|before| before.epoch != place.epoch) {
            self.totals_told = feed.totals_told().unwrap_or_default();
            self.totals_at = Some(Instant::now());
        }
        self.limiter.restore(feed.totals);
        self.others.have_shown = true;
        self.others.place = Some(place);
    }

    /// Says when writing begins to fail and when it works again, not each time.
    fn note(&mut self, outcome: anyhow::Result<()>) {
        let room = self.room.id;
        let failed = outcome.is_err();
        match outcome {
            Err(error) if !self.failing => {
                tracing::error!(room.id = %room, error = %format!("{error:#}"), "writing the feed of room {room} fails");
            }
            Ok(()) if self.failing => tracing::info!(room.id = %room, "the feed of room {room} is written again"),
            _ => {}
        }
        self.failing = failed;
    }

    /// When the totals must be announced, if they changed since the last time.
    fn totals_due(&self) -> Option<Instant> {
        let totals = self.limiter.totals();
        let is_ours = !self.store.is_shared() || totals == self.others.own;
        (is_ours && totals != self.totals_told).then(|| {
            let alone_at = self.totals_changed_at + TOTALS_ALONE_AFTER;
            self.totals_at.map_or(alone_at, |at| alone_at.max(at + TOTALS_EVERY))
        })
    }

    /// What belongs into the next write; `None` when nobody can send any more.
    async fn gather(&mut self, first: Option<Command>) -> Option<(Vec<Command>, bool)> {
        let mut commands = Vec::new();
        let (mut size, mut bytes) = (0, 0);
        let (mut close, mut at_once) = (false, false);
        let until = self.wrote_at.map(|at| at + self.tick);
        // `None` when it is full, else whether it leaves without waiting for the tick.
        let mut take = |command: Command| {
            match &command {
                Command::Publish { publications, .. } => {
                    size += publications.len();
                    bytes += publications.iter().map(|publication| publication.data.len()).sum::<usize>();
                    // A fact does not wait for ordinary danmaku to gather.
                    at_once |= publications.iter().any(|publication| publication.lane == Lane::Guaranteed);
                }
                Command::Retain { .. } => size += 1,
                Command::Close => close = true,
            }
            commands.push(command);
            if size < MAX_GATHERED && bytes < MAX_GATHERED_BYTES { Some(at_once) } else { None }
        };
        let mut more = first.map_or(Some(false), &mut take);
        while more == Some(false)
            && let Some(until) = until.filter(|until| *until > Instant::now())
        {
            more = match tokio::time::timeout_at(until, self.inbox.recv()).await {
                Ok(Some(command)) => take(command),
                Ok(None) | Err(_) => break,
            };
        }
        while more.is_some()
            && let Ok(command) = self.inbox.try_recv()
        {
            more = take(command);
        }
        if commands.is_empty() && self.inbox.is_closed() { None } else { Some((commands, close)) }
    }

    async fn write(&mut self, commands: Vec<Command>) -> anyhow::Result<()> {
        // Before the limiter does anything: what it does from here on is of this time.
        let now_ms = self.write_clock.look(&self.clock);
        self.look_at_others();
        self.limiter.change(flow_of(&self.flow.now(), &self.room.feed(), self.room.most_per_s()));
        if std::mem::take(&mut self.others.have_shown) {
            let tokens = tokens_left(self.limiter.flow(), &self.room.feed(), now_ms);
            self.limiter.refill(tokens);
        }
        let before = self.limiter.totals();
        let mut draft = Draft::new(now_ms);
        let mut answers = Vec::new();
        let mut retained = Vec::new();
        for command in commands {
            match command {
                Command::Publish { publications, answer, .. } => {
                    answers.push((draft.add(publications, &self.room.feed(), &mut self.limiter), answer));
                }
                Command::Retain { state, answer } => {
                    match state {
                        State::Room(state) => draft.retain(*state, &self.room.feed()),
                        State::Lottery(state) => draft.retain_lottery(*state, &self.room.feed()),
                    }
                    retained.push(answer);
                }
                Command::Close => {}
            }
        }
        let told = self.totals_may_be_told().then_some(self.totals_told);
        let (change, verdicts) = draft.finish(&mut self.limiter, told);
        if self.limiter.totals() != before {
            self.totals_changed_at = Instant::now();
        }
        let outcome = match change {
            Some(change) => self.commit(change, before).await,
            None => Ok(()),
        };
        // Also if all were sampled out: who waits for the next token is chosen among those of a
        // whole tick, not by who comes first.
        self.wrote_at = Some(Instant::now());
        if outcome.is_err() {
            self.limiter.restore(before);
            // The totals that are due are tried again in a second, not at once.
            self.totals_at = Some(Instant::now());
        }
        let refused = outcome
            .as_ref()
            .err()
            .map(|_| Refusal::new(Code::Unavailable, "the room's feed could not be written").retry_after_ms(1_000));
        let writes_again_in_ms = u32::try_from(self.tick.as_millis()).unwrap_or(u32::MAX);
        for (outcomes, answer) in answers {
            let outcomes = outcomes.into_iter().map(|slot| slot.resolve(&verdicts)).collect();
            let published = Published { outcomes, writes_again_in_ms };
            _ = answer.send(refused.clone().map_or(Ok(published), Err));
        }
        for answer in retained {
            _ = answer.send(refused.clone().map_or(Ok(()), Err));
        }
        outcome
    }

    fn totals_may_be_told(&self) -> bool {
        self.totals_at.is_none_or(|at| at.elapsed() >= TOTALS_EVERY)
    }

    async fn commit(&mut self, change: Change, before: SuppressedEvent) -> anyhow::Result<()> {
        let told = change.events.iter().any(|event| event.event == EventType::Suppressed);
        self.store.append(&self.room, change, before, self.keep).await?;
        if self.store.is_shared() {
            let feed = self.room.feed();
            self.limiter.restore(feed.totals);
            let place = feed.place();
            self.others.have_shown |= self.others.place.is_none_or(|before| before.at.rev + 1 != place.at.rev);
            (self.others.own, self.others.place) = (feed.totals, Some(place));
        }
        if told {
            self.totals_at = Some(Instant::now());
            self.totals_told = self.limiter.totals();
        }
        Ok(())
    }
}

/// The span of a write: in the trace of the first publication that has one, linked to the
/// others; none if there is none.
fn span_of(commands: &[Command]) -> Span {
    let traces = commands.iter().filter_map(|command| match command {
        Command::Publish { trace, .. } => trace.as_ref(),
        _ => None,
    });
    traces::standing_for(traces, || tracing::info_span!("push.write", calls = commands.len()))
}

/// Returns when the process stops and, in a shared feed, the room's last viewer has gone.
async fn stops(lifecycle: &Lifecycle, shared: Option<&Room>) {
    lifecycle.soft().cancelled().await;
    while shared.is_some_and(|room| room.connections_here() > 0) && !lifecycle.hard().is_cancelled() {
        _ = tokio::time::timeout(QUIET_BEFORE_CLOSE, lifecycle.hard().cancelled()).await;
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Ends the room when its writer ends, however it does: who waits to read the file again
/// must not wait for ever.
struct End(Arc<Room>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// What is left of a room's tokens. What came before the events that are kept is not known,
/// and may have taken all.
fn tokens_left(flow: Flow, feed: &Feed, now_ms: i64) -> u32 {
    let unknown_until_ms = feed.oldest_appended_ms().filter(|_| feed.first() > 1);
    flow.tokens_left(unknown_until_ms, feed.ordinary_appended_ms(), now_ms)
}

/// What a room's limiter lets through: what the room has set, or the site, and no more than
/// the process can afford.
pub(crate) fn flow_of(site: &FlowRate, feed: &Feed, most_per_s: u32) -> Flow {
    let site = Flow { rate: site.rate_per_s, burst: site.burst };
    let own = feed.state.as_ref().and_then(|state| state.rules.danmaku_per_s);
    let rate = own.unwrap_or(site.rate).min(NonZeroU32::new(most_per_s).unwrap_or(NonZeroU32::MIN));
    site.at_rate(rate)
}
