//! All instances of a service: which one a call goes to, and what happens when that fails.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use idl::Contract;
use rand::RngExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::client::RpcError;
use tarpc::context::Context;
use tarpc::{RequestName, ServerError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::caller::Tracked;
use super::peer::{Dialling, Line, Peer};
use super::trust::Trust;
use super::{rendezvous, spawn};
use crate::Lifecycle;
use crate::discovery::Instances;
use crate::telemetry::red;
use crate::telemetry::traces::Lasting;

/// Connections to each instance: a long reply on one does not hold up the other.
const CONNECTIONS: usize = 2;
/// A call is sent to so many instances at most.
const ATTEMPTS: usize = 3;
/// While no instance is there, or none that was not tried, a call waits for one: this long, and
/// half of its time at most. A process that is restarted takes about as long.
const WAIT_FOR_ONE: Duration = Duration::from_secs(1);
/// Calls with less time than this blame nobody for being late.
const BLAME_FROM: Duration = Duration::from_millis(100);

type Peers<Req, Resp> = RwLock<Vec<Arc<Peer<Req, Resp>>>>;
type Chosen<Req, Resp> = (Arc<Peer<Req, Resp>>, Line<Req, Resp>);
/// An instance that could not do it, and when that was known. It may be another process by now:
/// what was connected later has not been tried.
type TriedAt<Req, Resp> = (Arc<Peer<Req, Resp>>, Instant);

/// The way to a service's instances in other processes.
pub struct Pool<Req, Resp> {
    service: &'static str,
    peers: Arc<Peers<Req, Resp>>,
    changed: watch::Sender<()>,
    is_idempotent: fn(&Req) -> bool,
    key: fn(&Req) -> Option<u64>,
    needs: fn(&Req) -> u32,
}

impl<Req, Resp> std::fmt::Debug for Pool<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({})", self.service)
    }
}

impl<Req, Resp> Pool<Req, Resp>
where
    Req: Contract + Serialize + Send + Sync + 'static,
    Resp: DeserializeOwned + Send + 'static,
{
    /// Of no instances at all.
    pub(crate) fn empty() -> Arc<Self> {
        Arc::new(Self {
            service: Req::SERVICE,
            peers: Arc::default(),
            changed: watch::Sender::new(()),
            is_idempotent: Req::is_idempotent,
            key: Req::key,
            needs: Req::needs,
        })
    }

    /// Follows the instances until the process is cut.
    pub(crate) fn new(instances: Instances, trust: Trust, lifecycle: &Lifecycle) -> Arc<Self> {
        let pool = Self::empty();
        let changed = pool.changed.clone();
        let dialling = Arc::new(Dialling { service: Req::SERVICE, contract: Req::VERSION, trust, changed });
        let (peers, hard) = (Arc::clone(&pool.peers), lifecycle.hard().clone());
        spawn(async move {
            hard.clone().run_until_cancelled(follow(instances, peers, dialling, hard)).await;
        });
        pool
    }
}

/// Has a peer for each instance in the registry. One that the registry has lost is called only
/// when there is no other, as long as its connections last: it may be the registry that is ill.
async fn follow<Req, Resp>(
    mut instances: Instances,
    peers: Arc<Peers<Req, Resp>>,
    dialling: Arc<Dialling>,
    hard: tokio_util::sync::CancellationToken,
) where
    Req: RequestName + Serialize + Send + Sync + 'static,
    Resp: DeserializeOwned + Send + 'static,
{
    loop {
        let seen = Arc::clone(&instances.borrow_and_update());
        let mut unkept = Vec::new();
        {
            let mut peers = peers.write().unwrap_or_else(PoisonError::into_inner);
            // What has ended does not come back to life.
            peers.retain(|peer| !peer.is_gone() || !peer.is_over());
            for peer in peers.iter() {
                let given_up = peer.set_gone(!seen.iter().any(|instance| instance.address == peer.address));
                unkept.extend(given_up.into_iter().map(|n| (Arc::clone(peer), n)));
            }
            for instance in seen.iter() {
                if !peers.iter().any(|peer| peer.address == instance.address) {
                    let peer = Peer::new(instance.address.clone(), CONNECTIONS);
                    peers.push(Arc::clone(&peer));
                    unkept.extend((0..CONNECTIONS).map(|n| (Arc::clone(&peer), n)));
                }
            }
        }
        for (peer, n) in unkept {
            let (keep, hard) = (peer.keep(n, Arc::clone(&dialling)), hard.clone());
            spawn(async move {
                hard.run_until_cancelled(keep).await;
            });
        }
        if instances.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// What became of one try.
enum Tried<Resp> {
    Ended(Result<Resp, RpcError>),
    /// It may be tried elsewhere.
    Failed(RpcError),
}

impl<Req: RequestName, Resp> Pool<Req, Resp> {
    /// Calls one of the instances; another one if that could not do it for certain, or if it
    /// does not matter. Answers by the deadline.
    pub(crate) async fn call(&self, context: Context, request: Req) -> Result<Resp, RpcError> {
        let deadline = Instant::from_std(context.deadline);
        let started = Instant::now();
        let method = request.name().to_owned();
        let request = Arc::new(request);
        let called = self.attempts(context, deadline, &request).await;
        let outcome = match &called {
            Ok(_) => "ok",
            Err(RpcError::DeadlineExceeded) => "late",
            Err(RpcError::Server(_)) => "refused",
            Err(_) => "away",
        };
        red::rpc(&method, outcome, started.elapsed());
        if let Err(error) = &called {
            // The tries have spans of their own, if there were any; none says how it ended.
            let mut span = Lasting::call_since(started.elapsed(), || format!("{method} failed").into());
            span.fail(|| outcome.to_owned(), || error.to_string());
        }
        called
    }

    async fn attempts(&self, context: Context, deadline: Instant, request: &Arc<Req>) -> Result<Resp, RpcError> {
        let mut tried: Vec<TriedAt<Req, Resp>> = Vec::new();
        let (mut last, mut may_wait) = (None, true);
        while tried.len() < ATTEMPTS {
            let chosen = match self.choose(request, &tried) {
                None if std::mem::take(&mut may_wait) => self.wait_for_one(deadline, request, &tried).await,
                chosen => chosen,
            };
            let Some((peer, line)) = chosen else { break };
            match self.attempt(context, deadline, request, &peer, line).await {
                Tried::Ended(result) => return result,
                Tried::Failed(error) => {
                    // Who has too much to do is there: to wait would give it more.
                    may_wait &= !matches!(&error, RpcError::Server(error) if error.kind == ErrorKind::WouldBlock);
                    last = Some(error);
                }
            }
            tried.push((peer, Instant::now()));
        }
        Err(last.unwrap_or_else(|| {
            let detail = match self.peers().is_empty() {
                true => format!("no instance of {} is known", self.service),
                false => format!("no instance of {} can be reached", self.service),
            };
            RpcError::Server(ServerError::new(ErrorKind::NotConnected, detail))
        }))
    }

    async fn attempt(
        &self,
        context: Context,
        deadline: Instant,
        request: &Arc<Req>,
        peer: &Arc<Peer<Req, Resp>>,
        line: Line<Req, Resp>,
    ) -> Tried<Resp> {
        let (begun, _in_hand) = (Instant::now(), peer.begin());
        let sent = Arc::new(AtomicBool::new(false));
        let tracked = Tracked { request: Arc::clone(request), sent: Arc::clone(&sent) };
        // The channel keeps deadlines only for what it could write.
        let late = Err(RpcError::DeadlineExceeded);
        let answer = timeout_at(deadline, line.channel.call(context, tracked)).await.unwrap_or(late);
        match answer {
            Err(RpcError::DeadlineExceeded) => {
                if begun + BLAME_FROM < deadline {
                    peer.timed_out();
                }
                Tried::Ended(Err(RpcError::DeadlineExceeded))
            }
            Err(RpcError::Server(error)) => {
                peer.answered();
                match error.kind {
                    // It says itself that it has not begun.
                    ErrorKind::WouldBlock | ErrorKind::ConnectionAborted | ErrorKind::InvalidInput => {
                        Tried::Failed(RpcError::Server(error))
                    }
                    _ => Tried::Ended(Err(RpcError::Server(error))),
                }
            }
            // It does not fit into a frame, wherever it goes.
            Err(RpcError::Send(error)) => Tried::Ended(Err(RpcError::Send(error))),
            Err(error) if !sent.load(Ordering::SeqCst) || (self.is_idempotent)(request) => Tried::Failed(error),
            Err(error) => Tried::Ended(Err(error)),
            Ok(response) => {
                peer.answered();
                Tried::Ended(Ok(response))
            }
        }
    }

    /// The best instance that was not tried: for a request with a key always the same one as
    /// long as it is well, otherwise the less busy one of two.
    fn choose(&self, request: &Req, tried: &[TriedAt<Req, Resp>]) -> Option<Chosen<Req, Resp>> {
        let needs = (self.needs)(request);
        let peers = self.peers();
        let (mut well, mut others) = (Vec::new(), Vec::new());
        for peer in peers.iter() {
            let tried_at = tried.iter().filter(|(before, _)| Arc::ptr_eq(before, peer)).map(|(_, at)| *at).max();
            match peer.line() {
                Some((line, _)) if line.contract < needs => {}
                Some((line, _)) if tried_at.is_some_and(|at| line.up_since <= at) => {}
                Some((line, true)) => well.push((peer, line)),
                Some((line, false)) => others.push((peer, line)),
                None => {}
            }
        }
        let mut from = if well.is_empty() { others } else { well };
        if from.is_empty() {
            return None;
        }
        let chosen = match (self.key)(request) {
            Some(key) => rendezvous::choose(key, from.iter().map(|(peer, _)| peer.address.as_str()))?,
            None => {
                let mut rng = rand::rng();
                let one = rng.random_range(0..from.len());
                let other = (one + rng.random_range(0..from.len().max(2) - 1) + 1) % from.len();
                if from[other].0.in_flight() < from[one].0.in_flight() { other } else { one }
            }
        };
        let (peer, line) = from.swap_remove(chosen);
        Some((Arc::clone(peer), line))
    }

    async fn wait_for_one(
        &self,
        deadline: Instant,
        request: &Req,
        tried: &[TriedAt<Req, Resp>],
    ) -> Option<Chosen<Req, Resp>> {
        let now = Instant::now();
        let until = now + WAIT_FOR_ONE.min(deadline.saturating_duration_since(now) / 2);
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(chosen) = self.choose(request, tried) {
                return Some(chosen);
            }
            timeout_at(until, changes.changed()).await.ok()?.ok()?;
        }
    }

    fn peers(&self) -> std::sync::RwLockReadGuard<'_, Vec<Arc<Peer<Req, Resp>>>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner)
    }
}
