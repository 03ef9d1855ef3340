//! A feed that other processes write, too: how this one's copy of it follows.

use crate::feed::Feed;
use crate::frame::Position;
use crate::record::{Event, Head, Retention, Revision};
use crate::shared::{News, Page, Place, RemoteHead};

/// The tag of a copy of which only the first pages are there: no change builds on it.
const UNFINISHED: u64 = 1;

/// What became of news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// They are taken in.
    Applied,
    /// They were there before.
    Known,
    /// Something is missing before them, or is of another history.
    Behind,
}

/// What became of a page.
#[derive(Debug)]
pub(crate) enum Taken {
    /// The copy is what the feed was when it was read, or newer.
    All,
    /// There are further pages.
    More,
    /// The feed has lost what this copy has: told to viewers, and gone. What there is.
    Lost(Option<Box<RemoteHead>>),
}

impl Feed {
    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where this copy is.
    pub(crate) fn place(&self) -> Place {
        Place { epoch: self.epoch, at: self.at, first: self.first, last: self.last() }
    }

    /// Whether a viewer has seen what this copy does not have: it lags, or it was lost.
    pub(crate) fn lacks(&self, seen: Position) -> bool {
        let is_blank = self.at.tag == 0;
        is_blank || seen.epoch > self.epoch || (seen.epoch == self.epoch && seen.seq > self.last())
    }

    /// The number of the latest event that told the totals; 0 before the first.
    pub(crate) const fn told(&self) -> u64 {
        self.told
    }

    /// Whether news of this place come next.
    pub(crate) fn awaits(&self, epoch: u64, at: Revision, upon: u64, after: u64) -> Followed {
        if epoch < self.epoch || (epoch == self.epoch && at.rev <= self.at.rev) {
            return Followed::Known;
        }
        let is_next = epoch == self.epoch && upon == self.at.tag && after == self.last();
        if is_next { Followed::Applied } else { Followed::Behind }
    }

    /// Takes in the change that comes next.
    pub(crate) fn follow(&mut self, news: News, keep: Retention) -> Followed {
        let followed = self.awaits(news.epoch, news.at, news.upon, news.after);
        if followed == Followed::Applied {
            self.apply(news.change, keep);
            self.at = news.at;
        }
        followed
    }

    /// Takes in what was read for a copy that was at `since`.
    pub(crate) fn take(&mut self, page: Page, since: &Place, keep: Retention) -> Taken {
        let Page { head, mut events, gone, marks } = page;
        let is_blank = self.at.tag == 0;
        let Some(head) = head else {
            return if is_blank { Taken::All } else { Taken::Lost(None) };
        };
        if !is_blank
            && (head.epoch < since.epoch || (head.epoch == since.epoch && self.has_lost(&head, &events, since)))
        {
            return Taken::Lost(Some(Box::new(head)));
        }
        if head.epoch < self.epoch && !is_blank {
            return Taken::All; // it is older than what was heard since
        }
        let is_full = events.len() >= Page::EVENTS;
        if head.epoch != self.epoch || is_blank {
            let first = events.first().map_or(head.last + 1, |(seq, _)| *seq);
            *self = Self::new(Head { epoch: head.epoch, first, marks, ..Head::default() });
            self.at.tag = UNFINISHED;
        }
        events.retain(|(seq, _)| *seq > self.last());
        self.append_numbered(events);
        // With every page: what was deleted is not seen for a moment, either.
        gone.into_iter().for_each(|source| self.blank(source));
        if is_full && self.last() < head.last {
            return Taken::More;
        }
        if self.last() < head.last {
            self.skip_to(head.last + 1);
        }
        if head.at.rev > self.at.rev {
            self.at = head.at;
            self.totals = head.totals;
        }
        self.retain(head);
        if let Some(now_ms) = self.entries.back().map(|entry| entry.appended_ms) {
            self.lotteries.forget_old(now_ms);
            self.trim(keep, now_ms);
        }
        Taken::All
    }

    /// Whether this copy, when it was at `since`, had what the feed has no more.
    fn has_lost(&self, head: &RemoteHead, events: &[(u64, Event)], since: &Place) -> bool {
        let same = |(seq, event): &(u64, Event)| {
            let index = usize::try_from(seq.checked_sub(self.first)?).ok()?;
            let mine = self.entries.get(index)?;
            Some(*mine.source == *event.source && mine.appended_ms == event.appended_ms)
        };
        let other =
            events.first().filter(|(seq, _)| *seq == since.last).is_some_and(|first| same(first) == Some(false));
        let forked = head.at.rev == since.at.rev && head.at.tag != since.at.tag;
        head.at.rev < since.at.rev || head.last < since.last || forked || other
    }

    fn append_numbered(&mut self, events: Vec<(u64, Event)>) {
        let mut run = Vec::with_capacity(events.len());
        for (seq, event) in events {
            let next = self.last() + 1 + run.len() as u64;
            if seq != next {
                // What is between was let go of before it was read.
                run.clear();
                self.skip_to(seq);
            }
            run.push(event);
        }
        if !run.is_empty() {
            self.append(run);
        }
    }

    /// Lets go of all, up to this number: who had less is told how much it missed.
    fn skip_to(&mut self, first: u64) {
        self.entries.clear();
        self.sources.clear();
        (self.bytes, self.first) = (0, first);
    }

    fn retain(&mut self, head: RemoteHead) {
        let known = self.state.as_ref().map_or(0, |state| state.version);
        if let Some(state) = head.state.filter(|state| state.version > known) {
            self.state = Some(state.into());
        }
        head.lotteries.into_iter().for_each(|state| self.lotteries.take(state));
    }

    /// In a new epoch, of which this is the first change. What outlives an epoch stays.
    pub(crate) fn begin_epoch(&mut self, epoch: u64, at: Revision, state: Option<idl::event::RoomState>) {
        let lotteries = self.lotteries.all();
        *self = Self::new(Head { epoch, first: 1, state, lotteries, ..Head::default() });
        self.at = at;
    }
}
