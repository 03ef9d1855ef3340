//! Calls between services. A service in the same process is reached through tarpc's
//! in-memory channel, never directly: deadlines and cancellation are then the same as
//! across a network. The client's type is the same wherever the service is: [`Route`].

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use idl::{Code, Refusal};
use tarpc::client::RpcError;
use tarpc::context::Context;

mod called;
mod caller;
mod frames;
mod handshake;
mod network;
mod peer;
mod pool;
mod rendezvous;
mod route;
mod server;
mod serving;
mod settings;
mod shed;
mod transport;
mod trust;

pub use network::Network;
pub use pool::Pool;
pub use route::Route;
pub use server::{Running, Server};
pub use serving::{Far, Serving, in_process};
pub use settings::{Settings, TlsSettings};
pub use trust::Trust;

/// Calls user.
pub type UserClient = idl::user::UserClient<Route<idl::user::UserRequest, idl::user::UserResponse>>;
/// Calls live.
pub type LiveClient = idl::live::LiveClient<Route<idl::live::LiveRequest, idl::live::LiveResponse>>;
/// Calls message.
pub type MessageClient =
    idl::message::MessageClient<Route<idl::message::MessageRequest, idl::message::MessageResponse>>;
/// Calls lottery.
pub type LotteryClient =
    idl::lottery::LotteryClient<Route<idl::lottery::LotteryRequest, idl::lottery::LotteryResponse>>;
/// Calls push.
pub type PushClient = idl::push::PushClient<Route<idl::push::PushRequest, idl::push::PushResponse>>;

/// What a request from outside may take in all.
pub const EDGE_DEADLINE: Duration = Duration::from_secs(2);
/// What a publication to viewers may take.
pub const PUBLISH_DEADLINE: Duration = Duration::from_millis(250);

/// Handlers end by their deadline, and what they must finish runs on the
/// [`Lifecycle`](crate::Lifecycle); a stop need not wait for the handlers themselves.
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
        Err(RpcError::Server(error)) if error.kind == ErrorKind::WouldBlock => {
            Err(Refusal::new(Code::Unavailable, "the service is overloaded").retry_after_ms(1_000))
        }
        // It was done, but the answer does not come: asking again changes nothing.
        Err(RpcError::Server(error)) if error.kind == ErrorKind::InvalidData => {
            tracing::error!(%error, "a call's answer did not get through");
            Err(Refusal::internal())
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a call did not get through");
            Err(Refusal::new(Code::Unavailable, "a service is away").retry_after_ms(1_000))
        }
    }
}
