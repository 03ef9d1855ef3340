//! The called end of a connection between processes.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use tarpc::{ClientMessage, Response, ServerError};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::frames::{Frame, Frames, Io, LEAVING, PING, PONG, encode};

/// Callers ping five times a second: who says nothing for one to two of these is gone.
const SILENCE: Duration = Duration::from_secs(15);

/// Requests come out, responses go in.
pub(crate) struct Called {
    frames: Frames,
    look: Interval,
    /// Whether anything came since the last look.
    heard: bool,
    /// When the process leaves; then the caller is told.
    leaving: Option<BoxFuture<'static, ()>>,
}

/// What can be read of a request that this build does not know.
#[derive(Deserialize)]
enum Envelope {
    Request(Unread),
    Cancel(IgnoredAny),
}

#[derive(Deserialize)]
struct Unread {
    id: u64,
    #[serde(rename = "message")]
    _message: IgnoredAny,
}

impl Called {
    pub(crate) fn new(io: Box<dyn Io>, leaving: CancellationToken) -> Self {
        let mut look = interval(SILENCE);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let leaving = Some(leaving.cancelled_owned().boxed());
        Self { frames: Frames::new(io), look, heard: true, leaving }
    }

    fn poll_request<Req: DeserializeOwned>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<ClientMessage<Req>>>> {
        if self.leaving.as_mut().is_some_and(|leaving| leaving.poll_unpin(cx).is_ready()) {
            self.leaving = None;
            self.frames.signal(LEAVING)?;
        }
        let message = self.poll_message(cx);
        // What waits goes out whatever came in.
        if let Poll::Ready(Err(error)) = self.frames.poll_flush(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        message
    }

    fn poll_message<Req: DeserializeOwned>(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<ClientMessage<Req>>>> {
        loop {
            let frame = match self.frames.poll_next(cx)? {
                Poll::Ready(Some(frame)) => frame,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            };
            self.heard = true;
            match frame {
                Frame::Signal(PING) => self.frames.signal(PONG)?,
                Frame::Signal(_) => {}
                Frame::Message(bytes) => match rmp_serde::from_slice(&bytes) {
                    Ok(message) => return Poll::Ready(Some(Ok(message))),
                    Err(error) => self.refuse(&bytes, &error)?,
                },
            }
        }
        while self.look.poll_tick(cx).is_ready() {
            if !std::mem::take(&mut self.heard) {
                return Poll::Ready(Some(Err(io::Error::new(ErrorKind::TimedOut, "the caller is silent"))));
            }
        }
        Poll::Pending
    }

    /// A method or a form of it that this build does not know is one call's failure, not the
    /// connection's.
    fn refuse(&mut self, bytes: &[u8], error: &rmp_serde::decode::Error) -> io::Result<()> {
        match rmp_serde::from_slice(bytes) {
            Ok(Envelope::Request(request)) => {
                tracing::warn!(%error, "a request can't be read; is its caller newer than this process?");
                let refusal = ServerError::new(ErrorKind::InvalidInput, "the request is not known here".to_owned());
                self.answer(&Response::<()> { request_id: request.id, message: Err(refusal) })
            }
            Ok(Envelope::Cancel(_)) => Ok(()),
            Err(error) => Err(io::Error::new(ErrorKind::InvalidData, error)),
        }
    }

    fn answer(&mut self, response: &Response<()>) -> io::Result<()> {
        match encode(response)? {
            Some(frame) => self.frames.push(frame),
            None => Ok(()),
        }
    }

    fn send<Resp: Serialize>(&mut self, response: &Response<Resp>) -> io::Result<()> {
        if let Some(frame) = encode(response)? {
            return self.frames.start_send(frame);
        }
        tracing::error!("a reply is too long to be sent");
        let refusal = ServerError::new(ErrorKind::InvalidData, "the reply is too long".to_owned());
        self.answer(&Response { request_id: response.request_id, message: Err(refusal) })
    }

    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.frames.poll_ready(cx)
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.frames.poll_flush(cx)
    }

    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.frames.poll_close(cx)
    }
}

/// [`Called`] with the types of a contract, which know no more of it: no bounds on them where
/// a service is told how to serve.
pub(crate) trait Duplex<Req, Resp>: Send {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<ClientMessage<Req>>>>;
    fn start_send(&mut self, response: Response<Resp>) -> io::Result<()>;
    fn called(&mut self) -> &mut Called;
}

impl<Req: DeserializeOwned, Resp: Serialize> Duplex<Req, Resp> for Called {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<ClientMessage<Req>>>> {
        self.poll_request(cx)
    }

    fn start_send(&mut self, response: Response<Resp>) -> io::Result<()> {
        self.send(&response)
    }

    fn called(&mut self) -> &mut Called {
        self
    }
}
