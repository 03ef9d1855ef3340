//! Which services a process runs, and what that asks of the configuration.

use std::collections::BTreeSet;

use anyhow::ensure;
use clap::ValueEnum;
use common::keys::ConfiguredKey;

use crate::{Config, fresh_keys};

/// A service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Service {
    /// REST and the page.
    Gateway,
    /// Accounts.
    User,
    /// Rooms.
    Live,
    /// Danmaku.
    Message,
    /// Streams.
    Push,
    /// Lotteries.
    Lottery,
}

impl Service {
    /// As it is called on the command line and in the registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::User => "user",
            Self::Live => "live",
            Self::Message => "message",
            Self::Push => "push",
            Self::Lottery => "lottery",
        }
    }

    /// Whom it calls. Every process follows the revocations of push.
    const fn calls(self) -> &'static [&'static str] {
        match self {
            Self::Push => &[],
            Self::User => &["push"],
            Self::Live => &["user", "push"],
            Self::Message => &["user", "live", "push"],
            Self::Lottery => &["live", "message", "push"],
            Self::Gateway => &["user", "live", "message", "lottery", "push"],
        }
    }

    const fn needs_db(self) -> bool {
        matches!(self, Self::User | Self::Live | Self::Message | Self::Lottery)
    }

    const fn needs_objects(self) -> bool {
        matches!(self, Self::Gateway | Self::Live | Self::Message)
    }

    const fn needs_queue(self) -> bool {
        matches!(self, Self::Live | Self::Message | Self::Lottery)
    }
}

/// The services of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services(BTreeSet<Service>);

impl Services {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self(Service::value_variants().iter().copied().collect())
    }

    /// Those named; none named means all.
    #[must_use]
    pub fn named(named: &[Service]) -> Self {
        if named.is_empty() { Self::all() } else { Self(named.iter().copied().collect()) }
    }

    /// Whether this one runs here.
    #[must_use]
    pub fn has(&self, service: Service) -> bool {
        self.0.contains(&service)
    }

    /// Whether one of these runs here.
    #[must_use]
    pub fn any(&self, of: &[Service]) -> bool {
        of.iter().any(|service| self.has(*service))
    }

    /// Whether others run in other processes.
    #[must_use]
    pub fn are_split(&self) -> bool {
        *self != Self::all()
    }

    /// Whether one of them calls this service.
    #[must_use]
    pub fn call(&self, callee: &str) -> bool {
        self.0.iter().any(|service| service.calls().contains(&callee))
    }

    /// Whether one of them keeps rows.
    #[must_use]
    pub fn need_db(&self) -> bool {
        self.0.iter().any(|service| service.needs_db())
    }

    /// Whether one of them keeps blobs.
    #[must_use]
    pub fn need_objects(&self) -> bool {
        self.0.iter().any(|service| service.needs_objects())
    }

    /// Whether one of them sends or takes wake-ups.
    #[must_use]
    pub fn need_queue(&self) -> bool {
        self.0.iter().any(|service| service.needs_queue())
    }

    /// Holds the configuration against where services run: what lives in one process can't be
    /// shared by several, and what several must agree on can't be made by each for itself.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self, config: &Config) -> anyhow::Result<()> {
        if !self.are_split() {
            return Ok(());
        }
        let names: Vec<&str> = self.0.iter().map(|service| service.name()).collect();
        let names = names.join(", ");
        let embedded = [
            (self.need_db(), "db.url", config.db.url.as_str(), "sqlite:"),
            (self.need_objects(), "objects.url", config.objects.url.as_str(), "folder:"),
            (self.need_queue(), "queue.url", config.queue.url.as_str(), "process:"),
            (self.has(Service::Push), "push.feeds", config.push.feeds.reveal(), "log:"),
        ];
        if !embedded_is_allowed() {
            for (needed, key, url, scheme) in embedded {
                ensure!(
                    !needed || !url.starts_with(scheme),
                    "{key} = {scheme:?} is embedded: it needs every service in this process, but only {names} run in it"
                );
            }
        }
        let missing = |key: &ConfiguredKey| key.configured().is_none();
        let keys = [
            (self.has(Service::User), "access.signing_key", missing(&config.access.signing_key)),
            (self.has(Service::User), "user.refresh_key", missing(&config.user.refresh_key)),
            (!self.has(Service::User), "access.public_keys", config.access.public_keys.is_empty()),
            (self.has(Service::Message), "message.sender_key", missing(&config.message.sender_key)),
            (self.has(Service::Lottery), "lottery.seed_key", missing(&config.lottery.seed_key)),
            (self.has(Service::Lottery), "lottery.receipt_key", missing(&config.lottery.receipt_key)),
        ];
        for (needed, key, is_missing) in keys {
            ensure!(
                !needed || !is_missing,
                "{key} is not set: where services run in several processes they need the same keys (goligoli keys makes some)"
            );
        }
        if self.has(Service::User) {
            fresh_keys::ensure_pair(config)?;
        }
        let serves = self.any(&[Service::User, Service::Live, Service::Message, Service::Push, Service::Lottery]);
        ensure!(!serves || !config.rpc.listen.is_empty(), "rpc.listen is not set: others could not reach {names}");
        if config.discovery.url == "fixed:" {
            let is_known = |name| config.discovery.services.get(name).is_some_and(|addresses| !addresses.is_empty());
            for callee in Service::value_variants() {
                let name = callee.name();
                ensure!(
                    self.has(*callee) || !self.call(name) || is_known(name),
                    "discovery.url = \"fixed:\" knows no address of {name}, which {names} calls: \
                     name some in discovery.services.{name}, or an etcd"
                );
            }
        }
        Ok(())
    }
}

/// The tests of what runs between processes need no servers; each process then has data of its
/// own. No release does that.
fn embedded_is_allowed() -> bool {
    cfg!(debug_assertions) && std::env::var_os("TEST_SPLIT_ON_EMBEDDED").is_some()
}
