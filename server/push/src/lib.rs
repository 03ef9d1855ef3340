//! Owns: what every viewer sees now: room feeds, retained room state, the flow limiter,
//! viewer counts, and the reserved feed of revocations.
//! Calls: nobody.
//! Emits: `text/event-stream` to viewers.
//!
//! The way of a publication: [`rpc`] → [`writer`] (gathers a [`draft`], asks the
//! [`limiter`], writes the [`store`]) → [`room`] and its [`feed`] (frames, encoded once) →
//! [`stream`] (one per viewer, a cursor).

pub mod at_rest;
mod bucket;
mod draft;
mod egress;
mod feed;
mod feeds;
mod feeds_url;
mod frame;
mod hello;
mod limiter;
mod log;
mod lotteries;
mod record;
mod revocation_feed;
mod room;
mod rooms;
mod rpc;
mod shared;
mod sse;
mod statistics;
mod store;
mod stream;
mod top;
mod write_clock;
mod writer;

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use common::buckets::{self, Buckets, Rate};
use common::http::admission::{Admission, Networks};
use common::rpc::{PushClient, Serving};
use common::{Dynamic, Platform};
use idl::push::{Push as _, PushRequest, PushResponse};
use serde::{Deserialize, Serialize};
use tarpc::server::Channel as _;

pub use crate::feeds::{Appended, FeedLine, FeedReader, Feeds};
pub use crate::feeds_url::FeedsUrl;
use crate::record::Retention;
use crate::revocation_feed::RevocationFeed;
use crate::rooms::{Home, Rooms};
use crate::shared::{Shared, SharedRevocations};
use crate::store::RevocationStore;

/// Settings of push.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where feeds are kept: `log:` is append-only files in the data folder, for one process;
    /// `redis://[:password@]host[:port][/db][?prefix=…]` is a Redis that any number share.
    pub feeds: FeedsUrl,
    /// See [`FlowRate::rate_per_s`]; dynamic.
    pub rate_per_s: NonZeroU32,
    /// See [`FlowRate::burst`]; dynamic.
    pub burst: NonZeroU32,
    /// See [`FlowRate::egress_mbps`]; dynamic.
    pub egress_mbps: u32,
    /// Events that come within this time leave in one write; 0 gathers nothing.
    pub tick_ms: u64,
    /// A room keeps at most so many events for those who come back…
    pub keep_events: usize,
    /// …at most so old…
    pub keep_ms: u32,
    /// …and at most so many bytes.
    pub keep_bytes: usize,
    /// A stream's position is sent at least this often.
    pub heartbeat_ms: u64,
    /// A stream ends by itself after at least this time…
    pub lease_min_ms: u64,
    /// …and at most this time.
    pub lease_max_ms: u64,
    /// Clients that are sent away come back spread over this time.
    pub reconnect_spread_ms: u64,
    /// When the process stops, streams end spread over this time.
    pub drain_ms: u64,
    /// Streams that one process holds; more are asked to come back later.
    pub max_streams: u64,
    /// Streams that one address (or IPv6 /64) holds; more are asked to come back later.
    pub max_streams_per_address: usize,
    /// Streams that one address (or IPv6 /64) opens; more are asked to come back later.
    pub opens_per_address: Rate,
}

/// How much of the ordinary danmaku the streams show: what of the settings is dynamic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowRate {
    /// Ordinary danmaku that a room's viewers see a second, if the room sets nothing else.
    pub rate_per_s: NonZeroU32,
    /// Ordinary danmaku that they see at once.
    pub burst: NonZeroU32,
    /// What this process may send to all viewers, in megabits a second; 0 is unbounded. So
    /// that it fits no room shows more than a rate that is the same for all.
    pub egress_mbps: u32,
}

impl Settings {
    /// The dynamic part.
    #[must_use]
    pub const fn flow_rate(&self) -> FlowRate {
        FlowRate { rate_per_s: self.rate_per_s, burst: self.burst, egress_mbps: self.egress_mbps }
    }

    fn retention(&self) -> Retention {
        Retention { events: self.keep_events, age_ms: i64::from(self.keep_ms), bytes: self.keep_bytes }
    }
}

/// The push service of one process. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Push {
    settings: Arc<Settings>,
    platform: Platform,
    rooms: Rooms,
    revocations: Arc<RevocationStore>,
    admission: Admission,
    networks: Arc<Networks>,
}

impl Push {
    /// Opens the feeds and begins keeping house. `flow` is followed, whatever `settings` say
    /// of it; `networks` tells clients from proxies.
    ///
    /// # Errors
    /// A setting makes no sense, or the data folder or the Redis that they name can't be used.
    pub async fn start(
        settings: Settings,
        flow: Dynamic<FlowRate>,
        platform: &Platform,
        networks: Networks,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(settings.lease_min_ms <= settings.lease_max_ms, "push.lease_min_ms is above push.lease_max_ms");
        anyhow::ensure!(settings.heartbeat_ms > 0, "push.heartbeat_ms is 0");
        let (home, revocations) = open_store(&settings, platform).await?;
        let shared = match (&home, &revocations) {
            (Home::Shared(shared), RevocationStore::Shared(revocations)) => Some((shared.clone(), revocations.clone())),
            _ => None,
        };
        let rooms = Rooms::new(home, settings.clone(), flow, platform.clock.clone(), platform.lifecycle.clone());
        if let Some((shared, revocations)) = shared {
            shared.follow(&rooms, &revocations, platform);
        }
        platform.lifecycle.spawn("push.keep_house", rooms.clone().keep_house());
        let revoked = platform.verifier.revocations().clone();
        platform.lifecycle.spawn("push.heed_revocations", rooms.clone().heed_revocations(revoked));
        let pace = Buckets::new(settings.opens_per_address);
        buckets::forget_idle("push.forget_idle_addresses", vec![pace.clone()], &platform.lifecycle);
        let admission = Admission::new(settings.max_streams_per_address, networks.exempt.clone()).paced(pace);
        Ok(Self {
            settings: Arc::new(settings),
            platform: platform.clone(),
            rooms,
            revocations: Arc::new(revocations),
            admission,
            networks: Arc::new(networks),
        })
    }

    /// What viewers connect to.
    pub fn router(&self) -> Router {
        sse::router(self.clone())
    }

    /// A client of this service, through the in-process channel.
    #[must_use]
    pub fn serve_in_process(&self) -> PushClient {
        self.serving().here(&self.platform.lifecycle).into()
    }

    /// How this service answers, for callers in this process and in others.
    #[must_use]
    pub fn serving(&self) -> Serving<PushRequest, PushResponse> {
        let service = self.clone();
        Serving::new(move |far| far.execute(service.clone().serve()))
    }

    /// The feeds, for the operator.
    #[must_use]
    pub fn feeds(&self) -> Feeds {
        Feeds::of(self.rooms.clone())
    }

    fn streams_open(&self) -> u64 {
        self.rooms.streams_open()
    }
}

/// What is wrong with the store that `push.feeds` names, for whoever checks a site: an error
/// if it can't be used, and warnings of what works until it matters.
///
/// # Errors
/// In one line that names the key, without the password.
pub async fn examine(feeds: &FeedsUrl) -> anyhow::Result<Vec<String>> {
    if feeds.is_log() { Ok(Vec::new()) } else { Ok(Shared::open(feeds).await?.1) }
}

/// Opens what `push.feeds` names.
async fn open_store(settings: &Settings, platform: &Platform) -> anyhow::Result<(Home, RevocationStore)> {
    if !settings.feeds.is_log() {
        let (shared, warnings) = Shared::open(&settings.feeds).await?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let revocations = SharedRevocations::new(shared.link.clone(), platform.clock.clone());
        return Ok((Home::Shared(shared), RevocationStore::Shared(revocations)));
    }
    let folder = platform.data_dir.join("feeds");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let revocations = RevocationFeed::open(&folder, platform.clock.clone())?;
    Ok((Home::Folder(folder), RevocationStore::File(revocations)))
}
