//! A service of its own, nodes that run it, and a network that can be cut.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::discovery::{Announcement, Discovery, Instance};
use common::rpc::{Network, Route, Running, Server, Serving, Settings, TlsSettings, Trust, within};
use common::{Clock, Lifecycle};
use idl::Contract;
use tarpc::context::Context;
use tarpc::server::Channel as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[tarpc::service]
pub(crate) trait Lab {
    /// Who answers, after so long.
    async fn who(nap_ms: u64) -> String;
    /// The same, but it must not be done twice.
    async fn once(nap_ms: u64) -> String;
    /// Who answers for this key.
    async fn keyed(key: u64) -> String;
    /// So many bytes.
    async fn bytes(n: usize) -> Vec<u8>;
    /// How many bytes came.
    async fn take(bytes: Vec<u8>) -> usize;
}

impl Contract for LabRequest {
    const SERVICE: &'static str = "lab";
    const VERSION: u32 = 1;

    fn is_idempotent(&self) -> bool {
        !matches!(self, Self::Once { .. })
    }

    fn key(&self) -> Option<u64> {
        match self {
            Self::Keyed { key } => Some(*key),
            _ => None,
        }
    }
}

/// The same contract in a later build.
#[tarpc::service]
pub(crate) trait NextLab {
    async fn who(nap_ms: u64) -> String;
    /// Nobody said that it is new.
    async fn unannounced() -> String;
    /// New in version 2.
    async fn announced() -> String;
}

impl Contract for NextLabRequest {
    const SERVICE: &'static str = "lab";
    const VERSION: u32 = 2;

    fn is_idempotent(&self) -> bool {
        true
    }

    fn needs(&self) -> u32 {
        if matches!(self, Self::Announced {}) { 2 } else { 1 }
    }
}

pub(crate) type Client = LabClient<Route<LabRequest, LabResponse>>;
pub(crate) type NextClient = NextLabClient<Route<NextLabRequest, NextLabResponse>>;

#[derive(Clone)]
pub(crate) struct Worker {
    name: String,
    pub(crate) done: Arc<AtomicUsize>,
}

impl Worker {
    async fn work(self, nap_ms: u64) -> String {
        tokio::time::sleep(Duration::from_millis(nap_ms)).await;
        self.done.fetch_add(1, Ordering::SeqCst);
        self.name
    }
}

impl Lab for Worker {
    async fn who(self, _: Context, nap_ms: u64) -> String {
        self.work(nap_ms).await
    }

    async fn once(self, _: Context, nap_ms: u64) -> String {
        self.work(nap_ms).await
    }

    async fn keyed(self, _: Context, _: u64) -> String {
        self.work(0).await
    }

    async fn bytes(self, _: Context, n: usize) -> Vec<u8> {
        vec![7; n]
    }

    async fn take(self, _: Context, bytes: Vec<u8>) -> usize {
        bytes.len()
    }
}

/// A process that runs the service.
pub(crate) struct Node {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) running: Running,
    pub(crate) worker: Worker,
    announcement: Option<Announcement>,
}

impl Node {
    pub(crate) async fn start(name: &str, settings: &Settings) -> Self {
        let lifecycle = Lifecycle::new();
        let worker = Worker { name: name.to_owned(), done: Arc::default() };
        let trust = Trust::open(settings).unwrap();
        let mut server = Server::bind(settings, trust, &lifecycle, Clock::system()).await.unwrap();
        let service = worker.clone();
        server.add(Serving::new(move |far| far.execute(service.clone().serve())));
        Self { running: server.start(&lifecycle), lifecycle, worker, announcement: None }
    }

    pub(crate) async fn announced(mut self, discovery: &Discovery) -> Self {
        let address = self.running.address.clone();
        self.announcement = Some(announce(discovery, &self.worker.name, &address).await);
        self
    }

    /// As a process stops.
    pub(crate) async fn drain(self) {
        if let Some(announcement) = self.announcement {
            announcement.revoke().await;
        }
        self.running.leave();
        tokio::time::sleep(Duration::from_millis(200)).await;
        self.lifecycle.stop(Duration::from_secs(5)).await;
    }

    /// As a process dies.
    pub(crate) async fn kill(self) {
        self.lifecycle.hard().cancel();
        self.lifecycle.stop(Duration::from_millis(1)).await;
    }
}

pub(crate) async fn announce(discovery: &Discovery, name: &str, address: &str) -> Announcement {
    let (id, service) = (name.to_owned(), "lab".to_owned());
    discovery.announce(vec![Instance { id, service, address: address.to_owned(), contract: 1 }]).await.unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings {
        listen: "127.0.0.1:0".to_owned(),
        advertise: String::new(),
        instance: String::new(),
        secret: "a secret that only this test knows".to_owned().into(),
        previous_secret: String::new().into(),
        max_in_flight: 100.try_into().unwrap(),
        drain_ms: 100,
        tls: TlsSettings { ca: "".into(), certificate: "".into(), key: "".into(), name: "{service}".to_owned() },
    }
}

pub(crate) fn nowhere() -> Discovery {
    Discovery::fixed(BTreeMap::new()).unwrap()
}

pub(crate) fn at(address: &str) -> Discovery {
    Discovery::fixed([("lab".to_owned(), vec![address.to_owned()])].into()).unwrap()
}

pub(crate) fn client(discovery: &Discovery, settings: &Settings) -> Client {
    network(discovery, settings).route().into()
}

pub(crate) fn network(discovery: &Discovery, settings: &Settings) -> Network {
    Network::new(discovery.clone(), Trust::open(settings).unwrap(), Lifecycle::new())
}

pub(crate) fn soon() -> Context {
    within(Duration::from_secs(10))
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "it never came to pass: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A network between a caller and a node. While it is paused nothing passes, and nothing
/// breaks: so is a process that is suspended.
pub(crate) struct Wire {
    pub(crate) address: String,
    paused: watch::Sender<bool>,
    /// The connections, also those that are over.
    connections: Arc<Mutex<Vec<tokio::task::AbortHandle>>>,
}

impl Wire {
    pub(crate) async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (paused, target) = (watch::Sender::new(false), target.to_owned());
        let pauses = paused.subscribe();
        let connections: Arc<Mutex<Vec<_>>> = Arc::default();
        let known = Arc::clone(&connections);
        spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                let (there, back) = (pump(near_in, far_out, pauses.clone()), pump(far_in, near_out, pauses.clone()));
                let connection = spawn(async move { tokio::join!(there, back) });
                known.lock().unwrap().push(connection.abort_handle());
            }
        });
        Self { address, paused, connections }
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.paused.send_replace(paused);
    }

    /// How many connections are up.
    pub(crate) fn up(&self) -> usize {
        self.connections.lock().unwrap().iter().filter(|connection| !connection.is_finished()).count()
    }

    /// Breaks one of them.
    pub(crate) fn cut_one(&self) {
        let connections = self.connections.lock().unwrap();
        connections.iter().find(|connection| !connection.is_finished()).unwrap().abort();
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut paused: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if paused.wait_for(|paused| !paused).await.is_err() || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a network has no lifecycle")]
pub(crate) fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}
