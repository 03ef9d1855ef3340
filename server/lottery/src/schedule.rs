//! When lotteries are drawn. Due ones are looked for several times a second and sent through
//! the queue; what nobody has taken half a second later is drawn here, by the same code.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::Failure;
use common::queue::Message;
use common::telemetry::traces::caused_by;
use idl::{LotteryId, Refusal};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use crate::Core;
use crate::store::{self, Due};

/// The queue's topic; a message is the lottery's id.
const TOPIC: &str = "lottery.draw";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Lotteries that are due at once. More: the next look finds them.
const MOST_DUE: i64 = 200;
/// Lotteries that are being frozen or wait to be drawn. More than are drawn at the same time: a
/// freeze is not late because others are large.
const IN_HAND: usize = 32;
/// No draw takes so long; each has a deadline of its own, by its entries.
const LONGEST: Duration = Duration::from_hours(1);
const DRAW_OURSELVES_AFTER: Duration = Duration::from_millis(500);
/// A draw that fails is tried again at least this often.
const MOST_PAUSE: Duration = Duration::from_secs(30);

impl Core {
    /// Begins to draw: what the queue brings, and what it does not.
    pub(crate) fn begin_draws(self: &Arc<Self>) -> anyhow::Result<()> {
        let lifecycle = &self.platform.lifecycle;
        let core = Arc::clone(self);
        let handler = move |message: Message| {
            let core = Arc::clone(&core);
            async move { core.draw_message(&message.body).await }
        };
        self.platform.queue.consume(TOPIC, IN_HAND, LONGEST, lifecycle, handler)?;
        let (core, soft) = (Arc::clone(self), lifecycle.soft().clone());
        lifecycle.spawn("lottery.schedule", async move {
            let mut schedule = Schedule { core, sent: HashMap::new(), draws: JoinSet::new() };
            while soft.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
                if let Err(failure) = schedule.look().await {
                    _ = failure.into_refusal("looking for lotteries that are due");
                }
            }
            // What was begun here is finished.
            while schedule.draws.join_next().await.is_some() {}
        });
        Ok(())
    }

    async fn draw_message(&self, body: &str) -> Result<(), Refusal> {
        let Ok(id) = body.parse() else {
            tracing::error!(body, "a message of {TOPIC} is no lottery's id");
            return Ok(());
        };
        self.draw(id).await.map_err(|failure| failure.into_refusal(&format!("drawing lottery {id}")))
    }
}

/// A lottery that was sent through the queue, or drawn here.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    /// If it is due again so long after, it is drawn here; longer each time.
    pause: Duration,
}

struct Schedule {
    core: Arc<Core>,
    /// What was sent through the queue. Those that have not been due for a while are forgotten.
    sent: HashMap<LotteryId, Sent>,
    draws: JoinSet<()>,
}

impl Schedule {
    async fn look(&mut self) -> Result<(), Failure> {
        while self.draws.try_join_next().is_some() {}
        let Some(now) = self.core.platform.clock.read().certain() else { return Ok(()) };
        let due = store::due(&self.core.db, now.0.cast_unsigned(), MOST_DUE).await?;
        self.sent.retain(|id, sent| due.iter().any(|due| due.id == *id) || sent.at.elapsed() < MOST_PAUSE);
        for Due { id, traceparent } in due {
            let begin = || tracing::info_span!("lottery.due", lottery.id = %id);
            match self.sent.get(&id) {
                None => {
                    self.sent.insert(id, Sent { at: Instant::now(), pause: DRAW_OURSELVES_AFTER });
                    let span = caused_by(traceparent.as_deref(), begin);
                    let published = span.in_scope(|| self.core.platform.queue.publish(TOPIC, id.to_string()));
                    if let Err(full) = published {
                        tracing::warn!(lottery.id = %id, error = %full, "a draw could not be queued");
                    }
                }
                Some(sent) if sent.at.elapsed() >= sent.pause => {
                    self.draw_here(id, sent.pause, caused_by(traceparent.as_deref(), begin));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn draw_here(&mut self, id: LotteryId, pause: Duration, span: Span) {
        // Full: the next look tries again.
        if self.draws.len() >= IN_HAND {
            return;
        }
        self.sent.insert(id, Sent { at: Instant::now(), pause: (2 * pause).min(MOST_PAUSE) });
        let core = Arc::clone(&self.core);
        let draw = async move { _ = core.draw_message(&id.to_string()).await };
        self.draws.spawn(draw.instrument(span));
    }
}
