//! A queue of wake-ups, chosen by URL: in process by default.
//!
//! A message is a few bytes, ids only: the database is the truth, and whoever published a
//! message publishes it again if nothing comes of it. What a queue gives in return:
//!
//! - *At least once* while its process lives, in no order: a consumer must not mind a
//!   repetition. A message that is lost with a process is published again by its owner.
//! - A message whose handler fails comes again after a while that doubles, at most
//!   [`MAX_ATTEMPTS`] times; then it is *dead*: logged and counted, and given up.
//! - Each message goes to one consumer of its topic.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;

use crate::Lifecycle;

/// Messages of a topic that may wait. Full: [`Queue::publish`] fails.
const MAX_WAITING: usize = 10_000;
/// Failed messages of a topic that may wait for their next try. Full: no new ones are taken
/// up, and then wait as above.
const MAX_FAILED: usize = 1_000;
/// A message that has failed so often is given up.
pub const MAX_ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A queue, chosen by URL. Clones are one queue.
#[derive(Debug, Clone)]
pub enum Queue {
    /// In this process (`process:`).
    Process(Topics),
}

/// The topics of a queue in this process.
#[derive(Debug, Clone, Default)]
pub struct Topics(Arc<Mutex<HashMap<&'static str, Topic>>>);

/// Both ends of a topic, until a consumer takes the far one.
#[derive(Debug)]
struct Topic {
    near: mpsc::Sender<Message>,
    far: Option<mpsc::Receiver<Message>>,
}

impl Default for Topic {
    fn default() -> Self {
        let (near, far) = mpsc::channel(MAX_WAITING);
        Self { near, far: Some(far) }
    }
}

/// What a consumer is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What was published.
    pub body: String,
    /// Which try this is, from 1.
    pub attempt: u32,
}

/// There is no room for another message; publish it again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue's topic {0} is full")]
pub struct Full(&'static str);

impl Queue {
    /// Opens the queue.
    ///
    /// # Errors
    /// The URL's scheme is not known.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(url == "process:", "queue.url is {url:?}, but this build knows only \"process:\"");
        Ok(Self::Process(Topics::default()))
    }

    /// Hands a message to the topic's consumer, or keeps it until there is one.
    ///
    /// # Errors
    /// Too many wait already.
    pub fn publish(&self, topic: &'static str, body: String) -> Result<(), Full> {
        let Self::Process(topics) = self;
        let mut topics = topics.0.lock().unwrap_or_else(PoisonError::into_inner);
        let near = &topics.entry(topic).or_default().near;
        near.try_send(Message { body, attempt: 1 }).map_err(|_| Full(topic))
    }

    /// Consumes a topic until the process stops: at most `at_once` messages are in hand, and
    /// those are finished. A handler that takes longer than `within`, or panics, has failed
    /// like any other.
    ///
    /// # Errors
    /// The topic has a consumer already.
    pub fn consume<H, F, E>(
        &self,
        topic: &'static str,
        at_once: usize,
        within: Duration,
        lifecycle: &Lifecycle,
        handler: H,
    ) -> anyhow::Result<()>
    where
        H: Fn(Message) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let Self::Process(topics) = self;
        let far = topics.0.lock().unwrap_or_else(PoisonError::into_inner).entry(topic).or_default().far.take();
        let far = far.ok_or_else(|| anyhow::anyhow!("the topic {topic} has a consumer already"))?;
        for outcome in ["done", "failed", "dead"] {
            handled(topic, outcome, 0);
        }
        let handle = move |message: Message| -> BoxFuture<'static, Handled> {
            let again = message.clone();
            // Called inside: what the handler does before its first await can panic, too.
            let attempt = match std::panic::catch_unwind(AssertUnwindSafe(|| handler(message))) {
                Ok(attempt) => AssertUnwindSafe(attempt).catch_unwind().boxed(),
                Err(panic) => std::future::ready(Err(panic)).boxed(),
            };
            let outcome = async move {
                match tokio::time::timeout(within, attempt).await {
                    Ok(Ok(Ok(()))) => Handled::Done,
                    Ok(Ok(Err(error))) => Handled::Failed(again, error.to_string()),
                    Ok(Err(_)) => Handled::Failed(again, "its handler panicked".to_owned()),
                    Err(_) => Handled::Failed(again, format!("its handler took longer than {within:?}")),
                }
            };
            outcome.boxed()
        };
        let consumer =
            Consumer { topic, at_once, far, in_hand: FuturesUnordered::new(), failed: FuturesUnordered::new() };
        let soft = lifecycle.soft().clone();
        lifecycle.spawn("queue", async move { consumer.run(soft, handle).await });
        Ok(())
    }
}

enum Handled {
    Done,
    Failed(Message, String),
}

struct Consumer {
    topic: &'static str,
    at_once: usize,
    far: mpsc::Receiver<Message>,
    in_hand: FuturesUnordered<BoxFuture<'static, Handled>>,
    failed: FuturesUnordered<BoxFuture<'static, Message>>,
}

impl Consumer {
    async fn run(
        mut self,
        soft: tokio_util::sync::CancellationToken,
        handle: impl Fn(Message) -> BoxFuture<'static, Handled>,
    ) {
        let mut stops = false;
        while !stops || !self.in_hand.is_empty() {
            let takes = !stops && self.in_hand.len() < self.at_once;
            tokio::select! {
                () = soft.cancelled(), if !stops => stops = true,
                Some(handled) = self.in_hand.next() => self.note(handled),
                Some(message) = self.failed.next(), if takes => self.in_hand.push(handle(message)),
                Some(message) = self.far.recv(), if takes && self.failed.len() < MAX_FAILED => {
                    self.in_hand.push(handle(message));
                }
            }
        }
    }

    fn note(&self, outcome: Handled) {
        let Handled::Failed(message, error) = outcome else { return handled(self.topic, "done", 1) };
        let Message { body, attempt } = &message;
        if *attempt >= MAX_ATTEMPTS {
            tracing::error!(topic = self.topic, body, attempt, error, "a message is dead until it is published again");
            return handled(self.topic, "dead", 1);
        }
        tracing::warn!(topic = self.topic, body, attempt, error, "a message failed; it comes again");
        handled(self.topic, "failed", 1);
        let pause = FIRST_PAUSE * (1 << (attempt - 1));
        let again = Message { attempt: attempt + 1, ..message };
        self.failed.push(tokio::time::sleep(pause).map(|()| again).boxed());
    }
}

fn handled(topic: &'static str, outcome: &'static str, messages: u64) {
    metrics::counter!("goligoli_queue_messages_total", "topic" => topic, "outcome" => outcome).increment(messages);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;
    use tokio::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    /// What every queue must do; each back-end's test calls it. Time may be paused.
    async fn contract(queue: Queue, lifecycle: Lifecycle) {
        all_are_handled_also_those_that_came_before(&queue, &lifecycle).await;
        what_fails_comes_again(&queue, &lifecycle).await;
        what_always_fails_is_given_up(&queue, &lifecycle).await;
        one_that_hangs_holds_up_no_other(&queue, &lifecycle).await;
        one_that_hangs_has_failed_after_a_while(&queue, &lifecycle).await;
        lifecycle.stop(SOON).await;
    }

    async fn all_are_handled_also_those_that_came_before(queue: &Queue, lifecycle: &Lifecycle) {
        let (sender, mut seen) = mpsc::unbounded_channel();
        (0..50).for_each(|n| queue.publish("all", n.to_string()).unwrap());
        let handler = move |message: Message| {
            let sender = sender.clone();
            async move { sender.send(message.body) }
        };
        queue.consume("all", 4, SOON, lifecycle, handler).unwrap();
        (50..100).for_each(|n| queue.publish("all", n.to_string()).unwrap());
        let mut all = BTreeSet::new();
        while all.len() < 100 {
            all.insert(tokio::time::timeout(SOON, seen.recv()).await.expect("all come").unwrap());
        }
    }

    async fn what_fails_comes_again(queue: &Queue, lifecycle: &Lifecycle) {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let handler = move |message: Message| {
            sender.send((message.attempt, Instant::now())).unwrap();
            assert!(message.attempt != 2, "the second one panics");
            async move { if message.attempt < 4 { Err("not yet") } else { Ok(()) } }
        };
        queue.consume("again", 1, SOON, lifecycle, handler).unwrap();
        queue.publish("again", "17".to_owned()).unwrap();
        let mut times = Vec::new();
        for attempt in 1..=4 {
            let (n, at) = tokio::time::timeout(SOON, seen.recv()).await.expect("it comes again").unwrap();
            assert_eq!(n, attempt);
            times.push(at);
        }
        assert!(times[1] - times[0] >= FIRST_PAUSE && times[3] - times[2] >= 4 * FIRST_PAUSE, "{times:?}");
    }

    async fn what_always_fails_is_given_up(queue: &Queue, lifecycle: &Lifecycle) {
        let tries = Arc::new(AtomicU32::new(0));
        let (counted, done) = (Arc::clone(&tries), Arc::new(Notify::new()));
        let last = Arc::clone(&done);
        let handler = move |message: Message| {
            counted.fetch_add(1, Ordering::SeqCst);
            if message.body == "last" {
                last.notify_one();
                return std::future::ready(Ok(()));
            }
            std::future::ready(Err("never"))
        };
        queue.consume("never", 1, SOON, lifecycle, handler).unwrap();
        queue.publish("never", "first".to_owned()).unwrap();
        tokio::time::sleep(FIRST_PAUSE * (1 << (MAX_ATTEMPTS + 1))).await;
        queue.publish("never", "last".to_owned()).unwrap();
        tokio::time::timeout(SOON, done.notified()).await.expect("the topic goes on");
        assert_eq!(tries.load(Ordering::SeqCst), MAX_ATTEMPTS + 1);
    }

    async fn one_that_hangs_holds_up_no_other(queue: &Queue, lifecycle: &Lifecycle) {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let handler = move |message: Message| {
            let sender = sender.clone();
            async move {
                if message.body == "slow" {
                    tokio::time::sleep(SOON).await;
                }
                sender.send(message.body)
            }
        };
        queue.consume("slow", 2, 2 * SOON, lifecycle, handler).unwrap();
        for body in ["slow", "a", "b"] {
            queue.publish("slow", body.to_owned()).unwrap();
        }
        let mut order = Vec::new();
        while order.len() < 3 {
            order.push(tokio::time::timeout(2 * SOON, seen.recv()).await.expect("all come").unwrap());
        }
        assert_eq!(order, ["a", "b", "slow"]);
    }

    async fn one_that_hangs_has_failed_after_a_while(queue: &Queue, lifecycle: &Lifecycle) {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let handler = move |message: Message| {
            let sender = sender.clone();
            async move {
                if message.attempt == 1 {
                    std::future::pending::<()>().await;
                }
                sender.send(message.attempt)
            }
        };
        queue.consume("hangs", 1, Duration::from_secs(1), lifecycle, handler).unwrap();
        queue.publish("hangs", "17".to_owned()).unwrap();
        assert_eq!(tokio::time::timeout(SOON, seen.recv()).await.expect("it comes again"), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_in_the_process_keeps_the_contract() {
        contract(Queue::open("process:").unwrap(), Lifecycle::new()).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_topic_says_so_and_a_second_consumer_is_refused() {
        let (queue, lifecycle) = (Queue::open("process:").unwrap(), Lifecycle::new());
        (0..MAX_WAITING).for_each(|n| queue.publish("t", n.to_string()).unwrap());
        assert_eq!(queue.publish("t", "one more".to_owned()), Err(Full("t")));
        let handler = |_| std::future::ready(Ok::<(), &str>(()));
        queue.consume("t", 1, SOON, &lifecycle, handler).unwrap();
        assert!(queue.consume("t", 1, SOON, &lifecycle, handler).is_err());
        assert!(Queue::open("nsq://nowhere").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_finishes_what_is_in_hand_and_takes_nothing_new() {
        let (queue, lifecycle) = (Queue::open("process:").unwrap(), Lifecycle::new());
        let (sender, mut seen) = mpsc::unbounded_channel();
        let handler = move |message: Message| {
            let sender = sender.clone();
            async move {
                sender.send(format!("{} begins", message.body)).unwrap();
                tokio::time::sleep(Duration::from_secs(1)).await;
                sender.send(format!("{} ends", message.body))
            }
        };
        queue.consume("t", 1, SOON, &lifecycle, handler).unwrap();
        queue.publish("t", "one".to_owned()).unwrap();
        queue.publish("t", "two".to_owned()).unwrap();
        assert_eq!(seen.recv().await.unwrap(), "one begins");
        lifecycle.stop(SOON).await;
        assert_eq!(seen.recv().await.unwrap(), "one ends");
        assert!(seen.try_recv().is_err());
    }
}
