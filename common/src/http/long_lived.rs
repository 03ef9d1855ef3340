//! Writes a body that goes on for minutes: an event stream.
//!
//! An HTTP server keeps buffers and looks at many things each time that a connection wakes.
//! For a stream that only ever sends, with ten thousand like it, that is most of its cost.
//! So once the head is out, the socket is taken from the HTTP server and a plain loop goes
//! on with the body, chunked (RFC 9112 §7.1), one `send` for all that is ready.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt as _};
use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// A body that goes on for long, as an extension of its response: the server writes it by a
/// loop of its own. It is the connection's last. Where that can't be (HTTP/1.0), it is
/// written like any other body.
#[derive(Clone)]
pub struct LongLived(Arc<Mutex<Option<Frames>>>);

/// What is sent, in pieces.
pub(super) type Frames = BoxStream<'static, Bytes>;

impl LongLived {
    /// The extension, and the body.
    pub fn of(frames: impl Stream<Item = Bytes> + Send + 'static) -> (Self, Body) {
        let long_lived = Self(Arc::new(Mutex::new(Some(frames.boxed()))));
        let taking = long_lived.clone();
        let mut frames = None;
        let body = futures::stream::poll_fn(move |cx| {
            if frames.is_none() {
                frames = taking.take();
            }
            match &mut frames {
                Some(frames) => frames.poll_next_unpin(cx).map(|frame| frame.map(Ok::<_, Infallible>)),
                // Somebody else writes it: HTTP must only say that a body comes.
                None => Poll::Pending,
            }
        });
        (long_lived, Body::from_stream(body))
    }

    pub(super) fn take(&self) -> Option<Frames> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for LongLived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongLived").finish_non_exhaustive()
    }
}

/// What is written at once: so many frames of a body…
const MAX_FRAMES: usize = 14;
/// …or so many bytes, and one frame more. Full: the body is not asked until it is written.
const MAX_BYTES: usize = 64 << 10;
/// After so many writes without a pause others have their turn.
const MAX_WRITES: usize = 16;

/// Writes the body until it ends, the client is gone, or the process cuts what is left.
///
/// # Errors
/// The client has closed the connection, or reads nothing any more.
pub(super) async fn write<S>(body: Frames, socket: &mut S, hard: CancellationToken) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut writer = Writer { body, socket, chunk: Chunk::default(), ended: false };
    let mut cut = std::pin::pin!(hard.cancelled());
    let mut listens = false;
    poll_fn(|cx| {
        match writer.poll_write(cx) {
            Poll::Ready(Ok(Wrote::All)) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            // Most wakes bring something to write. That a client has gone meanwhile shows when
            // it is written to the next time; that the process stops ends the body.
            Poll::Ready(Ok(Wrote::Some)) if listens => return Poll::Pending,
            Poll::Ready(Ok(Wrote::Some | Wrote::Nothing)) | Poll::Pending => {}
        }
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        listens = true;
        writer.poll_gone(cx)
    })
    .await
}

/// The body has nothing more now, and wakes us when it has, or it has ended.
enum Wrote {
    /// There was nothing to write.
    Nothing,
    Some,
    /// The body's end is written, too.
    All,
}

struct Writer<'s, S> {
    body: Frames,
    socket: &'s mut S,
    chunk: Chunk,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Writer<'_, S> {
    /// Writes what the body has. Pending: the socket is full.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wrote>> {
        let mut wrote = Wrote::Nothing;
        for _ in 0..MAX_WRITES {
            if self.chunk.is_empty() {
                if self.ended {
                    return Poll::Ready(Ok(Wrote::All));
                }
                self.fill(cx);
                if self.chunk.is_empty() {
                    return Poll::Ready(Ok(wrote));
                }
            }
            let mut parts = [IoSlice::new(&[]); MAX_FRAMES + 3];
            let parts = self.chunk.parts(&mut parts);
            let written = ready!(Pin::new(&mut *self.socket).poll_write_vectored(cx, parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.chunk.advance(written);
            wrote = Wrote::Some;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what the body has ready into the next chunk.
    fn fill(&mut self, cx: &mut Context<'_>) {
        let mut ready = Ready::new();
        let mut bytes = 0;
        while !self.ended && ready.len() < MAX_FRAMES && bytes < MAX_BYTES {
            match self.body.poll_next_unpin(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(frame)) => {
                    bytes += frame.len();
                    ready.extend((!frame.is_empty()).then_some(frame));
                }
            }
        }
        self.chunk = Chunk::of(ready, bytes, self.ended);
    }

    /// Returns when the client has closed its side. What it sends is not for us.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ignored = [0; 256];
        for _ in 0..MAX_WRITES {
            let mut buffer = ReadBuf::new(&mut ignored);
            ready!(Pin::new(&mut *self.socket).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Most often there is one.
type Ready = SmallVec<[Bytes; 1]>;
/// `size CRLF`; more digits would not be held in place, but there are none.
type SizeLine = SmallVec<[u8; 10]>;

/// What is being written: `size CRLF frames CRLF`, and after the last of all `0 CRLF CRLF`.
#[derive(Default)]
struct Chunk {
    size_line: SizeLine,
    frames: Ready,
    end: &'static [u8],
    /// So many bytes of all this have been written.
    written: usize,
}

impl Chunk {
    fn of(frames: Ready, bytes: usize, is_last: bool) -> Self {
        let mut size_line = SizeLine::new();
        if bytes > 0 {
            // A vector takes everything.
            _ = write!(size_line, "{bytes:x}\r\n");
        }
        let end: &[u8] = match (bytes > 0, is_last) {
            (true, true) => b"\r\n0\r\n\r\n",
            (true, false) => b"\r\n",
            (false, true) => b"0\r\n\r\n",
            (false, false) => b"",
        };
        Self { size_line, frames, end, written: 0 }
    }

    fn is_empty(&self) -> bool {
        self.end.is_empty()
    }

    /// All that is left to write.
    fn parts<'a, 'p>(&'a self, slots: &'p mut [IoSlice<'a>; MAX_FRAMES + 3]) -> &'p [IoSlice<'a>] {
        let (mut n, mut written) = (0, self.written);
        let frames = self.frames.iter().map(|frame| &frame[..]);
        let all = std::iter::once(&self.size_line[..]).chain(frames).chain([self.end]);
        for (slot, part) in slots.iter_mut().zip(all) {
            let begin = written.min(part.len());
            written -= begin;
            *slot = IoSlice::new(&part[begin..]);
            n += 1;
        }
        &slots[..n]
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        let frames: usize = self.frames.iter().map(Bytes::len).sum();
        if self.written >= self.size_line.len() + frames + self.end.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, duplex};

    fn frames(sizes: &[usize]) -> (Vec<u8>, Frames) {
        let frames: Vec<Bytes> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| vec![b'a' + u8::try_from(n % 26).unwrap(); *size].into())
            .collect();
        (frames.concat(), futures::stream::iter(frames).boxed())
    }

    /// Undoes the chunks.
    fn joined(mut text: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = text.windows(2).position(|two| two == b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&text[..end]).unwrap(), 16).unwrap();
            text = &text[end + 2..];
            assert_eq!(&text[size..size + 2], b"\r\n");
            body.extend_from_slice(&text[..size]);
            text = &text[size + 2..];
            if size == 0 {
                assert!(text.is_empty(), "nothing follows the last chunk");
                return body;
            }
        }
    }

    #[tokio::test]
    async fn the_body_arrives_whole_however_small_the_socket_is() {
        for socket in [1, 7, 1_000, 1 << 20] {
            for sizes in [&[][..], &[0], &[1, 0, 300], &[3; 40], &[70_000, 5, 70_000]] {
                let (expected, body) = frames(sizes);
                let (mut near, mut far) = duplex(socket);
                let write = async {
                    write(body, &mut near, CancellationToken::new()).await.unwrap();
                    drop(near);
                };
                let mut arrived = Vec::new();
                let read = async { _ = far.read_to_end(&mut arrived).await.unwrap() };
                tokio::join!(write, read);
                assert_eq!(joined(&arrived), expected, "{sizes:?} through {socket}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_client_goes_or_the_process_does() {
        let silent = || futures::stream::pending().boxed();
        let (mut near, far) = duplex(10);
        let go = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(far);
        };
        let (ended, ()) = tokio::join!(write(silent(), &mut near, CancellationToken::new()), go);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);

        let (mut near, _far) = duplex(10);
        let hard = CancellationToken::new();
        let cut = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            hard.cancel();
        };
        tokio::join!(async { write(silent(), &mut near, hard.clone()).await.unwrap() }, cut);

        // Also while the socket is full.
        let (_, body) = frames(&[100]);
        let (mut near, _far) = duplex(10);
        let hard = CancellationToken::new();
        let cut = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            hard.cancel();
        };
        tokio::join!(async { write(body, &mut near, hard.clone()).await.unwrap() }, cut);
    }
}
