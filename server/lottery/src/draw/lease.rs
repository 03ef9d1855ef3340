//! Who draws a lottery: whoever has its lease, a short one that is renewed while the draw goes
//! on. So a draw whose process dies is taken up within seconds. Two that overlap (a process
//! that stood still, clocks that differ) do no harm: each step of a draw happens once.

use std::time::Duration;

use common::{Clock, Db, Outcome};
use idl::LotteryId;
use tokio::time::Instant;

use crate::store;

/// Whoever has not renewed for so long is dead.
const LEASE: Duration = Duration::from_secs(3);
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The lease of a lottery. Its moment is whose it is: whoever takes it next has a later one.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    db: &'a Db,
    clock: &'a Clock,
    id: LotteryId,
    until_ms: u64,
}

impl<'a> Lease<'a> {
    /// `None` if the lottery is not due by this time, is decided, or somebody else draws it.
    pub(super) async fn take(db: &'a Db, clock: &'a Clock, id: LotteryId, now_ms: u64) -> Outcome<Option<Self>> {
        let until_ms = now_ms + LEASE.as_millis() as u64;
        let is_taken = store::lease(db, id, now_ms, until_ms).await?;
        Ok(is_taken.then_some(Self { db, clock, id, until_ms }))
    }

    /// Does `work`, at most for so long, and renews meanwhile. If somebody else has the lease
    /// by now it ends, and it gives `None`.
    pub(super) async fn hold<T>(
        &mut self,
        within: Duration,
        work: impl Future<Output = Outcome<T>>,
    ) -> Outcome<Option<T>> {
        tokio::select! {
            done = work => done.map(Some),
            lost = self.renew_for(within) => lost.map(|()| None),
        }
    }

    async fn renew_for(&mut self, within: Duration) -> Outcome<()> {
        let begun = Instant::now();
        while begun.elapsed() < within {
            tokio::time::sleep(RENEW_EVERY).await;
            let until_ms = self.clock.now().0.cast_unsigned() + LEASE.as_millis() as u64;
            // Never an earlier moment: that could be somebody else's.
            let until_ms = until_ms.max(self.until_ms + 1);
            match store::move_lease(self.db, self.id, self.until_ms, until_ms).await {
                Ok(true) => self.until_ms = until_ms,
                Ok(false) => return Ok(()),
                // It lasts for one more try. If this one took effect after all, the next does not.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(lottery.id = %self.id, error, "a draw's lease could not be renewed");
                }
            }
        }
        Err(anyhow::anyhow!("drawing lottery {} took longer than {within:?}", self.id).into())
    }

    /// Another may draw it at once. What fails is over when the lease ends.
    pub(super) async fn give_back(self) {
        if let Err(error) = store::move_lease(self.db, self.id, self.until_ms, 0).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(lottery.id = %self.id, error, "a draw's lease could not be given back; it ends by itself");
        }
    }
}

#[cfg(test)]
mod tests {
    use idl::Timestamp;

    use super::*;

    #[tokio::test]
    async fn it_lasts_as_long_as_the_work_and_is_nobody_elses_to_give_back() {
        const ID: LotteryId = LotteryId(7);
        const LOTTERY: &str = "INSERT INTO lottery (id, room_id, opened_by, test, phase, version, spec, commitment, \
             opened_signature, sealed_seed, opens_at_ms, draw_at_ms, next_n, last_ms, leased_until_ms) \
             VALUES (7, 1, 1, 0, 0, 1, '', '', '', '', 0, 10, 0, 0, 0)";
        let dir = tempfile::tempdir().unwrap();
        let url = common::native::db_url(dir.path());
        let db = Db::open(&url, dir.path(), "lottery", &crate::MIGRATIONS).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        sqlx::query(LOTTERY).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let clock = Clock::manual(Timestamp(1_000));
        let now_ms = || clock.now().0.cast_unsigned();
        let take = || Lease::take(&db, &clock, ID, now_ms());
        let tick = Duration::from_millis(500);

        let mut mine = take().await.unwrap().unwrap();
        let work = async {
            for _ in 0..10 {
                tokio::time::sleep(tick).await;
                clock.advance_ms(500);
                assert!(take().await.unwrap().is_none(), "it is being drawn");
            }
            Ok("done")
        };
        assert_eq!(mine.hold(Duration::from_secs(30), work).await.unwrap(), Some("done"));

        // As if this process had stood still.
        clock.advance_ms(3_000);
        let others = take().await.unwrap().unwrap();
        let endless = std::future::pending::<Outcome<()>>();
        assert_eq!(mine.hold(Duration::from_secs(30), endless).await.unwrap(), None);
        mine.give_back().await;
        assert!(take().await.unwrap().is_none(), "it is the other's still");
        others.give_back().await;
        let mut again = take().await.unwrap().unwrap();
        let endless = std::future::pending::<Outcome<()>>();
        assert!(again.hold(Duration::from_millis(100), endless).await.is_err(), "it takes too long");
    }
}
