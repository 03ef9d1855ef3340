//! Which nsqds have a topic, as the nsqlookupds say, and what those nsqds say of our
//! connections.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::address::Address;

const WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(super) struct Lookup {
    client: reqwest::Client,
    lookupds: Vec<String>,
}

/// What was found of a topic.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// The nsqds' TCP addresses.
    pub(super) nsqds: BTreeSet<String>,
    /// Whether every nsqlookupd answered.
    pub(super) is_whole: bool,
    /// By client id: messages that were sent to it and are not answered. `None` if not all
    /// nsqds said so, or there are none.
    pub(super) in_flight: Option<HashMap<String, u64>>,
    /// Messages that wait, on those nsqds that answered.
    pub(super) depth: usize,
}

#[derive(Deserialize)]
struct Producers {
    #[serde(default)]
    producers: Vec<Producer>,
}

#[derive(Deserialize)]
struct Producer {
    broadcast_address: String,
    tcp_port: u16,
    http_port: u16,
}

#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    topics: Vec<Topic>,
}

#[derive(Deserialize)]
struct Topic {
    #[serde(default)]
    channels: Vec<Channel>,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    depth: usize,
    /// `null` where there are none.
    clients: Option<Vec<Client>>,
}

#[derive(Deserialize)]
struct Client {
    client_id: String,
    in_flight_count: u64,
}

impl Lookup {
    pub(super) fn new(address: &Address) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(WITHIN).connect_timeout(WITHIN).no_proxy().build();
        Ok(Self { client: client.context("making the queue's client")?, lookupds: address.lookupds.clone() })
    }

    pub(super) async fn check(&self) -> anyhow::Result<()> {
        for lookupd in &self.lookupds {
            let answer = self.client.get(format!("http://{lookupd}/ping")).send().await;
            let pong = answer.is_ok_and(|answer| answer.status().is_success());
            anyhow::ensure!(pong, "queue.url: the nsqlookupd at {lookupd} does not answer");
        }
        Ok(())
    }

    /// Asks all at once; takes a bit over two seconds at most.
    pub(super) async fn find(&self, topic: &str, channel: &str) -> Found {
        let asked = self.lookupds.iter().map(|lookupd| async move {
            let answer = self.client.get(format!("http://{lookupd}/lookup?topic={topic}")).send().await.ok()?;
            if answer.status() == http::StatusCode::NOT_FOUND {
                return Some(Producers { producers: Vec::new() });
            }
            answer.json().await.ok()
        });
        let answers: Vec<Option<Producers>> = futures::future::join_all(asked).await;
        let is_whole = answers.iter().all(Option::is_some);
        let producers: Vec<Producer> = answers.into_iter().flatten().flat_map(|answer| answer.producers).collect();
        let nsqds = producers.iter().map(|p| format!("{}:{}", p.broadcast_address, p.tcp_port)).collect();
        let https: BTreeSet<_> =
            producers.into_iter().map(|p| format!("http://{}:{}", p.broadcast_address, p.http_port)).collect();
        let query = format!("stats?format=json&include_clients=true&include_mem=false&topic={topic}&channel={channel}");
        let stats =
            futures::future::join_all(https.iter().map(|nsqd| self.get::<Stats>(format!("{nsqd}/{query}")))).await;
        let mut in_flight = (!stats.is_empty() && stats.iter().all(Option::is_some)).then(HashMap::new);
        let mut depth = 0;
        for channel in stats.into_iter().flatten().flat_map(|stats| stats.topics).flat_map(|topic| topic.channels) {
            depth += channel.depth;
            if let Some(in_flight) = &mut in_flight {
                in_flight.extend(channel.clients.into_iter().flatten().map(|c| (c.client_id, c.in_flight_count)));
            }
        }
        Found { nsqds, is_whole, in_flight, depth }
    }

    async fn get<T: DeserializeOwned>(&self, url: String) -> Option<T> {
        self.client.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()
    }
}
