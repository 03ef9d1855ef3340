//! How this process speaks with etcd: which servers, as whom, each call under a deadline.
//!
//! A [`Session`] is a connection to one of the servers. Whoever meets an error gives up his
//! session and asks for a new one, which is with the next server and logs in again: a server
//! that stands still and a log-in that has ended heal alike.

mod follow;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use etcd_client::{Client, ConnectOptions, Error, GetOptions};

pub use follow::{Seen, follow};

use crate::secret::SecretText;

/// What one call may take. A local etcd answers in milliseconds; one that is elected anew in
/// somewhat more than a second.
const CALL: Duration = Duration::from_secs(2);
/// What a connection may take.
const CONNECT: Duration = Duration::from_secs(1);
/// A start waits so long for an etcd that does not answer.
const START: Duration = Duration::from_secs(8);
const RETRY: Duration = Duration::from_millis(250);

/// An etcd as configured. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Etcd(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `host:port` each; at least one.
    servers: Vec<String>,
    /// What all keys of the site begin with: `/goligoli`.
    prefix: String,
    log_in: Option<(String, SecretText)>,
    next: AtomicUsize,
}

/// What under a prefix was there at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Keys without the prefix, and their values. Values that are no UTF-8 are not there.
    pub pairs: Vec<(String, String)>,
    /// The moment; what comes later has a greater one.
    pub revision: i64,
}

/// A connection to one server.
pub type Session = Client;

impl Etcd {
    /// The etcd that a URL names: `etcd://host:port,host:port?prefix=goligoli`.
    ///
    /// # Errors
    /// The URL is malformed, or asks for what this build can't do.
    pub fn parse(url: &str, user: &str, password: &SecretText) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("etcd://").with_context(|| {
            if url.starts_with("etcds:") {
                "etcd over TLS (etcds:) is not supported; use etcd:// over a private network".to_owned()
            } else {
                "an etcd is named like etcd://host:2379,host:2379?prefix=goligoli".to_owned()
            }
        })?;
        // What stands before an @ would be a password, and is not repeated in any message.
        anyhow::ensure!(!rest.contains('@'), "user and password have keys of their own: discovery.user, .password");
        let (servers, query) = rest.split_once('?').unwrap_or((rest, "prefix=goligoli"));
        let prefix = query.strip_prefix("prefix=").filter(|prefix| is_name(prefix));
        let prefix =
            prefix.with_context(|| format!("{query:?} is not prefix= and letters, digits, '-', '_' or '.'"))?;
        let servers: Vec<String> = servers.trim_end_matches('/').split(',').map(str::to_owned).collect();
        for server in &servers {
            anyhow::ensure!(is_host_and_port(server), "{server:?} is not host:port");
        }
        let log_in = (!user.is_empty()).then(|| (user.to_owned(), password.clone()));
        anyhow::ensure!(log_in.is_some() || password.is_empty(), "discovery.password is set, but no discovery.user");
        Ok(Self(Arc::new(Inner { servers, prefix: format!("/{prefix}"), log_in, next: AtomicUsize::new(0) })))
    }

    /// A key of the site.
    #[must_use]
    pub fn key(&self, path: &str) -> String {
        format!("{}/{path}", self.0.prefix)
    }

    /// The servers, for messages.
    #[must_use]
    pub fn servers(&self) -> String {
        self.0.servers.join(",")
    }

    /// A connection to the next server, logged in.
    ///
    /// # Errors
    /// It can't be made, or the log-in is refused.
    pub async fn session(&self) -> anyhow::Result<Session> {
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed) % self.0.servers.len();
        let server = &self.0.servers[turn];
        let mut options = ConnectOptions::new().with_connect_timeout(CONNECT).with_require_leader(true);
        if let Some((user, password)) = &self.0.log_in {
            options = options.with_user(user, password.reveal());
        }
        in_time(Client::connect([server], Some(options))).await.with_context(|| format!("etcd at {server}"))
    }

    /// What is under a prefix (a [`key`](Self::key)) now.
    ///
    /// # Errors
    /// It can't be read in time.
    pub async fn read(&self, prefix: &str) -> anyhow::Result<Snapshot> {
        let mut session = self.session().await?;
        let answer = in_time(session.get(prefix, Some(GetOptions::new().with_prefix()))).await?;
        let revision = answer.header().context("an answer without a header")?.revision();
        let pairs = answer.kvs().iter().filter_map(|kv| {
            let key = kv.key_str().ok()?.strip_prefix(prefix)?.to_owned();
            Some((key, kv.value_str().ok()?.to_owned()))
        });
        Ok(Snapshot { pairs: pairs.collect(), revision })
    }

    /// [`read`](Self::read) at the start: waits some seconds for an etcd that does not answer.
    ///
    /// # Errors
    /// Nothing answered in time, or the log-in is refused.
    pub async fn first_read(&self, prefix: &str) -> anyhow::Result<Snapshot> {
        let give_up = tokio::time::Instant::now() + START;
        loop {
            let error = match self.read(prefix).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(error) => error,
            };
            if is_refusal(&error) || tokio::time::Instant::now() >= give_up {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Letters that mean nothing in a key.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

pub(crate) fn is_host_and_port(text: &str) -> bool {
    text.parse::<http::uri::Authority>().is_ok_and(|authority| {
        !authority.host().is_empty() && authority.port_u16().is_some() && !text.contains(['@', '/'])
    })
}

/// The call's answer within the deadline of a call.
///
/// # Errors
/// The call's own, in one line; or that it took too long.
pub(crate) async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> anyhow::Result<T> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(|error| anyhow::Error::new(Refused::from(error))),
        Err(_) => Err(anyhow::anyhow!("no answer within {} s", CALL.as_secs())),
    }
}

/// An error of etcd's, said in a few words.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct Refused {
    reason: String,
    /// Trying again won't help: the log-in is wrong, or does not allow it.
    is_final: bool,
    /// There is no such lease any more.
    pub(crate) lease_is_gone: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let lease_is_gone = matches!(error, Error::LeaseKeepAliveError(_));
        let Error::GRpcStatus(status) = &error else {
            return Self { reason: error.to_string(), is_final: false, lease_is_gone };
        };
        // etcdserver: authentication failed, permission denied, authentication is not enabled.
        let is_final = ["authentication", "permission denied"].iter().any(|word| status.message().contains(word));
        let lease_is_gone = lease_is_gone || status.message().contains("lease not found");
        Self { reason: status.message().replace('\n', " "), is_final, lease_is_gone }
    }
}

fn is_refusal(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.is_final)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> anyhow::Result<Etcd> {
        Etcd::parse(url, "", &SecretText::default())
    }

    #[test]
    fn a_url_names_servers_and_a_prefix() {
        let etcd = parse("etcd://a:2379,[::1]:2380?prefix=site-1").unwrap();
        assert_eq!(etcd.servers(), "a:2379,[::1]:2380");
        assert_eq!(etcd.key("config/"), "/site-1/config/");
        assert_eq!(parse("etcd://127.0.0.1:2379/").unwrap().key("x"), "/goligoli/x");
    }

    #[test]
    fn a_bad_url_is_refused_and_no_password_repeated() {
        for bad in [
            "etcd:",
            "etcd://",
            "etcd://a",
            "etcd://a:b",
            "etcd://a:1,",
            "etcd://a:1?prefix=",
            "etcd://a:1?prefix=a/b",
            "etcd://a:1?lease=3",
            "etcd://me:hidden@a:1",
            "etcds://a:1",
            "zookeeper://a:1",
        ] {
            let error = format!("{:#}", parse(bad).unwrap_err());
            assert!(!error.contains("hidden") && !error.contains('\n'), "{error}");
        }
        let password = SecretText::from("hidden".to_owned());
        assert!(Etcd::parse("etcd://a:1", "", &password).is_err());
        let etcd = Etcd::parse("etcd://a:1", "me", &password).unwrap();
        assert!(!format!("{etcd:?}").contains("hidden"));
        assert_eq!(serde_json::to_string(&password).unwrap(), "\"***\"");
    }
}
