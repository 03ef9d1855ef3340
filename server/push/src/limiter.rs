//! The flow limiter: what of a room's ordinary danmaku goes into the live stream.
//!
//! A token bucket: `rate` a second, `burst` at once. While there are tokens for all that
//! waits, all of it passes. While they are short,
//!
//! * those who pass are chosen uniformly among the waiting senders, one line each, so that
//!   a bot that posts two hundred lines has the chance of one;
//! * who was not shown within the last second comes before who was, and has the last
//!   quarter of the burst for itself: a bot that has emptied the bucket for a minute has
//!   left something for the person who speaks up now;
//! * who says the same as somebody who passes is folded into that event's count, which
//!   costs no token.
//!
//! The rest is sampled out. Guaranteed events never come here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, Reference as _};
use idl::UserId;
use idl::event::SuppressedEvent;
use rand::Rng;
use rand::seq::SliceRandom as _;

use crate::bucket::{Bucket, Flow};
use crate::write_clock::WriteClock;

/// Who was shown within this time comes after who was not.
const RECENTLY: Duration = Duration::from_secs(1);
/// This part of the burst is for those who were not shown recently.
const RESERVED_PART: u32 = 4;

/// What becomes of a waiting danmaku.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is shown, and stands for so many lines.
    Shown { count: u64 },
    /// It is shown as part of another one.
    Folded,
    /// It is not shown.
    Suppressed,
}

/// One room's bucket and what it has decided so far.
#[derive(Debug)]
pub(crate) struct Limiter<C: Clock = WriteClock> {
    clock: C,
    bucket: Bucket<C>,
    totals: SuppressedEvent,
    recent: Recent<C>,
}

/// Who was shown recently. Bounded by the tokens of [`RECENTLY`].
#[derive(Debug)]
struct Recent<C: Clock> {
    in_order: VecDeque<(C::Instant, UserId)>,
    latest: HashMap<UserId, C::Instant>,
}

impl<C: Clock + Clone> Limiter<C> {
    /// A limiter whose bucket holds `tokens`.
    pub(crate) fn new(flow: Flow, tokens: u32, totals: SuppressedEvent, clock: C) -> Self {
        let recent = Recent { in_order: VecDeque::new(), latest: HashMap::new() };
        Self { bucket: Bucket::new(flow, tokens, clock.clone()), clock, totals, recent }
    }

    /// Other measures from now on.
    pub(crate) fn change(&mut self, flow: Flow) {
        if flow != self.bucket.flow() {
            self.bucket.change(flow);
        }
    }

    /// How fast the bucket fills, and how much it holds.
    pub(crate) const fn flow(&self) -> Flow {
        self.bucket.flow()
    }

    /// The bucket holds so many tokens now: others have taken some.
    pub(crate) fn refill(&mut self, tokens: u32) {
        self.bucket = Bucket::new(self.bucket.flow(), tokens, self.clock.clone());
    }

    /// Decides on all that waits now, in order, and counts every one of it. `text` says what
    /// the n-th of them says; it is only asked while tokens are short, and what has no text
    /// is never folded.
    pub(crate) fn admit<'t>(
        &mut self,
        waiting: &[Option<UserId>],
        text: impl Fn(usize) -> Option<Cow<'t, str>>,
        rng: &mut impl Rng,
    ) -> Vec<Verdict> {
        let verdicts = self.choose(waiting, text, rng);
        self.totals.accepted += waiting.len() as u64;
        for verdict in &verdicts {
            match verdict {
                Verdict::Shown { .. } => self.totals.shown += 1,
                Verdict::Folded => self.totals.folded += 1,
                Verdict::Suppressed => self.totals.suppressed += 1,
            }
        }
        verdicts
    }

    /// What became of everything so far; `accepted = shown + folded + suppressed`.
    pub(crate) const fn totals(&self) -> SuppressedEvent {
        self.totals
    }

    /// Takes a count back to what it was: what was decided since could not be written.
    pub(crate) const fn restore(&mut self, totals: SuppressedEvent) {
        self.totals = totals;
    }

    /// Counts one that never got to the bucket, because it was deleted before.
    pub(crate) const fn count_suppressed(&mut self) {
        self.totals.accepted += 1;
        self.totals.suppressed += 1;
    }

    fn choose<'t>(
        &mut self,
        waiting: &[Option<UserId>],
        text: impl Fn(usize) -> Option<Cow<'t, str>>,
        rng: &mut impl Rng,
    ) -> Vec<Verdict> {
        let now = self.clock.now();
        self.recent.forget(now);
        let mut verdicts = vec![Verdict::Suppressed; waiting.len()];
        let Some(all) = u32::try_from(waiting.len()).ok().and_then(NonZeroU32::new) else { return verdicts };
        let reserve = self.bucket.flow().burst.get() / RESERVED_PART;
        if self.bucket.level() >= all.get().saturating_add(reserve) && self.bucket.take_all(all) {
            verdicts.fill(Verdict::Shown { count: 1 });
            waiting.iter().flatten().for_each(|sender| self.recent.note(*sender, now));
            return verdicts;
        }
        let mut shown: HashMap<_, usize> = HashMap::new();
        for at in self.turns(waiting, rng) {
            let text = text(at);
            if let Some(text) = &text
                && let Some(other) = shown.get(text)
            {
                verdicts[at] = Verdict::Folded;
                if let Verdict::Shown { count } = &mut verdicts[*other] {
                    *count += 1;
                }
                continue;
            }
            let may_draw = !self.recent.has(waiting[at]) || self.bucket.level() > reserve;
            if may_draw && self.bucket.take() {
                verdicts[at] = Verdict::Shown { count: 1 };
                shown.extend(text.map(|text| (text, at)));
                waiting[at].into_iter().for_each(|sender| self.recent.note(sender, now));
            }
        }
        verdicts
    }

    /// One line of each sender, in the order in which they may draw.
    fn turns(&self, waiting: &[Option<UserId>], rng: &mut impl Rng) -> Vec<usize> {
        let mut order: Vec<usize> = (0..waiting.len()).collect();
        order.shuffle(rng);
        let mut senders = HashSet::with_capacity(waiting.len());
        order.retain(|&at| waiting[at].is_none_or(|sender| senders.insert(sender)));
        // Who sent many stands early in the first order: the senders are shuffled again
        // after each has put up one of its lines.
        order.shuffle(rng);
        order.sort_by_key(|&at| self.recent.has(waiting[at]));
        order
    }
}

impl<C: Clock> Recent<C> {
    fn has(&self, sender: Option<UserId>) -> bool {
        sender.is_some_and(|sender| self.latest.contains_key(&sender))
    }

    fn note(&mut self, sender: UserId, now: C::Instant) {
        self.in_order.push_back((now, sender));
        self.latest.insert(sender, now);
    }

    fn forget(&mut self, now: C::Instant) {
        while let Some((at, sender)) = self.in_order.front().copied()
            && now.duration_since(at) > RECENTLY.into()
        {
            self.in_order.pop_front();
            if self.latest.get(&sender) == Some(&at) {
                self.latest.remove(&sender);
            }
        }
    }
}

#[cfg(test)]
mod tests;
