//! The thread that reads for many viewers: one epoll, one read buffer, no allocation per
//! event. Viewers mostly get the very same bytes, which are then decoded once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use super::check::Truth;
use super::decode::{Broken, Item, Labels};
use super::position::Position;
use super::report::Report;
use super::stamp::now_us;
use super::target::{Options, Target};
use super::viewer::{Role, State, Viewer, connect};
use crate::tcp_table;
use crate::timing::{histogram, micros};

mod commands;

pub(super) use commands::Command;

pub(super) const WAKE: Token = Token(usize::MAX);
const EVENTS_AT_ONCE: usize = 1_024;
const READ_BYTES: usize = 256 << 10;
/// A special viewer reads no more than this to find the head.
const HEAD_BYTES: usize = 512;
/// Without a head after this long, a viewer tries again.
const OPENING_DEADLINE: Duration = Duration::from_secs(30);
const DRIP_EVERY: Duration = Duration::from_secs(1);
const LOOK_AT_PEERS_EVERY: Duration = Duration::from_millis(500);

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    /// The buffer is full: there may be more.
    Full,
    /// There was no more.
    All,
    /// There was nothing, or the stream is over.
    Nothing,
}

/// How a stream was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Orderly,
    Broken,
    /// It was answered, but not with a stream.
    Unusable,
}

/// When a viewer's turn is, and in which generation it was thought of.
type Timer = Reverse<(Instant, usize, u32)>;

pub(super) struct Thread {
    pub(super) target: Arc<Target>,
    pub(super) options: Options,
    pub(super) truth: Arc<Truth>,
    pub(super) poll: Poll,
    pub(super) commands: Receiver<Command>,
    pub(super) viewers: Vec<Viewer>,
    waiting: VecDeque<usize>,
    opening: usize,
    staying_away: bool,
    timers: BinaryHeap<Timer>,
    look_at_peers_at: Option<Instant>,
    goal: Option<(Position, Instant)>,
    labels: Labels,
    latency_us: Vec<Histogram<u64>>,
    seen: Report,
    buffer: Box<[u8]>,
    /// The last read that began and ended between events, and what it said.
    same: (Vec<u8>, Vec<Item>),
    items: Vec<Item>,
    random: u64,
}

impl Thread {
    pub(super) fn new(
        target: Arc<Target>,
        options: Options,
        truth: Arc<Truth>,
        poll: Poll,
        commands: Receiver<Command>,
        viewers: Vec<Viewer>,
    ) -> Self {
        Self {
            waiting: (0..viewers.len()).collect(),
            look_at_peers_at: viewers.iter().any(|v| v.role != Role::Ordinary).then(Instant::now),
            target,
            options,
            truth,
            poll,
            commands,
            viewers,
            opening: 0,
            staying_away: false,
            timers: BinaryHeap::new(),
            goal: None,
            labels: Labels::default(),
            latency_us: Vec::new(),
            seen: Report::empty(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            same: (Vec::new(), Vec::new()),
            items: Vec::new(),
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Runs until nobody can ask for anything any more.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_AT_ONCE);
        loop {
            self.open_some();
            match self.poll.poll(&mut events, Some(self.idle_for())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in events.iter().filter(|event| event.token() != WAKE) {
                self.heed(event);
            }
            self.turn();
            loop {
                match self.commands.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
        }
    }

    fn idle_for(&self) -> Duration {
        let next = self.timers.peek().map(|Reverse((at, ..))| *at).into_iter().chain(self.look_at_peers_at).min();
        next.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()))
    }

    fn open_some(&mut self) {
        while self.opening < self.options.opening_at_once
            && let Some(index) = self.waiting.pop_front()
        {
            let viewer = &mut self.viewers[index];
            let small = (viewer.role != Role::Ordinary).then_some(self.options.special_buffer_bytes);
            let source = u8::try_from(index % usize::from(self.options.source_addresses.max(1))).unwrap_or_default();
            viewer.enter(State::Opening);
            self.opening += 1;
            let both = Interest::READABLE | Interest::WRITABLE;
            let connected = connect(self.target.address, source, small).and_then(|mut socket| {
                self.poll.registry().register(&mut socket, Token(index), both)?;
                Ok(socket)
            });
            match connected {
                Ok(socket) => {
                    viewer.socket = Some(socket);
                    self.timers.push(Reverse((viewer.since + OPENING_DEADLINE, index, viewer.generation)));
                }
                Err(_) => self.lose(index, End::Broken),
            }
        }
    }

    fn heed(&mut self, event: &Event) {
        let index = event.token().0;
        let viewer = &mut self.viewers[index];
        if viewer.state == State::Opening && event.is_writable() {
            let asked = viewer.ask(&self.target).and_then(|()| {
                let socket = viewer.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
                self.poll.registry().reregister(socket, Token(index), Interest::READABLE)
            });
            if asked.is_err() {
                return self.lose(index, End::Broken);
            }
        }
        match (viewer.state, viewer.role) {
            (State::Away | State::Gone, _) => {}
            (State::Watching, Role::Stalled | Role::Dripping) if event.is_read_closed() || event.is_error() => {
                self.lose(index, End::Broken);
            }
            (State::Watching, Role::Stalled | Role::Dripping) => {}
            (State::Opening, Role::Stalled | Role::Dripping) => {
                // The head may be longer than one read, and no further event comes once the
                // small receive buffer is full.
                while self.read(index, HEAD_BYTES) == Got::Full && self.viewers[index].state == State::Opening {}
            }
            (State::Opening | State::Watching, Role::Ordinary) => {
                // A read that does not fill the buffer has emptied the socket; only when the
                // server has closed may there be an end behind it.
                loop {
                    match self.read(index, READ_BYTES) {
                        Got::Full => {}
                        Got::All if event.is_read_closed() => {}
                        Got::All | Got::Nothing => break,
                    }
                }
            }
        }
    }

    /// Reads once.
    fn read(&mut self, index: usize, most: usize) -> Got {
        let viewer = &mut self.viewers[index];
        let Some(socket) = &mut viewer.socket else { return Got::Nothing };
        match socket.read(&mut self.buffer[..most]) {
            Ok(0) => {
                let end = if viewer.decoder.tells_its_end() { End::Broken } else { End::Orderly };
                self.lose(index, end);
            }
            Ok(bytes) => {
                self.take(index, bytes);
                return if bytes == most { Got::Full } else { Got::All };
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Got::Full,
            Err(_) => self.lose(index, End::Broken),
        }
        Got::Nothing
    }

    /// Takes the first `bytes` of the buffer as what this viewer read.
    fn take(&mut self, index: usize, bytes: usize) {
        let now = now_us();
        let viewer = &mut self.viewers[index];
        let bytes = &self.buffer[..bytes];
        let between = viewer.decoder.is_between_events();
        if !(between && bytes == self.same.0) {
            self.items.clear();
            let fed = viewer.decoder.feed(bytes, self.target.ids, &mut self.labels, &mut self.items);
            if let Err(broken) = fed {
                match broken {
                    Broken::Refused(status) => *self.seen.refused.entry(status).or_default() += 1,
                    Broken::Malformed => self.seen.malformed += 1,
                }
                return self.lose(index, End::Unusable);
            }
            if viewer.role == Role::Ordinary {
                self.seen.tally.differing += self.truth.differing(&self.items);
            }
            if between && viewer.decoder.is_between_events() {
                self.same.0.clear();
                self.same.0.extend_from_slice(bytes);
                std::mem::swap(&mut self.same.1, &mut self.items);
            }
            self.latency_us.resize_with(self.labels.names().len(), histogram);
        }
        let is_same = between && bytes == self.same.0;
        if viewer.state == State::Opening && viewer.decoder.has_head() {
            viewer.enter(State::Watching);
            viewer.failures = 0;
            self.opening -= 1;
            self.seen.opened += 1;
            if viewer.role == Role::Dripping {
                self.timers.push(Reverse((viewer.since + DRIP_EVERY, index, viewer.generation)));
            }
        }
        if viewer.role != Role::Ordinary {
            return;
        }
        self.seen.bytes += bytes.len() as u64;
        self.seen.reads += 1;
        for item in if is_same { &self.same.1 } else { &self.items } {
            viewer.progress.take(item, self.options.selected, &mut self.seen.tally);
            if let (Some(sent), Some(latency)) = (item.sent_us, self.latency_us.get_mut(usize::from(item.label))) {
                latency.saturating_record(now.saturating_sub(sent));
            }
        }
        if let Some((goal, since)) = self.goal
            && !viewer.reached
            && viewer.progress.last.is_some_and(|last| last >= goal)
        {
            viewer.reached = true;
            self.seen.reached_us.saturating_record(micros(since.elapsed()));
        }
        if viewer.decoder.has_ended() {
            self.lose(index, End::Orderly);
        }
    }

    /// The viewer's connection is over. It comes back later, or not.
    fn lose(&mut self, index: usize, end: End) {
        let viewer = &mut self.viewers[index];
        viewer.socket = None;
        viewer.decoder = Default::default();
        match viewer.state {
            State::Opening => {
                self.opening -= 1;
                self.seen.unreachable += u64::from(end != End::Unusable);
                viewer.failures += 1;
            }
            State::Watching if end == End::Orderly => self.seen.ended += 1,
            State::Watching => self.seen.broken += 1,
            State::Away | State::Gone => return,
        }
        if viewer.role != Role::Ordinary && viewer.state == State::Watching {
            viewer.cut = Some(viewer.since.elapsed());
            viewer.enter(State::Gone);
            return;
        }
        match self.options.come_back {
            None => viewer.enter(State::Gone),
            Some(come_back) => {
                viewer.enter(State::Away);
                let most = come_back.first.saturating_mul(1 << viewer.failures.min(16)).min(come_back.most);
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let wait = most.mul_f64((self.random >> 11) as f64 / (1u64 << 53) as f64);
                self.timers.push(Reverse((viewer.since + wait, index, viewer.generation)));
            }
        }
    }

    /// Does what is due.
    fn turn(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, index, generation))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            let viewer = &mut self.viewers[index];
            if viewer.generation != generation {
                continue;
            }
            match viewer.state {
                State::Opening => self.lose(index, End::Broken),
                State::Away if !self.staying_away => self.waiting.push_back(index),
                State::Watching if viewer.role == Role::Dripping => {
                    self.timers.push(Reverse((at + DRIP_EVERY, index, generation)));
                    self.read(index, 1);
                }
                State::Away | State::Watching | State::Gone => {}
            }
        }
        if self.look_at_peers_at.is_some_and(|at| at <= now) {
            self.look_at_peers_at = Some(now + LOOK_AT_PEERS_EVERY);
            self.look_at_peers();
        }
    }

    /// Finds special viewers that the server has let go.
    fn look_at_peers(&mut self) {
        let borne = |viewer: &Viewer| viewer.role != Role::Ordinary && viewer.state == State::Watching;
        let special: Vec<usize> = (0..self.viewers.len()).filter(|index| borne(&self.viewers[*index])).collect();
        if special.is_empty() {
            return;
        }
        let Some(held) = tcp_table::held_by(self.target.address) else { return };
        for index in special {
            if self.viewers[index].local_address().is_none_or(|address| !held.contains_key(&address)) {
                self.lose(index, End::Broken);
            }
        }
    }
}
