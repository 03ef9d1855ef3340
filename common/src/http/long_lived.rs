//! A body that goes on for minutes: an event stream.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt as _};

use super::crew::Taken;

/// Goes on with a connection.
pub(super) type Take = Box<dyn FnOnce(Taken) -> BoxFuture<'static, ()> + Send>;
type Claim = Box<dyn FnOnce() -> Option<Take> + Send>;

/// Marks a response, as an extension, whose body is not written by the HTTP server: once the
/// head is out, the connection is taken from it.
#[derive(Clone)]
pub struct LongLived(Arc<Mutex<Option<Claim>>>);

impl LongLived {
    /// The extension, and a body for where the connection can't be taken (HTTP/1.0): `take`
    /// gets the script and the connection, or `stream` makes a body of the script.
    pub fn of<S, T, F>(
        script: S,
        take: impl FnOnce(S, Taken) -> F + Send + 'static,
        stream: impl FnOnce(S) -> T + Send + 'static,
    ) -> (Self, Body)
    where
        S: Send + 'static,
        T: Stream<Item = Bytes> + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let script = Arc::new(Mutex::new(Some(script)));
        let only = Arc::clone(&script);
        let claim: Claim = Box::new(move || {
            let script = only.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            Some(Box::new(move |taken| Box::pin(take(script, taken))))
        });
        let (mut stream, mut body) = (Some(stream), None);
        let body = futures::stream::poll_fn(move |cx| {
            if body.is_none() {
                let script = script.lock().unwrap_or_else(PoisonError::into_inner).take();
                body = script.zip(stream.take()).map(|(script, stream)| stream(script).boxed());
            }
            match &mut body {
                Some(body) => body.poll_next_unpin(cx).map(|frame| frame.map(Ok::<_, Infallible>)),
                // It is claimed: HTTP must only say in the head that a body comes.
                None => Poll::Pending,
            }
        });
        (Self(Arc::new(Mutex::new(Some(claim)))), Body::from_stream(body))
    }

    /// What takes the connection. From then on the body says nothing.
    pub(super) fn claim(&self) -> Option<Take> {
        let claim = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        claim()
    }
}

impl fmt::Debug for LongLived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongLived").finish_non_exhaustive()
    }
}
