//! `redis://[user][:password]@host[:port][/db][?prefix=…]`: which Redis, and which keys in it.

use anyhow::{Context as _, bail, ensure};
use redis::io::tcp::TcpSettings;
use redis::{ConnectionInfo, IntoConnectionInfo as _};

/// What all keys begin with, if the URL says nothing else.
const DEFAULT_PREFIX: &str = "goligoli";
const MAX_PREFIX_BYTES: usize = 64;

/// A parsed `push.feeds`. Its `Debug` shows no password.
pub(crate) struct Address {
    pub(crate) server: ConnectionInfo,
    /// `host:port/db`: what may be shown.
    pub(crate) shown: String,
    pub(crate) prefix: String,
    /// The same in parts, for traces.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Parses a URL. Errors never repeat it: it has a password.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "redis" => {}
            "rediss" | "valkeys" => {
                bail!("TLS to Redis ({scheme}:) is not supported; use redis:// in a private network")
            }
            "redis+cluster" | "redis-cluster" | "rediss+cluster" => {
                bail!("Redis Cluster ({scheme}:) is not supported; use one server, with a replica for failover")
            }
            _ => bail!("it is neither \"log:\" nor a redis:// URL"),
        }
        let mut url = redis::parse_redis_url(url).context("it is not a well-formed redis:// URL")?;
        let mut prefix = DEFAULT_PREFIX.to_owned();
        for (name, value) in url.query_pairs() {
            ensure!(name == "prefix", "its URL knows no parameter {name:?}, only prefix");
            prefix = value.into_owned();
        }
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        ensure!(
            (1..=MAX_PREFIX_BYTES).contains(&prefix.len()) && prefix.bytes().all(is_plain),
            "its prefix is 1 to {MAX_PREFIX_BYTES} letters, digits and -_.:"
        );
        url.set_query(None);
        url.set_fragment(None);
        let (host, port) = (url.host_str().unwrap_or_default().to_owned(), url.port().unwrap_or(6379));
        let shown = format!("{host}:{port}/{}", url.path().trim_matches('/'));
        let server = url.into_connection_info().map_err(|error| anyhow::anyhow!("its URL: {}", error.category()))?;
        // Without it a small command waits for the acknowledgement of the one before (40 ms).
        let server = server.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Ok(Self { server, shown, prefix, host, port })
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({}, {})", self.shown, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_which_server_and_which_keys() {
        let address = Address::parse("redis://:s3cret@10.0.0.1:7000/3?prefix=site-a").unwrap();
        assert_eq!((address.shown.as_str(), address.prefix.as_str()), ("10.0.0.1:7000/3", "site-a"));
        assert_eq!(address.server.redis_settings().password(), Some("s3cret"));
        assert_eq!(address.server.redis_settings().db(), 3);
        assert_eq!(Address::parse("redis://h").unwrap().prefix, "goligoli");
        assert!(!format!("{address:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_not_supported_is_refused_without_the_password() {
        for url in [
            "rediss://:s3cret@h",
            "redis+cluster://:s3cret@h",
            "redis-cluster://:s3cret@h",
            "http://:s3cret@h",
            "redis://:s3cret@h/?color=red",
            "redis://:s3cret@h/?prefix=",
            "redis://:s3cret@h/?prefix=a%20b",
            "redis://:s3cret@h/x",
            "redis://:s3cret@",
            "log",
            "redis",
            "",
        ] {
            let error = format!("{:#}", Address::parse(url).unwrap_err());
            assert!(!error.contains("s3cret") && !error.contains('\n'), "{url}: {error}");
        }
    }
}
