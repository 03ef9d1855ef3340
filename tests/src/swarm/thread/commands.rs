//! What the thread is asked from outside, between two rounds of reading.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::Thread;
use crate::swarm::Ids;
use crate::swarm::decode::MOST_LABELS;
use crate::swarm::position::Position;
use crate::swarm::report::{Part, Report};
use crate::swarm::viewer::{Role, State, Viewer};

/// What the thread is asked to do.
#[derive(Debug)]
pub(in crate::swarm) enum Command {
    /// Say what was seen; and begin anew, if so asked.
    Report { mark: bool, reply: SyncSender<Part> },
    /// Notice when viewers reach this.
    Goal(Position),
    /// Drop all connections and stay away; says when that is done.
    Leave(SyncSender<()>),
    /// Open streams again, so many at once.
    ComeBack { opening_at_once: usize },
}

impl Thread {
    pub(super) fn obey(&mut self, command: Command) {
        // Whoever asked may have gone; then nobody misses the answer.
        match command {
            Command::Report { mark, reply } => {
                _ = reply.send(self.part());
                if mark {
                    self.seen = Report::empty();
                    self.latency_us.iter_mut().for_each(Histogram::reset);
                    self.viewers.iter_mut().for_each(|viewer| viewer.progress.counts = Default::default());
                }
            }
            Command::Goal(goal) => {
                let now = Instant::now();
                self.goal = Some((goal, now));
                self.seen.reached_us.reset();
                for viewer in &mut self.viewers {
                    viewer.reached = viewer.progress.last.is_some_and(|last| last >= goal);
                    if viewer.reached && viewer.role == Role::Ordinary {
                        self.seen.reached_us.saturating_record(0);
                    }
                }
            }
            Command::Leave(reply) => {
                self.staying_away = true;
                self.waiting.clear();
                self.opening = 0;
                for viewer in self.viewers.iter_mut().filter(|viewer| viewer.state != State::Gone) {
                    viewer.socket = None;
                    viewer.decoder = Default::default();
                    viewer.enter(State::Away);
                }
                _ = reply.send(());
            }
            Command::ComeBack { opening_at_once } => {
                self.staying_away = false;
                self.options.opening_at_once = opening_at_once.max(1);
                if let Some((_, since)) = &mut self.goal {
                    *since = Instant::now();
                }
                self.waiting.clear();
                self.waiting.extend((0..self.viewers.len()).filter(|i| self.viewers[*i].state == State::Away));
            }
        }
    }

    fn part(&self) -> Part {
        let knows = |viewer: &Viewer| self.target.ids != Ids::Goligoli || viewer.progress.last.is_some();
        let in_state = |state| move |viewer: &&Viewer| viewer.state == state;
        let ordinary = || self.viewers.iter().filter(|viewer| viewer.role == Role::Ordinary);
        let watching = |viewer: &&Viewer| viewer.role != Role::Ordinary || knows(viewer);
        let cut = |role| self.viewers.iter().filter(move |viewer| viewer.role == role).filter_map(|viewer| viewer.cut);
        let mut report = self.seen.clone();
        report.viewers = self.viewers.len();
        report.watching = self.viewers.iter().filter(in_state(State::Watching)).filter(watching).count();
        report.gone = self.viewers.iter().filter(in_state(State::Gone)).count();
        report.reached = ordinary().filter(|viewer| viewer.reached).count();
        report.stalled_cut = cut(Role::Stalled).collect();
        report.dripping_cut = cut(Role::Dripping).collect();
        report.positions = ordinary()
            .map(|viewer| viewer.progress.last.map(|last| (last, last)))
            .reduce(|one, other| one.zip(other).map(|(one, other)| (one.0.min(other.0), one.1.max(other.1))))
            .flatten();
        let mut counts = [(0, u32::MAX, 0); MOST_LABELS];
        for viewer in ordinary() {
            for ((all, fewest, most), count) in counts.iter_mut().zip(viewer.progress.counts) {
                (*all, *fewest, *most) = (*all + u64::from(count), count.min(*fewest), count.max(*most));
            }
        }
        let (labels, latency_us) = (self.labels.clone(), self.latency_us.clone());
        Part { report, labels, latency_us, counts, ordinary: ordinary().count() }
    }
}
