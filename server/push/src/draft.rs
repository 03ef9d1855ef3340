//! A room's next write in the making: which publications are new, which the limiter lets
//! through, and what all of that makes of the feed.

use std::collections::HashSet;

use idl::UserId;
use idl::event::{EventType, LotteryState, RoomState, SuppressedEvent};
use idl::push::{Lane, Outcome, Publication};

use crate::feed::Feed;
use crate::frame;
use crate::limiter::{Limiter, Verdict};
use crate::record::{Change, Event, totals_source};

/// A write in the making.
pub(crate) struct Draft {
    /// The time by which the limiter decides, too.
    now_ms: i64,
    change: Change,
    /// Sources in this write.
    sources: HashSet<String>,
    /// Ordinary danmaku in it: where they stand among `change.events`, and their senders.
    ordinary: Vec<(usize, Option<UserId>)>,
}

/// What will become of a publication.
pub(crate) enum Slot {
    Known(Outcome),
    /// The n-th ordinary danmaku of this write.
    Ordinary(usize),
}

impl Slot {
    pub(crate) fn resolve(self, verdicts: &[Verdict]) -> Outcome {
        match self {
            Self::Known(outcome) => outcome,
            Self::Ordinary(n) => match verdicts.get(n) {
                Some(Verdict::Shown { .. }) => Outcome::Appended,
                Some(Verdict::Folded) => Outcome::Folded,
                Some(Verdict::Suppressed) | None => Outcome::Suppressed,
            },
        }
    }
}

impl Draft {
    pub(crate) fn new(now_ms: i64) -> Self {
        Self { now_ms, change: Change::default(), sources: HashSet::new(), ordinary: Vec::new() }
    }

    pub(crate) fn add(&mut self, publications: Vec<Publication>, feed: &Feed, limiter: &mut Limiter) -> Vec<Slot> {
        publications.into_iter().map(|publication| self.add_one(publication, feed, limiter)).collect()
    }

    fn add_one(&mut self, publication: Publication, feed: &Feed, limiter: &mut Limiter) -> Slot {
        let Publication { source, event, data, at_ms, lane, sender, tombstones, state, lottery } = publication;
        if feed.has(&source) || !self.sources.insert(source.clone()) {
            return Slot::Known(Outcome::Appended);
        }
        if feed.is_deleted_ahead(&source) || self.change.tombstones.contains(&source) {
            // It was taken back before it got here.
            if lane == Lane::Ordinary {
                limiter.count_suppressed();
            }
            return Slot::Known(Outcome::Suppressed);
        }
        self.change.tombstones.extend(tombstones);
        if let Some(state) = state {
            self.retain(state, feed);
        }
        if let Some(lottery) = lottery {
            self.retain_lottery(lottery, feed);
        }
        let ordinary = lane == Lane::Ordinary;
        self.change.events.push(Event { source, event, data, at_ms, appended_ms: self.now_ms, ordinary });
        if !ordinary {
            self.change.durable = true;
            return Slot::Known(Outcome::Appended);
        }
        self.ordinary.push((self.change.events.len() - 1, sender));
        Slot::Ordinary(self.ordinary.len() - 1)
    }

    pub(crate) fn retain(&mut self, state: RoomState, feed: &Feed) {
        let known = self.change.state.as_ref().or(feed.state.as_deref()).map_or(0, |known| known.version);
        if state.version > known {
            self.change.state = Some(state);
        }
    }

    pub(crate) fn retain_lottery(&mut self, state: LotteryState, feed: &Feed) {
        if feed.lotteries.is_news(&state) {
            self.change.lotteries.push(state);
        }
    }

    /// Lets the limiter decide. With `told`, adds the totals if they are other than those.
    /// No change if there is nothing to write.
    pub(crate) fn finish(
        mut self,
        limiter: &mut Limiter,
        told: Option<SuppressedEvent>,
    ) -> (Option<Change>, Vec<Verdict>) {
        let verdicts = self.admit(limiter);
        let totals = limiter.totals();
        if told.is_some_and(|told| told != totals) {
            self.change.events.push(Event {
                source: totals_source(&totals),
                event: EventType::Suppressed,
                data: frame::json(&totals),
                at_ms: self.now_ms,
                appended_ms: self.now_ms,
                ordinary: false,
            });
        }
        // What was only counted is written too: the totals survive a kill.
        let nothing = Change { totals: self.change.totals, ..Change::default() };
        let change = (self.change != nothing || !verdicts.is_empty()).then_some(Change { totals, ..self.change });
        (change, verdicts)
    }

    /// Takes what does not pass out of the change, and gives what stands for more a count.
    fn admit(&mut self, limiter: &mut Limiter) -> Vec<Verdict> {
        let senders: Vec<_> = self.ordinary.iter().map(|(_, sender)| *sender).collect();
        let events = &mut self.change.events;
        let text = |n: usize| frame::text(&events[self.ordinary[n].0].data);
        let verdicts = limiter.admit(&senders, text, &mut rand::rng());
        let mut held = HashSet::new();
        for ((at, _), verdict) in self.ordinary.iter().zip(&verdicts) {
            match verdict {
                Verdict::Shown { count: 1 } => {}
                Verdict::Shown { count } => frame::put_count(&mut events[*at].data, *count),
                Verdict::Folded | Verdict::Suppressed => _ = held.insert(*at),
            }
        }
        let mut at = 0;
        events.retain(|_| {
            at += 1;
            !held.contains(&(at - 1))
        });
        verdicts
    }
}
