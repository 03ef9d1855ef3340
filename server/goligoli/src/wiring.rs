//! Composition: starts the services of a process and hands each the clients of those
//! that it may call. The only place that knows who runs where.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use common::data_dir::DataDir;
use common::discovery::{Announcement, Discovery};
use common::health::Health;
use common::http::admission::{Admission, Networks};
use common::http::edge;
use common::http::serve::{listen, serve};
use common::rpc::{LiveClient, LotteryClient, MessageClient, PushClient, Running, UserClient};
use common::{Clock, Lifecycle, Platform, descriptors};
use gateway::{Clients, Gateway};
use live::Live;
use lottery::Lottery;
use message::Message;
use push::Push;
use tokio::net::TcpListener;
use user::{Operator, User};

use crate::operator::Site;
use crate::peers::Peers;
use crate::{Config, Service, Services, operator, platform, reload, shared_config};

/// A running process with some of the services, or all.
#[derive(Debug)]
pub struct Process {
    /// Where the API, the page and the streams are, as far as they are in this process.
    pub http: Option<SocketAddr>,
    /// Where metrics and health are, if that listener is on.
    pub ops: Option<SocketAddr>,
    /// The services, as the gateway calls them, if it runs here.
    clients: Option<Clients>,
    operator: Option<Operator>,
    platform: Platform,
    stop_grace: Duration,
    drain: Duration,
    wires: Wires,
    rpc: Option<Running>,
    announcement: Option<Announcement>,
    _data_dir: DataDir,
}

impl Process {
    /// Starts these services; when this returns, requests are answered, and others know.
    ///
    /// # Errors
    /// A setting makes no sense, the data folder is in use or can't be used, a listener's port
    /// is taken, or another process has this one's name.
    pub async fn start(services: Services, config: Config, clock: Clock) -> anyhow::Result<Self> {
        services.check(&config)?;
        anyhow::ensure!(
            config.push.drain_ms < config.http.stop_grace_ms,
            "push.drain_ms is not below http.stop_grace_ms: streams would be cut before they are said goodbye to"
        );
        let lifecycle = Lifecycle::new();
        let discovery = Discovery::open(&config.discovery, &lifecycle).await?;
        let (config, shared) = shared_config::overlay(config, &discovery).await?;
        let listens = services.any(&[Service::Gateway, Service::Push]);
        let http = match listens {
            true => Some(
                listen(config.http.listen, config.http.send_buffer_bytes)
                    .with_context(|| format!("listening on http.listen = {}", config.http.listen))?,
            ),
            false => None,
        };
        let ops = match config.ops.enabled {
            true => Some(
                listen(config.ops.listen, config.http.send_buffer_bytes)
                    .with_context(|| format!("listening on ops.listen = {}", config.ops.listen))?,
            ),
            false => None,
        };
        let data_dir = DataDir::lock(&config.data_dir)?;
        let (platform, signer) = platform::open_for(&services, &config, &data_dir, clock, lifecycle).await?;
        let mut peers = Peers::open(&services, &config, discovery, &platform).await?;

        let networks = Networks {
            trusted_proxies: config.gateway.trusted_proxies.clone(),
            exempt: config.gateway.limits.exempt.clone(),
        };

        let mut wires = Wires::default();
        let settings = reload::follow(&config, shared, &platform.lifecycle);
        let push = match services.has(Service::Push) {
            true => Some(Push::start(config.push, settings.flow, &platform, networks.clone()).await?),
            false => None,
        };
        // A room belongs to one of the instances, wherever its caller runs.
        let push_client: PushClient = match (&push, peers.are_there()) {
            (Some(push), false) => push.serve_in_process(),
            _ => peers.way(services.call("push"), None).into(),
        };
        let user = match signer {
            Some(signer) => {
                Some(User::start(config.user, &platform, signer, wires.wire("user", "push", &push_client)).await?)
            }
            None => None,
        };
        let user_client: UserClient = peers.way(services.call("user"), user.as_ref().map(User::serving)).into();
        let live = match services.has(Service::Live) {
            true => {
                let user = wires.wire("live", "user", &user_client);
                {
                    let push = wires.wire("live", "push", &push_client);
                    Some(Live::start(config.live, settings.slow_mode, &platform, user, push).await?)
                }
            }
            false => None,
        };
        let live_client: LiveClient = peers.way(services.call("live"), live.as_ref().map(Live::serving)).into();
        let message = match services.has(Service::Message) {
            true => {
                let user = wires.wire("message", "user", &user_client);
                let live = wires.wire("message", "live", &live_client);
                let push = wires.wire("message", "push", &push_client);
                Some(Message::start(config.message, &platform, user, live, push).await?)
            }
            false => None,
        };
        let message_client: MessageClient =
            peers.way(services.call("message"), message.as_ref().map(Message::serving)).into();
        let lottery = match services.has(Service::Lottery) {
            true => {
                let live = wires.wire("lottery", "live", &live_client);
                let message = wires.wire("lottery", "message", &message_client);
                let push = wires.wire("lottery", "push", &push_client);
                Some(Lottery::start(config.lottery, &platform, live, message, push).await?)
            }
            false => None,
        };
        let lottery_client: LotteryClient =
            peers.way(services.call("lottery"), lottery.as_ref().map(Lottery::serving)).into();
        // Every process that verifies tokens follows the revocations; any instance has them all.
        let any_push = match &push {
            Some(push) if peers.are_there() => push.serve_in_process(),
            _ => push_client.clone(),
        };
        let (clients, gateway) = match services.has(Service::Gateway) {
            true => {
                let clients = Clients {
                    user: wires.wire("gateway", "user", &user_client),
                    live: wires.wire("gateway", "live", &live_client),
                    message: wires.wire("gateway", "message", &message_client),
                    lottery: wires.wire("gateway", "lottery", &lottery_client),
                    push: wires.wire("gateway", "push", &any_push),
                };
                let gateway = Gateway::new(config.gateway.clone(), &platform, clients.clone())?;
                (Some(clients), Some(gateway))
            }
            false => {
                let (known, clock) = (platform.verifier.revocations(), platform.clock.clone());
                known.follow(any_push, clock, &platform.health, &platform.lifecycle);
                (None, None)
            }
        };
        known_revocations(&platform.health).await;

        let addresses = (
            http.as_ref().map(TcpListener::local_addr).transpose()?,
            ops.as_ref().map(TcpListener::local_addr).transpose()?,
        );
        let streams = push.as_ref().map(Push::router);
        let public = match (&gateway, streams) {
            (Some(gateway), Some(streams)) => Some(gateway.router().merge(match gateway.cors() {
                Some(cors) => streams.layer(cors),
                None => streams,
            })),
            (Some(gateway), None) => Some(gateway.router()),
            (None, Some(streams)) => Some(gateway::around_streams(streams, config.gateway, &platform)?),
            (None, None) => None,
        };
        // A proxy's connections are those of many.
        let free = networks.exempt.into_iter().chain(networks.trusted_proxies.clone());
        let admission = Admission::new(config.http.max_connections_per_address, free);
        if let (Some(http), Some(public)) = (http, public) {
            let most = descriptors::make_room(config.http.max_connections);
            serve(http, edge::around_behind(public, networks.trusted_proxies), most, admission, &platform.lifecycle);
        }
        if let Some(ops) = ops {
            let router = edge::around(gateway::ops_router(&platform));
            let admission = Admission::new(MAX_OPS_CONNECTIONS, []);
            serve(ops, router, MAX_OPS_CONNECTIONS, admission, &platform.lifecycle);
        }
        let operator = user.as_ref().map(User::operator);
        if services.any(&[Service::User, Service::Live, Service::Push]) {
            let site = Site {
                accounts: operator.clone(),
                replays: live.as_ref().map(Live::operator),
                feeds: push.as_ref().map(Push::feeds),
            };
            operator::listen(data_dir.path(), site, &platform.lifecycle)?;
        }
        if let Some(user) = &user {
            peers.serve(user.serving());
        }
        if let Some(live) = &live {
            peers.serve(live.serving());
        }
        if let Some(message) = &message {
            peers.serve(message.serving());
        }
        if let Some(lottery) = &lottery {
            peers.serve(lottery.serving());
        }
        if let Some(push) = &push {
            peers.serve(push.serving());
        }
        let edge = addresses.0.filter(|_| services.has(Service::Gateway));
        let (rpc, announcement) = peers.announce(edge, &platform.lifecycle).await?;
        Ok(Self {
            http: addresses.0,
            ops: addresses.1,
            clients,
            operator,
            platform,
            stop_grace: Duration::from_millis(config.http.stop_grace_ms),
            drain: Duration::from_millis(config.rpc.drain_ms),
            wires,
            rpc,
            announcement,
            _data_dir: data_dir,
        })
    }

    /// Where this process takes calls, if it does.
    #[must_use]
    pub fn rpc(&self) -> Option<&str> {
        self.rpc.as_ref().map(|running| running.address.as_str())
    }

    /// Start and stop of this process.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.platform.lifecycle
    }

    /// Says that it leaves and goes on answering until callers know; finishes what is under
    /// way, says goodbye to the streams, and ends. All of it within `http.stop_grace_ms`.
    pub async fn stop(self) {
        let begun = tokio::time::Instant::now();
        if let Some(announcement) = self.announcement {
            let most = self.drain.min(self.stop_grace / 2);
            // Whoever sends requests by readiness sends them elsewhere.
            self.platform.health.report("stop", Err("this process is leaving".to_owned()));
            let leaving = async {
                if let Some(rpc) = &self.rpc {
                    rpc.leave();
                }
                tokio::join!(announcement.revoke(), tokio::time::sleep(most));
            };
            // A registry that does not answer is not waited for: the lease ends by itself.
            _ = tokio::time::timeout(most + Duration::from_millis(500), leaving).await;
        }
        self.platform.lifecycle.stop(self.stop_grace.saturating_sub(begun.elapsed())).await;
    }
}

/// A running process with all services.
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
    process: Process,
}

impl App {
    /// Starts everything; when this returns, requests are answered.
    ///
    /// # Errors
    /// Those of [`Process::start`].
    pub async fn start(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let process = Process::start(Services::all(), config, clock).await?;
        let parts = (process.http, process.clients.clone(), process.operator.clone());
        let (Some(http), Some(clients), Some(operator)) = parts else { anyhow::bail!("a service did not start") };
        Ok(Self { http, ops: process.ops, clients, operator, process })
    }

    /// Which service was handed a client of which.
    #[must_use]
    pub const fn wires(&self) -> &BTreeSet<(&'static str, &'static str)> {
        &self.process.wires.0
    }

    /// Start and stop of this process.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        self.process.lifecycle()
    }

    /// The process by itself.
    #[must_use]
    pub fn into_process(self) -> Process {
        self.process
    }

    /// See [`Process::stop`].
    pub async fn stop(self) {
        self.process.stop().await;
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
