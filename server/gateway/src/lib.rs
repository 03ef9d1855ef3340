//! *Owns* nothing; any number of gateways can run. *Calls* user, live, message, lottery, push.
//! *Emits* HTTP: the REST API under `/api/v1`, its OpenAPI document, the web page.
//!
//! The files below `routes` are the tree of URLs. What every request goes through stands
//! beside them: [`limits`], who asks (`signed`), how bodies and parameters are read
//! (`extract`), what another site's pages may do ([`origins`]).

use common::rpc::{LiveClient, LotteryClient, MessageClient, PushClient, UserClient};
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use common::{Clock, Platform};
use http::HeaderMap;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use utoipa_axum::router::OpenApiRouter;

mod cookies;
mod docs;
mod extract;
pub mod limits;
pub mod origins;
mod page;
mod reply;
mod routes;
mod signed;

/// The gateway's settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where people reach the site (`https://live.example.org`), or empty if that is not
    /// known. With `https` cookies are marked `Secure`.
    pub public_url: String,
    /// Networks of reverse proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` count.
    pub trusted_proxies: Vec<IpNet>,
    /// Which other sites' pages may call the API.
    pub cors: origins::Settings,
    /// How often one address or account may ask.
    pub limits: limits::Settings,
    /// The largest danmaku file that is imported, in bytes.
    pub import_max_bytes: u64,
    /// How long a file may take to arrive, in seconds; at most 2,700.
    pub import_within_s: NonZeroU64,
    /// Files that are imported, or arrive, at the same time.
    pub imports_at_once: NonZeroUsize,
}

/// The services behind the gateway.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Accounts.
    pub user: UserClient,
    /// Rooms.
    pub live: LiveClient,
    /// Danmaku.
    pub message: MessageClient,
    /// Lotteries.
    pub lottery: LotteryClient,
    /// Which log-ins have ended, and what goes on. Viewers reach push themselves.
    pub push: PushClient,
}

/// The HTTP edge. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clients: Clients,
    platform: Platform,
    origins: origins::Origins,
    limits: limits::Limits,
    trusted_proxies: Vec<IpNet>,
    import_max_bytes: u64,
    import_within: Duration,
    /// Free ones. Full: who brings another file is told to come later.
    import_places: Arc<Semaphore>,
}

impl Gateway {
    /// Makes the gateway; until the process stops it forgets idle addresses and learns from
    /// push which log-ins have ended.
    ///
    /// # Errors
    /// A URL or an origin in the settings is none, or a setting is out of range.
    pub fn new(settings: Settings, platform: &Platform, clients: Clients) -> anyhow::Result<Self> {
        let import_within = Duration::from_secs(settings.import_within_s.get());
        // After an hour an import that has not ended is deleted.
        let fits = import_within + routes::IMPORT_DEADLINE <= Duration::from_hours(1);
        anyhow::ensure!(fits, "gateway.import_within_s is over 2700");
        let limits = limits::Limits::new(settings.limits);
        limits.forget_idle(&platform.lifecycle);
        let revocations = platform.verifier.revocations();
        revocations.follow(clients.push.clone(), platform.clock.clone(), &platform.health, &platform.lifecycle);
        Ok(Self(Arc::new(Inner {
            clients,
            platform: platform.clone(),
            origins: origins::Origins::new(&settings.public_url, settings.cors)?,
            limits,
            trusted_proxies: settings.trusted_proxies,
            import_max_bytes: settings.import_max_bytes,
            import_within,
            import_places: Arc::new(Semaphore::new(settings.imports_at_once.get())),
        })))
    }

    /// Everything that the gateway answers: whatever no other router knows, too. The room
    /// streams are push's; merge its router with this one.
    pub fn router(&self) -> Router {
        let (api, document) = docs::with_document(routes::all());
        let router = api
            .merge(docs::router(&document))
            .layer(from_fn(reply::not_stored))
            .fallback(page::serve)
            .method_not_allowed_fallback(reply::method_not_allowed)
            .with_state(self.clone())
            // An event stream never passes here, and would not be compressed if it did.
            .layer(CompressionLayer::new())
            .layer(from_fn_with_state(self.clone(), limits::per_address))
            .merge(health_router(routes::health::routes(), &self.0.platform));
        match self.cors() {
            Some(cors) => router.layer(cors),
            None => router,
        }
    }

    /// What lets other sites' pages call the API; `None` if none may. Push's streams need
    /// it as well.
    #[must_use]
    pub fn cors(&self) -> Option<CorsLayer> {
        self.0.origins.cors()
    }

    fn user(&self) -> &UserClient {
        &self.0.clients.user
    }

    fn live(&self) -> &LiveClient {
        &self.0.clients.live
    }

    fn message(&self) -> &MessageClient {
        &self.0.clients.message
    }

    fn lottery(&self) -> &LotteryClient {
        &self.0.clients.lottery
    }

    fn push(&self) -> &PushClient {
        &self.0.clients.push
    }

    fn clock(&self) -> &Clock {
        &self.0.platform.clock
    }

    /// Whether the client speaks HTTPS, to us or to the proxy before us.
    fn is_https(&self, headers: &HeaderMap, client: &limits::Client) -> bool {
        let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        let proxied = client.through_proxy && forwarded.is_some_and(|proto| proto.eq_ignore_ascii_case("https"));
        self.0.origins.public_is_https() || proxied
    }
}

/// `/healthz`, `/readyz` and `/metrics` alone, for a listener that only operators reach.
pub fn ops_router(platform: &Platform) -> Router {
    health_router(routes::health::ops_routes(), platform)
}

/// `/healthz` and `/readyz` beside the streams, where push runs without a gateway, and whose
/// pages may open streams.
///
/// # Errors
/// A URL or an origin in the settings is none.
pub fn around_streams(streams: Router, settings: Settings, platform: &Platform) -> anyhow::Result<Router> {
    let router = streams.merge(health_router(routes::health::routes(), platform));
    Ok(match origins::Origins::new(&settings.public_url, settings.cors)?.cors() {
        Some(cors) => router.layer(cors),
        None => router,
    })
}

fn health_router(routes: OpenApiRouter<Platform>, platform: &Platform) -> Router {
    let (router, _) = routes.split_for_parts();
    router.method_not_allowed_fallback(reply::method_not_allowed).with_state(platform.clone())
}

/// The OpenAPI document, as it is served.
#[must_use]
pub fn openapi() -> serde_json::Value {
    docs::with_document(routes::all()).1
}
