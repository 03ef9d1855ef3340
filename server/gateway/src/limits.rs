//! How often one address or account may ask: token buckets, kept by this process alone.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use common::Lifecycle;
use common::http::{Problem, edge};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderName, HeaderValue};
use idl::{Code, Refusal, UserId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Gateway;

/// So many addresses or accounts have a bucket each. Full: newcomers and old ones alike
/// share [`SHARED_BUCKETS`] until the idle ones are forgotten; nobody goes unlimited.
const OWN_BUCKETS: usize = 100_000;
const SHARED_BUCKETS: u64 = 65_536;
const FORGET_EVERY: Duration = Duration::from_secs(30);

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

/// A token bucket.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many may come at once.
    pub burst: NonZeroU32,
    /// How many a minute may come all the time.
    pub per_minute: NonZeroU32,
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
    /// Whom the user service counts wrong passwords by: an address, of IPv6 the /64, for
    /// the same reason as below.
    pub(crate) fn network(&self) -> Option<String> {
        self.address.map(|address| match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("{}/64", std::net::Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        })
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

    /// Drops full buckets now and then: they are like new ones.
    pub(crate) fn forget_idle(&self, lifecycle: &Lifecycle) {
        let (this, soft) = (self.clone(), lifecycle.soft().clone());
        lifecycle.spawn("gateway.limits.forget_idle", async move {
            while soft.run_until_cancelled(tokio::time::sleep(FORGET_EVERY)).await.is_some() {
                for limit in [&this.per_address, &this.sign_in, &this.danmaku, &this.writes] {
                    limit.buckets.retain_recent();
                    limit.buckets.shrink_to_fit();
                }
            }
        });
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

/// An IPv6 customer has at least a /64, so that is what counts as one.
fn address_key(address: Option<IpAddr>) -> u64 {
    match address {
        Some(IpAddr::V4(v4)) => u64::from(v4.to_bits()),
        Some(IpAddr::V6(v6)) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
        None => u64::MAX,
    }
}

#[derive(Debug)]
struct Limit {
    name: &'static str,
    policy: HeaderValue,
    buckets: RateLimiter<u64, DashMapStateStore<u64>, DefaultClock>,
    clock: DefaultClock,
}

impl Limit {
    fn new(name: &'static str, rate: Rate) -> Arc<Self> {
        let refill = Duration::from_secs(60) / rate.per_minute.get();
        // Never `None`: the longest refill is a minute, the shortest 13 ns.
        let quota = Quota::with_period(refill).unwrap_or(Quota::per_minute(rate.per_minute)).allow_burst(rate.burst);
        let window_s = (u64::from(rate.burst.get()) * 60).div_ceil(u64::from(rate.per_minute.get()));
        let policy = format!("\"{name}\";q={};w={window_s}", rate.burst);
        Arc::new(Self {
            name,
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
            buckets: RateLimiter::dashmap(quota),
            clock: DefaultClock::default(),
        })
    }

    fn take(&self, key: u64) -> Result<(), Problem> {
        let key = if self.buckets.len() < OWN_BUCKETS { key } else { key % SHARED_BUCKETS };
        let Err(not_until) = self.buckets.check_key(&key) else { return Ok(()) };
        let wait = not_until.wait_time_from(self.clock.now());
        metrics::counter!("goligoli_gateway_limited", "limit" => self.name).increment(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(burst: u32, per_minute: u32) -> Rate {
        Rate { burst: burst.try_into().unwrap(), per_minute: per_minute.try_into().unwrap() }
    }

    #[test]
    fn each_key_has_its_own_bucket() {
        let limit = Limit::new("test", rate(2, 1));
        assert!(limit.take(1).is_ok() && limit.take(1).is_ok() && limit.take(2).is_ok());
        assert!(limit.take(1).is_err());
        assert!(limit.take(2).is_ok());
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_nobody_goes_unlimited() {
        let limit = Limit::new("test", rate(1, 1));
        let keys = 3 * OWN_BUCKETS as u64;
        let passed = (0..keys).filter(|key| limit.take(key + SHARED_BUCKETS).is_ok()).count();
        assert!(limit.buckets.len() <= OWN_BUCKETS + usize::try_from(SHARED_BUCKETS).unwrap());
        assert!(passed <= OWN_BUCKETS + usize::try_from(SHARED_BUCKETS).unwrap());
    }

    #[test]
    fn wrong_passwords_are_counted_by_address_or_64() {
        let network = |text: &str| {
            let client = Client { address: Some(text.parse().unwrap()), exempt: false, through_proxy: false };
            client.network().unwrap()
        };
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:ffff::9"), "2001:db8:1:2::/64");
    }

    #[test]
    fn a_64_is_one_address() {
        let key = |text: &str| address_key(Some(text.parse().unwrap()));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
