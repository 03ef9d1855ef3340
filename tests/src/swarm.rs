//! Thousands of viewers in one or two threads, cheap enough to share the machine with the
//! server that they watch.
//!
//! Every viewer is held to what a stream promises: all events in one order, none lost or
//! repeated, or a `gap` that says exactly how many; and the same content under the same id
//! for everybody. Texts that carry a [`Stamp`] are timed. Viewers come back with the last
//! event id, some may be told to stall or to drip, and all can leave and come back at once.
//!
//! Everything here blocks; nothing needs an async runtime.

mod check;
mod decode;
mod position;
mod report;
mod stamp;
mod target;
#[cfg(test)]
mod tests;
mod thread;
mod viewer;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};

pub use check::Tally;
pub use position::Position;
pub use report::{Label, Report};
pub use stamp::{Stamp, now_us};
pub use target::{ComeBack, Ids, Options, Target};

use check::Truth;
use thread::{Command, Thread, WAKE};
use viewer::{Role, Viewer};

const ASK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The viewers. Dropped: they leave.
#[derive(Debug)]
pub struct Swarm {
    threads: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    /// Taken when the swarm is dropped: a thread ends when nobody can ask any more.
    commands: Option<Sender<Command>>,
    waker: Waker,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Swarm {
    /// Begins to open streams; see [`Swarm::wait_until_all_watch`].
    ///
    /// # Errors
    /// The system gives no epoll or no thread.
    pub fn start(target: Target, options: &Options) -> io::Result<Self> {
        let (target, truth) = (Arc::new(target), Arc::new(Truth::default()));
        let role = |index| match index {
            index if index < options.stalled => Role::Stalled,
            index if index < options.stalled + options.dripping => Role::Dripping,
            _ => Role::Ordinary,
        };
        let threads = options.threads.clamp(1, options.viewers.max(1));
        let options = Options { opening_at_once: options.opening_at_once.div_ceil(threads).max(1), ..options.clone() };
        let begin = |first: usize| {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKE)?;
            let (commands, receiver) = channel();
            let viewers = (first..options.viewers).step_by(threads).map(|index| Viewer::new(role(index))).collect();
            let thread = Thread::new(Arc::clone(&target), options.clone(), Arc::clone(&truth), poll, receiver, viewers);
            let thread = std::thread::Builder::new().name("swarm".to_owned()).spawn(move || thread.run())?;
            Ok(Running { commands: Some(commands), waker, thread: Some(thread) })
        };
        Ok(Self { threads: (0..threads).map(begin).collect::<io::Result<_>>()? })
    }

    /// What the viewers have seen so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.ask(false)
    }

    /// Begins a new phase: counters and latencies start at zero, positions stay. Returns what
    /// was seen before.
    pub fn mark(&self) -> Report {
        self.ask(true)
    }

    /// The first report that is `enough`; `None` at the deadline.
    pub fn try_wait_until(&self, most: Duration, mut enough: impl FnMut(&Report) -> bool) -> Option<Report> {
        let begin = Instant::now();
        loop {
            let report = self.report();
            if enough(&report) {
                return Some(report);
            }
            if begin.elapsed() >= most {
                return None;
            }
            std::thread::sleep(ASK_AGAIN_AFTER);
        }
    }

    /// The first report that is `enough`; panics with `what` and the last one at the deadline.
    pub fn wait_until(&self, what: &str, most: Duration, enough: impl FnMut(&Report) -> bool) -> Report {
        self.try_wait_until(most, enough).unwrap_or_else(|| {
            let Report { viewers, watching, opened, unreachable, refused, positions, tally, .. } = self.report();
            panic!(
                "{what}: not after {most:?}; {watching} of {viewers} watch, {opened} streams opened, {unreachable} \
                 unreachable, refused {refused:?}, at {positions:?}, {tally:#?}"
            )
        })
    }

    /// Waits until every viewer has an open stream and knows where it is.
    pub fn wait_until_all_watch(&self, most: Duration) -> Report {
        self.wait_until("all viewers watch", most, |report| report.watching == report.viewers)
    }

    /// Waits until every ordinary viewer is at this position.
    pub fn wait_until_all_at(&self, position: Position, most: Duration) -> Report {
        self.wait_until("all viewers are there", most, |report| report.all_at(position))
    }

    /// From now on it is noticed when each viewer reaches this position: `reached` and
    /// `reached_us` of the reports.
    pub fn set_goal(&self, goal: Position) {
        self.send(|| Command::Goal(goal));
    }

    /// All viewers drop their connections and stay away until [`Swarm::come_back`].
    pub fn leave(&self) {
        let (reply, done) = sync_channel(self.threads.len());
        self.send(|| Command::Leave(reply.clone()));
        self.threads.iter().for_each(|_| done.recv().expect("the swarm's threads run"));
    }

    /// All viewers that are away open streams again with their last event ids, so many at
    /// once; `usize::MAX` is a storm.
    pub fn come_back(&self, opening_at_once: usize) {
        let opening_at_once = opening_at_once.div_ceil(self.threads.len());
        self.send(|| Command::ComeBack { opening_at_once });
    }

    fn ask(&self, mark: bool) -> Report {
        let (reply, parts) = sync_channel(self.threads.len());
        self.send(|| Command::Report { mark, reply: reply.clone() });
        drop(reply);
        let parts: Vec<_> = parts.iter().collect();
        assert_eq!(parts.len(), self.threads.len(), "the swarm's threads run");
        Report::of(parts)
    }

    fn send(&self, command: impl Fn() -> Command) {
        for thread in &self.threads {
            let sent = thread.commands.as_ref().is_some_and(|commands| commands.send(command()).is_ok());
            assert!(sent && thread.waker.wake().is_ok(), "the swarm's threads run");
        }
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        for thread in &mut self.threads {
            thread.commands = None;
            _ = thread.waker.wake();
        }
        for thread in &mut self.threads {
            let ended = thread.thread.take().map(JoinHandle::join);
            if !std::thread::panicking() {
                assert!(matches!(ended, Some(Ok(Ok(())))), "a thread of the swarm failed: {ended:?}");
            }
        }
    }
}
