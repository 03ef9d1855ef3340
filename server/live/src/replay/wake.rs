//! Wakes the service that indexes replays. What is to be done stands in the replays' rows; a
//! message only says of which. So it does no harm if one is lost: while a replay is due it is
//! sent again, now and then. Also gives up imports that do not end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use common::Outcome;
use idl::ReplayId;
use tokio::time::Instant;

use crate::Core;
use crate::store::replay::{self as table, Due};

/// The queue's topic; a message is the replay's id.
pub(crate) const TOPIC: &str = "replay.index";
/// What this process makes due is seen at once; another instance's, within this.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Replays that are due at once. More: they are found when some of these are done.
const MOST_DUE: i64 = 1_000;
/// What nothing came of is sent again after this, then after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MOST_PAUSE: Duration = Duration::from_secs(60);

impl Core {
    /// Looks for replays that are due until the process stops.
    pub(crate) fn begin_wakes(self: &Arc<Self>) {
        let (core, soft) = (Arc::clone(self), self.platform.lifecycle.soft().clone());
        self.platform.lifecycle.spawn("live.replays", async move {
            let mut wakes = Wakes::default();
            loop {
                if let Err(failure) = core.wake(&mut wakes).await {
                    _ = failure.into_refusal("looking for replays that are due");
                }
                let pause = tokio::time::timeout(LOOK_EVERY, core.replay_due.notified());
                if soft.run_until_cancelled(pause).await.is_none() {
                    break;
                }
            }
        });
    }

    /// Looks once.
    async fn wake(&self, wakes: &mut Wakes) -> Outcome<()> {
        let clock_now = self.platform.clock.now();
        let mut due = table::due(self.db.reader(), clock_now, MOST_DUE).await?;
        for stale in due.extract_if(.., |due| due.is_stale_import) {
            let mut tx = self.db.begin().await?;
            if table::delete_stale(&mut tx, stale.replay, clock_now).await? {
                tx.commit().await?;
                tracing::warn!(replay.id = %stale.replay, "an import has not ended in time and is given up");
                // Found as deleted at the next look, which is at once.
                self.replay_due.notify_one();
            }
        }
        let now = Instant::now();
        for due in wakes.turns(due, now) {
            if let Err(full) = self.platform.queue.publish(TOPIC, due.replay.to_string()) {
                tracing::warn!(replay.id = %due.replay, error = %full, "a replay could not be queued; the next look tries again");
                break;
            }
            wakes.note(due, now);
        }
        Ok(())
    }
}

/// What was sent, of replays that are due. Bounded: of [`MOST_DUE`].
#[derive(Debug, Default)]
struct Wakes {
    sent: HashMap<ReplayId, Sent>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    /// A later one is sent at once, whatever became of this.
    revision: u64,
    at: Instant,
    pause: Duration,
}

impl Wakes {
    /// Which of all that are due are to be sent now. Forgets what is not due any more.
    fn turns(&mut self, mut due: Vec<Due>, now: Instant) -> Vec<Due> {
        let ids: HashSet<ReplayId> = due.iter().map(|due| due.replay).collect();
        self.sent.retain(|replay, _| ids.contains(replay));
        due.retain(|due| {
            let sent = self.sent.get(&due.replay).filter(|sent| sent.revision == due.revision);
            sent.is_none_or(|sent| now.duration_since(sent.at) >= sent.pause)
        });
        due
    }

    /// It was sent.
    fn note(&mut self, due: Due, now: Instant) {
        let before = self.sent.get(&due.replay).filter(|sent| sent.revision == due.revision);
        let pause = before.map_or(FIRST_PAUSE, |sent| (2 * sent.pause).min(MOST_PAUSE));
        self.sent.insert(due.replay, Sent { revision: due.revision, at: now, pause });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds from the beginning at which something is sent, looked at every second.
    fn sent_at(wakes: &mut Wakes, start: Instant, seconds: std::ops::Range<u64>, revision: u64) -> Vec<u64> {
        let due = Due { replay: ReplayId(7), is_stale_import: false, revision };
        let is_sent = |second: &u64| {
            let now = start + Duration::from_secs(*second);
            let turns = wakes.turns(vec![due], now);
            turns.iter().for_each(|due| wakes.note(*due, now));
            !turns.is_empty()
        };
        seconds.filter(is_sent).collect()
    }

    #[test]
    fn what_nothing_comes_of_is_sent_again_and_something_new_at_once() {
        let (mut wakes, start) = (Wakes::default(), Instant::now());
        assert_eq!(sent_at(&mut wakes, start, 0..200, 1), [0, 5, 15, 35, 75, 135, 195]);
        assert_eq!(sent_at(&mut wakes, start, 200..216, 2), [200, 205, 215], "a new revision begins anew");
        assert_eq!(wakes.turns(Vec::new(), start), []);
        assert!(wakes.sent.is_empty());
        assert_eq!(sent_at(&mut wakes, start, 216..222, 2), [216, 221], "and so does one that was done between");
    }
}
