//! The queue in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Handler, Message, NotQueued, handled, pause_after, waiting};
use crate::Lifecycle;

/// Messages of a topic that may wait. Full: publishing fails.
pub(super) const MAX_WAITING: usize = 10_000;
/// Failed messages of a topic that may wait for their next try. Full: no new ones are taken
/// up, and then wait as above.
const MAX_FAILED: usize = 1_000;

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

impl Topics {
    pub(super) fn publish(&self, topic: &'static str, message: Message) -> Result<(), NotQueued> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let near = &topics.entry(topic).or_default().near;
        near.try_send(message).map_err(|_| NotQueued::Full(topic))?;
        waiting(topic, near.max_capacity() - near.capacity());
        Ok(())
    }

    pub(super) fn consume(
        &self,
        topic: &'static str,
        at_once: usize,
        lifecycle: &Lifecycle,
        handler: Handler,
    ) -> anyhow::Result<()> {
        let far = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(topic).or_default().far.take();
        let far = far.ok_or_else(|| anyhow::anyhow!("the topic {topic} has a consumer already"))?;
        let (in_hand, failed) = (FuturesUnordered::new(), FuturesUnordered::new());
        let consumer = Consumer { topic, at_once, far, handler, in_hand, failed };
        let soft = lifecycle.soft().clone();
        lifecycle.spawn("queue", consumer.run(soft));
        Ok(())
    }
}

struct Consumer {
    topic: &'static str,
    at_once: usize,
    far: mpsc::Receiver<Message>,
    handler: Handler,
    in_hand: FuturesUnordered<BoxFuture<'static, (Message, Result<(), String>)>>,
    failed: FuturesUnordered<BoxFuture<'static, Message>>,
}

impl Consumer {
    async fn run(mut self, soft: CancellationToken) {
        let mut stops = false;
        while !stops || !self.in_hand.is_empty() {
            let takes = !stops && self.in_hand.len() < self.at_once;
            tokio::select! {
                () = soft.cancelled(), if !stops => stops = true,
                Some((message, outcome)) = self.in_hand.next() => self.note(message, outcome),
                Some(message) = self.failed.next(), if takes => self.take_up(message),
                Some(message) = self.far.recv(), if takes && self.failed.len() < MAX_FAILED => self.take_up(message),
            }
        }
    }

    fn take_up(&self, message: Message) {
        waiting(self.topic, self.far.len());
        let work = (self.handler)(message.clone());
        self.in_hand.push(work.map(|outcome| (message, outcome)).boxed());
    }

    fn note(&self, message: Message, outcome: Result<(), String>) {
        let Err(error) = outcome else { return handled(self.topic, "done", 1) };
        if let Some(pause) = pause_after(self.topic, &message.body, message.attempt, &error) {
            let again = Message { attempt: message.attempt + 1, ..message };
            self.failed.push(tokio::time::sleep(pause).map(|()| again).boxed());
        }
    }
}
