//! What other processes append, as Redis publishes it: heard on a connection of its own and
//! applied to the rooms that are here. A message that is lost, or that comes too early, is
//! no harm: the room's writer then reads what is missing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use idl::RoomId;
use redis::aio::PubSubSink;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::link::PATIENCE;
use super::wire::{BUCKETS, Message, channel};
use super::{Shared, SharedRevocations};
use crate::rooms::Rooms;

/// A channel that nobody needs is listened to for so long: its rooms may come back.
const LINGER: Duration = Duration::from_secs(30);
/// The connection is asked this often whether it lives.
const PING_EVERY: Duration = Duration::from_secs(1);
const REDIAL_AFTER: Duration = Duration::from_millis(200);
/// A room is read without its channel when that can't be had for so long; the tails heal it.
const HOLD_PATIENCE: Duration = Duration::from_millis(500);

/// Which channels are listened to. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Subscriptions {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// By bucket: how many rooms need it, and since when nobody does.
    wanted: Mutex<HashMap<u64, (usize, Instant)>>,
    changed: Notify,
    confirmed: watch::Sender<HashSet<u64>>,
    /// Rings when the connection is a new one: something may have been missed.
    pub(super) renewed: Notify,
}

impl Default for Subscriptions {
    fn default() -> Self {
        let (wanted, changed, renewed) = (Mutex::default(), Notify::new(), Notify::new());
        Self { inner: Arc::new(Inner { wanted, changed, confirmed: watch::Sender::default(), renewed }) }
    }
}

/// As long as this lives, news of a room come in.
#[derive(Debug)]
pub(crate) struct Hold {
    bucket: u64,
    subscriptions: Subscriptions,
}

impl Subscriptions {
    /// Listens for a room; returns when Redis has confirmed it, or does not in time.
    pub(crate) async fn hold(&self, room: RoomId) -> Hold {
        let bucket = room.0 % BUCKETS;
        self.wanted().entry(bucket).or_insert((0, Instant::now())).0 += 1;
        let hold = Hold { bucket, subscriptions: self.clone() };
        let mut confirmed = self.inner.confirmed.subscribe();
        if !confirmed.borrow().contains(&bucket) {
            self.inner.changed.notify_one();
            _ = tokio::time::timeout(HOLD_PATIENCE, confirmed.wait_for(|set| set.contains(&bucket))).await;
        }
        hold
    }

    /// Returns when the connection is a new one.
    pub(super) async fn renewed(&self) {
        self.inner.renewed.notified().await;
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, HashMap<u64, (usize, Instant)>> {
        self.inner.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for what is wanted, and lets go of what nobody has wanted for a while.
    async fn subscribe(&self, sink: &mut PubSubSink, name: impl Fn(u64) -> String) -> anyhow::Result<()> {
        let have = self.inner.confirmed.borrow().clone();
        let (new, old) = {
            let mut wanted = self.wanted();
            wanted.retain(|_, (rooms, since)| *rooms > 0 || since.elapsed() < LINGER);
            let new: Vec<u64> = wanted.keys().filter(|bucket| !have.contains(bucket)).copied().collect();
            let old: Vec<u64> = have.iter().filter(|bucket| !wanted.contains_key(bucket)).copied().collect();
            (new, old)
        };
        let names = |buckets: &[u64]| buckets.iter().map(|bucket| name(*bucket)).collect::<Vec<_>>();
        if !new.is_empty() {
            tokio::time::timeout(PATIENCE, sink.subscribe(names(&new))).await??;
        }
        if !old.is_empty() {
            tokio::time::timeout(PATIENCE, sink.unsubscribe(names(&old))).await??;
        }
        if !new.is_empty() || !old.is_empty() {
            self.inner.confirmed.send_modify(|set| {
                set.extend(new);
                old.iter().for_each(|bucket| _ = set.remove(bucket));
            });
        }
        Ok(())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((rooms, since)) = self.subscriptions.wanted().get_mut(&self.bucket) {
            (*rooms, *since) = (rooms.saturating_sub(1), Instant::now());
        }
    }
}

/// Hears and applies news, for ever.
pub(super) async fn hear(shared: Shared, rooms: Rooms, revocations: SharedRevocations) {
    loop {
        // Why it ended is said by whoever checks the tails.
        if let Err(error) = hear_once(&shared, &rooms, &revocations).await {
            tracing::debug!(error = %format!("{error:#}"), "the connection for news ended");
        }
        shared.subscriptions.inner.confirmed.send_replace(HashSet::new());
        tokio::time::sleep(REDIAL_AFTER).await;
    }
}

async fn hear_once(shared: &Shared, rooms: &Rooms, revocations: &SharedRevocations) -> anyhow::Result<()> {
    let (mut sink, mut messages) = shared.link.listen().await?.split();
    let revoked = revocations.channel();
    tokio::time::timeout(PATIENCE, sink.subscribe(&revoked)).await??;
    let name = |bucket| channel(&shared.link, bucket);
    shared.subscriptions.subscribe(&mut sink, name).await?;
    shared.subscriptions.inner.renewed.notify_one();
    revocations.ring();
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => {
                let message = message.context("it was closed")?;
                if message.get_channel_name() == revoked {
                    revocations.ring();
                } else if let Err(error) = tell(message.get_payload_bytes(), rooms) {
                    tracing::error!(error = %format!("{error:#}"), "news of a room can't be read");
                }
            }
            () = shared.subscriptions.inner.changed.notified() => shared.subscriptions.subscribe(&mut sink, name).await?,
            _ = ping.tick() => {
                tokio::time::timeout(PATIENCE, sink.ping::<redis::Value>()).await??;
                shared.subscriptions.subscribe(&mut sink, name).await?;
            }
        }
    }
}

fn tell(bytes: &[u8], rooms: &Rooms) -> anyhow::Result<()> {
    let message = Message::parse(bytes)?;
    match rooms.peek(message.room) {
        Some(room) => room.hear(message, rooms.keep()),
        None => Ok(()),
    }
}
