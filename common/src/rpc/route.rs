//! The way to a service: in this process, or in others.

use std::sync::Arc;

use idl::Contract;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::RequestName;
use tarpc::client::stub::Stub;
use tarpc::client::{Channel, RpcError};
use tarpc::context::Context;

use super::pool::Pool;

/// What a generated client calls. Clones go the same way.
#[derive(Debug)]
pub enum Route<Req, Resp> {
    /// To a service of this process, through a channel in memory.
    Here(Channel<Req, Resp>),
    /// To the service's instances in other processes.
    There(Arc<Pool<Req, Resp>>),
}

impl<Req, Resp> Route<Req, Resp>
where
    Req: Contract + Serialize + Send + Sync + 'static,
    Resp: DeserializeOwned + Send + 'static,
{
    /// To nobody: every call fails.
    #[must_use]
    pub fn nowhere() -> Self {
        Self::There(Pool::empty())
    }
}

impl<Req, Resp> Clone for Route<Req, Resp> {
    fn clone(&self) -> Self {
        match self {
            Self::Here(channel) => Self::Here(channel.clone()),
            Self::There(pool) => Self::There(Arc::clone(pool)),
        }
    }
}

impl<Req: RequestName, Resp> Stub for Route<Req, Resp> {
    type Req = Req;
    type Resp = Resp;

    async fn call(&self, context: Context, request: Req) -> Result<Resp, RpcError> {
        match self {
            Self::Here(channel) => channel.call(context, request).await,
            Self::There(pool) => pool.call(context, request).await,
        }
    }
}
