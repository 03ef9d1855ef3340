//! A room's feed as one process writes and follows it: the writer's end of the store.

use std::time::Duration;

use anyhow::{Context as _, bail};
use common::Clock;
use idl::RoomId;
use idl::event::SuppressedEvent;
use rand::RngExt as _;

use super::link::Link;
use super::news::Hold;
use super::wire::{self, Append, Appended, Head, Keys, News};
use crate::feed::{Feed, Taken};
use crate::record::{self, Change, Retention, Revision};
use crate::room::Room;

/// How often a write is tried that others come before, and how long in all.
const MAX_TRIES: usize = 64;
const APPEND_PATIENCE: Duration = Duration::from_millis(1_500);

/// The shared feed of a room.
#[derive(Debug)]
pub(crate) struct Mirror {
    link: Link,
    keys: Keys,
    keep: Retention,
    clock: Clock,
    /// News of the room are listened to as long as it is here.
    _hold: Hold,
}

/// Reads a room's feed. `None`: there is none.
pub(crate) async fn load(link: &Link, room: RoomId, now_ms: i64, keep: Retention) -> anyhow::Result<Option<Feed>> {
    let keys = Keys::of(link, room);
    let mut feed = blank(now_ms);
    loop {
        let since = feed.place();
        let page = wire::read(link, &keys, &since).await?;
        if page.head.is_none() {
            return Ok(None);
        }
        match feed.take(page, &since, keep) {
            Taken::All => return Ok(Some(feed)),
            Taken::More => {}
            // It was lost while it was read: from the beginning.
            Taken::Lost(_) => feed = blank(now_ms),
        }
    }
}

/// A feed that nobody has written yet.
pub(crate) fn blank(now_ms: i64) -> Feed {
    Feed::new(record::Head { epoch: now_ms.cast_unsigned(), first: 1, ..record::Head::default() })
}

impl Mirror {
    pub(crate) fn new(link: Link, room: RoomId, keep: Retention, clock: Clock, hold: Hold) -> Self {
        let keys = Keys::of(&link, room);
        Self { link, keys, keep, clock, _hold: hold }
    }

    /// Appends a change that was drafted when the totals were `before`, and takes it in. If
    /// others were faster it is fitted to what they wrote.
    ///
    /// # Errors
    /// Redis is away, or it is not known whether it has appended the change.
    pub(crate) async fn append(&self, room: &Room, change: Change, before: SuppressedEvent) -> anyhow::Result<()> {
        let appending = tokio::time::timeout(APPEND_PATIENCE, self.append_somehow(room, change, before));
        appending.await.context("appending took too long")?
    }

    async fn append_somehow(&self, room: &Room, mut change: Change, mut before: SuppressedEvent) -> anyhow::Result<()> {
        for _ in 0..MAX_TRIES {
            let upon = room.feed().place();
            let lotteries = (!change.lotteries.is_empty()).then(|| room.feed().lotteries.with(&change.lotteries));
            let tag = new_tag();
            let append = Append {
                upon,
                expected: upon.at.tag,
                tag,
                epoch: upon.epoch,
                anew: false,
                change: &change,
                lotteries,
                keep_events: self.keep.events,
            };
            let page = match wire::append(&self.link, &self.keys, &append).await? {
                Appended::At { rev, after } => {
                    let at = Revision { rev, tag };
                    room.wrote_here(&change, before);
                    room.follow(News { epoch: upon.epoch, at, upon: upon.at.tag, after, change }, self.keep);
                    return Ok(());
                }
                Appended::Stale(page) => *page,
            };
            // A connection broke after it had been appended, before that was known.
            let is_there = page.head.as_ref().is_some_and(|head| head.at.tag == tag);
            match room.take(page, &upon, self.keep) {
                Taken::All => {}
                Taken::More => self.catch_up(room).await?,
                Taken::Lost(head) => {
                    self.begin_anew(room, head.as_deref()).await?;
                    self.catch_up(room).await?;
                }
            }
            if is_there {
                room.wrote_here(&change, before);
                return Ok(());
            }
            let feed = room.feed();
            change = change.rebased(before, &feed);
            before = feed.totals;
            if change.is_nothing_upon(before) {
                return Ok(());
            }
        }
        bail!("too many others write to the room")
    }

    /// Takes in what others wrote.
    ///
    /// # Errors
    /// Redis is away.
    pub(crate) async fn catch_up(&self, room: &Room) -> anyhow::Result<()> {
        loop {
            let since = room.feed().place();
            let page = wire::read(&self.link, &self.keys, &since).await?;
            match room.take(page, &since, self.keep) {
                Taken::All => return Ok(()),
                Taken::More => {}
                Taken::Lost(head) => self.begin_anew(room, head.as_deref()).await?,
            }
        }
    }

    /// Begins a new epoch, unless somebody else has: viewers have seen what is gone.
    async fn begin_anew(&self, room: &Room, found: Option<&Head>) -> anyhow::Result<()> {
        let now_ms = self.clock.now().0.cast_unsigned();
        let (upon, mut state, lotteries) = {
            let feed = room.feed();
            (feed.place(), feed.state.as_deref().cloned(), feed.lotteries.all())
        };
        let found_state = found.and_then(|found| found.state.clone());
        let version = |state: &Option<idl::event::RoomState>| state.as_ref().map_or(0, |state| state.version);
        if version(&found_state) > version(&state) {
            state = found_state;
        }
        let epoch = now_ms.max(upon.epoch + 1).max(found.map_or(0, |found| found.epoch + 1));
        let change = Change { state: state.clone(), ..Change::default() };
        let tag = new_tag();
        let append = Append {
            upon,
            expected: found.map_or(0, |found| found.at.tag),
            tag,
            epoch,
            anew: true,
            change: &change,
            lotteries: (!lotteries.is_empty()).then_some(lotteries),
            keep_events: self.keep.events,
        };
        // Who lost this race is told by what it reads next.
        if let Appended::At { rev, .. } = wire::append(&self.link, &self.keys, &append).await? {
            let id = room.id;
            tracing::warn!(room.id = %id, epoch, "Redis has lost events of room {id} that were shown; it begins a new epoch");
            room.begin_epoch(epoch, Revision { rev, tag }, state);
        }
        Ok(())
    }
}

/// Not 0, which is none, nor 1, which no change has.
fn new_tag() -> u64 {
    rand::rng().random_range(2..=u64::MAX)
}
