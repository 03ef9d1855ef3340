//! Wakes the service that indexes replays. What is to be done stands in the replays' rows; a
//! message only says of which. So it does no harm if one is lost: while a replay is due it is
//! sent again, ever more seldom. When that is stands in its row, too: so those of which nothing
//! comes do not keep others from their turn, and a restart begins nothing anew. Also gives up
//! imports that do not end.

use std::sync::Arc;
use std::time::Duration;

use common::Outcome;
use common::telemetry::traces::caused_by;

use crate::Core;
use crate::store::replay::{self as table, Due};

/// The queue's topic; a message is the replay's id.
pub(crate) const TOPIC: &str = "replay.index";
/// What this process makes due is seen at once; another instance's, within this.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Replays that are looked at together. More: the next look is at once.
pub(crate) const AT_ONCE: i64 = if cfg!(test) { 3 } else { 200 };
/// What nothing came of is sent again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MOST_PAUSE: Duration = Duration::from_mins(10);

impl Core {
    /// Looks for replays that are due until the process stops.
    pub(crate) fn begin_wakes(self: &Arc<Self>) {
        let (core, soft) = (Arc::clone(self), self.platform.lifecycle.soft().clone());
        self.platform.lifecycle.spawn("live.replays", async move {
            loop {
                let has_more = core.wake().await.unwrap_or_else(|failure| {
                    _ = failure.into_refusal("looking for replays that are due");
                    false
                });
                let pause = if has_more { Duration::ZERO } else { LOOK_EVERY };
                let pause = tokio::time::timeout(pause, core.replay_due.notified());
                if soft.run_until_cancelled(pause).await.is_none() {
                    break;
                }
            }
        });
    }

    /// Looks once; `true` if there may be more.
    async fn wake(&self) -> Outcome<bool> {
        let now = self.platform.clock.now();
        let mut all_due = table::due(self.db.reader(), now, AT_ONCE).await?;
        let mut has_more = i64::try_from(all_due.len()) == Ok(AT_ONCE);
        for stale in all_due.extract_if(.., |due| due.is_stale_import) {
            let mut tx = self.db.begin().await?;
            if table::delete_stale(&mut tx, stale.replay, now).await? {
                tx.commit().await?;
                tracing::warn!(replay.id = %stale.replay, "an import has not ended in time and is given up");
                // It is due as deleted.
                has_more = true;
            }
        }
        let mut sent: Vec<Due> = Vec::new();
        for due in all_due {
            let begin = || tracing::info_span!("replay.due", replay.id = %due.replay);
            let span = caused_by(due.traceparent.as_deref(), begin);
            if let Err(full) = span.in_scope(|| self.platform.queue.publish(TOPIC, due.replay.to_string())) {
                tracing::warn!(replay.id = %due.replay, error = %full, "a replay could not be queued; the next look tries again");
                has_more = false;
                break;
            }
            sent.push(due);
        }
        if !sent.is_empty() {
            let mut tx = self.db.begin().await?;
            for due in sent {
                let pause = u64::try_from(pause(due.wakes).as_millis()).unwrap_or(u64::MAX);
                table::woken(&mut tx, &due, now.plus_ms(pause)).await?;
            }
            tx.commit().await?;
        }
        Ok(has_more)
    }
}

/// How long to wait until somebody is woken once more, after so many times.
fn pause(wakes: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << wakes.min(16)).min(MOST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_ten_minutes() {
        assert_eq!([0, 1, 2, 6, 7, u32::MAX].map(|wakes| pause(wakes).as_secs()), [5, 10, 20, 320, 600, 600]);
    }
}
