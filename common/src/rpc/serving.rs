//! How a service is served: told once, the same for callers in this process and in others.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use tarpc::client::NewClient;
use tarpc::server::BaseChannel;
use tarpc::{RequestName, transport};

use super::shed::Shed;
use super::transport::Transport;
use super::{Route, spawn};
use crate::Lifecycle;

/// Requests on their way to a service of this process. Full: the caller waits, until its
/// deadline.
const IN_FLIGHT: usize = 4_096;

/// The server's end of a connection.
pub type Far<Req, Resp> = Shed<Req, Resp>;

/// The handlers of one connection's requests, as they come.
pub(crate) type Handlers = BoxStream<'static, BoxFuture<'static, ()>>;

/// Serves a contract, on as many connections as there are. Clones serve the same.
pub struct Serving<Req, Resp>(Arc<dyn Fn(Far<Req, Resp>) -> Handlers + Send + Sync>);

impl<Req, Resp> Clone for Serving<Req, Resp> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Req, Resp> std::fmt::Debug for Serving<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Serving")
    }
}

impl<Req, Resp> Serving<Req, Resp>
where
    Req: RequestName + Send + 'static,
    Resp: Send + 'static,
{
    /// `Serving::new(move |far| far.execute(service.clone().serve()))`.
    pub fn new<Requests, Handler>(execute: impl Fn(Far<Req, Resp>) -> Requests + Send + Sync + 'static) -> Self
    where
        Requests: Stream<Item = Handler> + Send + 'static,
        Handler: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move |far| execute(far).map(|handler| Box::pin(handler) as BoxFuture<'static, ()>).boxed()))
    }

    /// The handlers of a connection's requests.
    pub(crate) fn handlers(&self, far: Far<Req, Resp>) -> Handlers {
        (self.0)(far)
    }

    /// A way to the service inside this process.
    #[must_use]
    pub fn here(&self, lifecycle: &Lifecycle) -> Route<Req, Resp> {
        let handlers = |far| self.handlers(far);
        in_process(lifecycle, handlers)
    }
}

/// Serves a service in this process and returns the route that its clients take:
/// `in_process(&lifecycle, |far| far.execute(service.serve())).into()` is a client.
pub fn in_process<Req, Resp, Handlers, Handler>(
    lifecycle: &Lifecycle,
    execute: impl FnOnce(Far<Req, Resp>) -> Handlers,
) -> Route<Req, Resp>
where
    Req: RequestName + Send + 'static,
    Resp: Send + 'static,
    Handlers: Stream<Item = Handler> + Send + 'static,
    Handler: Future<Output = ()> + Send + 'static,
{
    let (near, far) = transport::channel::bounded(IN_FLIGHT);
    let config = tarpc::server::Config { pending_response_buffer: IN_FLIGHT };
    let handlers = execute(Shed::unbounded(BaseChannel::new(config, Transport::Here(Box::pin(far)))));
    let hard = lifecycle.hard().clone();
    spawn(async move {
        hard.run_until_cancelled(handlers.for_each(|handler| async { spawn(handler) })).await;
    });
    let mut config = tarpc::client::Config::default();
    config.max_in_flight_requests = IN_FLIGHT;
    config.pending_request_buffer = IN_FLIGHT;
    let NewClient { client, dispatch } = tarpc::client::new(config, near);
    let hard = lifecycle.hard().clone();
    spawn(async move {
        // At the end of a stop the far end is gone: that is no error.
        if let Err(error) = dispatch.await
            && !hard.is_cancelled()
        {
            tracing::error!(%error, "an in-process channel broke");
        }
    });
    Route::Here(client)
}
