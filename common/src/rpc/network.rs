//! The other processes of the site, as this one calls them.

use idl::Contract;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Route;
use super::pool::Pool;
use super::trust::Trust;
use crate::Lifecycle;
use crate::discovery::Discovery;

/// Who is there, and why they are believed. Clones are the same.
#[derive(Debug, Clone)]
pub struct Network {
    discovery: Discovery,
    trust: Trust,
    lifecycle: Lifecycle,
}

impl Network {
    /// Nobody is called yet.
    #[must_use]
    pub const fn new(discovery: Discovery, trust: Trust, lifecycle: Lifecycle) -> Self {
        Self { discovery, trust, lifecycle }
    }

    /// The way to all instances of a service; they are dialled from now on. Make one for all
    /// callers of this process.
    #[must_use]
    pub fn route<Req, Resp>(&self) -> Route<Req, Resp>
    where
        Req: Contract + Serialize + Send + Sync + 'static,
        Resp: DeserializeOwned + Send + 'static,
    {
        let instances = self.discovery.instances(Req::SERVICE);
        Route::There(Pool::new(instances, self.trust.clone(), &self.lifecycle))
    }
}
