//! Serves a router on a listener, with a bound on everything that a client could hold.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderValue, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service as _;

use super::admission::{Admission, Place};
use super::crew::Taken;
use super::long_lived::LongLived;
use super::stall::StallGuard;
use crate::Lifecycle;

/// A client must have sent its request's head by then.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// What is buffered for one client. Full: its body is not asked for more until the
/// client has read.
const BUFFER_BYTES: usize = 64 << 10;
/// Out of descriptors, say: the listener rests before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A client that was answered before it had sent all of its body may send on so long and
/// so much; see [`linger`].
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 << 20;

/// A client that takes nothing for so long, with its socket full, is gone: within five
/// seconds, with what a busy machine adds.
pub(super) const STALL: Duration = Duration::from_millis(4_500);
/// Connections that wait to be accepted, if the system allows so many: thousands of viewers
/// come back in the same moment.
const BACKLOG: u32 = 8_192;

/// Listens. What the kernel buffers for one client that does not read is bounded by
/// `send_buffer_bytes`; 0 leaves it to the system, which may take megabytes.
///
/// # Errors
/// The address is taken, or not ours.
pub fn listen(address: SocketAddr, send_buffer_bytes: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    if send_buffer_bytes > 0 {
        // Accepted connections inherit it.
        socket.set_send_buffer_size(send_buffer_bytes)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until the process stops: no new connections from *soft* on, requests under way
/// are finished, and what is left is cut at *hard*. At most `max_connections` are open, and
/// more wait in the kernel's backlog; one address has as many as `admission` gives it, and
/// more are closed at once.
pub fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    admission: Admission,
    lifecycle: &Lifecycle,
) {
    // Shown from the start: a rate has no beginning else.
    metrics::counter!("goligoli_http_stalled_total").increment(0);
    metrics::counter!("goligoli_http_turned_away_total").increment(0);
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
                (Ok((socket, peer)), Ok(place)) => match admission.enter(peer.ip()) {
                    Some(own) => {
                        let router = router.clone();
                        let one = connection(socket, peer, router, (place, own), connections.clone());
                        connections.spawn_one_of_many(one);
                    }
                    None => metrics::counter!("goligoli_http_turned_away_total").increment(1),
                },
                (Err(error), _) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (_, Err(_)) => break,
            }
        }
    });
}

/// Serves one connection; `places` are given back when it ends.
async fn connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    places: (OwnedSemaphorePermit, Place),
    lifecycle: Lifecycle,
) {
    // Without this a small frame waits for the acknowledgement of the one before.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let taker = Arc::new(Mutex::new(None));
    let of_response = Arc::clone(&taker);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let has_large_body = request.body().size_hint().upper().is_none_or(|bytes| bytes > BUFFER_BYTES as u64);
        let may_be_taken = request.method() == http::Method::GET && request.version() == http::Version::HTTP_11;
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().call(request);
        let of_response = Arc::clone(&of_response);
        Box::pin(async move {
            let mut response = answer.await?;
            let refused = response.status().is_client_error() || response.status().is_server_error();
            if has_large_body && refused {
                // It may not have been read: then hyper closes without having said so.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            if may_be_taken && let Some(long_lived) = response.extensions().get::<LongLived>() {
                // It has no length, so hyper says in the head that it is chunked, and waits for it.
                *of_response.lock().unwrap_or_else(PoisonError::into_inner) = long_lived.claim();
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response)
        })
    });
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(StallGuard::new(socket, STALL)), service);
    let mut soft = std::pin::pin!(lifecycle.soft().cancelled());
    let mut stopping = false;
    let served = poll_fn(|cx| {
        if !stopping && soft.as_mut().poll(cx).is_ready() {
            stopping = true;
            std::pin::Pin::new(&mut http).graceful_shutdown();
        }
        let ended = http.poll_without_shutdown(cx);
        // hyper has written the head before it waits for the body.
        match taker.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(take) => Poll::Ready(Ok(Some(take))),
            None => ended.map_ok(|()| None),
        }
    });
    let Some(ended) = lifecycle.hard().run_until_cancelled(served).await else { return };
    let socket = http.into_parts().io.into_inner();
    let has_stalled = socket.is_waiting();
    let socket = socket.into_inner();
    match ended {
        // Nothing more can be said to a client that does not take what was said before.
        _ if has_stalled => reset(socket),
        Ok(Some(take)) => take(Taken { socket, places: Box::new(places) }).await,
        Ok(None) => _ = lifecycle.soft().run_until_cancelled(linger(socket)).await,
        Err(error) => tracing::debug!(%peer, %error, "a connection ended with an error"),
    }
}

/// Closes, and drops what the socket still holds: else the kernel keeps that for minutes, for
/// a client that does not take it.
#[expect(clippy::needless_pass_by_value, reason = "it is closed here")]
pub(super) fn reset(socket: TcpStream) {
    // Without it the kernel only keeps it longer.
    _ = socket.set_zero_linger();
}

/// Closes our side and waits for the client to close its own. A socket that is closed
/// with bytes unread is reset, and with it goes the answer to a body that was too large
/// to be read: the client would see a broken connection and not the 413.
pub(super) async fn linger(mut socket: TcpStream) {
    let rest = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // A client that is gone, or too slow to be told, is let go.
    _ = tokio::time::timeout(LINGER, rest).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sends_too_much_is_told_so() {
        let lifecycle = Lifecycle::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refuse = axum::routing::post(async || http::StatusCode::PAYLOAD_TOO_LARGE);
        serve(listener, Router::new().route("/", refuse), 9, Admission::new(9, []), &lifecycle);
        let body = vec![b'x'; 4 << 20];
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(head.as_bytes()).await.unwrap();
            client.write_all(&body).await.expect("all of it is taken");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("no reset");
            assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
        }
        lifecycle.stop(Duration::from_secs(1)).await;
    }
}
