//! The calling end of a connection between processes: requests go in, responses come out, and
//! the other end is asked five times a second whether it is there.

use std::io::{self, ErrorKind};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Sink, Stream};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tarpc::{ClientMessage, RequestName, Response, ServerError};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::frames::{Frame, Frames, Io, LEAVING, MAX_FRAME_BYTES, PING, encode};

const PING_EVERY: Duration = Duration::from_millis(200);
/// Pings without an answer, counted while this process runs (a suspended one wakes up to one
/// tick): then calls go elsewhere if they can…
const SUSPECT_TICKS: u32 = 2;
/// …and then the connection is given up, with what was asked on it.
const DEAD_TICKS: u32 = 15;

/// What is known of the other end.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    silent_ticks: AtomicU32,
    leaving: AtomicBool,
}

impl Pulse {
    /// It does not answer just now.
    pub(crate) fn is_suspect(&self) -> bool {
        self.silent_ticks.load(Ordering::Relaxed) > SUSPECT_TICKS
    }

    /// It said that it leaves.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }
}

/// A request that knows whether it was ever written to a connection, in whole or in part.
#[derive(Debug)]
pub(crate) struct Tracked<Req> {
    pub(crate) request: Arc<Req>,
    pub(crate) sent: Arc<AtomicBool>,
}

impl<Req: RequestName> RequestName for Tracked<Req> {
    fn name(&self) -> &str {
        self.request.name()
    }
}

impl<Req: Serialize> Serialize for Tracked<Req> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.sent.store(true, Ordering::SeqCst);
        self.request.serialize(s)
    }
}

/// What can be read of a response that this build does not know.
#[derive(Deserialize)]
struct Unread {
    request_id: u64,
    #[serde(rename = "message")]
    _message: IgnoredAny,
}

/// A connection to an instance.
pub(crate) struct Caller<Req, Resp> {
    frames: Frames,
    ping: Interval,
    pulse: Arc<Pulse>,
    types: PhantomData<fn(Req) -> Resp>,
}

impl<Req, Resp> Caller<Req, Resp> {
    pub(crate) fn new(io: Box<dyn Io>, pulse: Arc<Pulse>) -> Self {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { frames: Frames::new(io), ping, pulse, types: PhantomData }
    }

    fn poll_pings(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.ping.poll_tick(cx).is_ready() {
            let silent = self.pulse.silent_ticks.fetch_add(1, Ordering::Relaxed) + 1;
            if silent > DEAD_TICKS {
                return Err(io::Error::new(ErrorKind::TimedOut, "the instance does not answer"));
            }
            // One question at a time.
            if silent == 1 {
                self.frames.signal(PING)?;
            }
        }
        match self.frames.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

impl<Req, Resp: DeserializeOwned> Stream for Caller<Req, Resp> {
    type Item = io::Result<Response<Resp>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let frame = match this.frames.poll_next(cx)? {
                Poll::Ready(Some(frame)) => frame,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            };
            this.pulse.silent_ticks.store(0, Ordering::Relaxed);
            match frame {
                Frame::Signal(LEAVING) => this.pulse.leaving.store(true, Ordering::Relaxed),
                Frame::Signal(_) => {}
                Frame::Message(bytes) => return Poll::Ready(Some(read(&bytes))),
            }
        }
        // After reading: what came while this process was suspended is an answer.
        if let Err(error) = this.poll_pings(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Pending
    }
}

/// A reply that this build does not know is one call's failure, not the connection's.
fn read<Resp: DeserializeOwned>(bytes: &[u8]) -> io::Result<Response<Resp>> {
    rmp_serde::from_slice(bytes).or_else(|error| {
        let unread: Unread =
            rmp_serde::from_slice(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        tracing::error!(%error, "a reply can't be read");
        let refusal = ServerError::new(ErrorKind::InvalidData, "the reply can't be read".to_owned());
        Ok(Response { request_id: unread.request_id, message: Err(refusal) })
    })
}

impl<Req: Serialize, Resp> Sink<ClientMessage<Req>> for Caller<Req, Resp> {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().frames.poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: ClientMessage<Req>) -> io::Result<()> {
        match encode(&message)? {
            Some(frame) => self.get_mut().frames.start_send(frame),
            // That call alone fails with it.
            None => {
                let detail = format!("the request is over {MAX_FRAME_BYTES} bytes");
                Err(io::Error::new(ErrorKind::InvalidInput, detail))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().frames.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().frames.poll_close(cx)
    }
}
