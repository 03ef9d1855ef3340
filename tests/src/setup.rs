//! How a server, or a whole site, is configured and started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::process::Command;

use crate::backend::Backend;
use crate::server::Server;
use crate::site::{self, Site};

/// How a server is to be started.
#[derive(Debug)]
pub struct Setup {
    settings: BTreeMap<&'static str, String>,
    pub(crate) arguments: Vec<OsString>,
    /// The named point at which it dies, if its build has them.
    failpoint: Option<String>,
    /// Where the data folder is made; `None` is where temporary files go.
    within: Option<PathBuf>,
    /// Whether services may be split over processes that keep their data for themselves.
    split_on_embedded: bool,
    /// One process with all services, whatever the topology.
    pub(crate) alone: bool,
    /// A whole site, whatever the topology.
    pub(crate) apart: bool,
    /// Where a site reaches servers in place of where they are.
    pub(crate) through: BTreeMap<Backend, SocketAddr>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A server without limits for this machine's clients, that shows every danmaku and
    /// ends quickly when it is asked to.
    #[must_use]
    pub fn new() -> Self {
        let setup = Self {
            settings: BTreeMap::new(),
            arguments: vec!["serve".into()],
            failpoint: None,
            within: None,
            split_on_embedded: false,
            alone: false,
            apart: false,
            through: BTreeMap::new(),
        };
        setup
            .set("OPS__ENABLED", "false")
            .set("GATEWAY__LIMITS__EXEMPT", r#"["127.0.0.0/8"]"#)
            .set("PUSH__RATE_PER_S", "100000")
            .set("PUSH__BURST", "100000")
            .set("PUSH__DRAIN_MS", "300")
            .set("PUSH__RECONNECT_SPREAD_MS", "200")
    }

    /// Sets a key of the configuration (without `GOLIGOLI_`).
    #[must_use]
    pub fn set(mut self, key: &'static str, value: &str) -> Self {
        self.settings.insert(key, value.to_owned());
        self
    }

    /// Leaves a key of the configuration at the project's own default.
    #[must_use]
    pub fn unset(mut self, key: &'static str) -> Self {
        self.settings.remove(key);
        self
    }

    /// Dies at this named point as by `kill -9`; with `:3` behind it, when it is there for the
    /// third time. `None` is nowhere. [`Setup::alone`]: of a site's processes another one would
    /// go on with the work, and die there too.
    #[must_use]
    pub fn dies_at(mut self, point: Option<&str>) -> Self {
        self.failpoint = point.map(str::to_owned);
        self.alone()
    }

    /// Makes the data folder in this one: temporary files may not lie on a disk.
    #[must_use]
    pub fn data_within(mut self, folder: &Path) -> Self {
        self.within = Some(folder.to_owned());
        self
    }

    /// Lets it run some of the services with data of its own: no server is needed then.
    #[must_use]
    pub fn split_on_embedded(mut self) -> Self {
        self.split_on_embedded = true;
        self.alone()
    }

    /// One process with all services on embedded back-ends also where a whole site is asked
    /// for: what is tested is its own (its files, say).
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// A whole site also where one process is asked for; it needs the real servers.
    #[must_use]
    pub const fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// A site reaches this server at this address: a [`crate::proxy::Proxy`]'s.
    #[must_use]
    pub fn through(mut self, backend: Backend, address: SocketAddr) -> Self {
        _ = self.through.insert(backend, address);
        self
    }

    /// Runs this instead of `serve`.
    #[must_use]
    pub fn run<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn bare(&self, arguments: &[OsString]) -> Command {
        let mut command = site::bare(arguments);
        command.envs(self.failpoint.as_ref().map(|point| ("FAILPOINT", point)));
        command.envs(self.split_on_embedded.then_some(("TEST_SPLIT_ON_EMBEDDED", "1")));
        command
    }

    pub(crate) fn environment(&self) -> impl Iterator<Item = (String, &String)> {
        self.settings.iter().map(|(key, value)| (format!("GOLIGOLI_{key}"), value))
    }

    /// A command for one process of a site; what the site needs comes before what a test sets.
    pub(crate) fn command_of(&self, site: &Site, name: &str, arguments: &[OsString]) -> Command {
        const OF_THE_SITE: [&str; 2] = ["GOLIGOLI_OPS__ENABLED", "GOLIGOLI_OPS__LISTEN"];
        let mut command = self.bare(arguments);
        command.envs(self.environment().filter(|(key, _)| !OF_THE_SITE.contains(&key.as_str())));
        command.envs(site.environment(name));
        command
    }

    /// Starts it in a data folder of its own; returns when it is ready.
    pub async fn start(self) -> Server {
        let mut server = self.prepare();
        server.start_again().await;
        server
    }

    /// A data folder and a port, but nothing that runs.
    #[must_use]
    pub fn prepare(self) -> Server {
        let data = self.within.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in);
        Server::prepare(self, data.expect("a temporary folder"))
    }
}

/// A port that nobody has. They lie below those that the system gives to clients: a
/// client that tries a server which is down might else connect to itself.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const MANY: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(MANY)).expect("it is small");
    (0..MANY)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % MANY)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
