//! The real servers that a site stands on, as `deployment/native/stack.sh env` names them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A server of the native stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// MariaDB.
    Database,
    /// Redis.
    Redis,
    /// nsqd, for those who publish; consumers ask nsqlookupd for it.
    Nsqd,
    /// nsqlookupd.
    Lookupd,
    /// etcd.
    Etcd,
    /// The S3 server.
    Objects,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Database, Self::Redis, Self::Nsqd, Self::Lookupd, Self::Etcd, Self::Objects];

    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Database => "NATIVE_MYSQL_URL",
            Self::Redis => "NATIVE_REDIS_URL",
            Self::Nsqd => "NATIVE_NSQD_TCP",
            Self::Lookupd => "NATIVE_LOOKUPD_HTTP",
            Self::Etcd => "NATIVE_ETCD_URL",
            Self::Objects => "NATIVE_S3_URL",
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        host_of(&native(self.variable())).parse().expect("an address and a port")
    }

    /// Its URL, with another address in it if it is to be reached through a proxy.
    fn url(self, through: &BTreeMap<Self, SocketAddr>) -> String {
        let url = native(self.variable());
        let url = url.trim_end_matches('/');
        match through.get(&self) {
            Some(proxy) => url.replacen(host_of(url), &proxy.to_string(), 1),
            None => url.to_owned(),
        }
    }

    /// Its host and port.
    fn host(self, through: &BTreeMap<Self, SocketAddr>) -> String {
        host_of(&self.url(through)).to_owned()
    }
}

/// The `host:port` of a URL, or of what is nothing else.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['/', '?']).next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, host)| host)
}

/// What the native stack says of itself.
pub(crate) fn native(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; `deployment/native/stack.sh env` sets it"))
}

/// The configuration that all processes of the site `name` share: databases, keys and topics of
/// its own on servers that it shares with others.
pub(crate) fn shared(name: &str, through: &BTreeMap<Backend, SocketAddr>) -> BTreeMap<String, String> {
    let (lookupd, nsqd) = (Backend::Lookupd.host(through), Backend::Nsqd.host(through));
    let objects = format!("s3://{}/{name}?endpoint={}", native("NATIVE_S3_BUCKET"), Backend::Objects.url(through));
    let settings = [
        ("GOLIGOLI_DB__URL", format!("{}/{name}", Backend::Database.url(through))),
        ("GOLIGOLI_PUSH__FEEDS", format!("{}?prefix={name}", Backend::Redis.url(through))),
        ("GOLIGOLI_QUEUE__URL", format!("nsq://{lookupd}?nsqd={nsqd}&prefix={name}")),
        ("GOLIGOLI_OBJECTS__URL", objects),
        ("GOLIGOLI_OBJECTS__ACCESS_KEY", native("NATIVE_S3_KEY")),
        ("GOLIGOLI_OBJECTS__SECRET_KEY", native("NATIVE_S3_SECRET")),
        ("GOLIGOLI_DISCOVERY__URL", format!("etcd://{}?prefix={name}", Backend::Etcd.host(through))),
        ("GOLIGOLI_GATEWAY__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#.to_owned()),
    ];
    settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_takes_the_place_of_the_address() {
        assert_eq!(host_of("redis://:secret@127.0.0.1:6379/0"), "127.0.0.1:6379");
        assert_eq!(host_of("http://127.0.0.1:4161"), "127.0.0.1:4161");
        assert_eq!(host_of("127.0.0.1:4150"), "127.0.0.1:4150");
    }
}
