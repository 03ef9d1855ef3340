//! What the viewers of a room share: its feed, and the bell that wakes them.

mod mirrored;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use common::Lifecycle;
use common::http::Crews;
use common::telemetry::traces::Trace;
use idl::event::{LotteryState, RoomState, SuppressedEvent};
use idl::push::{Publication, Published};
use idl::{Code, Refusal, RoomId};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::hello::Hello;
use crate::record::{Change, Retention};
use crate::statistics::Statistics;
use crate::stream::Stream;

/// Calls that wait for a room's writer. Full: the caller is told to try again; facts in
/// outboxes do, ordinary danmaku count as undelivered.
const INBOX: usize = 256;

/// What viewers of a room share.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) id: RoomId,
    feed: RwLock<Feed>,
    inbox: mpsc::Sender<Command>,
    /// Rings when there is anything new for the viewers: events, another number of viewers,
    /// an ended log-in, the end.
    bell: watch::Sender<()>,
    /// Open connections here and in other processes, and what of them was announced.
    connections: AtomicU64,
    elsewhere: AtomicU64,
    announced: AtomicU64,
    /// What the process can afford; see [`crate::egress`].
    most_per_s: AtomicU32,
    ended: CancellationToken,
    /// The same, without a lock.
    has_ended: AtomicBool,
    pub(crate) hello: Mutex<Option<Hello>>,
    crews: OnceLock<Crews<Stream>>,
    pub(crate) statistics: Statistics,
    /// What was decided here, where others decide, too.
    decided: Option<Mutex<SuppressedEvent>>,
    /// Wakes the writer to read what others wrote.
    behind: Notify,
    /// How many have asked whether the copy is the latest, and up to which that is known.
    reads_asked: AtomicU64,
    confirmed: watch::Sender<u64>,
}

/// What is kept for viewers who come later.
#[derive(Debug)]
pub(crate) enum State {
    Room(Box<RoomState>),
    Lottery(Box<LotteryState>),
}

/// What a room's writer is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Publish {
        publications: Vec<Publication>,
        answer: oneshot::Sender<Result<Published, Refusal>>,
        /// Where it came from.
        trace: Option<Trace>,
    },
    Retain {
        state: State,
        answer: oneshot::Sender<Result<(), Refusal>>,
    },
    /// Put the file away and end.
    Close,
}

impl Room {
    /// A room, and what its writer takes commands from; `is_shared` if other processes write
    /// its feed, too.
    pub(crate) fn new(id: RoomId, feed: Feed, is_shared: bool) -> (Arc<Self>, mpsc::Receiver<Command>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let before = if is_shared { SuppressedEvent::default() } else { feed.totals };
        let room = Self {
            id,
            statistics: Statistics::since(before),
            decided: is_shared.then(Mutex::default),
            behind: Notify::new(),
            reads_asked: AtomicU64::new(0),
            confirmed: watch::Sender::new(0),
            elsewhere: AtomicU64::new(0),
            feed: RwLock::new(feed),
            inbox: sender,
            bell: watch::Sender::new(()),
            connections: AtomicU64::new(0),
            announced: AtomicU64::new(0),
            most_per_s: AtomicU32::new(u32::MAX),
            ended: CancellationToken::new(),
            has_ended: AtomicBool::new(false),
            hello: Mutex::new(None),
            crews: OnceLock::new(),
        };
        (Arc::new(room), inbox)
    }

    /// The feed, for reading; never held across an await.
    pub(crate) fn feed(&self) -> RwLockReadGuard<'_, Feed> {
        self.feed.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the writer has written, and wakes the viewers.
    pub(crate) fn apply(&self, change: Change, keep: Retention) {
        let outdates_hello = change.outdates_hello();
        let appended_ms = change.events.last().map(|event| event.appended_ms);
        let mut feed = self.feed.write().unwrap_or_else(PoisonError::into_inner);
        feed.apply(change, keep);
        appended_ms.into_iter().for_each(|appended_ms| self.statistics.wrote(appended_ms));
        drop(feed);
        if outdates_hello {
            Hello::forget(self);
        }
        self.ring();
    }

    /// Wakes every viewer, to look at everything again.
    pub(crate) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// Hears the bell from now on.
    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// Who writes to the viewers.
    pub(crate) fn crews(&self, lifecycle: &Lifecycle) -> &Crews<Stream> {
        self.crews.get_or_init(|| Crews::start(|| self.bell(), lifecycle))
    }

    /// Open connections of this process now.
    pub(crate) fn connections_here(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Open connections of all processes, as far as it is known.
    pub(crate) fn connections(&self) -> u64 {
        self.connections_here() + self.elsewhere.load(Ordering::Relaxed)
    }

    /// Sets the number of connections in other processes.
    pub(crate) fn counted_elsewhere(&self, connections: u64) {
        self.elsewhere.store(connections, Ordering::Relaxed);
    }

    /// Open connections as the viewers were told.
    pub(crate) fn connections_announced(&self) -> u64 {
        self.announced.load(Ordering::Relaxed)
    }

    /// Counts a connection in, here and in `all`; dropping the guard counts it out.
    pub(crate) fn join(self: &Arc<Self>, all: &Arc<AtomicU64>) -> Viewing {
        self.connections.fetch_add(1, Ordering::Relaxed);
        all.fetch_add(1, Ordering::Relaxed);
        metrics::gauge!("goligoli_push_streams").increment(1);
        Viewing { room: Arc::clone(self), all: Arc::clone(all) }
    }

    /// Announces the number of viewers, if it changed by more than one in a hundred.
    pub(crate) fn announce_viewers(&self) {
        let (now, announced) = (self.connections(), self.connections_announced());
        if now.abs_diff(announced) * 100 > announced {
            self.announced.store(now, Ordering::Relaxed);
            self.ring();
        }
    }

    /// Ordinary danmaku a second that the process can afford to show here.
    pub(crate) fn most_per_s(&self) -> u32 {
        self.most_per_s.load(Ordering::Relaxed)
    }

    /// Sets [`most_per_s`](Self::most_per_s).
    pub(crate) fn afford(&self, most_per_s: u32) {
        self.most_per_s.store(most_per_s, Ordering::Relaxed);
    }

    /// The writer has ended: there will be no more news.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// Says that the writer has ended.
    pub(crate) fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.ended.cancel();
        self.ring();
    }

    /// Ends the writer; returns when its file may be read again.
    pub(crate) async fn close(&self) {
        // An error says that it has ended, or is about to.
        _ = self.inbox.send(Command::Close).await;
        self.ended.cancelled().await;
    }

    /// Hands a command to the writer. `Err` gives it back: the writer has ended.
    pub(crate) fn send(&self, command: Command) -> Result<(), Command> {
        match self.inbox.try_send(command) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(command)) => Err(command),
            Err(mpsc::error::TrySendError::Full(command)) => {
                let busy = || Refusal::new(Code::Unavailable, "the room's inbox is full").retry_after_ms(100);
                match command {
                    Command::Publish { answer, .. } => _ = answer.send(Err(busy())),
                    Command::Retain { answer, .. } => _ = answer.send(Err(busy())),
                    Command::Close => {} // only close() sends it, and waits
                }
                Ok(())
            }
        }
    }
}

impl Drop for Room {
    /// What house keeping has not seen yet.
    fn drop(&mut self) {
        let totals = self.totals_here(&self.feed());
        self.statistics.news(totals).tell();
    }
}

/// One open connection of a room.
#[derive(Debug)]
pub(crate) struct Viewing {
    pub(crate) room: Arc<Room>,
    all: Arc<AtomicU64>,
}

impl Drop for Viewing {
    fn drop(&mut self) {
        self.room.connections.fetch_sub(1, Ordering::Relaxed);
        self.all.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("goligoli_push_streams").decrement(1);
    }
}
