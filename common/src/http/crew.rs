//! One task that writes to many clients: the streams of a room.
//!
//! An HTTP server has a task for each connection, with buffers, timers and a place in the
//! runtime's queues. For a stream that only ever sends, with ten thousand like it, this costs
//! more than the sending. So once the head of an answer is out, the socket is taken from
//! the HTTP server and gets a seat in a crew: when the bell rings, the crew goes through its
//! seats and sends each what it has. A seat costs some hundred bytes, and nothing while
//! nothing is sent.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::chunk::{Chunk, Ready};
use super::serve::{STALL, linger, reset};
use crate::Lifecycle;

/// Seats of one crew before the next one is filled; then they are filled in turn.
const SEATS_IN_TURN: usize = 64;
/// Others have their turn after so many seats.
const SEATS_AT_ONCE: usize = 32;
/// Writes to one client before others have their turn.
const MAX_WRITES: usize = 16;
/// Newcomers that wait for a crew. Full: their connections wait, and the client with them.
const MAX_NEWCOMERS: usize = 256;
/// What is due is looked for no more often than this.
const DUE_EVERY: Duration = Duration::from_millis(50);

/// What one client is sent, in pieces.
pub trait Script: Send + 'static {
    /// Adds what is to be sent now, up to about what `ready` takes.
    fn fill(&mut self, now: Instant, ready: &mut Ready) -> Filled;

    /// Asks again then, even if the bell has not rung.
    fn due(&self) -> Instant;
}

/// How much of a script [`Script::fill`] gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// There is more.
    Some,
    /// That is all until the bell rings.
    AllForNow,
    /// That is all there will ever be.
    All,
}

/// A connection whose head has been sent.
#[derive(Debug)]
pub struct Taken {
    pub(super) socket: TcpStream,
    /// What it holds until it ends.
    pub(super) places: Box<dyn Any + Send>,
}

/// The crews that share a bell. Dropped: they end when their last client has gone.
pub struct Crews<S> {
    crews: Vec<mpsc::Sender<(S, Taken)>>,
    seated: AtomicUsize,
}

impl<S: Script> Crews<S> {
    /// As many crews as there are processors; `bell` rings when there may be something to send.
    pub fn start(bell: impl Fn() -> watch::Receiver<()>, lifecycle: &Lifecycle) -> Self {
        let crews = std::thread::available_parallelism().map_or(1, usize::from);
        let start = |_| {
            let (sender, newcomers) = mpsc::channel(MAX_NEWCOMERS);
            let crew = Crew {
                seats: Slab::new(),
                keys: 0,
                bell: bell(),
                newcomers,
                calls: Arc::default(),
                lifecycle: lifecycle.clone(),
                next: 0,
                due: None,
            };
            let hard = lifecycle.hard().clone();
            lifecycle.spawn("http.crew", async move { _ = hard.run_until_cancelled(crew.run()).await });
            sender
        };
        Self { crews: (0..crews).map(start).collect(), seated: AtomicUsize::new(0) }
    }

    /// Seats a client. If the process stops, its connection is closed instead.
    pub fn seat(&self, script: S, taken: Taken) -> impl Future<Output = ()> + Send + use<S> {
        let turn = self.seated.fetch_add(1, Ordering::Relaxed) / SEATS_IN_TURN;
        let crew = self.crews[turn % self.crews.len()].clone();
        async move { _ = crew.send((script, taken)).await }
    }
}

impl<S> fmt::Debug for Crews<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crews").field("crews", &self.crews.len()).field("seated", &self.seated).finish()
    }
}

struct Crew<S> {
    seats: Slab<Seat<S>>,
    /// All seats' keys are below.
    keys: usize,
    bell: watch::Receiver<()>,
    newcomers: mpsc::Receiver<(S, Taken)>,
    calls: Arc<Calls>,
    lifecycle: Lifecycle,
    /// Where the next round begins: nobody is always the last.
    next: usize,
    /// When something is due at the earliest.
    due: Option<Instant>,
}

/// Which rounds a crew makes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    /// To all.
    Bell,
    /// To those where something is due.
    Due,
}

impl<S: Script> Crew<S> {
    async fn run(mut self) {
        let soft = self.lifecycle.soft().clone();
        let (mut comes, mut stops) = (true, false);
        let mut came = Vec::with_capacity(SEATS_AT_ONCE);
        while comes && !stops || !self.seats.is_empty() {
            let calls = Arc::clone(&self.calls);
            tokio::select! {
                n = self.newcomers.recv_many(&mut came, SEATS_AT_ONCE), if comes => {
                    comes = n > 0;
                    came.drain(..).for_each(|(script, taken)| self.welcome(script, taken));
                }
                // The bell is the room's, which every script holds: it can't be gone before them.
                Ok(()) = self.bell.changed() => self.round(Round::Bell).await,
                () = sleep_until(self.due) => self.round(Round::Due).await,
                () = calls.made.notified() => self.answer_calls().await,
                () = soft.cancelled(), if !stops => stops = true,
            }
        }
    }

    fn welcome(&mut self, script: S, taken: Taken) {
        let entry = self.seats.vacant_entry();
        let key = entry.key();
        self.keys = self.keys.max(key + 1);
        let waker = Waker::from(Arc::new(Call { calls: Arc::clone(&self.calls), key }));
        entry.insert(Seat { script, taken, chunk: Chunk::default(), ended: false, blocked_until: None, waker });
        self.attend(key, Instant::now(), Seat::attend);
    }

    async fn round(&mut self, round: Round) {
        if self.seats.is_empty() {
            // What a crowd needed is not kept for the few who may come.
            (self.seats, self.keys) = (Slab::new(), 0);
        }
        let keys = self.keys;
        self.next = self.next.checked_rem(keys).unwrap_or(0);
        let (first, mut now) = (self.next, Instant::now());
        self.next += SEATS_AT_ONCE;
        self.due = None;
        for n in 0..keys {
            if n > 0 && n.is_multiple_of(SEATS_AT_ONCE) {
                tokio::task::yield_now().await;
                now = Instant::now();
            }
            let key = (first + n) % keys;
            let Some(seat) = self.seats.get(key) else { continue };
            if round == Round::Bell && seat.blocked_until.is_none() || seat.due() <= now {
                self.attend(key, now, Seat::send);
            } else {
                let due = seat.due();
                self.note_due(due, now);
            }
        }
    }

    async fn answer_calls(&mut self) {
        let mut now = Instant::now();
        for (n, key) in self.calls.take().into_iter().enumerate() {
            if n > 0 && n.is_multiple_of(SEATS_AT_ONCE) {
                tokio::task::yield_now().await;
                now = Instant::now();
            }
            self.attend(key, now, Seat::attend);
        }
    }

    fn attend(&mut self, key: usize, now: Instant, act: impl FnOnce(&mut Seat<S>, Instant) -> io::Result<Sent>) {
        // A call may be from who sat here before.
        let Some(seat) = self.seats.get_mut(key) else { return };
        match act(seat, now) {
            Ok(Sent::All) => {
                let due = seat.due();
                self.note_due(due, now);
            }
            Ok(Sent::Some) => self.calls.make(key),
            Ok(Sent::Last) => {
                let Taken { socket, places } = self.seats.remove(key).taken;
                let soft = self.lifecycle.soft().clone();
                self.lifecycle.spawn_one_of_many(async move {
                    soft.run_until_cancelled(linger(socket)).await;
                    drop(places);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a stream ended with an error");
                let seat = self.seats.remove(key);
                if seat.blocked_until.is_some() {
                    reset(seat.taken.socket);
                }
            }
        }
    }

    fn note_due(&mut self, due: Instant, now: Instant) {
        let due = due.max(now + DUE_EVERY);
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Seats where something has happened to the socket. Bounded by the seats: what a socket
/// wakes, it wakes once until it is asked again.
#[derive(Debug, Default)]
struct Calls {
    keys: Mutex<Vec<usize>>,
    made: Notify,
}

impl Calls {
    fn make(&self, key: usize) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        self.made.notify_one();
    }

    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Call {
    calls: Arc<Calls>,
    key: usize,
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        self.calls.make(self.key);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.calls.make(self.key);
    }
}

struct Seat<S> {
    script: S,
    taken: Taken,
    chunk: Chunk,
    /// The script is at its end.
    ended: bool,
    /// The client takes nothing; if that lasts until then, it loses its seat.
    blocked_until: Option<Instant>,
    waker: Waker,
}

enum Sent {
    /// All there is now, or what the socket took: it will call.
    All,
    /// There is more, but others come first.
    Some,
    /// There will be no more.
    Last,
}

impl<S: Script> Seat<S> {
    fn due(&self) -> Instant {
        self.blocked_until.unwrap_or_else(|| self.script.due())
    }

    /// Sends, after a look at what the client does.
    fn attend(&mut self, now: Instant) -> io::Result<Sent> {
        self.listen()?;
        self.send(now)
    }

    /// Sees that the client is there, and hears when it goes. What it says is not for us.
    fn listen(&mut self) -> io::Result<()> {
        let mut cx = Context::from_waker(&self.waker);
        let mut ignored = [0; 256];
        for _ in 0..MAX_WRITES {
            match self.taken.socket.poll_read_ready(&mut cx)? {
                Poll::Pending => return Ok(()),
                Poll::Ready(()) => match self.taken.socket.try_read(&mut ignored) {
                    Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                },
            }
        }
        self.waker.wake_by_ref();
        Ok(())
    }

    /// Sends what there is, as far as the socket takes it.
    fn send(&mut self, now: Instant) -> io::Result<Sent> {
        let mut filled = Filled::Some;
        for _ in 0..MAX_WRITES {
            if self.chunk.is_empty() {
                match (self.ended, filled) {
                    (true, _) => return Ok(Sent::Last),
                    // What has come since the script was asked has rung.
                    (false, Filled::AllForNow) => return Ok(Sent::All),
                    (false, _) => {}
                }
                let mut ready = Ready::default();
                filled = self.script.fill(now, &mut ready);
                self.ended = filled == Filled::All;
                self.chunk = Chunk::of(ready, self.ended);
                if self.chunk.is_empty() {
                    return Ok(Sent::All);
                }
            }
            match self.chunk.write_to(&self.taken.socket) {
                Ok(()) => self.blocked_until = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.wait_for_socket(now),
                Err(error) => return Err(error),
            }
        }
        Ok(Sent::Some)
    }

    /// The socket calls when it takes more. It may not take nothing for ever.
    fn wait_for_socket(&mut self, now: Instant) -> io::Result<Sent> {
        if now >= *self.blocked_until.get_or_insert(now + STALL) {
            metrics::counter!("goligoli_http_stalled_total").increment(1);
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading"));
        }
        match self.taken.socket.poll_write_ready(&mut Context::from_waker(&self.waker))? {
            Poll::Pending => Ok(Sent::All),
            Poll::Ready(()) => Ok(Sent::Some),
        }
    }
}

#[cfg(test)]
mod tests;
