//! Serves a router on a listener, with a bound on everything that a client could hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;

use crate::Lifecycle;

/// A client must have sent its request's head by then.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// What is buffered for one client. Full: its body is not asked for more until the
/// client has read.
const BUFFER_BYTES: usize = 64 << 10;
/// Out of descriptors, say: the listener rests before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the process stops: no new connections from *soft* on, requests under way
/// are finished, and what is left is cut at *hard*. At most `max_connections` are open;
/// more wait in the kernel's backlog.
pub fn serve(listener: TcpListener, router: Router, max_connections: usize, lifecycle: &Lifecycle) {
    let connections = lifecycle.clone();
    lifecycle.spawn("http.serve", async move {
        let places = Arc::new(Semaphore::new(max_connections));
        let soft = connections.soft().clone();
        let accept = async || {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        while let Some((accepted, place)) = soft.run_until_cancelled(accept()).await {
            match (accepted, place) {
                (Ok((socket, peer)), Ok(place)) => {
                    let one = connection(socket, peer, router.clone(), connections.clone(), place);
                    connections.spawn("http.connection", one);
                }
                (Err(error), _) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (_, Err(_)) => break,
            }
        }
    });
}

async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    lifecycle: Lifecycle,
    place: OwnedSemaphorePermit,
) {
    // Without this a small frame waits for the acknowledgement of the one before.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(socket), service);
    let mut http = std::pin::pin!(http);
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = lifecycle.soft().cancelled() => {
            http.as_mut().graceful_shutdown();
            match lifecycle.hard().run_until_cancelled(http).await {
                Some(ended) => ended,
                None => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended with an error");
    }
    drop(place);
}
