//! Frames on a connection: a length (u32, big-endian), then either a message (a MessagePack
//! map, so two bytes at least) or a signal (one byte). Signals travel beside the calls: a
//! process that is suspended, or whose network is gone, is found out without a call.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures::{Sink, Stream as _};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// The longest frame. A longer request fails, a longer reply becomes a refusal.
pub(crate) const MAX_FRAME_BYTES: usize = 4 << 20;
/// Signals and refusals that wait to be written. Full: the peer does not read them, and the
/// connection is given up.
const MAX_WAITING: usize = 256;

/// A caller asks whether anybody is there.
pub(crate) const PING: u8 = 1;
/// Somebody is.
pub(crate) const PONG: u8 = 2;
/// The called process leaves: new calls go elsewhere.
pub(crate) const LEAVING: u8 = 3;

/// A connection, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What came.
pub(crate) enum Frame {
    Signal(u8),
    Message(BytesMut),
}

/// Reads and writes frames. What waits in it goes out with whatever is polled next.
pub(crate) struct Frames {
    io: Framed<Box<dyn Io>, LengthDelimitedCodec>,
    waiting: VecDeque<Bytes>,
}

impl Frames {
    pub(crate) fn new(io: Box<dyn Io>) -> Self {
        let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME_BYTES).new_codec();
        Self { io: Framed::new(io, codec), waiting: VecDeque::new() }
    }

    fn sink(&mut self) -> Pin<&mut dyn Sink<Bytes, Error = io::Error>> {
        let io: Pin<&mut Framed<_, _>> = Pin::new(&mut self.io);
        io
    }

    /// Sends this as soon as the connection takes it, out of turn.
    pub(crate) fn push(&mut self, frame: Bytes) -> io::Result<()> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read"));
        }
        self.waiting.push_back(frame);
        Ok(())
    }

    pub(crate) fn signal(&mut self, signal: u8) -> io::Result<()> {
        self.push(Bytes::copy_from_slice(&[signal]))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame>>> {
        let frame = ready!(Pin::new(&mut self.io).poll_next(cx)?);
        Poll::Ready(frame.map(|frame| {
            Ok(match frame.as_ref() {
                [signal] => Frame::Signal(*signal),
                _ => Frame::Message(frame),
            })
        }))
    }

    /// Ready when a frame can be sent and nothing waits before it.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            ready!(self.sink().poll_ready(cx)?);
            if let Some(frame) = self.waiting.pop_front() {
                self.sink().start_send(frame)?;
            }
        }
        self.sink().poll_ready(cx)
    }

    pub(crate) fn start_send(&mut self, frame: Bytes) -> io::Result<()> {
        self.sink().start_send(frame)
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.waiting.is_empty() {
            ready!(self.poll_ready(cx)?);
        }
        self.sink().poll_flush(cx)
    }

    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.sink().poll_close(cx)
    }
}

/// A message's frame; `None` if it is too long.
pub(crate) fn encode(message: &impl Serialize) -> io::Result<Option<Bytes>> {
    let bytes = rmp_serde::to_vec_named(message).map_err(io::Error::other)?;
    Ok((bytes.len() <= MAX_FRAME_BYTES).then(|| bytes.into()))
}
