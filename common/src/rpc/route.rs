//! The way to a service: in this process, or in others.

use tarpc::RequestName;
use tarpc::client::stub::Stub;
use tarpc::client::{Channel, RpcError};
use tarpc::context::Context;

/// What a generated client calls. Clones go the same way.
#[derive(Debug)]
pub enum Route<Req, Resp> {
    /// To a service of this process, through a channel in memory.
    Here(Channel<Req, Resp>),
}

impl<Req, Resp> Clone for Route<Req, Resp> {
    fn clone(&self) -> Self {
        match self {
            Self::Here(channel) => Self::Here(channel.clone()),
        }
    }
}

impl<Req: RequestName, Resp> Stub for Route<Req, Resp> {
    type Req = Req;
    type Resp = Resp;

    async fn call(&self, context: Context, request: Req) -> Result<Resp, RpcError> {
        match self {
            Self::Here(channel) => channel.call(context, request).await,
        }
    }
}
