//! What comes from one nsqd: a client that is made anew whenever it ends, and the messages that
//! it brings.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_nsq::{
    NSQChannel, NSQConsumer, NSQConsumerConfig, NSQConsumerConfigSources, NSQEvent, NSQMessage, NSQRequeueDelay,
    NSQTopic,
};
use tokio_util::sync::CancellationToken;

use super::{client_id, shared};

/// Before a client that ended is made anew; doubles while it does not come to a connection.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MOST_PAUSE: Duration = Duration::from_secs(2);
/// A client that has no connection within this is made anew: it would wait for an answer for
/// most of a minute.
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);
/// What was answered last has this long to get to nsqd, so many times at most.
const LAST_WORDS: Duration = Duration::from_millis(30);
const LAST_ROUNDS: u32 = 10;

/// What the consumer knows of a feed.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) nsqd: String,
    pub(super) client_id: String,
    /// Whether there was a connection; it may have broken since.
    pub(super) is_up: AtomicBool,
    /// Messages that came, and those that were answered.
    pub(super) come: AtomicU64,
    pub(super) answered: AtomicU64,
    /// Its client is made anew.
    pub(super) renew: Notify,
    /// Its end.
    pub(super) closing: CancellationToken,
}

/// How to subscribe.
#[derive(Clone)]
pub(super) struct Subscription {
    pub(super) topic: Arc<NSQTopic>,
    pub(super) channel: Arc<NSQChannel>,
    pub(super) at_once: u32,
}

impl Feed {
    pub(super) fn new(nsqd: String) -> Self {
        Self {
            nsqd,
            client_id: client_id(),
            is_up: AtomicBool::new(false),
            come: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            renew: Notify::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Brings messages until it is closed; none any more after `soft`. What came and was not
    /// handed over is given back.
    pub(super) async fn run(
        self: Arc<Self>,
        subscription: Subscription,
        soft: CancellationToken,
        taken: mpsc::Sender<Delivery>,
    ) {
        let mut pause = FIRST_PAUSE;
        while !self.closing.is_cancelled() {
            let mut client = Client(Some(self.subscribe(&subscription)));
            let is_live = Arc::new(AtomicBool::new(true));
            self.bring(&mut client, &is_live, &soft, &taken, &mut pause).await;
            self.give_rest_back(&mut client, &is_live).await;
            is_live.store(false, Ordering::SeqCst);
            self.is_up.store(false, Ordering::Relaxed);
            drop(client);
            self.closing.run_until_cancelled(tokio::time::sleep(pause)).await;
            pause = (2 * pause).min(MOST_PAUSE);
        }
    }

    /// Gives back what came and was not handed over. nsqd can't be told to send no more: the
    /// room that an answer makes it fills at once, until there is nothing left.
    async fn give_rest_back(self: &Arc<Self>, client: &mut Client, is_live: &Arc<AtomicBool>) {
        for _ in 0..LAST_ROUNDS {
            tokio::time::sleep(LAST_WORDS).await;
            let mut is_empty = true;
            while let Some(Some(NSQEvent::Message(message))) = client.consume().now_or_never() {
                // Later than this ends, or it would come here again.
                self.deliver(message, is_live).give_back(LAST_WORDS * (LAST_ROUNDS + 2)).await;
                is_empty = false;
            }
            if is_empty {
                return;
            }
        }
    }

    fn subscribe(&self, subscription: &Subscription) -> NSQConsumer {
        NSQConsumerConfig::new(Arc::clone(&subscription.topic), Arc::clone(&subscription.channel))
            .set_sources(NSQConsumerConfigSources::Daemons(vec![self.nsqd.clone()]))
            .set_max_in_flight(subscription.at_once)
            // Until then nothing comes by a new connection.
            .set_rebalance_interval(Duration::from_millis(250))
            .set_shared(shared(&self.client_id))
            .build()
    }

    async fn bring(
        self: &Arc<Self>,
        client: &mut Client,
        is_live: &Arc<AtomicBool>,
        soft: &CancellationToken,
        taken: &mpsc::Sender<Delivery>,
        pause: &mut Duration,
    ) {
        let connected_by = Instant::now() + CONNECTED_WITHIN;
        loop {
            let event = tokio::select! {
                () = self.closing.cancelled() => return,
                () = self.renew.notified() => return,
                () = tokio::time::sleep_until(connected_by), if !self.is_up.load(Ordering::Relaxed) => return,
                event = client.consume(), if !soft.is_cancelled() => event,
                // Nothing new is taken; what is in hand is still answered by the connection.
                () = soft.cancelled(), if !soft.is_cancelled() => continue,
            };
            match event {
                None => return,
                Some(NSQEvent::Healthy()) => {
                    self.is_up.store(true, Ordering::Relaxed);
                    *pause = FIRST_PAUSE;
                }
                Some(NSQEvent::Message(message)) => {
                    let delivery = self.deliver(message, is_live);
                    if let Err(closed) = taken.send(delivery).await {
                        closed.0.give_back(Duration::ZERO).await;
                    }
                }
                Some(NSQEvent::Unhealthy() | NSQEvent::Ok()) => {}
            }
        }
    }

    fn deliver(self: &Arc<Self>, message: NSQMessage, is_live: &Arc<AtomicBool>) -> Delivery {
        self.come.fetch_add(1, Ordering::Relaxed);
        Delivery { message: Some(message), is_live: Arc::clone(is_live), feed: Arc::clone(self) }
    }

    /// Messages that came and are not answered.
    pub(super) fn in_hand(&self) -> u64 {
        self.come.load(Ordering::Relaxed).saturating_sub(self.answered.load(Ordering::Relaxed))
    }
}

/// A client of an nsqd. Its drop panics where its tasks are gone already, as at the end of the
/// process; nobody wants to hear that.
struct Client(Option<NSQConsumer>);

impl Client {
    async fn consume(&mut self) -> Option<NSQEvent> {
        self.0.as_mut()?.consume().await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let client = self.0.take();
        _ = std::panic::catch_unwind(AssertUnwindSafe(|| drop(client)));
    }
}

/// A message that came. It has to be answered: that it is dropped tells nsqd nothing, and the
/// message comes again only when its time is over.
pub(super) struct Delivery {
    message: Option<NSQMessage>,
    /// Whether its connection is there: there is nobody else to answer to.
    is_live: Arc<AtomicBool>,
    feed: Arc<Feed>,
}

impl Delivery {
    pub(super) fn bytes(&self) -> &[u8] {
        self.message.as_ref().map_or(&[], |message| &message.body)
    }

    /// Which try this is, from 1.
    pub(super) fn attempt(&self) -> u32 {
        self.message.as_ref().map_or(1, |message| u32::from(message.attempt))
    }

    /// Done: it does not come again.
    pub(super) async fn finish(mut self) {
        if let Some(message) = self.answerable() {
            // It panics if its connection ended just now.
            _ = AssertUnwindSafe(message.finish()).catch_unwind().await;
        }
    }

    /// It comes again, to whoever is there then.
    pub(super) async fn give_back(mut self, pause: Duration) {
        self.return_it(pause).await;
    }

    /// The same, of a message whose handler goes on without it.
    pub(super) async fn return_it(&mut self, pause: Duration) {
        if let Some(message) = self.answerable() {
            message.requeue(NSQRequeueDelay::CustomDelay(pause)).await;
        }
    }

    /// It is still being worked at: its time begins anew.
    pub(super) async fn touch(&self) {
        if let Some(message) = self.message.as_ref().filter(|_| self.is_live.load(Ordering::SeqCst)) {
            message.touch().await;
        }
    }

    fn answerable(&mut self) -> Option<NSQMessage> {
        self.message.take().inspect(|_| self.note_answered()).filter(|_| self.is_live.load(Ordering::SeqCst))
    }

    fn note_answered(&self) {
        self.feed.answered.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.message.is_some() {
            self.note_answered();
        }
    }
}
