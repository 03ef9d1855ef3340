//! Calls between services. A service in the same process is reached through tarpc's
//! in-memory channel, never directly: deadlines and cancellation are then the same as
//! across a network, and so is the client's type.

use std::time::{Duration, Instant};

use futures::{Stream, StreamExt as _};
use idl::{Code, Refusal};
use tarpc::client::{Channel, RpcError};
use tarpc::context::Context;
use tarpc::server::BaseChannel;
use tarpc::{ClientMessage, RequestName, Response, transport};

use crate::Lifecycle;

/// Requests on their way to a service of this process. Full: the caller waits, until its
/// deadline.
const IN_FLIGHT: usize = 4_096;

/// What a request from outside may take in all.
pub const EDGE_DEADLINE: Duration = Duration::from_secs(2);
/// What a publication to viewers may take.
pub const PUBLISH_DEADLINE: Duration = Duration::from_millis(250);

/// The server's end of an in-process channel.
pub type Far<Req, Resp> = BaseChannel<Req, Resp, transport::channel::Channel<ClientMessage<Req>, Response<Resp>>>;

/// Serves a service in this process and returns the channel that its clients call:
/// `in_process(&lifecycle, |far| far.execute(service.serve())).into()` is a client.
pub fn in_process<Req, Resp, Handlers, Handler>(
    lifecycle: &Lifecycle,
    execute: impl FnOnce(Far<Req, Resp>) -> Handlers,
) -> Channel<Req, Resp>
where
    Req: RequestName + Send + 'static,
    Resp: Send + 'static,
    Handlers: Stream<Item = Handler> + Send + 'static,
    Handler: Future<Output = ()> + Send + 'static,
{
    let (near, far) = transport::channel::bounded(IN_FLIGHT);
    let config = tarpc::server::Config { pending_response_buffer: IN_FLIGHT };
    let handlers = execute(BaseChannel::new(config, far));
    let hard = lifecycle.hard().clone();
    spawn(async move {
        hard.run_until_cancelled(handlers.for_each(|handler| async { spawn(handler) })).await;
    });
    let mut config = tarpc::client::Config::default();
    config.max_in_flight_requests = IN_FLIGHT;
    config.pending_request_buffer = IN_FLIGHT;
    let tarpc::client::NewClient { client, dispatch } = tarpc::client::new(config, near);
    let hard = lifecycle.hard().clone();
    spawn(async move {
        // At the end of a stop the far end is gone: that is no error.
        if let Err(error) = dispatch.await
            && !hard.is_cancelled()
        {
            tracing::error!(%error, "an in-process channel broke");
        }
    });
    client
}

/// Handlers end by their deadline, and what they must finish runs on the [`Lifecycle`];
/// a stop need not wait for the handlers themselves.
#[expect(clippy::disallowed_methods, reason = "see above")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// A context for a call from the edge, or from a task that nobody called. Inside a
/// handler pass on the context that came.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the edge")]
pub fn within(time: Duration) -> Context {
    let mut context = tarpc::context::current();
    context.deadline = Instant::now() + time;
    context
}

/// The context for a call on behalf of `context`, but cut to `most`.
#[must_use]
pub fn at_most(mut context: Context, most: Duration) -> Context {
    context.deadline = context.deadline.min(Instant::now() + most);
    context
}

/// One result of the two that a call has: whether it arrived, and what the answer was.
///
/// # Errors
/// The service's refusal; `unavailable` if the call did not get through in time.
pub fn answer<T>(result: Result<Result<T, Refusal>, RpcError>) -> Result<T, Refusal> {
    match result {
        Ok(answer) => answer,
        Err(RpcError::DeadlineExceeded) => {
            Err(Refusal::new(Code::Unavailable, "the service took too long").retry_after_ms(1_000))
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a call did not get through");
            Err(Refusal::new(Code::Unavailable, "a service is away").retry_after_ms(1_000))
        }
    }
}
