//! Takes calls from other processes: one listener for all services of this one.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use idl::Contract;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::server::BaseChannel;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::called::Called;
use super::frames::Io;
use super::handshake::{self, Refused};
use super::serving::{Handlers, Serving};
use super::settings::Settings;
use super::shed::{Capacity, Shed};
use super::spawn;
use super::transport::Transport;
use super::trust::Trust;
use crate::{Clock, Lifecycle};

/// Connections of callers. Full: further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 4_096;
/// After a connection could not be accepted (too many open files, say).
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Replies of one connection that wait to be written. Full: its handlers wait.
const PENDING_REPLIES: usize = 1_024;
/// Callers that were told that this process leaves close their connections themselves; what
/// is left after this (of one that is suspended, say) is closed here.
const CALLERS_GO_WITHIN: Duration = Duration::from_secs(2);
/// A line about callers that are turned away is logged at most this often.
const WARN_EVERY_MS: i64 = 1_000;

/// The services that this process answers for, and where.
pub struct Server {
    listener: TcpListener,
    advertised: String,
    inner: Inner,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({}, {:?})", self.advertised, self.inner.services.keys())
    }
}

struct Inner {
    services: BTreeMap<&'static str, Service>,
    trust: Trust,
    capacity: Arc<Capacity>,
    leaving: CancellationToken,
    clock: Clock,
    warned_ms: AtomicI64,
}

struct Service {
    contract: u32,
    serve: Box<dyn Fn(Called, Arc<Capacity>) -> Handlers + Send + Sync>,
}

/// A [`Server`] that runs.
#[derive(Debug, Clone)]
pub struct Running {
    /// `host:port`, as others reach it.
    pub address: String,
    /// Its services, with the versions of their contracts.
    pub services: Vec<(&'static str, u32)>,
    leaving: CancellationToken,
    capacity: Arc<Capacity>,
}

impl Server {
    /// Opens the listener. Nobody is answered before [`Self::start`].
    ///
    /// # Errors
    /// `rpc.listen` or `rpc.advertise` is no address that others could reach, or is taken.
    pub async fn bind(settings: &Settings, trust: Trust, lifecycle: &Lifecycle, clock: Clock) -> anyhow::Result<Self> {
        let listen: SocketAddr = settings.listen.parse().context("rpc.listen is not address:port")?;
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("listening on rpc.listen = {listen}"))?;
        let advertised = advertised(settings, listener.local_addr()?)?;
        let inner = Inner {
            services: BTreeMap::new(),
            trust,
            capacity: Capacity::new(settings.max_in_flight.get(), lifecycle.soft().clone()),
            leaving: CancellationToken::new(),
            clock,
            warned_ms: AtomicI64::new(0),
        };
        Ok(Self { listener, advertised, inner })
    }

    /// Answers for this service, too.
    pub fn add<Req, Resp>(&mut self, serving: Serving<Req, Resp>)
    where
        Req: Contract + DeserializeOwned + Send + 'static,
        Resp: Serialize + Send + 'static,
    {
        let serve = move |called, capacity| {
            let config = tarpc::server::Config { pending_response_buffer: PENDING_REPLIES };
            let transport = Transport::There(Box::new(called));
            serving.handlers(Shed::within(BaseChannel::new(config, transport), capacity))
        };
        self.inner.services.insert(Req::SERVICE, Service { contract: Req::VERSION, serve: Box::new(serve) });
    }

    /// Answers from now on. From a soft stop on nothing new is begun; a connection ends when
    /// its caller closes it, at the latest with a hard stop.
    #[must_use]
    pub fn start(self, lifecycle: &Lifecycle) -> Running {
        let running = Running {
            address: self.advertised,
            services: self.inner.services.iter().map(|(name, service)| (*name, service.contract)).collect(),
            leaving: self.inner.leaving.clone(),
            capacity: Arc::clone(&self.inner.capacity),
        };
        let (inner, listener) = (Arc::new(self.inner), self.listener);
        let (soft, connections) = (lifecycle.soft().clone(), lifecycle.clone());
        lifecycle.spawn("rpc.accept", async move {
            soft.run_until_cancelled(accept(&listener, &inner, &connections)).await;
        });
        running
    }
}

impl Running {
    /// Tells every caller that new calls had better go elsewhere; they are still answered.
    pub fn leave(&self) {
        self.leaving.cancel();
    }

    /// Requests that are being answered now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.capacity.in_flight()
    }
}

/// Where others reach this listener.
fn advertised(settings: &Settings, bound: SocketAddr) -> anyhow::Result<String> {
    if settings.advertise.is_empty() {
        ensure!(
            !bound.ip().is_unspecified(),
            "rpc.listen is every address of this machine ({bound}): set rpc.advertise to the one that others reach"
        );
        return Ok(bound.to_string());
    }
    // Port 0 is the one that the system gave.
    let (host, port) = settings.advertise.rsplit_once(':').context("rpc.advertise is not host:port")?;
    let port: u16 = port.parse().context("rpc.advertise is not host:port")?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    ensure!(
        !host.is_empty() && !address.is_ok_and(|address| address.is_unspecified()),
        "rpc.advertise is {:?}: nobody could reach that",
        settings.advertise
    );
    Ok(format!("{host}:{}", if port == 0 { bound.port() } else { port }))
}

async fn accept(listener: &TcpListener, inner: &Arc<Inner>, lifecycle: &Lifecycle) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let (socket, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a caller's connection was not accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let (inner, hard) = (Arc::clone(inner), lifecycle.hard().clone());
        lifecycle.spawn_one_of_many(async move {
            hard.run_until_cancelled(inner.connection(socket, from)).await;
            drop(place);
        });
    }
}

impl Inner {
    async fn connection(&self, socket: TcpStream, from: SocketAddr) {
        let greeted = timeout(handshake::DEADLINE, self.greet(socket)).await;
        let late = || Err(Refused::ByUs("no handshake came in time".to_owned()));
        match greeted.unwrap_or_else(|_| late()) {
            Ok((service, io)) => {
                let called = Called::new(io, self.leaving.clone());
                let handlers = (service.serve)(called, Arc::clone(&self.capacity));
                tokio::select! {
                    () = handlers.for_each(|handler| async { spawn(handler) }) => {}
                    () = self.over() => {}
                }
            }
            Err(error) => self.warn(from, &error),
        }
    }

    /// A stop has been asked for, callers have had their time to go, and none waits for an
    /// answer.
    async fn over(&self) {
        self.capacity.stopped().await;
        tokio::time::sleep(CALLERS_GO_WITHIN).await;
        while self.capacity.in_flight() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn greet(&self, socket: TcpStream) -> Result<(&Service, Box<dyn Io>), Refused> {
        socket.set_nodelay(true)?;
        let mut io: Box<dyn Io> = match self.trust.acceptor() {
            Some(acceptor) => Box::new(acceptor.accept(socket).await?),
            None => Box::new(socket),
        };
        let contract_of = |name: &str| self.services.get(name).map(|service| service.contract);
        let name = handshake::answer(&mut io, &self.trust, contract_of).await?;
        let service = self.services.get(name.as_str());
        service.map(|service| (service, io)).ok_or_else(|| Refused::Io(io::ErrorKind::NotFound.into()))
    }

    /// Whoever knocks must not fill our log.
    fn warn(&self, from: SocketAddr, error: &Refused) {
        let (now, last) = (self.clock.now().0, self.warned_ms.load(Ordering::Relaxed));
        // A port that is only probed says nothing.
        let probe = matches!(error, Refused::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof);
        if !probe && now - last >= WARN_EVERY_MS {
            self.warned_ms.store(now, Ordering::Relaxed);
            tracing::warn!(from = %from, %error, "a caller was turned away");
        }
    }
}
