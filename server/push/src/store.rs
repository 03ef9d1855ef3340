//! Where a room's feed is kept: a file of this process, or a Redis that many share.

use anyhow::Context as _;
use idl::event::SuppressedEvent;
use idl::push::{Revocation, RevocationPage};
use std::time::Duration;

use crate::log::Log;
use crate::record::{Change, Record, Retention};
use crate::revocation_feed::RevocationFeed;
use crate::room::Room;
use crate::shared::{Mirror, SharedRevocations};

/// A file is rewritten when it is larger than this and twice as large as what it keeps.
const REWRITE_BYTES: u64 = 1 << 20;

/// A room's feed as its writer has it.
#[derive(Debug)]
pub(crate) enum Store {
    /// `None` only while a blocking task has it, and for good if that task died.
    Log(Option<Log<Record>>),
    Shared(Box<Mirror>),
}

impl Store {
    /// Whether others write it, too.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// It will never write again.
    pub(crate) const fn is_lost(&self) -> bool {
        matches!(self, Self::Log(None))
    }

    /// Writes a change that was drafted when the totals were `before`, then shows it to the
    /// room's viewers. In a shared feed it is fitted to what others wrote meanwhile.
    ///
    /// # Errors
    /// It was not written; in a shared feed this may not be known.
    pub(crate) async fn append(
        &mut self,
        room: &Room,
        change: Change,
        before: SuppressedEvent,
        keep: Retention,
    ) -> anyhow::Result<()> {
        let kept = match self {
            Self::Shared(mirror) => return mirror.append(room, change, before).await,
            Self::Log(log) => log,
        };
        let durable = change.must_survive_power_loss();
        let mut log = kept.take().context("the feed's log is lost")?;
        let record = Record::Change(change.clone());
        let (log, written) = tokio::task::spawn_blocking(move || {
            let written = log.append(record, durable);
            (log, written)
        })
        .await
        .context("the feed's writer thread ended early")?;
        *kept = Some(log);
        written?;
        room.apply(change, keep);
        Ok(())
    }

    /// Takes in what others wrote.
    ///
    /// # Errors
    /// The store is away.
    pub(crate) async fn catch_up(&self, room: &Room) -> anyhow::Result<()> {
        match self {
            Self::Log(_) => Ok(()),
            Self::Shared(mirror) => mirror.catch_up(room).await,
        }
    }

    /// Lets go of what a file no longer needs to keep. If that fails the old file goes on.
    pub(crate) async fn rewrite_if_large(&mut self, room: &Room) {
        let Self::Log(Some(log)) = self else { return };
        let records = {
            let feed = room.feed();
            if log.len() < REWRITE_BYTES || log.len() < 2 * feed.bytes() as u64 {
                return;
            }
            feed.records()
        };
        let path = log.path().to_owned();
        match tokio::task::spawn_blocking(move || Log::rewrite(&path, records)).await {
            Ok(Ok(new)) => *log = new,
            Ok(Err(error)) => {
                tracing::warn!(room.id = %room.id, error = %format!("{error:#}"), "a feed's file could not be rewritten");
            }
            Err(error) => tracing::error!(room.id = %room.id, %error, "rewriting a feed's file ended early"),
        }
    }

    /// Puts a file away, in order.
    pub(crate) async fn close(self, room: &Room) {
        if let Self::Log(Some(log)) = self
            && let Ok(Err(error)) = tokio::task::spawn_blocking(move || log.close()).await
        {
            tracing::error!(room.id = %room.id, error = %format!("{error:#}"), "putting a feed away failed");
        }
    }
}

/// Where the reserved feed of ended log-ins is kept.
#[derive(Debug)]
pub(crate) enum RevocationStore {
    File(RevocationFeed),
    Shared(SharedRevocations),
}

impl RevocationStore {
    /// Appends what is not there yet. When this returns, it survives a kill.
    pub(crate) async fn append(&self, revocations: Vec<Revocation>) -> anyhow::Result<()> {
        match self {
            Self::File(feed) => feed.append(revocations).await,
            Self::Shared(feed) => feed.append(&revocations).await,
        }
    }

    /// What comes after `after`; waits up to `wait` for something new.
    pub(crate) async fn follow(&self, after: Option<&str>, wait: Duration) -> anyhow::Result<RevocationPage> {
        match self {
            Self::File(feed) => Ok(feed.follow(after, wait).await),
            Self::Shared(feed) => feed.follow(after, wait).await,
        }
    }
}
