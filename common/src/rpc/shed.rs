//! What a process takes on: so many requests at once, and none any more when it stops.
//! Whatever is refused here was never begun, so that the caller may ask another instance.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use futures::{Sink, Stream};
use tarpc::server::{BaseChannel, Channel, Config, TrackedRequest};
use tarpc::{ChannelError, Response, ServerError};
use tokio_util::sync::CancellationToken;

use super::transport::Transport;

/// What all connections of a process take on together.
#[derive(Debug)]
pub(crate) struct Capacity {
    most: usize,
    in_flight: AtomicUsize,
    /// From then on nothing new is begun.
    stopping: CancellationToken,
}

impl Capacity {
    pub(crate) fn new(most: usize, stopping: CancellationToken) -> Arc<Self> {
        metrics::counter!("goligoli_rpc_shed_total").increment(0); // shown from the start
        Arc::new(Self { most, in_flight: AtomicUsize::new(0), stopping })
    }

    /// Requests that are being answered now.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns when nothing more is begun.
    pub(crate) async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Why nothing more is begun, if that is so.
    fn refusal(&self) -> Option<ServerError> {
        if self.stopping.is_cancelled() {
            return Some(ServerError::new(ErrorKind::ConnectionAborted, "the process stops".to_owned()));
        }
        (self.in_flight() >= self.most).then(|| {
            metrics::counter!("goligoli_rpc_shed_total").increment(1);
            ServerError::new(ErrorKind::WouldBlock, format!("{} requests are in hand", self.most))
        })
    }
}

type Base<Req, Resp> = BaseChannel<Req, Resp, Transport<Req, Resp>>;

/// The server's end of a connection, which sheds what is too much.
pub struct Shed<Req, Resp> {
    inner: Pin<Box<Base<Req, Resp>>>,
    capacity: Option<Arc<Capacity>>,
    /// How many of the process's requests are this connection's, as far as they are counted.
    counted: usize,
}

impl<Req, Resp> std::fmt::Debug for Shed<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shed({} in flight)", self.counted)
    }
}

impl<Req, Resp> Shed<Req, Resp> {
    /// Takes on everything.
    pub(crate) fn unbounded(channel: Base<Req, Resp>) -> Self {
        Self { inner: Box::pin(channel), capacity: None, counted: 0 }
    }

    /// Takes on what the process has room for.
    pub(crate) fn within(channel: Base<Req, Resp>, capacity: Arc<Capacity>) -> Self {
        Self { inner: Box::pin(channel), capacity: Some(capacity), counted: 0 }
    }

    /// Requests end in several places (answered, cancelled, too late), all of them inside of
    /// what is polled here.
    fn count(&mut self) {
        if let Some(capacity) = &self.capacity {
            let now = self.inner.in_flight_requests();
            if now >= self.counted {
                capacity.in_flight.fetch_add(now - self.counted, Ordering::Relaxed);
            } else {
                capacity.in_flight.fetch_sub(self.counted - now, Ordering::Relaxed);
            }
            self.counted = now;
        }
    }
}

impl<Req, Resp> Drop for Shed<Req, Resp> {
    fn drop(&mut self) {
        if let Some(capacity) = &self.capacity {
            capacity.in_flight.fetch_sub(self.counted, Ordering::Relaxed);
        }
    }
}

impl<Req, Resp> Stream for Shed<Req, Resp> {
    type Item = Result<TrackedRequest<Req>, ChannelError<std::io::Error>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            this.count();
            let Some(refusal) = this.capacity.as_ref().and_then(|capacity| capacity.refusal()) else {
                let next = this.inner.as_mut().poll_next(cx);
                this.count();
                return next;
            };
            // A refusal must have its place before the request is taken.
            ready!(this.inner.as_mut().poll_ready(cx)?);
            match ready!(this.inner.as_mut().poll_next(cx)?) {
                Some(request) => {
                    let response = Response { request_id: request.request.id, message: Err(refusal) };
                    this.inner.as_mut().start_send(response)?;
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<Req, Resp> Sink<Response<Resp>> for Shed<Req, Resp> {
    type Error = ChannelError<std::io::Error>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().inner.as_mut().poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, response: Response<Resp>) -> Result<(), Self::Error> {
        let this = self.get_mut();
        let sent = this.inner.as_mut().start_send(response);
        this.count();
        sent
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().inner.as_mut().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().inner.as_mut().poll_close(cx)
    }
}

impl<Req, Resp> Channel for Shed<Req, Resp> {
    type Req = Req;
    type Resp = Resp;
    type Transport = ();

    fn config(&self) -> &Config {
        self.inner.config()
    }

    fn in_flight_requests(&self) -> usize {
        self.inner.in_flight_requests()
    }

    fn transport(&self) -> &() {
        &()
    }
}
