//! How often one address or account may ask: token buckets, kept by this process alone.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use common::Lifecycle;
use common::buckets::{self, Buckets, Rate};
use common::http::{Problem, admission, edge};
use http::{HeaderName, HeaderValue};
use idl::{Code, Refusal, UserId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Gateway;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How often one address or account may ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Networks that no limit holds for.
    pub exempt: Vec<IpNet>,
    /// All requests of one address.
    pub per_address: Rate,
    /// Registering, logging in, refreshing, by one address.
    pub sign_in_per_address: Rate,
    /// Danmaku that one account posts.
    pub danmaku_per_user: Rate,
    /// Everything else that one account changes.
    pub writes_per_user: Rate,
}

/// The buckets.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    exempt: Arc<[IpNet]>,
    per_address: Arc<Limit>,
    sign_in: Arc<Limit>,
    danmaku: Arc<Limit>,
    writes: Arc<Limit>,
}

/// Who is at the other end of a request, as far as limits care.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    address: Option<IpAddr>,
    exempt: bool,
    /// The connection itself comes from a trusted proxy.
    pub(crate) through_proxy: bool,
}

impl Client {
    /// Whom the user service counts wrong passwords by.
    pub(crate) fn network(&self) -> Option<String> {
        self.address.map(admission::client_name)
    }
}

impl Limits {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            exempt: settings.exempt.into(),
            per_address: Limit::new("address", settings.per_address),
            sign_in: Limit::new("sign-in", settings.sign_in_per_address),
            danmaku: Limit::new("danmaku", settings.danmaku_per_user),
            writes: Limit::new("writes", settings.writes_per_user),
        }
    }

    /// Drops full buckets now and then, until the process stops.
    pub(crate) fn forget_idle(&self, lifecycle: &Lifecycle) {
        let limits = [&self.per_address, &self.sign_in, &self.danmaku, &self.writes];
        let buckets = limits.map(|limit| limit.buckets.clone()).to_vec();
        buckets::forget_idle("gateway.limits.forget_idle", buckets, lifecycle);
    }

    pub(crate) fn sign_in(&self, client: &Client) -> Result<(), Problem> {
        self.check(&self.sign_in, client, address_key(client.address))
    }

    pub(crate) fn danmaku(&self, client: &Client, user: UserId) -> Result<(), Problem> {
        self.check(&self.danmaku, client, user.0)
    }

    pub(crate) fn write(&self, client: &Client, user: UserId) -> Result<(), Problem> {
        self.check(&self.writes, client, user.0)
    }

    #[expect(clippy::unused_self, reason = "buckets are asked through the limits, which know who is exempt")]
    fn check(&self, limit: &Limit, client: &Client, key: u64) -> Result<(), Problem> {
        if client.exempt { Ok(()) } else { limit.take(key) }
    }
}

/// Around all routes: finds out who asks, and whether that address asks too often.
pub(crate) async fn per_address(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let limits = &gateway.0.limits;
    let address = edge::client_address(&parts, &gateway.0.trusted_proxies);
    let peer = parts.extensions.get::<ConnectInfo<std::net::SocketAddr>>().map(|peer| peer.0.ip().to_canonical());
    let within = |nets: &[IpNet], address: Option<IpAddr>| address.is_some_and(|a| nets.iter().any(|n| n.contains(&a)));
    let client = Client {
        address,
        exempt: within(&limits.exempt, address),
        through_proxy: within(&gateway.0.trusted_proxies, peer),
    };
    if let Err(problem) = limits.check(&limits.per_address, &client, address_key(address)) {
        return problem.into_response();
    }
    parts.extensions.insert(client);
    next.run(Request::from_parts(parts, body)).await
}

/// Who has no address (a test's request) shares one bucket.
fn address_key(address: Option<IpAddr>) -> u64 {
    address.map_or(u64::MAX, admission::client_key)
}

fn limited(limit: &'static str, requests: u64) {
    metrics::counter!("goligoli_gateway_limited_total", "limit" => limit).increment(requests);
}

#[derive(Debug)]
struct Limit {
    name: &'static str,
    policy: HeaderValue,
    buckets: Buckets,
}

impl Limit {
    fn new(name: &'static str, rate: Rate) -> Arc<Self> {
        let window_s = (u64::from(rate.burst.get()) * 60).div_ceil(u64::from(rate.per_minute.get()));
        let policy = format!("\"{name}\";q={};w={window_s}", rate.burst);
        limited(name, 0); // shows the metric from the start
        Arc::new(Self {
            name,
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
            buckets: Buckets::new(rate),
        })
    }

    fn take(&self, key: u64) -> Result<(), Problem> {
        let Err(wait) = self.buckets.take(key) else { return Ok(()) };
        limited(self.name, 1);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let state = format!("\"{}\";r=0;t={}", self.name, wait_ms.div_ceil(1_000));
        let refusal = Refusal::new(Code::RateLimited, format!("too many requests (limit \"{}\")", self.name));
        let problem = Problem::from(refusal.retry_after_ms(wait_ms)).header(RATE_LIMIT_POLICY, self.policy.clone());
        Err(match HeaderValue::try_from(state) {
            Ok(state) => problem.header(RATE_LIMIT, state),
            Err(_) => problem,
        })
    }
}
