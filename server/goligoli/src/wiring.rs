//! Composition: starts the services of a process and hands each the clients of those
//! that it may call. The only place that knows who runs where.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use common::data_dir::DataDir;
use common::discovery::Discovery;
use common::health::Health;
use common::http::admission::{Admission, Networks};
use common::http::edge;
use common::http::serve::{listen, serve};
use common::{Clock, Lifecycle, descriptors};
use gateway::{Clients, Gateway};
use live::Live;
use lottery::Lottery;
use message::Message;
use push::Push;
use tokio::net::TcpListener;
use user::{Operator, User};

use crate::operator::Site;
use crate::{Config, operator, platform, reload, shared_config};

/// A running process with all services on embedded back-ends.
#[derive(Debug)]
pub struct App {
    /// Where the API, the page and the streams are.
    pub http: SocketAddr,
    /// Where metrics and health are, if that listener is on.
    pub ops: Option<SocketAddr>,
    /// The services, as the gateway calls them.
    pub clients: Clients,
    /// What only the operator may do.
    pub operator: Operator,
    lifecycle: Lifecycle,
    stop_grace: Duration,
    wires: Wires,
    _data_dir: DataDir,
}

impl App {
    /// Starts everything; when this returns, requests are answered.
    ///
    /// # Errors
    /// A setting makes no sense, the data folder is in use or can't be used, or a
    /// listener's port is taken.
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        anyhow::ensure!(
            config.push.drain_ms < config.http.stop_grace_ms,
            "push.drain_ms is not below http.stop_grace_ms: streams would be cut before they are said goodbye to"
        );
        let lifecycle = Lifecycle::new();
        let discovery = Discovery::open(&config.discovery, &lifecycle).await?;
        let (config, shared) = shared_config::overlay(config, &discovery).await?;
        let http = listen(config.http.listen, config.http.send_buffer_bytes)
            .with_context(|| format!("listening on http.listen = {}", config.http.listen))?;
        let ops = match config.ops.enabled {
            true => Some(
                listen(config.ops.listen, config.http.send_buffer_bytes)
                    .with_context(|| format!("listening on ops.listen = {}", config.ops.listen))?,
            ),
            false => None,
        };
        let data_dir = DataDir::lock(&config.data_dir)?;
        let (platform, signer) = platform::open(&config, &data_dir, clock, lifecycle).await?;

        let networks = Networks {
            trusted_proxies: config.gateway.trusted_proxies.clone(),
            exempt: config.gateway.limits.exempt.clone(),
        };

        let mut wires = Wires::default();
        let settings = reload::follow(&config, shared, &platform.lifecycle);
        let push = Push::start(config.push, settings.flow, &platform, networks.clone()).await?;
        let push_client = push.serve_in_process();
        let user = User::start(config.user, &platform, signer, wires.wire("user", "push", &push_client)).await?;
        let user_client = user.serve_in_process();
        let live = Live::start(
            config.live,
            settings.slow_mode,
            &platform,
            wires.wire("live", "user", &user_client),
            wires.wire("live", "push", &push_client),
        )
        .await?;
        let live_client = live.serve_in_process();
        let message = Message::start(
            config.message,
            &platform,
            wires.wire("message", "user", &user_client),
            wires.wire("message", "live", &live_client),
            wires.wire("message", "push", &push_client),
        )
        .await?;
        let message_client = message.serve_in_process();
        let lottery = Lottery::start(
            config.lottery,
            &platform,
            wires.wire("lottery", "live", &live_client),
            wires.wire("lottery", "message", &message_client),
            wires.wire("lottery", "push", &push_client),
        )
        .await?;
        let clients = Clients {
            user: wires.wire("gateway", "user", &user_client),
            live: wires.wire("gateway", "live", &live_client),
            message: wires.wire("gateway", "message", &message_client),
            lottery: wires.wire("gateway", "lottery", &lottery.serve_in_process()),
            push: wires.wire("gateway", "push", &push_client),
        };
        let gateway = Gateway::new(config.gateway, &platform, clients.clone())?;

        known_revocations(&platform.health).await;

        let streams = match gateway.cors() {
            Some(cors) => push.router().layer(cors),
            None => push.router(),
        };
        let addresses = (http.local_addr()?, ops.as_ref().map(TcpListener::local_addr).transpose()?);
        let public = edge::around_behind(gateway.router().merge(streams), networks.trusted_proxies.clone());
        // A proxy's connections are those of many.
        let free = networks.exempt.into_iter().chain(networks.trusted_proxies);
        let admission = Admission::new(config.http.max_connections_per_address, free);
        serve(http, public, descriptors::make_room(config.http.max_connections), admission, &platform.lifecycle);
        if let Some(ops) = ops {
            let router = edge::around(gateway::ops_router(&platform));
            let admission = Admission::new(MAX_OPS_CONNECTIONS, []);
            serve(ops, router, MAX_OPS_CONNECTIONS, admission, &platform.lifecycle);
        }
        let site = Site { accounts: user.operator(), replays: live.operator(), feeds: push.feeds() };
        operator::listen(data_dir.path(), site, &platform.lifecycle)?;
        Ok(Self {
            http: addresses.0,
            ops: addresses.1,
            clients,
            operator: user.operator(),
            lifecycle: platform.lifecycle,
            stop_grace: Duration::from_millis(config.http.stop_grace_ms),
            wires,
            _data_dir: data_dir,
        })
    }

    /// Which service was handed a client of which.
    #[must_use]
    pub const fn wires(&self) -> &BTreeSet<(&'static str, &'static str)> {
        &self.wires.0
    }

    /// Start and stop of this process.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Finishes what is under way, says goodbye to the streams, and ends.
    pub async fn stop(self) {
        self.lifecycle.stop(self.stop_grace).await;
    }
}

const MAX_OPS_CONNECTIONS: usize = 64;

/// A log-in that ended a minute ago must not work because we have just started. In one
/// process the answer takes a moment; if it does not come, readiness says so.
async fn known_revocations(health: &Health) {
    const MOST: Duration = Duration::from_secs(5);
    let known = async {
        while health.parts().get("revocations").is_some_and(Result::is_err) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    _ = tokio::time::timeout(MOST, known).await;
}

/// Every client that is handed to a service goes through here, so that a test can hold
/// who calls whom against the architecture.
#[derive(Debug, Default)]
struct Wires(BTreeSet<(&'static str, &'static str)>);

impl Wires {
    fn wire<C: Clone>(&mut self, caller: &'static str, callee: &'static str, client: &C) -> C {
        self.0.insert((caller, callee));
        client.clone()
    }
}
