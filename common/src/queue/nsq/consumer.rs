//! Consuming a topic: a feed for each nsqd that has it, a bounded number of messages in hand,
//! and a look once a second at what the servers say of that.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_nsq::{NSQChannel, NSQTopic};
use tokio_util::sync::CancellationToken;

use super::super::{Handler, Message, handled, pause_after, waiting};
use super::envelope;
use super::feed::{Delivery, Feed, Subscription};
use super::lookup::{Found, Lookup};
use super::publisher::Publisher;
use crate::Lifecycle;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// While it is worked at, nsqd is told so often. Its `--msg-timeout` has to be above twice this.
const TOUCH_EVERY: Duration = Duration::from_secs(4);
/// nsqd lets nobody have a message for longer than its `--max-msg-timeout`, 15 minutes. After
/// this it is given back, and its handler goes on without it.
const KEPT_FOR: Duration = Duration::from_mins(14);
const BACK_IN: Duration = Duration::from_mins(1);
/// A feed that looks broken so many times in a row is made anew, and one that nobody knows of
/// so many times is closed.
const STRIKES: u32 = 3;
const DEAD_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Consumer {
    pub(super) topic: &'static str,
    /// The topic's on the servers.
    pub(super) name: String,
    pub(super) nsq_topic: Arc<NSQTopic>,
    pub(super) channel: Arc<NSQChannel>,
    pub(super) at_once: usize,
    pub(super) handler: Handler,
    pub(super) publisher: Publisher,
}

/// A feed, and what speaks against it.
struct Watched {
    feed: Arc<Feed>,
    /// Whether its nsqd has ever listed its connection.
    is_listed: bool,
    come: u64,
    broken: u32,
    unknown: u32,
}

impl Consumer {
    /// Consumes until the process stops. The nsqds in `known` have a feed always.
    pub(super) fn start(self, known: Vec<String>, lookup: Lookup, lifecycle: &Lifecycle) {
        let soft = lifecycle.soft().clone();
        let (found, seen) = watch::channel(Found::default());
        let (name, channel, stop) = (self.name.clone(), self.topic, soft.clone());
        lifecycle.spawn("queue.lookup", async move {
            let look = async {
                loop {
                    found.send_replace(lookup.find(&name, channel).await);
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            };
            stop.run_until_cancelled(look).await;
        });
        // Full: the feeds wait; what they have is bounded by what nsqd sends unanswered.
        let (taken, incoming) = mpsc::channel(self.at_once);
        let turns = Arc::new(Semaphore::new(self.at_once));
        let feeds = Feeds { known, watched: HashMap::new(), taken, lifecycle: lifecycle.clone() };
        lifecycle.spawn("queue", Arc::new(self).run(feeds, incoming, seen, turns, soft));
    }

    async fn run(
        self: Arc<Self>,
        mut feeds: Feeds,
        mut incoming: mpsc::Receiver<Delivery>,
        mut seen: watch::Receiver<Found>,
        turns: Arc<Semaphore>,
        soft: CancellationToken,
    ) {
        feeds.follow(&self, &Found::default());
        let mut in_hand = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = soft.cancelled() => break,
                Some(()) = in_hand.next() => {}
                Some(delivery) = incoming.recv() => {
                    in_hand.push(Arc::clone(&self).attend(delivery, Arc::clone(&turns), soft.clone()));
                }
                Ok(()) = seen.changed() => {
                    let found = seen.borrow_and_update().clone();
                    waiting(self.topic, found.depth);
                    feeds.follow(&self, &found);
                }
            }
        }
        incoming.close();
        while let Some(delivery) = incoming.recv().await {
            delivery.give_back(Duration::ZERO).await;
        }
        while in_hand.next().await.is_some() {}
        feeds.close();
    }

    /// Has the message handled in its turn, and answers it.
    async fn attend(self: Arc<Self>, delivery: Delivery, turns: Arc<Semaphore>, soft: CancellationToken) {
        let (mut delivery, until) = (delivery, Instant::now() + KEPT_FOR);
        let turn = soft.run_until_cancelled(turns.acquire());
        let Some(_turn) = while_touching(&mut delivery, until, turn).await else {
            return delivery.give_back(Duration::ZERO).await;
        };
        let attempt = delivery.attempt();
        let envelope::Envelope { body, traceparent } = envelope::unpack(delivery.bytes());
        let message = Message { body: body.clone(), attempt, traceparent };
        let outcome = while_touching(&mut delivery, until, (self.handler)(message)).await;
        let Err(error) = outcome else {
            handled(self.topic, "done", 1);
            return delivery.finish().await;
        };
        if let Some(pause) = pause_after(self.topic, &body, attempt, &error) {
            return delivery.give_back(pause).await;
        }
        let dead = format!("{}.dead", self.name);
        match self.publisher.deliver(&dead, delivery.bytes().to_vec(), DEAD_WITHIN).await {
            Ok(()) => delivery.finish().await,
            Err(error) => {
                tracing::warn!(
                    topic = dead,
                    body,
                    error = format!("{error:#}"),
                    "a dead message could not be kept yet"
                );
                delivery.give_back(BACK_IN).await;
            }
        }
    }
}

/// Tells nsqd now and then that the message is worked at, as long as it may be kept.
async fn while_touching<T>(delivery: &mut Delivery, until: Instant, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(TOUCH_EVERY) => match Instant::now() < until {
                true => delivery.touch().await,
                false => delivery.return_it(BACK_IN).await,
            },
        }
    }
}

struct Feeds {
    known: Vec<String>,
    watched: HashMap<String, Watched>,
    taken: mpsc::Sender<Delivery>,
    lifecycle: Lifecycle,
}

impl Feeds {
    /// Opens feeds for nsqds that are new, closes those that are gone, and makes those anew
    /// that their nsqds contradict.
    fn follow(&mut self, consumer: &Consumer, found: &Found) {
        let all: Vec<String> = self.known.iter().chain(&found.nsqds).cloned().collect();
        let share = consumer.at_once / all.iter().collect::<std::collections::BTreeSet<_>>().len().max(1);
        for nsqd in &all {
            if !self.watched.contains_key(nsqd) {
                self.open(consumer, nsqd, share);
            }
        }
        self.watched.retain(|nsqd, watched| {
            watched.unknown = if all.contains(nsqd) || !found.is_whole { 0 } else { watched.unknown + 1 };
            if watched.unknown >= STRIKES {
                tracing::info!(topic = consumer.topic, nsqd, "an nsqd is gone");
                watched.feed.closing.cancel();
            }
            watched.unknown < STRIKES
        });
        for watched in self.watched.values_mut() {
            if watched.is_broken(found) {
                tracing::warn!(
                    topic = consumer.topic,
                    nsqd = watched.feed.nsqd,
                    "a connection brings nothing; a new one is made"
                );
                metrics::counter!("goligoli_queue_renewed_total", "topic" => consumer.topic).increment(1);
                watched.feed.renew.notify_one();
            }
        }
    }

    fn open(&mut self, consumer: &Consumer, nsqd: &str, share: usize) {
        let feed = Arc::new(Feed::new(nsqd.to_owned()));
        let subscription = Subscription {
            topic: Arc::clone(&consumer.nsq_topic),
            channel: Arc::clone(&consumer.channel),
            at_once: u32::try_from(share.max(1)).unwrap_or(u32::MAX),
        };
        let run = Arc::clone(&feed).run(subscription, self.lifecycle.soft().clone(), self.taken.clone());
        self.lifecycle.spawn_one_of_many(run);
        let watched = Watched { feed, is_listed: false, come: 0, broken: 0, unknown: 0 };
        self.watched.insert(nsqd.to_owned(), watched);
    }

    fn close(&self) {
        self.watched.values().for_each(|watched| watched.feed.closing.cancel());
    }
}

impl Watched {
    /// Whether its nsqd says for some seconds that the connection has messages in hand that
    /// never came, or does not know it any more.
    fn is_broken(&mut self, found: &Found) -> bool {
        let come = self.feed.come.load(Ordering::Relaxed);
        let is_silent = come == std::mem::replace(&mut self.come, come) && self.feed.in_hand() == 0;
        let in_flight = found.in_flight.as_ref().map(|all| all.get(&self.feed.client_id).copied());
        let contradicts = match in_flight {
            None => false,
            Some(None) => self.is_listed && self.feed.is_up.load(Ordering::Relaxed),
            Some(Some(in_flight)) => {
                self.is_listed = true;
                in_flight > 0 && is_silent
            }
        };
        self.broken = if contradicts { self.broken + 1 } else { 0 };
        if self.broken < STRIKES {
            return false;
        }
        (self.broken, self.is_listed) = (0, false);
        true
    }
}
