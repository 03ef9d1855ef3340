//! A room whose feed other processes write, too.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use idl::event::{RoomState, SuppressedEvent};
use idl::{Code, Refusal};

use super::Room;
use crate::feed::{Feed, Followed, Taken};
use crate::hello::Hello;
use crate::record::{Change, Retention, Revision, Totals as _};
use crate::shared::{Message, News, Page, Place};

impl Room {
    /// Somebody else has written; it is read if something is missing before it.
    ///
    /// # Errors
    /// The message can't be read.
    pub(crate) fn hear(&self, message: Message<'_>, keep: Retention) -> anyhow::Result<()> {
        let awaited = message.awaited_by(&self.feed());
        match awaited {
            Followed::Known => {}
            Followed::Behind => self.fall_behind(),
            Followed::Applied => self.follow(message.decode()?, keep),
        }
        Ok(())
    }

    /// Takes in a change, and wakes the viewers.
    pub(crate) fn follow(&self, news: News, keep: Retention) {
        let outdates_hello = news.change.outdates_hello();
        let appended_ms = news.change.events.last().map(|event| event.appended_ms);
        let mut feed = self.feed.write().unwrap_or_else(PoisonError::into_inner);
        let followed = feed.follow(news, keep);
        if followed == Followed::Applied {
            appended_ms.into_iter().for_each(|appended_ms| self.statistics.wrote(appended_ms));
        }
        drop(feed);
        match followed {
            Followed::Known => return,
            Followed::Behind => return self.fall_behind(),
            Followed::Applied => {}
        }
        if outdates_hello {
            Hello::forget(self);
        }
        self.ring();
    }

    /// Takes in what was read, and wakes the viewers.
    pub(crate) fn take(&self, page: Page, since: &Place, keep: Retention) -> Taken {
        let appended_ms = page.events.last().map(|(_, event)| event.appended_ms);
        let mut feed = self.feed.write().unwrap_or_else(PoisonError::into_inner);
        let before = feed.place();
        let taken = feed.take(page, since, keep);
        let changed = feed.place() != before;
        if changed {
            appended_ms.into_iter().for_each(|appended_ms| self.statistics.wrote(appended_ms));
        }
        drop(feed);
        if changed {
            Hello::forget(self);
            self.ring();
        }
        taken
    }

    /// The feed goes on in a new epoch.
    pub(crate) fn begin_epoch(&self, epoch: u64, at: Revision, state: Option<RoomState>) {
        self.feed.write().unwrap_or_else(PoisonError::into_inner).begin_epoch(epoch, at, state);
        Hello::forget(self);
        self.ring();
    }

    /// Wakes the writer to read what others wrote.
    pub(crate) fn fall_behind(&self) {
        self.behind.notify_one();
    }

    /// Returns when something is to be read that others wrote: what [`confirm`](Self::confirm)
    /// takes when it was.
    pub(crate) async fn is_behind(&self) -> u64 {
        self.behind.notified().await;
        self.reads_asked.load(Ordering::SeqCst)
    }

    /// The copy is as new as it was in Redis after so many had asked for that.
    pub(crate) fn confirm(&self, asked: u64) {
        self.confirmed.send_replace(asked);
    }

    /// Returns when the copy is as new as the feed is in Redis now; that takes as long as Redis
    /// is away. Those who wait together are one read.
    ///
    /// # Errors
    /// The writer has ended.
    pub(crate) async fn confirmed(&self) -> Result<(), Refusal> {
        let mut confirmed = self.confirmed.subscribe();
        let asked = self.reads_asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.fall_behind();
        tokio::select! {
            _ = confirmed.wait_for(|confirmed| *confirmed >= asked) => Ok(()),
            () = self.ended.cancelled() => Err(Refusal::new(Code::Unavailable, "the room's writer has ended")),
        }
    }

    /// Whether other processes write the feed, too.
    pub(crate) const fn is_shared(&self) -> bool {
        self.decided.is_some()
    }

    /// Counts what this process has decided: this change, drafted when the totals were `before`.
    pub(crate) fn wrote_here(&self, change: &Change, before: SuppressedEvent) {
        if let Some(decided) = &self.decided {
            let mut decided = decided.lock().unwrap_or_else(PoisonError::into_inner);
            *decided = decided.plus(&change.totals.minus(&before));
        }
    }

    /// The totals of what was decided in this process.
    pub(crate) fn totals_here(&self, feed: &Feed) -> SuppressedEvent {
        self.decided.as_ref().map_or(feed.totals, |decided| *decided.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
