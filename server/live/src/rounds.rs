//! What the service does by itself, again and again: counts viewers, gives push the
//! states of live rooms, forgets what has ended.

use std::time::Duration;

use common::{Outcome, idempotency, rpc};
use idl::event::RoomState;
use idl::push::{Retain, ViewersOf};
use tokio::time::MissedTickBehavior;

use crate::Core;
use crate::store::{self, RoomRow, keyword, people};

/// As many rooms as push answers for at once.
const COUNTED_AT_ONCE: i64 = 1_000;
/// As many states as push takes at once.
const RETAINED_AT_ONCE: i64 = 500;
const RETAIN_RETRY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);

impl Core {
    /// Keeps the viewer counts of live rooms up to date.
    pub(crate) async fn count_viewers_every(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let counted = self.count_viewers().await;
            // Once per trouble, not every two seconds of it.
            if let Err(failure) = &counted
                && !failing
            {
                tracing::warn!(error = %failure, "viewers can't be counted; their numbers stay as they are");
            }
            failing = counted.is_err();
        }
    }

    /// Counts once, page by page; writes what changed, in one transaction per page.
    pub(crate) async fn count_viewers(&self) -> Outcome<()> {
        let mut after = 0;
        loop {
            let rooms = store::open_rooms(self.db.reader(), after, COUNTED_AT_ONCE).await?;
            let Some(last) = rooms.last() else { return Ok(()) };
            after = last.room().as_i64();
            let ask = ViewersOf { rooms: rooms.iter().map(RoomRow::room).collect() };
            let counts = rpc::answer(self.push.viewers(rpc::within(rpc::EDGE_DEADLINE), ask).await)?.connections;
            if counts.len() != rooms.len() {
                return Err(anyhow::anyhow!("push counted {} rooms instead of {}", counts.len(), rooms.len()).into());
            }
            let counted =
                rooms.iter().zip(counts).map(|(room, count)| (room, i64::try_from(count).unwrap_or(i64::MAX)));
            let changed: Vec<_> = counted.filter(|(room, count)| room.viewers != *count).collect();
            if changed.is_empty() {
                continue;
            }
            self.platform.space.check()?;
            let mut tx = self.db.begin().await?;
            for (room, count) in changed {
                if let Some(session) = room.session() {
                    store::count_viewers(&mut tx, room.room(), session.id, count).await?;
                }
            }
            tx.commit().await?;
        }
    }

    /// Gives push the states of live rooms now and at every interval: push may have lost
    /// what it kept. Until it takes them it is asked again sooner.
    pub(crate) async fn retain_every(&self, interval: Duration) {
        loop {
            let pause = match self.retain().await {
                Ok(()) => interval,
                Err(failure) => {
                    tracing::warn!(error = %failure, "push did not take the states of live rooms");
                    RETAIN_RETRY.min(interval)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn retain(&self) -> Outcome<()> {
        let mut after = 0;
        loop {
            let rooms = store::open_rooms(self.db.reader(), after, RETAINED_AT_ONCE).await?;
            let Some(last) = rooms.last() else { return Ok(()) };
            after = last.room().as_i64();
            let states: Vec<RoomState> = rooms.iter().map(RoomRow::state).collect();
            rpc::answer(
                self.push.retain(rpc::within(rpc::EDGE_DEADLINE), Retain { states, lotteries: Vec::new() }).await,
            )?;
        }
    }

    /// Forgets idempotency keys, mutes and keywords after their time, from time to time.
    pub(crate) async fn sweep_forever(&self) {
        loop {
            if let Err(failure) = self.sweep().await {
                tracing::warn!(error = %failure, "sweeping failed; the next round tries again");
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    }

    /// Sweeps once. Nothing depends on it: whoever reads compares with the clock.
    pub(crate) async fn sweep(&self) -> Outcome<()> {
        let now = self.platform.clock.now();
        let mut tx = self.db.begin().await?;
        let keys = idempotency::sweep(&mut tx, now).await?;
        let mutes = people::sweep_mutes(&mut tx, now).await?;
        let keywords = keyword::sweep(&mut tx, now).await?;
        tx.commit().await?;
        tracing::debug!(keys, mutes, keywords, "swept");
        Ok(())
    }
}
