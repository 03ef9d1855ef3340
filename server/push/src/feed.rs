//! A room's feed: the events that a viewer can still get, in order, and where the room
//! stands. A plain value without I/O; [`crate::writer`] logs what it takes in, and
//! [`crate::room`] guards it.
//!
//! Bounded by events, age and bytes; when full the oldest go, and who missed them is told
//! exactly how many ([`Resume::Missed`]), never silently skipped.

mod entry;
mod mirrored;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use idl::event::{EventType, RoomState, SuppressedEvent};
use idl::message::Cursor;
use smallvec::{SmallVec, smallvec};

use crate::feed::entry::Entry;
use crate::feeds::Appended;
use crate::frame::{self, Position};
use crate::lotteries::Lotteries;
use crate::record::{Change, Event, Head, Record, Retention, Revision};

pub(crate) use mirrored::{Followed, Taken};

/// Marks of (number, time) that outlive their events, so that a gap can say since when.
/// Full: every other one goes, so they get coarser with age.
const MAX_MARKS: usize = 512;
const EVENTS_PER_MARK: u64 = 64;
/// More slices than this are copied into one: a vectored write of many small parts costs
/// more than the copy.
const MAX_PARTS: usize = 4;
/// Sources that were deleted before they came. Full: they are forgotten, all at once;
/// the history is right all the same.
const MAX_DELETED_AHEAD: usize = 10_000;

/// A room's events and state.
#[derive(Debug)]
pub(crate) struct Feed {
    epoch: u64,
    /// The number of `entries[0]`, or of the next event if there is none.
    first: u64,
    entries: VecDeque<Entry>,
    bytes: usize,
    sources: HashMap<Box<str>, u64>,
    deleted_ahead: HashSet<String>,
    marks: Vec<(u64, i64)>,
    /// The number of the latest event that told the totals; 0 before the first.
    told: u64,
    /// Where the feed that this one mirrors was when it was the same.
    at: Revision,
    pub(crate) totals: SuppressedEvent,
    pub(crate) state: Option<Arc<RoomState>>,
    pub(crate) lotteries: Lotteries,
}

/// Bytes that lie apart. What a viewer is sent while it keeps up is most often one slice.
pub(crate) type Parts = SmallVec<[Bytes; 1]>;

/// What a reader gets next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Nothing new.
    Nothing,
    /// These bytes, which end after event `last` and hold so many events: none, if nothing of
    /// it was wanted.
    Frames { parts: Parts, last: u64, events: u64 },
    /// The next event is gone; the first that is left has this number.
    Missed { first: u64 },
}

/// Where a client that comes back goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// After this number, without loss.
    At(u64),
    /// Some events are gone; it goes on after `at`.
    Missed { n: Option<u64>, at: u64 },
}

impl Feed {
    /// An empty feed.
    pub(crate) fn new(head: Head) -> Self {
        Self {
            epoch: head.epoch,
            first: head.first.max(1),
            entries: VecDeque::new(),
            bytes: 0,
            sources: HashMap::new(),
            deleted_ahead: HashSet::new(),
            marks: head.marks,
            told: 0,
            at: Revision::default(),
            totals: head.totals,
            state: head.state.map(Arc::new),
            lotteries: head.lotteries.into_iter().collect(),
        }
    }

    /// The number of the latest event; one less than the first ever if there was none.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// The number of the oldest event that is kept, or of the next one if there is none.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    pub(crate) const fn at(&self, seq: u64) -> Position {
        Position { epoch: self.epoch, seq }
    }

    /// When the event with this number was appended, if it is kept.
    pub(crate) fn appended_ms(&self, seq: u64) -> Option<i64> {
        let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        self.entries.get(index).map(|entry| entry.appended_ms)
    }

    /// How many events are kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When the oldest event that is kept was appended.
    pub(crate) fn oldest_appended_ms(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.appended_ms)
    }

    /// When the ordinary danmaku that are kept were appended.
    pub(crate) fn ordinary_appended_ms(&self) -> impl Iterator<Item = i64> {
        self.entries.iter().filter(|entry| entry.ordinary).map(|entry| entry.appended_ms)
    }

    /// The totals that the viewers were told last, as far as that is kept.
    pub(crate) fn totals_told(&self) -> Option<SuppressedEvent> {
        let index = usize::try_from(self.told.checked_sub(self.first)?).ok()?;
        let told = self.entries.get(index)?;
        serde_json::from_str(told.data()?).ok()
    }

    /// Bytes of the frames that are kept.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether this source is in the feed.
    pub(crate) fn has(&self, source: &str) -> bool {
        self.sources.contains_key(source)
    }

    /// Whether this source was deleted before it came.
    pub(crate) fn is_deleted_ahead(&self, source: &str) -> bool {
        self.deleted_ahead.contains(source)
    }

    /// Takes in what was written to the log, and lets go of what is too old or too much.
    pub(crate) fn apply(&mut self, change: Change, keep: Retention) {
        self.totals = change.totals;
        if let Some(state) = change.state {
            self.state = Some(Arc::new(state));
        }
        change.lotteries.into_iter().for_each(|state| self.lotteries.take(state));
        let now_ms = change.events.last().map(|event| event.appended_ms);
        self.append(change.events);
        for source in change.tombstones {
            self.blank(source);
        }
        if let Some(now_ms) = now_ms {
            self.lotteries.forget_old(now_ms);
            self.trim(keep, now_ms);
        }
    }

    fn append(&mut self, events: Vec<Event>) {
        let first = self.last() + 1;
        let mut chunk = BytesMut::with_capacity(events.iter().map(|e| e.data.len() + 96).sum());
        let mut spans = Vec::with_capacity(events.len());
        for (seq, event) in (first..).zip(&events) {
            let start = chunk.len();
            frame::put_id(&mut chunk, self.at(seq));
            let data = if event.data.is_empty() {
                chunk.extend_from_slice(b"\n");
                None
            } else {
                frame::put_event(&mut chunk, event.event.name(), &event.data);
                Some(chunk.len() - event.data.len() - 2)
            };
            spans.push((start, chunk.len(), data));
        }
        let chunk = chunk.freeze();
        self.bytes += chunk.len();
        for ((seq, event), (start, end, data)) in (first..).zip(events).zip(spans) {
            if seq.is_multiple_of(EVENTS_PER_MARK) {
                self.mark(seq, event.at_ms);
            }
            if event.event == EventType::Suppressed {
                self.told = seq;
            }
            let source: Box<str> = event.source.into();
            self.sources.insert(source.clone(), seq);
            let Event { event, at_ms, appended_ms, ordinary, .. } = event;
            let chunk = chunk.clone();
            self.entries.push_back(Entry { chunk, start, end, data, event, source, at_ms, appended_ms, ordinary });
        }
    }

    fn mark(&mut self, seq: u64, at_ms: i64) {
        if self.marks.len() >= MAX_MARKS {
            let mut odd = false;
            self.marks.retain(|_| {
                odd = !odd;
                odd
            });
        }
        self.marks.push((seq, at_ms));
    }

    /// Blanks a deleted event out for everybody who reads it from now on; its number stays.
    fn blank(&mut self, source: String) {
        let Some(seq) = self.sources.get(source.as_str()).copied() else {
            if self.deleted_ahead.len() >= MAX_DELETED_AHEAD {
                self.deleted_ahead.clear();
            }
            self.deleted_ahead.insert(source);
            return;
        };
        let blank = frame::id_only(self.at(seq));
        let index = usize::try_from(seq - self.first).unwrap_or(usize::MAX);
        if let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.data.is_some()) {
            self.bytes = self.bytes + blank.len() - entry.len();
            entry.blank(blank);
        }
    }

    fn trim(&mut self, keep: Retention, now_ms: i64) {
        while let Some(oldest) = self.entries.front() {
            let too_much = self.entries.len() > keep.events || self.bytes > keep.bytes;
            if !too_much && now_ms - oldest.appended_ms <= keep.age_ms {
                break;
            }
            if let Some(gone) = self.entries.pop_front() {
                self.bytes -= gone.len();
                if self.sources.get(&gone.source) == Some(&self.first) {
                    self.sources.remove(&gone.source);
                }
                self.first += 1;
            }
        }
    }

    /// What comes after event `after`: at most `max_events`, and about `max_bytes`. What
    /// `wants` does not want is passed over; it is told whether an event is ordinary danmaku.
    pub(crate) fn read(
        &self,
        after: u64,
        max_events: u64,
        max_bytes: usize,
        mut wants: impl FnMut(bool) -> bool,
    ) -> Read {
        if after + 1 < self.first {
            return Read::Missed { first: self.first };
        }
        let skip = usize::try_from(after + 1 - self.first).unwrap_or(usize::MAX);
        let mut parts = Parts::new();
        let mut run: Option<(&Bytes, usize, usize)> = None;
        let (mut last, mut events, mut bytes) = (after, 0, 0);
        for entry in self.entries.iter().skip(skip) {
            if events >= max_events || bytes >= max_bytes {
                break;
            }
            last += 1;
            if !wants(entry.ordinary) {
                continue;
            }
            run = Some(match run {
                // Neighbours in one chunk leave as one slice of it.
                Some((chunk, start, end)) if chunk.as_ptr() == entry.chunk.as_ptr() && end == entry.start => {
                    (chunk, start, entry.end)
                }
                before => {
                    parts.extend(before.map(|(chunk, start, end)| chunk.slice(start..end)));
                    (&entry.chunk, entry.start, entry.end)
                }
            });
            bytes += entry.len();
            events += 1;
        }
        parts.extend(run.map(|(chunk, start, end)| chunk.slice(start..end)));
        if parts.len() > MAX_PARTS {
            parts = smallvec![parts.concat().into()];
        }
        if last == after { Read::Nothing } else { Read::Frames { parts, last, events } }
    }

    /// What comes after event `after`, at most so many, for the operator.
    pub(crate) fn appended(&self, after: u64, most: usize) -> Vec<Appended> {
        let skip = usize::try_from(after + 1 - self.first).unwrap_or(usize::MAX);
        let numbered = (after + 1..).zip(self.entries.iter().skip(skip));
        numbered.take(most).map(|(seq, entry)| entry.appended(self.at(seq))).collect()
    }

    /// Where a client goes on that saw everything up to `seen`.
    pub(crate) fn resume(&self, seen: Position) -> Resume {
        let at = self.first - 1;
        if seen.epoch != self.epoch || seen.seq > self.last() {
            return Resume::Missed { n: None, at };
        }
        if seen.seq < at { Resume::Missed { n: Some(at - seen.seq), at } } else { Resume::At(seen.seq) }
    }

    /// History cursors around what lies between two events, as far as they are known: well
    /// before what follows `after`, and well after what precedes `before`. What waited in
    /// an outbox is older than its neighbours here, so both have some slack; readers drop
    /// what they have by its id.
    pub(crate) fn cursors(&self, after: Option<u64>, before: u64) -> (Option<String>, Option<String>) {
        const SLACK_MS: i64 = 10_000;
        let cursor = |ms: i64| Cursor { sent_at_ms: ms.max(0), id: 0 }.to_string();
        let from = after.and_then(|after| self.marks.iter().rev().find(|(seq, _)| *seq <= after));
        let index = usize::try_from(before.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let to = self.entries.get(index);
        (from.map(|(_, ms)| cursor(ms - SLACK_MS)), to.map(|entry| cursor(entry.at_ms + SLACK_MS)))
    }

    /// The latest danmaku that are not deleted, oldest first, as JSON.
    pub(crate) fn latest_danmaku(&self, most: usize) -> Vec<&str> {
        let danmaku = self.entries.iter().rev().filter(|entry| entry.event == EventType::Danmaku);
        let mut latest: Vec<&str> = danmaku.filter_map(Entry::data).take(most).collect();
        latest.reverse();
        latest
    }

    /// The records of a new file that holds this feed.
    pub(crate) fn records(&self) -> Vec<Record> {
        const EVENTS_PER_RECORD: usize = 500;
        let head = Head {
            epoch: self.epoch,
            first: self.first,
            totals: self.totals,
            state: self.state.as_deref().cloned(),
            lotteries: self.lotteries.all(),
            marks: self.marks.clone(),
        };
        let events: Vec<Event> = self.entries.iter().map(Entry::event).collect();
        let changes = events.chunks(EVENTS_PER_RECORD).map(|events| Change {
            events: events.to_vec(),
            totals: self.totals,
            ..Change::default()
        });
        let ahead = Change {
            tombstones: self.deleted_ahead.iter().cloned().collect(),
            totals: self.totals,
            ..Change::default()
        };
        std::iter::once(Record::Head(head)).chain(changes.chain([ahead]).map(Record::Change)).collect()
    }

    /// The feed that a file holds.
    pub(crate) fn from_records(records: Vec<Record>, keep: Retention) -> Self {
        let mut feed = Self::new(Head::default());
        for record in records {
            match record {
                Record::Head(head) => feed = Self::new(head),
                Record::Change(change) => feed.apply(change, keep),
            }
        }
        feed
    }

    /// A feed in a new epoch. Of what a damaged file still holds only the states of the
    /// room and its lotteries are taken over.
    pub(crate) fn begun_anew(damaged: Vec<Record>, epoch: u64, keep: Retention) -> Self {
        let before = Self::from_records(damaged, keep);
        let state = before.state.as_deref().cloned();
        let lotteries = before.lotteries.all();
        Self::new(Head { epoch: epoch.max(before.epoch + 1), first: 1, state, lotteries, ..Head::default() })
    }
}

#[cfg(test)]
mod tests;
