//! The connection to Redis on which commands go: one for the process, dialled again when it
//! breaks. Nothing waits on it longer than [`PATIENCE`], also while the server hangs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use redis::ServerErrorKind;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, ScriptInvocation};
use tokio::time::Instant;

use super::address::Address;
use super::ask::{Ask, end};

/// The longest that a command or a connection attempt takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// After an attempt that failed all others fail at once for so long.
const DIAL_PAUSE: Duration = Duration::from_millis(200);
/// At start a server that is just coming up is waited for.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// The link. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Link {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    address: Address,
    open: Mutex<Open>,
    /// Whoever dials holds it.
    dialling: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Open {
    connection: Option<MultiplexedConnection>,
    /// Which of the connections since the start this is.
    nth: u64,
    failed_at: Option<Instant>,
}

impl Link {
    /// A link that has been up once: the server is there, takes the password, and is one that
    /// feeds can be kept in. Also says what works until it matters.
    ///
    /// # Errors
    /// It is not; the message names the server, never the password.
    pub(crate) async fn open(url: &str) -> anyhow::Result<(Self, Vec<String>)> {
        let address = Address::parse(url)?;
        let client = Client::open(address.server.clone()).map_err(|error| anyhow::anyhow!("{}", error.category()))?;
        let inner = Inner { client, address, open: Mutex::default(), dialling: tokio::sync::Mutex::default() };
        let link = Self { inner: Arc::new(inner) };
        let until = Instant::now() + START_PATIENCE;
        while let Err(error) = link.connection().await {
            let wrong = error.downcast_ref::<RedisError>().is_some_and(|error| !is_broken(error));
            if wrong || Instant::now() > until {
                let at = &link.inner.address.shown;
                let what = if wrong { "refuses us" } else { "does not answer" };
                return Err(anyhow::anyhow!("the Redis at {at} {what}: {error:#}"));
            }
            tokio::time::sleep(DIAL_PAUSE).await;
        }
        let at = &link.inner.address.shown;
        let warnings = link.examine().await.with_context(|| format!("the Redis at {at}"))?;
        let warnings = warnings.iter().map(|warning| format!("push.feeds: the Redis at {at} has {warning}")).collect();
        Ok((link, warnings))
    }

    /// Refuses what can't work.
    async fn examine(&self) -> anyhow::Result<Vec<String>> {
        // Who gives no password where one is needed is told so only now.
        self.command::<()>(&redis::cmd("PING")).await?;
        let info: Result<String, _> = self.command(redis::cmd("INFO").arg("everything")).await;
        let Ok(info) = info else { return Ok(Vec::new()) }; // its user may not ask
        let of = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        ensure!(of("redis_mode") != Some("cluster"), "Redis Cluster is not supported; use one server");
        ensure!(of("role") != Some("slave"), "it is a replica, which takes no writes");
        let mut warnings = Vec::new();
        if let Some(policy) = of("maxmemory_policy").filter(|policy| *policy != "noeviction") {
            warnings.push(format!(
                "maxmemory-policy {policy}: when it is full it throws feeds away; noeviction is required"
            ));
        }
        if of("aof_enabled") == Some("0") {
            warnings
                .push("no append-only file (appendonly no): a restart loses feeds, and viewers get a gap".to_owned());
        }
        Ok(warnings)
    }

    /// A key or channel of ours.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}:{rest}", self.inner.address.prefix)
    }

    /// Runs a command; see [`Self::script`].
    pub(crate) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> anyhow::Result<T> {
        self.run(Ask::Command(command)).await
    }

    /// Runs several in one round trip; see [`Self::script`].
    pub(crate) async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> anyhow::Result<T> {
        self.run(Ask::Pipeline(pipeline)).await
    }

    /// Runs a script that does no harm when it runs twice: a connection that turns out to be
    /// broken is replaced once. Whether a script that failed ran, nobody knows.
    pub(crate) async fn script<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> anyhow::Result<T> {
        self.run(Ask::Script(script)).await
    }

    async fn run<T: FromRedisValue>(&self, ask: Ask<'_>) -> anyhow::Result<T> {
        match self.attempt(&ask).await? {
            // Who waited in vain does not wait again.
            Err(error) if error.is_connection_dropped() && !error.is_timeout() => Ok(self.attempt(&ask).await??),
            outcome => Ok(outcome?),
        }
    }

    /// One round trip, if there is a connection.
    async fn attempt<T: FromRedisValue>(&self, ask: &Ask<'_>) -> anyhow::Result<Result<T, RedisError>> {
        let trip = ask.trip(&self.inner.address);
        match self.connection().await {
            Ok((connection, nth)) => {
                let outcome = self.judge(nth, ask.of(connection).await);
                end(trip, &outcome);
                Ok(outcome)
            }
            Err(error) => {
                trip.fail(|| "away".to_owned(), || format!("{error:#}"));
                Err(error)
            }
        }
    }

    /// A connection of its own, to listen on.
    pub(crate) async fn listen(&self) -> anyhow::Result<redis::aio::PubSub> {
        let dialled = tokio::time::timeout(PATIENCE, self.inner.client.get_async_pubsub()).await;
        Ok(dialled.context("it does not answer in time")??)
    }

    fn open_now(&self) -> std::sync::MutexGuard<'_, Open> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connection(&self) -> anyhow::Result<(MultiplexedConnection, u64)> {
        if let Some(open) = self.try_connection()? {
            return Ok(open);
        }
        let _dialling = self.inner.dialling.lock().await;
        if let Some(open) = self.try_connection()? {
            return Ok(open);
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let dial = self.inner.client.get_multiplexed_async_connection_with_config(&config);
        let dialled = tokio::time::timeout(PATIENCE, dial).await;
        let mut open = self.open_now();
        match dialled {
            Ok(Ok(connection)) => {
                open.nth += 1;
                (open.connection, open.failed_at) = (Some(connection.clone()), None);
                Ok((connection, open.nth))
            }
            failed => {
                open.failed_at = Some(Instant::now());
                Err(failed.map_or_else(
                    |_| anyhow::anyhow!("it does not answer in time"),
                    |dialled| match dialled {
                        Err(error) => error.into(),
                        Ok(_) => anyhow::anyhow!("it does not answer"),
                    },
                ))
            }
        }
    }

    /// The open connection, if there is one; an error while none can be had.
    fn try_connection(&self) -> anyhow::Result<Option<(MultiplexedConnection, u64)>> {
        let open = self.open_now();
        if let Some(connection) = &open.connection {
            return Ok(Some((connection.clone(), open.nth)));
        }
        ensure!(open.failed_at.is_none_or(|at| at.elapsed() >= DIAL_PAUSE), "Redis is away");
        Ok(None)
    }

    /// Lets go of a connection on which something broke.
    fn judge<T>(&self, nth: u64, outcome: Result<T, RedisError>) -> Result<T, RedisError> {
        if let Err(error) = &outcome
            && is_broken(error)
        {
            let mut open = self.open_now();
            if open.nth == nth {
                open.connection = None;
            }
        }
        outcome
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({:?})", self.inner.address)
    }
}

/// Another connection may do better: this one is dead, or its server is the wrong one after
/// a failover, or not ready.
fn is_broken(error: &RedisError) -> bool {
    let server = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown, ServerErrorKind::BusyLoading];
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || server.into_iter().any(|kind| error.kind() == ErrorKind::Server(kind))
}
