//! One try to index a replay, by whoever has the lease.

use std::time::Duration;

use common::{Outcome, failpoint};
use idl::live::ReplayJob;
use idl::replay::layout;
use tokio::time::Instant;

use super::{Replays, read, until};
use crate::store::replay::{self as table, IndexRow, Indexed};

/// Whoever indexes has so long, and says again and again that it still does.
pub(super) const LEASE: Duration = Duration::from_secs(20);
const RENEW_EVERY: Duration = Duration::from_secs(LEASE.as_secs() / 4);
/// The longest that an attempt may take: ten million danmaku would.
const WITHIN: Duration = Duration::from_mins(10);
/// What is left to do when an index is shown takes moments; if it was not done, it is begun
/// again after this.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// An index is there, this one or a later one.
    Indexed,
    /// The replay was deleted.
    Deleted,
}

impl Replays {
    /// Indexes a replay that was claimed. An attempt that comes to nothing leaves nothing.
    pub(super) async fn attempt(&self, claimed: &ReplayJob) -> Outcome<Ended> {
        let (db, replay) = (&self.0.store.db, claimed.replay.id);
        let row = self.row(replay).await?;
        failpoint::reached("replay.claimed");
        let made = match self.job(replay).await {
            // It can't be wiped from now on: that takes the lease. Before, it may have been, and
            // what is stored then nobody would remove.
            Ok(Some(job)) if !job.deleted => self.try_index(&job, &row).await,
            Ok(_) => {
                table::give_up(db, replay, row.attempt).await?;
                return Ok(Ended::Deleted);
            }
            Err(failure) => Err(failure),
        };
        if let Ok(Some(done)) = made {
            failpoint::reached("replay.before-flip");
            if table::flip(db, replay, done, until(&self.0.clock, SETTLED_WITHIN)).await? {
                failpoint::reached("replay.flipped");
                tracing::info!(%replay, version = done.attempt, danmaku = done.danmaku_count, "a replay was indexed");
                return Ok(Ended::Indexed);
            }
        }
        let removed = self.0.objects.delete_all(&layout::folder(&claimed.prefix, row.attempt)).await;
        table::give_up(db, replay, row.attempt).await?;
        made?;
        Ok(removed.map(|()| Ended::Indexed)?)
    }

    /// `None` if another attempt has begun meanwhile.
    async fn try_index(&self, job: &ReplayJob, row: &IndexRow) -> Outcome<Option<Indexed>> {
        // However often attempts die, no more is left of them than of one.
        self.sweep(job, row).await?;
        let source = read::source(&job.replay)?;
        let renew = || table::renew(&self.0.store.db, job.replay.id, row.attempt, until(&self.0.clock, LEASE));
        while_renewing(renew, self.index(job, source, row)).await
    }

    /// Removes the objects of attempts before the row's that nobody is shown.
    pub(super) async fn sweep(&self, job: &ReplayJob, row: &IndexRow) -> Outcome<()> {
        for name in self.0.objects.folders(&job.prefix).await? {
            let is_left = layout::version_of(&name).is_some_and(|version| {
                version < row.attempt && version != row.version && version != job.replay.version
            });
            if is_left {
                self.0.objects.delete_all(&format!("{}/{name}", job.prefix)).await?;
            }
        }
        Ok(())
    }
}

/// Does `work` as long as the lease can be renewed; `None` if somebody else has it by now.
async fn while_renewing<T, R: Future<Output = sqlx::Result<bool>>>(
    renew: impl Fn() -> R,
    work: impl Future<Output = Outcome<T>>,
) -> Outcome<Option<T>> {
    let renewed = async {
        let begun = Instant::now();
        while begun.elapsed() < WITHIN {
            tokio::time::sleep(RENEW_EVERY).await;
            match renew().await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                // The lease lasts for some more tries.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a replay's lease could not be renewed");
                }
            }
        }
        Err(anyhow::anyhow!("indexing takes longer than {WITHIN:?}").into())
    };
    tokio::select! {
        done = work => done.map(Some),
        lost = renewed => lost,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use common::Failure;

    use super::*;

    async fn work_of<R: Future<Output = sqlx::Result<bool>>>(
        minutes: u64,
        renew: impl Fn() -> R,
    ) -> Outcome<Option<&'static str>> {
        let work = async {
            tokio::time::sleep(Duration::from_mins(minutes)).await;
            Ok("done")
        };
        while_renewing(renew, work).await
    }

    #[tokio::test(start_paused = true)]
    async fn the_lease_lasts_as_long_as_the_work_whatever_that_is_at() {
        let (renewed, since) = (Cell::new(0), Cell::new(Instant::now()));
        let renew = || {
            assert!(since.get().elapsed() < LEASE, "it ran out");
            renewed.set(renewed.get() + 1);
            std::future::ready(match renewed.get() % 3 {
                0 => Err(sqlx::Error::PoolTimedOut),
                _ => {
                    since.set(Instant::now());
                    Ok(true)
                }
            })
        };
        assert_eq!(work_of(9, renew).await.unwrap(), Some("done"));
        assert!(renewed.get() > 30 && since.get().elapsed() < LEASE);
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_the_lease_is_lost_or_it_takes_too_long() {
        assert_eq!(work_of(9, || std::future::ready(Ok(false))).await.unwrap(), None);
        assert!(matches!(work_of(11, || std::future::ready(Ok(true))).await, Err(Failure::Broken(_))));
    }
}
