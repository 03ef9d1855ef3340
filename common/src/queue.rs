//! A queue of wake-ups, chosen by URL: in process by default, NSQ in a cluster.
//!
//! A message is a few bytes, ids only: the database is the truth, and whoever published a
//! message publishes it again if nothing comes of it. What a queue gives in return:
//!
//! - *At least once* while its server lives, in no order: a consumer must not mind a
//!   repetition. A message that is lost with a server is published again by its owner.
//! - A message whose handler fails comes again after a while that doubles, at most
//!   [`MAX_ATTEMPTS`] times; then it is *dead*: logged and counted, and given up.
//! - Each message goes to one consumer of its topic.
//! - A message that was published in a trace that is kept is consumed in it, each try of it.
//! - Nobody waits for a server that is away: publishing fails at once, and what is consumed
//!   comes again when the server is back.

mod nsq;
mod process;
#[cfg(test)]
mod tests;
mod traced;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tracing::Instrument as _;

use crate::Lifecycle;
use crate::telemetry::traces;
use nsq::Nsq;
use process::Topics;

/// A message that has failed so often is given up.
pub const MAX_ATTEMPTS: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A queue, chosen by URL. Clones are one queue.
#[derive(Debug, Clone)]
pub enum Queue {
    /// In this process (`process:`).
    Process(Topics),
    /// On NSQ servers (`nsq:`).
    Nsq(Nsq),
}

/// What a consumer is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What was published.
    pub body: String,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// The W3C trace context that it was published in, if any.
    pub traceparent: Option<String>,
}

/// A message was not taken; publish it again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotQueued {
    /// There is no room for another one.
    #[error("the queue's topic {0} is full")]
    Full(&'static str),
    /// The queue's servers do not answer.
    #[error("the queue is away; topic {0}")]
    Away(&'static str),
}

impl NotQueued {
    const fn kind(self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::Away(_) => "away",
        }
    }
}

impl Queue {
    /// Opens the embedded queue.
    ///
    /// # Errors
    /// It is another one's URL.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(url == "process:", "queue.url is {url:?}: it has to be \"process:\" or \"nsq://…\"");
        Ok(Self::Process(Topics::default()))
    }

    /// Opens whichever queue is configured. Servers that are away are waited for by nobody.
    ///
    /// # Errors
    /// The URL makes no sense.
    pub fn connect(url: &str, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        if !url.starts_with("nsq:") {
            return Self::open(url);
        }
        Ok(Self::Nsq(Nsq::connect(url, lifecycle)?))
    }

    /// Whether the queue's servers answer.
    ///
    /// # Errors
    /// One does not; says which.
    pub async fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Process(_) => Ok(()),
            Self::Nsq(nsq) => nsq.check().await,
        }
    }

    /// Whether other processes publish to it and consume from it, too.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        matches!(self, Self::Nsq(_))
    }

    /// Hands a message to one of the topic's consumers, or keeps it until there is one. Waits
    /// for nobody: NSQ gets it in the background.
    ///
    /// # Errors
    /// Too many wait already, or the servers are known to be away.
    pub fn publish(&self, topic: &'static str, body: String) -> Result<(), NotQueued> {
        let mut span = traced::publishing(self.system(), topic);
        let traceparent = span.trace().map(|trace| trace.to_header());
        let published = match self {
            Self::Process(topics) => topics.publish(topic, Message { body, attempt: 1, traceparent }),
            Self::Nsq(nsq) => return nsq.publish(topic, body, traceparent, span),
        };
        if let Err(error) = &published {
            span.fail(|| error.kind().to_owned(), || error.to_string());
        }
        published
    }

    /// As traces call it.
    const fn system(&self) -> &'static str {
        match self {
            Self::Process(_) => "process",
            Self::Nsq(_) => "nsq",
        }
    }

    /// Consumes a topic until the process stops: at most `at_once` messages are in hand, and
    /// those are finished. A handler that takes longer than `within`, or panics, has failed
    /// like any other.
    ///
    /// # Errors
    /// The topic has a consumer in this process already.
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
        for outcome in ["done", "failed", "dead"] {
            handled(topic, outcome, 0);
        }
        let handler = guarded(self.system(), topic, within, handler);
        match self {
            Self::Process(topics) => topics.consume(topic, at_once, lifecycle, handler),
            Self::Nsq(nsq) => nsq.consume(topic, at_once, lifecycle, handler),
        }
    }
}

/// What is done with a message; never panics, and ends in time. Its error is for the log.
type Handler = Arc<dyn Fn(Message) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

fn guarded<H, F, E>(system: &'static str, topic: &'static str, within: Duration, handler: H) -> Handler
where
    H: Fn(Message) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: fmt::Display + Send + 'static,
{
    Arc::new(move |message| {
        let span = traced::consuming(system, topic, &message);
        // Called inside: what the handler does before its first await can panic, too.
        let attempt = match std::panic::catch_unwind(AssertUnwindSafe(|| span.in_scope(|| handler(message)))) {
            Ok(attempt) => AssertUnwindSafe(attempt).catch_unwind().boxed(),
            Err(panic) => std::future::ready(Err(panic)).boxed(),
        };
        let outcome = async move {
            let outcome = match tokio::time::timeout(within, attempt.instrument(span.clone())).await {
                Ok(Ok(Ok(()))) => Ok(()),
                Ok(Ok(Err(error))) => Err(error.to_string()),
                Ok(Err(_)) => Err("its handler panicked".to_owned()),
                Err(_) => Err(format!("its handler took longer than {within:?}")),
            };
            if let Err(error) = &outcome {
                traces::fail(&span, "failed", error.clone());
            }
            outcome
        };
        outcome.boxed()
    })
}

/// How long a message waits that has failed so often; `None` if it is dead now. Logs and counts.
fn pause_after(topic: &'static str, body: &str, attempt: u32, error: &str) -> Option<Duration> {
    if attempt >= MAX_ATTEMPTS {
        tracing::error!(topic, body, attempt, error, "a message is dead until it is published again");
        handled(topic, "dead", 1);
        return None;
    }
    tracing::warn!(topic, body, attempt, error, "a message failed; it comes again");
    handled(topic, "failed", 1);
    Some(FIRST_PAUSE * (1 << (attempt.max(1) - 1)))
}

fn handled(topic: &'static str, outcome: &'static str, messages: u64) {
    metrics::counter!("goligoli_queue_messages_total", "topic" => topic, "outcome" => outcome).increment(messages);
}

/// Messages of a topic that wait for a consumer.
fn waiting(topic: &'static str, messages: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; a queue is far below 2^52")]
    metrics::gauge!("goligoli_queue_depth", "topic" => topic).set(messages as f64);
}
