//! What a swarm has seen.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::check::Tally;
use super::decode::{Labels, MOST_LABELS};
use super::position::Position;
use crate::timing::histogram;

/// What the viewers have seen since the start, or since the last [`super::Swarm::mark`].
/// Stalled and dripping viewers count only where it says so.
#[derive(Debug, Clone)]
pub struct Report {
    /// Viewers, the special ones too.
    pub viewers: usize,
    /// Those that have an open stream and know where they are; special ones with a head.
    pub watching: usize,
    /// Those that are gone for good.
    pub gone: usize,
    /// Streams that were opened (a head with 200),
    pub opened: u64,
    /// that ended orderly,
    pub ended: u64,
    /// that broke off,
    pub broken: u64,
    /// and attempts that got no connection or no head in time.
    pub unreachable: u64,
    /// Answers with another status, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Streams that could not be understood.
    pub malformed: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Reads that gave bytes: deliveries by writes, when events come together.
    pub reads: u64,
    /// The events, and what was wrong with them.
    pub tally: Tally,
    /// Events by label: the type, or `type/class` where the text names a class.
    pub by_label: BTreeMap<String, Label>,
    /// The positions of the viewer that is last and of the one that is first; none while a
    /// viewer does not know where it is.
    pub positions: Option<(Position, Position)>,
    /// Viewers that have reached the goal ([`super::Swarm::set_goal`]).
    pub reached: usize,
    /// How long that took each of them, in µs since the viewers were asked to come back, or
    /// since the goal was set if that was later.
    pub reached_us: Histogram<u64>,
    /// When stalled viewers were cut, since they got the head,
    pub stalled_cut: Vec<Duration>,
    /// and dripping ones.
    pub dripping_cut: Vec<Duration>,
}

/// The events of one label.
#[derive(Debug, Clone)]
pub struct Label {
    /// Of all viewers together,
    pub all: u64,
    /// of the viewer that saw the fewest,
    pub fewest: u32,
    /// and of the one that saw the most.
    pub most: u32,
    /// From sent to received, in µs, of those with a stamp.
    pub latency_us: Histogram<u64>,
}

impl Report {
    /// From sent to received, in µs, of all events with a stamp.
    #[must_use]
    pub fn latency_us(&self) -> Histogram<u64> {
        let mut all = histogram();
        for label in self.by_label.values() {
            all.add(&label.latency_us).expect("the same bounds");
        }
        all
    }

    /// The latency of a part of all events: 0.99 of them took at most so many milliseconds.
    #[must_use]
    pub fn latency_ms(&self, part: f64) -> f64 {
        self.latency_us().value_at_quantile(part) as f64 / 1e3
    }

    /// The label's latency: see [`Report::latency_ms`]. 0 if there are none.
    #[must_use]
    pub fn label_ms(&self, label: &str, part: f64) -> f64 {
        self.by_label.get(label).map_or(0.0, |label| label.latency_us.value_at_quantile(part) as f64 / 1e3)
    }

    /// How many events of this label each viewer saw, if all saw the same number.
    #[must_use]
    pub fn each_saw(&self, label: &str) -> Option<u32> {
        match self.by_label.get(label) {
            None => Some(0),
            Some(label) => (label.fewest == label.most).then_some(label.most),
        }
    }

    /// Whether every viewer is at this position or later in the same epoch.
    #[must_use]
    pub fn all_at(&self, position: Position) -> bool {
        self.positions.is_some_and(|(last, first)| last >= position && first.epoch == position.epoch)
    }

    /// Whether every viewer is at the very same position, this one or a later one: only then
    /// have all who watch from the same position on seen as many events.
    #[must_use]
    pub fn all_at_one(&self, position: Position) -> bool {
        self.all_at(position) && self.positions.is_some_and(|(last, first)| last == first)
    }

    /// Panics unless all that came was whole, in one order, the same for all.
    pub fn assert_whole(&self) {
        assert!(
            self.tally.violations() == 0 && self.malformed == 0,
            "{:#?}, malformed: {}",
            self.tally,
            self.malformed
        );
    }
}

/// What one thread has seen; a [`Report`] is several of these.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) report: Report,
    pub(super) labels: Labels,
    pub(super) latency_us: Vec<Histogram<u64>>,
    /// By label: all, fewest, most.
    pub(super) counts: [(u64, u32, u32); MOST_LABELS],
    pub(super) ordinary: usize,
}

impl Report {
    pub(super) fn empty() -> Self {
        Self {
            viewers: 0,
            watching: 0,
            gone: 0,
            opened: 0,
            ended: 0,
            broken: 0,
            unreachable: 0,
            refused: BTreeMap::new(),
            malformed: 0,
            bytes: 0,
            reads: 0,
            tally: Tally::default(),
            by_label: BTreeMap::new(),
            positions: None,
            reached: 0,
            reached_us: histogram(),
            stalled_cut: Vec::new(),
            dripping_cut: Vec::new(),
        }
    }

    pub(super) fn of(parts: Vec<Part>) -> Self {
        let mut all = Self::empty();
        all.positions = parts
            .iter()
            .filter(|part| part.ordinary > 0)
            .map(|part| part.report.positions)
            .reduce(|one, other| {
                let ((low, high), (lower, higher)) = (one?, other?);
                Some((low.min(lower), high.max(higher)))
            })
            .flatten();
        // A label that one thread has not seen was seen by none of its viewers.
        let readers = parts.iter().filter(|part| part.ordinary > 0).count();
        let mut seen_by: BTreeMap<String, usize> = BTreeMap::new();
        for part in parts {
            for (index, name) in part.labels.names().iter().enumerate() {
                let (count, fewest, most) = part.counts[index];
                if part.ordinary == 0 {
                    continue;
                }
                *seen_by.entry(name.clone()).or_default() += 1;
                let label = all.by_label.entry(name.clone()).or_insert_with(|| Label {
                    all: 0,
                    fewest: u32::MAX,
                    most: 0,
                    latency_us: histogram(),
                });
                label.all += count;
                label.fewest = label.fewest.min(fewest);
                label.most = label.most.max(most);
                label.latency_us.add(&part.latency_us[index]).expect("the same bounds");
            }
            all.add(part.report);
        }
        for (name, label) in &mut all.by_label {
            if seen_by.get(name) != Some(&readers) {
                label.fewest = 0;
            }
        }
        all
    }

    fn add(&mut self, part: Self) {
        self.viewers += part.viewers;
        self.watching += part.watching;
        self.gone += part.gone;
        self.opened += part.opened;
        self.ended += part.ended;
        self.broken += part.broken;
        self.unreachable += part.unreachable;
        self.malformed += part.malformed;
        self.bytes += part.bytes;
        self.reads += part.reads;
        self.reached += part.reached;
        self.tally.add(&part.tally);
        self.reached_us.add(&part.reached_us).expect("the same bounds");
        self.stalled_cut.extend(part.stalled_cut);
        self.dripping_cut.extend(part.dripping_cut);
        for (status, times) in part.refused {
            *self.refused.entry(status).or_default() += times;
        }
    }
}
