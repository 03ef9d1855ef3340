//! Holds what one viewer sees against what it must see.

use std::sync::Mutex;

use super::decode::{Item, MOST_LABELS, What};
use super::position::Position;

/// Events whose content is remembered for comparison.
const REMEMBERED: usize = 1 << 16;

/// How far one viewer is, over all its connections.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The last event it saw, or the position it was told.
    pub(super) last: Option<Position>,
    /// A gap was told and the event after it has not come.
    gap: Option<Option<u64>>,
    /// Events by label since the last mark.
    pub(super) counts: [u32; MOST_LABELS],
}

/// What was wrong or worth counting, over all viewers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Events with a position (with [`super::Ids::Opaque`]: all events).
    pub deliveries: u64,
    /// Events that were passed over without a `gap`.
    pub lost: u64,
    /// Events that came again right after themselves.
    pub repeated: u64,
    /// Events that came after a later one.
    pub out_of_order: u64,
    /// Events of which another viewer saw another content under the same id.
    pub differing: u64,
    /// Changes of epoch that no `gap` told.
    pub unannounced: u64,
    /// `gap` events,
    pub gaps: u64,
    /// the events that they told of,
    pub missed: u64,
    /// and those that told a wrong number.
    pub inexact_gaps: u64,
    /// Ids that were passed over by an id without an event, or because the viewer asked for
    /// a selection.
    pub skipped: u64,
}

impl Tally {
    /// What no viewer may ever see: loss, repetition, disorder, or a gap that does not add up.
    #[must_use]
    pub const fn violations(&self) -> u64 {
        self.lost + self.repeated + self.out_of_order + self.differing + self.unannounced + self.inexact_gaps
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.deliveries += other.deliveries;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.out_of_order += other.out_of_order;
        self.differing += other.differing;
        self.unannounced += other.unannounced;
        self.gaps += other.gaps;
        self.missed += other.missed;
        self.inexact_gaps += other.inexact_gaps;
        self.skipped += other.skipped;
    }
}

impl Progress {
    /// Takes the next block of this viewer. `selected`: ids may jump forward.
    pub(super) fn take(&mut self, item: &Item, selected: bool, tally: &mut Tally) {
        if let Some(count) = self.counts.get_mut(usize::from(item.label)) {
            *count += 1;
        }
        match (item.what, item.position) {
            (What::Gap(n), _) => {
                tally.gaps += 1;
                tally.missed += n.unwrap_or(0);
                self.gap = Some(n);
            }
            (What::Hello, Some(at)) => self.land(at, 0, selected, tally),
            (What::Event, Some(at)) => {
                tally.deliveries += 1;
                self.land(at, 1, selected, tally);
            }
            (What::Mark, Some(at)) => match self.last {
                Some(last) if last.epoch == at.epoch && at.seq >= last.seq => {
                    tally.skipped += at.seq - last.seq;
                    self.last = Some(at);
                }
                _ => self.land(at, 0, selected, tally),
            },
            (What::Event, None) => tally.deliveries += u64::from(item.sent_us.is_some()),
            (What::Hello | What::Mark, None) => {}
        }
    }

    /// The viewer is at `at` now, by an event that takes `own` numbers itself.
    fn land(&mut self, at: Position, own: u64, selected: bool, tally: &mut Tally) {
        let gap = self.gap.take();
        let Some(last) = self.last.replace(at) else { return };
        if at.epoch != last.epoch {
            match gap {
                Some(None) => {}
                Some(Some(_)) => tally.inexact_gaps += 1,
                None => tally.unannounced += 1,
            }
            return;
        }
        match (at.seq.checked_sub(last.seq + own), gap) {
            (Some(0), None) => {}
            (Some(_), Some(None)) => tally.inexact_gaps += 1,
            (Some(jump), Some(Some(n))) => tally.inexact_gaps += u64::from(jump != n),
            (Some(jump), None) if selected => tally.skipped += jump,
            (Some(jump), None) => tally.lost += jump,
            (None, _) => {
                self.last = Some(last);
                if at == last {
                    tally.repeated += 1;
                } else {
                    tally.out_of_order += 1;
                }
            }
        }
    }
}

/// What stood under each id, as the first viewer saw it. Full: the older of two goes, and
/// is no longer compared.
#[derive(Debug)]
pub(super) struct Truth(Mutex<Box<[Seen]>>);

/// An event and its checksum.
type Seen = Option<(Position, u32)>;

impl Default for Truth {
    fn default() -> Self {
        Self(Mutex::new(vec![None; REMEMBERED].into_boxed_slice()))
    }
}

impl Truth {
    /// The events among these that somebody saw otherwise.
    pub(super) fn differing(&self, items: &[Item]) -> u64 {
        let mut slots = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut differing = 0;
        for item in items.iter().filter(|item| item.what == What::Event) {
            let Some(position) = item.position else { continue };
            let slot = &mut slots[usize::try_from(position.seq).unwrap_or_default() % REMEMBERED];
            match slot {
                Some((at, content)) if *at == position => differing += u64::from(*content != item.content),
                Some((at, _)) if *at > position => {}
                _ => *slot = Some((position, item.content)),
            }
        }
        differing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(what: What, seq: Option<u64>) -> Item {
        Item { what, label: 0, position: seq.map(|seq| Position { epoch: 1, seq }), sent_us: None, content: 0 }
    }

    fn seen(items: &[(What, Option<u64>)], selected: bool) -> (Progress, Tally) {
        let (mut progress, mut tally) = (Progress::default(), Tally::default());
        for (what, seq) in items {
            progress.take(&item(*what, *seq), selected, &mut tally);
        }
        (progress, tally)
    }

    use What::{Event, Gap, Hello, Mark};

    #[test]
    fn a_whole_stream_has_no_violations() {
        let (progress, tally) = seen(&[(Hello, Some(7)), (Event, Some(8)), (Mark, Some(8)), (Event, Some(9))], false);
        assert_eq!(tally, Tally { deliveries: 2, ..Tally::default() });
        assert_eq!((progress.last, progress.counts[0]), (Some(Position { epoch: 1, seq: 9 }), 4));
    }

    #[test]
    fn what_is_lost_repeated_or_late_is_counted() {
        let events = [(Hello, Some(1)), (Event, Some(2)), (Event, Some(5)), (Event, Some(5)), (Event, Some(4))];
        let (_, tally) = seen(&events, false);
        assert_eq!(tally, Tally { deliveries: 4, lost: 2, repeated: 1, out_of_order: 1, ..Tally::default() });
        assert_eq!(tally.violations(), 4);
        let (_, tally) = seen(&events[..3], true);
        assert_eq!((tally.violations(), tally.skipped), (0, 2), "who asked for a selection misses nothing");
        let (_, tally) = seen(&[(Hello, Some(1)), (Hello, Some(4))], false);
        assert_eq!(tally.lost, 3, "a hello that jumps ahead without a gap");
    }

    #[test]
    fn a_gap_must_add_up() {
        for (n, exact) in [(Some(3), true), (Some(2), false), (Some(4), false), (None, false)] {
            let (_, tally) = seen(&[(Hello, Some(1)), (Gap(n), None), (Hello, Some(4)), (Event, Some(5))], false);
            assert_eq!((tally.violations() == 0, tally.gaps, tally.missed), (exact, 1, n.unwrap_or(0)), "{n:?}");
        }
    }

    #[test]
    fn an_epoch_changes_only_behind_a_gap_without_a_number() {
        for (gap, violations) in [(None, 1), (Some(Some(1)), 1), (Some(None), 0)] {
            let (mut progress, mut tally) = seen(&[(Hello, Some(9))], false);
            if let Some(n) = gap {
                progress.take(&item(Gap(n), None), false, &mut tally);
            }
            let mut next = item(Hello, Some(2));
            next.position = Some(Position { epoch: 2, seq: 2 });
            progress.take(&next, false, &mut tally);
            assert_eq!((tally.violations(), progress.last), (violations, next.position), "{gap:?}");
        }
    }

    #[test]
    fn two_contents_under_one_id_differ() {
        let truth = Truth::default();
        let [first, mut other, hello] = [item(Event, Some(3)), item(Event, Some(3)), item(Hello, Some(3))];
        other.content = 1;
        assert_eq!(truth.differing(&[first, first, hello]), 0);
        assert_eq!(truth.differing(&[first, other]), 1);
    }
}
