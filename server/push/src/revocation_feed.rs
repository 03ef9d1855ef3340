//! The reserved feed of ended log-ins, which every process that verifies tokens follows.
//!
//! An entry is kept until the last access token of its log-in has expired, so its size is
//! bounded by the log-ins that end within a token's life.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use common::Clock;
use idl::push::{Revocation, RevocationPage};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};

use crate::frame::Position;
use crate::log::Log;

/// In the folder of the rooms' feeds.
pub(crate) const FILE: &str = "revocations.feed";
const PAGE: usize = 1_000;
/// Expired entries are let go when there are so many, or half of all.
const REWRITE_AT: usize = 1_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Epoch { epoch: u64, first: u64 },
    Ended(Vec<Revocation>),
}

/// The feed.
#[derive(Debug)]
pub(crate) struct RevocationFeed {
    kept: Mutex<Kept>,
    last: watch::Sender<u64>,
    clock: Clock,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    log: Option<Log<Record>>,
    epoch: u64,
    first: u64,
    ended: Vec<Revocation>,
    sources: HashSet<String>,
}

impl RevocationFeed {
    /// Reads the feed's file, or begins it.
    pub(crate) fn open(folder: &Path, clock: Clock) -> anyhow::Result<Self> {
        let path = folder.join(FILE);
        let now_ms = clock.now().0;
        // A damaged file begins a new epoch: followers read all of it again, and `user`
        // relays what was not acknowledged.
        let (records, damaged) =
            Log::<Record>::load(&path)?.map_or((Vec::new(), false), |loaded| (loaded.records, loaded.damaged));
        let (mut epoch, mut first, mut ended) = (0, 1, Vec::new());
        for record in records {
            match record {
                Record::Epoch { epoch: e, first: f } => (epoch, first) = (e, f),
                Record::Ended(revocations) => ended.extend(revocations),
            }
        }
        if epoch == 0 || damaged {
            (epoch, first) = (now_ms.cast_unsigned().max(epoch + 1), 1);
        }
        let mut kept = Kept { path, log: None, epoch, first, sources: HashSet::new(), ended };
        kept.rewrite(now_ms)?;
        let last = watch::Sender::new(kept.last());
        Ok(Self { kept: Mutex::new(kept), last, clock })
    }

    /// Appends what is not there yet. When this returns, it survives a kill.
    pub(crate) async fn append(&self, revocations: Vec<Revocation>) -> anyhow::Result<()> {
        let mut kept = self.kept.lock().await;
        let mut sources = HashSet::new();
        let new: Vec<Revocation> = revocations
            .into_iter()
            .filter(|r| !kept.sources.contains(&r.source) && sources.insert(r.source.clone()))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        // Durable: `user` forgets them once this returns.
        let mut log = kept.log.take().context("the file of revocations is lost")?;
        let record = Record::Ended(new.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let written = log.append(record, true);
            (log, written)
        });
        let (log, written) = writing.await.context("the writer thread of revocations ended early")?;
        kept.log = Some(log);
        written?;
        kept.sources.extend(sources);
        kept.ended.extend(new);
        let now_ms = self.clock.now().0;
        let expired = kept.ended.iter().filter(|r| r.until_ms <= now_ms).count();
        if expired > REWRITE_AT.max(kept.ended.len() / 2) {
            kept.rewrite(now_ms)?;
        }
        self.last.send_replace(kept.last());
        Ok(())
    }

    /// What comes after `after`; waits up to `wait` for something new.
    pub(crate) async fn follow(&self, after: Option<&str>, wait: Duration) -> RevocationPage {
        let mut news = self.last.subscribe();
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            news.borrow_and_update();
            let page = self.page(after.and_then(|position| position.parse().ok())).await;
            if !page.revocations.is_empty() || tokio::time::timeout_at(deadline, news.changed()).await.is_err() {
                return page;
            }
        }
    }

    async fn page(&self, after: Option<Position>) -> RevocationPage {
        let kept = self.kept.lock().await;
        // A position of another epoch, or from before the first that is kept: all there is.
        let seen = after.filter(|position| position.epoch == kept.epoch).map_or(0, |position| position.seq);
        let seen = seen.clamp(kept.first - 1, kept.last());
        let skip = usize::try_from(seen + 1 - kept.first).unwrap_or(usize::MAX);
        let revocations: Vec<Revocation> = kept.ended.iter().skip(skip).take(PAGE).cloned().collect();
        let next = Position { epoch: kept.epoch, seq: seen + revocations.len() as u64 };
        RevocationPage { revocations, next: next.to_string() }
    }
}

impl Kept {
    fn last(&self) -> u64 {
        self.first + self.ended.len() as u64 - 1
    }

    /// Lets go of what has expired at the front, and begins the file anew.
    fn rewrite(&mut self, now_ms: i64) -> anyhow::Result<()> {
        let expired = self.ended.iter().take_while(|r| r.until_ms <= now_ms).count();
        self.ended.drain(..expired);
        self.first += expired as u64;
        self.sources = self.ended.iter().map(|r| r.source.clone()).collect();
        let head = Record::Epoch { epoch: self.epoch, first: self.first };
        let ended = self.ended.chunks(PAGE).map(|ended| Record::Ended(ended.to_vec()));
        self.log = Some(Log::rewrite(&self.path, std::iter::once(head).chain(ended))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use idl::{DeviceId, Timestamp, UserId};

    fn ended(device: u64, until_ms: i64) -> Revocation {
        Revocation { source: format!("device:{device}"), user: UserId(1), device: DeviceId(device), until_ms }
    }

    #[tokio::test]
    async fn a_follower_gets_each_once_across_a_kill_and_forgets_none_too_early() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp(1_000));
        let feed = RevocationFeed::open(dir.path(), clock.clone()).unwrap();
        feed.append(vec![ended(1, 2_000), ended(2, 5_000), ended(1, 2_000)]).await.unwrap();
        let page = feed.follow(None, Duration::ZERO).await;
        assert_eq!(page.revocations, [ended(1, 2_000), ended(2, 5_000)]);
        std::mem::forget(feed); // kill -9

        clock.advance_ms(1_500);
        let feed = RevocationFeed::open(dir.path(), clock).unwrap();
        assert!(feed.follow(Some(&page.next), Duration::ZERO).await.revocations.is_empty());
        feed.append(vec![ended(2, 5_000), ended(3, 5_000)]).await.unwrap();
        assert_eq!(feed.follow(Some(&page.next), Duration::ZERO).await.revocations, [ended(3, 5_000)]);
        let all = feed.follow(None, Duration::ZERO).await;
        assert_eq!(all.revocations, [ended(2, 5_000), ended(3, 5_000)]);
        assert_eq!(feed.follow(Some("1-1"), Duration::ZERO).await.revocations.len(), 2);
    }
}
