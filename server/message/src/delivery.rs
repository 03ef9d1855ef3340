//! What became of danmaku on the stream: push says it after each call, and the writer
//! notes it beside a later batch. Best effort, for the curious: a danmaku that nothing was
//! noted for reads `stored`, which is true of all.

use std::time::Duration;

use idl::DanmakuId;
use idl::message::Delivery;
use idl::push::Outcome;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What may wait for the writer.
const MOST_WAITING: usize = 20_000;
/// A batch takes along at most so many, and none before there are so many …
const PORTION: usize = 1_000;
/// … or the first of them has waited so long: a statement of its own for every batch
/// would cost the posts more.
const PATIENCE: Duration = Duration::from_millis(250);

type Noted = (DanmakuId, Delivery);

/// Where it is said what became of danmaku.
#[derive(Debug, Clone)]
pub(crate) struct Deliveries {
    // Full, or the writer has ended: the danmaku reads `stored`, though it may have been shown.
    queue: mpsc::Sender<Noted>,
}

/// Where the writer finds it.
#[derive(Debug)]
pub(crate) struct Delivered {
    queue: mpsc::Receiver<Noted>,
    /// The next portion, or its beginning.
    portion: Vec<Noted>,
    /// When the first of the portion came.
    since: Instant,
}

/// A way from those who call push to the writer.
pub(crate) fn queue() -> (Deliveries, Delivered) {
    let (sender, queue) = mpsc::channel(MOST_WAITING);
    (Deliveries { queue: sender }, Delivered { queue, portion: Vec::new(), since: Instant::now() })
}

impl Deliveries {
    /// What push answered.
    pub(crate) fn note(&self, danmaku: DanmakuId, outcome: Outcome) {
        let delivery = match outcome {
            Outcome::Appended | Outcome::Folded => Delivery::Live,
            Outcome::Suppressed => Delivery::Sampled,
            Outcome::Unknown => return,
        };
        // Not waited for: see the queue.
        let _ = self.queue.try_send((danmaku, delivery));
    }
}

impl Delivered {
    /// Waits until a portion is due, though nobody posts.
    pub(crate) async fn due(&mut self) {
        if self.portion.is_empty() {
            match self.queue.recv().await {
                Some(first) => self.begin(first),
                None => std::future::pending().await,
            }
        }
        tokio::time::sleep_until(self.since + PATIENCE).await;
    }

    /// The portion that is due now, or nothing. It stays until it [`is_noted`](Self::is_noted).
    pub(crate) fn portion(&mut self) -> &[Noted] {
        while self.portion.len() < PORTION
            && let Ok(noted) = self.queue.try_recv()
        {
            if self.portion.is_empty() { self.begin(noted) } else { self.portion.push(noted) }
        }
        let is_due = self.portion.len() >= PORTION || self.since.elapsed() >= PATIENCE;
        if is_due { &self.portion } else { &[] }
    }

    /// The portion is in the database.
    pub(crate) fn is_noted(&mut self) {
        self.portion.clear();
    }

    fn begin(&mut self, first: Noted) {
        self.portion.push(first);
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_portion_is_due_when_it_is_large_or_old() {
        let (deliveries, mut delivered) = queue();
        assert!(delivered.portion().is_empty());
        deliveries.note(DanmakuId(1), Outcome::Appended);
        deliveries.note(DanmakuId(2), Outcome::Suppressed);
        deliveries.note(DanmakuId(3), Outcome::Unknown);
        assert!(delivered.portion().is_empty(), "too young");
        delivered.due().await;
        let expected = [(DanmakuId(1), Delivery::Live), (DanmakuId(2), Delivery::Sampled)];
        assert_eq!(delivered.portion(), expected);
        assert_eq!(delivered.portion(), expected, "until it is noted");
        delivered.is_noted();
        assert!(delivered.portion().is_empty());

        for n in 0..PORTION as u64 + 5 {
            deliveries.note(DanmakuId(n), Outcome::Appended);
        }
        assert_eq!(delivered.portion().len(), PORTION);
        delivered.is_noted();
        assert!(delivered.portion().is_empty(), "the rest is few and young");
        delivered.due().await;
        assert_eq!(delivered.portion().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_is_left_out() {
        let (deliveries, mut delivered) = queue();
        for n in 0..2 * MOST_WAITING as u64 {
            deliveries.note(DanmakuId(n), Outcome::Appended);
        }
        let mut noted = 0;
        while !delivered.portion().is_empty() {
            noted += delivered.portion().len();
            delivered.is_noted();
        }
        assert_eq!(noted, MOST_WAITING);
    }
}
