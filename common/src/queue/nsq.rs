//! The queue on NSQ servers: `nsq://lookupd:4161?nsqd=nsqd:4150` (several of each, by comma;
//! `&prefix=site.` where several sites share them).
//!
//! Publishes to the first nsqd that takes it; consumes from those of the URL and from all that
//! an nsqlookupd knows to have the topic. A service consumes by the channel that is named as
//! its topic, so that each message goes to one of its instances.
//!
//! The client that is used here has habits that this module is built around:
//! - It does not say that a connection broke, only that there is a new one: a publication is
//!   there when it was acknowledged on the same connection, and every new connection is a new
//!   client ([`publisher`]).
//! - A refusal by nsqd ends a connection for good, a long outage ends it by a panic in its
//!   task, and a consumer found by its own look-ups is silent afterwards. So there is one
//!   client for each nsqd, which is made anew when it ends ([`feed`]), and the look-ups are
//!   our own ([`lookup`]).
//! - A connection that broke half-way is silent for a minute: what nsqd says of it is looked
//!   at meanwhile ([`consumer`]).
//! - Dropping a message tells nsqd nothing: each is finished or given back.

mod address;
mod consumer;
mod envelope;
mod feed;
mod lookup;
mod publisher;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_nsq::{NSQChannel, NSQConfigShared, NSQTopic};

use super::{Handler, NotQueued};
use crate::Lifecycle;
use crate::telemetry::traces::Lasting;
use address::Address;
use consumer::Consumer;
use lookup::Lookup;
use publisher::Publisher;

/// A queue on NSQ. Clones are one queue.
#[derive(Debug, Clone)]
pub struct Nsq {
    address: Arc<Address>,
    publisher: Publisher,
}

impl Nsq {
    /// Connects in the background.
    pub(super) fn connect(url: &str, lifecycle: &Lifecycle) -> anyhow::Result<Self> {
        let address = Arc::new(Address::parse(url)?);
        let publisher = Publisher::start(address.nsqds.clone(), lifecycle);
        Ok(Self { address, publisher })
    }

    pub(super) async fn check(&self) -> anyhow::Result<()> {
        for nsqd in &self.address.nsqds {
            publisher::answers(nsqd).await?;
        }
        Lookup::new(&self.address)?.check().await
    }

    pub(super) fn publish(
        &self,
        topic: &'static str,
        body: String,
        traceparent: Option<String>,
        span: Lasting,
    ) -> Result<(), NotQueued> {
        let name = NSQTopic::new(self.name(topic)).ok_or(NotQueued::Full(topic))?;
        self.publisher.publish(topic, name, envelope::pack(body, traceparent), span)
    }

    pub(super) fn consume(
        &self,
        topic: &'static str,
        at_once: usize,
        lifecycle: &Lifecycle,
        handler: Handler,
    ) -> anyhow::Result<()> {
        let name = self.name(topic);
        let names = NSQTopic::new(&name).zip(NSQChannel::new(topic));
        let (nsq_topic, channel) = names.ok_or_else(|| anyhow::anyhow!("{name:?} is no topic's name"))?;
        let lookup = Lookup::new(&self.address)?;
        let known = self.address.nsqds.clone();
        let (at_once, publisher) = (at_once.max(1), self.publisher.clone());
        Consumer { topic, name, nsq_topic, channel, at_once, handler, publisher }.start(known, lookup, lifecycle);
        Ok(())
    }

    /// A topic's name on the servers.
    fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.address.prefix)
    }
}

/// What all connections have in common.
fn shared(client_id: &str) -> NSQConfigShared {
    NSQConfigShared::new()
        .set_client_id(client_id)
        // It would wait a quarter of a second with each command.
        .set_flush_interval(Duration::from_millis(5))
        .set_backoff_max_wait(Duration::from_secs(1))
        .set_backoff_healthy_after(Duration::from_secs(1))
        .set_write_timeout(Some(Duration::from_secs(5)))
        // nsqd's heartbeats come every 30 s, if it is not told otherwise.
        .set_read_timeout(Some(Duration::from_secs(45)))
}

/// A name that nsqd's statistics show a connection by.
fn client_id() -> String {
    format!("goligoli-{:016x}", rand::random::<u64>())
}
