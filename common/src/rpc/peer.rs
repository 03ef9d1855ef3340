//! One instance of a service, as a caller sees it: its connections, which keep themselves up,
//! and how it has been doing.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::RequestName;
use tarpc::client::{Channel, NewClient};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::caller::{Caller, Pulse, Tracked};
use super::frames::Io;
use super::handshake::{self, Refused};
use super::trust::Trust;

/// Requests that wait on one connection, and that are on it. Full: the caller waits, until
/// its deadline.
const IN_FLIGHT: usize = 1_024;
/// The first and the longest wait before an instance is dialled again.
const DIAL_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// So many calls in a row took too long: it is set aside…
const TIMEOUTS: u32 = 3;
/// …for so long, doubled with each further one up to the second.
const ASIDE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// A connection whose other end leaves is closed after this: then what was sent before that
/// was known has been answered. Longer than a stop goes on answering.
const LINGER: Duration = Duration::from_secs(2);

/// A connection that is up.
pub(crate) struct Line<Req, Resp> {
    pub(crate) channel: Channel<Tracked<Req>, Resp>,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) contract: u32,
    pub(crate) up_since: Instant,
}

impl<Req, Resp> Clone for Line<Req, Resp> {
    fn clone(&self) -> Self {
        let (channel, pulse) = (self.channel.clone(), Arc::clone(&self.pulse));
        Self { channel, pulse, contract: self.contract, up_since: self.up_since }
    }
}

/// An instance.
pub(crate) struct Peer<Req, Resp> {
    pub(crate) address: String,
    /// By connection; `None` while it is down.
    lines: Mutex<Vec<Option<Line<Req, Resp>>>>,
    next: AtomicUsize,
    in_flight: AtomicUsize,
    timeouts: AtomicU32,
    aside_until: Mutex<Option<Instant>>,
    /// The registry has it no more.
    gone: AtomicBool,
    /// Connections that nobody keeps up any more.
    given_up: Mutex<Vec<usize>>,
}

impl<Req, Resp> Peer<Req, Resp> {
    pub(crate) fn new(address: String, connections: usize) -> Arc<Self> {
        Arc::new(Self {
            address,
            lines: Mutex::new((0..connections).map(|_| None).collect()),
            next: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            timeouts: AtomicU32::new(0),
            aside_until: Mutex::default(),
            gone: AtomicBool::new(false),
            given_up: Mutex::default(),
        })
    }

    /// A connection that is up, and whether it looks well: a suspect one is for those who have
    /// no other.
    pub(crate) fn line(&self) -> Option<(Line<Req, Resp>, bool)> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let up = || (0..lines.len()).filter_map(|n| lines[(first + n) % lines.len()].as_ref());
        let well = up().find(|line| !line.pulse.is_suspect() && !line.pulse.is_leaving());
        match well {
            Some(line) => Some((line.clone(), !self.is_aside() && !self.is_gone())),
            None => up().next().map(|line| (line.clone(), false)),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether the registry has it. If it does again, returns the connections that nobody keeps
    /// up any more: they need new keepers.
    #[must_use]
    pub(crate) fn set_gone(&self, gone: bool) -> Vec<usize> {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        self.gone.store(gone, Ordering::Relaxed);
        if gone { Vec::new() } else { std::mem::take(&mut given_up) }
    }

    /// Whether connection `n` is not to be kept up any more; then it has no keeper.
    fn gives_up(&self, n: usize) -> bool {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = self.is_gone();
        if gone {
            given_up.push(n);
        }
        gone
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Whether nothing holds it any more: the registry has lost it, and no connection is up.
    pub(crate) fn is_over(&self) -> bool {
        self.is_gone() && self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().all(Option::is_none)
    }

    /// Counts a call as long as what is returned lives.
    pub(crate) fn begin(self: &Arc<Self>) -> InHand<Req, Resp> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InHand(Arc::clone(self))
    }

    pub(crate) fn answered(&self) {
        if self.timeouts.swap(0, Ordering::Relaxed) >= TIMEOUTS {
            *self.aside_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A call took too long here.
    pub(crate) fn timed_out(&self) {
        let in_a_row = self.timeouts.fetch_add(1, Ordering::Relaxed) + 1;
        if in_a_row >= TIMEOUTS {
            let aside = ASIDE.0.saturating_mul(1 << (in_a_row - TIMEOUTS).min(8)).min(ASIDE.1);
            *self.aside_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + aside);
        }
    }

    fn is_aside(&self) -> bool {
        let until = *self.aside_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// `false`: the registry lost it while it was dialled, and nobody may know it any more.
    fn raise(&self, n: usize, line: Line<Req, Resp>) -> bool {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = self.is_gone();
        if !gone {
            lines[n] = Some(line);
        }
        !gone
    }

    fn lower(&self, n: usize) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)[n] = None;
    }
}

/// A call that is under way.
pub(crate) struct InHand<Req, Resp>(Arc<Peer<Req, Resp>>);

impl<Req, Resp> Drop for InHand<Req, Resp> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What it takes to reach a service's instances.
pub(crate) struct Dialling {
    pub(crate) service: &'static str,
    pub(crate) contract: u32,
    pub(crate) trust: Trust,
    /// Is told of every connection that comes up or goes down.
    pub(crate) changed: watch::Sender<()>,
}

impl<Req, Resp> Peer<Req, Resp>
where
    Req: RequestName + Serialize + Send + Sync + 'static,
    Resp: DeserializeOwned + Send + 'static,
{
    /// Keeps connection `n` up until the registry has lost the instance.
    pub(crate) async fn keep(self: Arc<Self>, n: usize, dialling: Arc<Dialling>) {
        let (mut wait, mut said) = (DIAL_AGAIN.0, None);
        while !self.gives_up(n) {
            match self.dial(&dialling).await {
                Ok((io, contract)) => {
                    if said.take().is_some() {
                        tracing::info!(service = dialling.service, instance = self.address, "an instance is back");
                    }
                    let up_since = Instant::now();
                    self.run(n, io, contract, &dialling).await;
                    // One that takes connections and drops them is not dialled in a hurry.
                    if up_since.elapsed() > DIAL_AGAIN.1 {
                        wait = DIAL_AGAIN.0;
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    if n == 0 && said.as_ref() != Some(&error) {
                        tracing::warn!(
                            service = dialling.service,
                            instance = self.address,
                            error,
                            "an instance can't be reached"
                        );
                    }
                    said = Some(error);
                }
            }
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::time::sleep(wait.mul_f64(jitter)).await;
            wait = (wait * 2).min(DIAL_AGAIN.1);
        }
    }

    async fn dial(&self, dialling: &Dialling) -> Result<(Box<dyn Io>, u32), Refused> {
        let dial = async {
            let socket = TcpStream::connect(&self.address).await?;
            socket.set_nodelay(true)?;
            let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let connector = dialling.trust.connector(dialling.service, host);
            let mut io: Box<dyn Io> = match connector.map_err(|error| Refused::ByUs(format!("{error:#}")))? {
                Some((connector, name)) => Box::new(connector.connect(name, socket).await?),
                None => Box::new(socket),
            };
            let contract = handshake::call(&mut io, &dialling.trust, dialling.service, dialling.contract).await?;
            Ok((io, contract))
        };
        let late = || Err(Refused::ByUs("it does not answer in time".to_owned()));
        timeout(handshake::DEADLINE, dial).await.unwrap_or_else(|_| late())
    }

    /// Runs a connection until it breaks, or until its other end has left.
    async fn run(&self, n: usize, io: Box<dyn Io>, contract: u32, dialling: &Dialling) {
        let pulse = Arc::new(Pulse::default());
        let mut config = tarpc::client::Config::default();
        config.max_in_flight_requests = IN_FLIGHT;
        config.pending_request_buffer = IN_FLIGHT;
        let NewClient { client, dispatch } =
            tarpc::client::new(config, Caller::<Tracked<Req>, Resp>::new(io, Arc::clone(&pulse)));
        let line = Line { channel: client, pulse: Arc::clone(&pulse), contract, up_since: Instant::now() };
        if !self.raise(n, line) {
            return;
        }
        dialling.changed.send_replace(());
        let left = async {
            while !pulse.is_leaving() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            tokio::time::sleep(LINGER).await;
            // Nobody begins a call on it any more; those that are under way hold it open.
            self.lower(n);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = dispatch => {
                if let Err(error) = ended {
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(service = dialling.service, instance = self.address, error, "a connection broke");
                }
            }
            () = left => {}
        }
        self.lower(n);
        dialling.changed.send_replace(());
    }
}
