//! The other processes of the site, and what they know of this one. A process with all services
//! calls none, but with a registry others see that it is there.

use std::net::SocketAddr;

use anyhow::Context as _;
use common::discovery::{Announcement, Discovery, Instance};
use common::rpc::{Network, Route, Running, Server, Serving, Trust};
use common::{Lifecycle, Platform};
use idl::Contract;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Config, Services};

/// What a process with all services is announced as, which nobody calls.
pub(crate) const WHOLE_SITE: &str = "site";

/// See the module.
pub(crate) struct Peers {
    lifecycle: Lifecycle,
    id: String,
    discovery: Discovery,
    others: Option<Others>,
}

struct Others {
    network: Network,
    /// `None` where only the gateway runs: nobody calls it.
    server: Option<Server>,
}

impl Peers {
    /// Opens this process's listener; nobody is told of it yet.
    ///
    /// # Errors
    /// A setting can't be used: names the key.
    pub(crate) async fn open(
        services: &Services,
        config: &Config,
        discovery: Discovery,
        platform: &Platform,
    ) -> anyhow::Result<Self> {
        let lifecycle = platform.lifecycle.clone();
        let id = match config.rpc.instance.as_str() {
            "" => format!("{}-{:08x}", host_name(), rand::random::<u32>()),
            id => id.to_owned(),
        };
        if !services.are_split() {
            return Ok(Self { lifecycle, id, discovery, others: None });
        }
        let trust = Trust::open(&config.rpc)?;
        let server = match config.rpc.listen.is_empty() {
            true => None,
            false => Some(Server::bind(&config.rpc, trust.clone(), &lifecycle, platform.clock.clone()).await?),
        };
        let network = Network::new(discovery.clone(), trust, lifecycle.clone());
        Ok(Self { lifecycle, id, discovery, others: Some(Others { network, server }) })
    }

    /// Whether services run in other processes, too.
    pub(crate) const fn are_there(&self) -> bool {
        self.others.is_some()
    }

    /// The way to all instances of a service.
    fn route<Req, Resp>(&self) -> Route<Req, Resp>
    where
        Req: Contract + Serialize + Send + Sync + 'static,
        Resp: DeserializeOwned + Send + 'static,
    {
        match &self.others {
            Some(others) => others.network.route(),
            None => Route::nowhere(),
        }
    }

    /// The way to a service: in this process, if it runs here. To one that is not wanted there
    /// is none.
    pub(crate) fn way<Req, Resp>(&self, wanted: bool, here: Option<Serving<Req, Resp>>) -> Route<Req, Resp>
    where
        Req: Contract + Serialize + Send + Sync + 'static,
        Resp: DeserializeOwned + Send + 'static,
    {
        match here {
            Some(serving) => serving.here(&self.lifecycle),
            None if wanted => self.route(),
            None => Route::nowhere(),
        }
    }

    /// Has others call this service, too.
    pub(crate) fn serve<Req, Resp>(&mut self, serving: Serving<Req, Resp>)
    where
        Req: Contract + DeserializeOwned + Send + 'static,
        Resp: Serialize + Send + 'static,
    {
        if let Some(server) = self.others.as_mut().and_then(|others| others.server.as_mut()) {
            server.add(serving);
        }
    }

    /// Answers others from now on, and tells them where. `edge` is where a gateway listens:
    /// nobody calls it, but the registry shows it.
    ///
    /// # Errors
    /// Another process has this one's name, or the registry does not answer.
    pub(crate) async fn announce(
        self,
        edge: Option<SocketAddr>,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<(Option<Running>, Option<Announcement>)> {
        let Self { id, discovery, others, .. } = self;
        if others.is_none() && discovery.etcd().is_none() {
            return Ok((None, None));
        }
        let edge_is = if others.is_some() { "gateway" } else { WHOLE_SITE };
        let running = others.and_then(|others| others.server).map(|server| server.start(lifecycle));
        let mut instances = Vec::new();
        for (service, contract) in running.iter().flat_map(|running| &running.services) {
            let address = running.as_ref().map(|running| running.address.clone()).unwrap_or_default();
            instances.push(Instance { id: id.clone(), service: (*service).to_owned(), address, contract: *contract });
        }
        if let Some(edge) = edge {
            let address =
                if edge.ip().is_unspecified() { format!("{}:{}", host_name(), edge.port()) } else { edge.to_string() };
            instances.push(Instance { id: id.clone(), service: edge_is.to_owned(), address, contract: 0 });
        }
        let announced = discovery.announce(instances).await;
        let announcement = announced.with_context(|| format!("announcing this process as rpc.instance = {id:?}"))?;
        Ok((running, Some(announcement)))
    }
}

/// The machine's name, as far as it can stand in an instance's.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(60).collect();
    if name.is_empty() { "goligoli".to_owned() } else { name }
}
