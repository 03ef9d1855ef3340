//! Looks for what is to be done about replays that live does not know of, and so wakes nobody
//! for: deletions, what other tries have left, what a process that died was at.

use std::time::Duration;

use common::Outcome;
use common::queue::Queue;

use super::{Replays, TOPIC, until};
use crate::store::replay as table;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Replays that are looked at together. More: the next look is at once.
const AT_ONCE: i64 = 32;
/// What nothing comes of is begun again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const MOST_PAUSE: Duration = Duration::from_mins(10);

impl Replays {
    /// Sends what is due through the queue, as long as the process runs. When each is due again
    /// stands in its row: so all have their turn, also after a restart.
    pub(super) async fn look_for_work(&self, queue: &Queue) {
        loop {
            match self.look(queue).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(failure) => _ = failure.into_refusal("looking for replays that are due"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks once; `true` if there may be more.
    async fn look(&self, queue: &Queue) -> Outcome<bool> {
        let db = &self.0.store.db;
        if db.is_shared() {
            // Where a process has the database alone they end when it starts.
            table::end_leases(db, self.0.clock.now()).await?;
        }
        let all_due = table::due(db, self.0.clock.now(), AT_ONCE).await?;
        for due in &all_due {
            if let Err(full) = queue.publish(TOPIC, due.replay.to_string()) {
                tracing::warn!(replay = %due.replay, error = %full, "a replay could not be queued; the next look tries again");
                return Ok(false);
            }
            table::begun(db, *due, until(&self.0.clock, pause(due.tries))).await?;
        }
        Ok(i64::try_from(all_due.len()) == Ok(AT_ONCE))
    }
}

/// How long to wait for what was begun so often before.
fn pause(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(MOST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_minutes() {
        assert_eq!([0, 1, 2, 8, 9, u32::MAX].map(|tries| pause(tries).as_secs()), [2, 4, 8, 512, 600, 600]);
    }
}
