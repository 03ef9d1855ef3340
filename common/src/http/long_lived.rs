//! Writes a body that goes on for minutes: an event stream.
//!
//! An HTTP server keeps buffers and looks at many things each time that a connection wakes.
//! For a stream that only ever sends, with ten thousand like it, that is most of its cost.
//! So once the head is out, the socket is taken from the HTTP server and a plain loop goes
//! on with the body, chunked (RFC 9112 §7.1), one `send` for all that is ready.

use std::future::poll_fn;
use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::{Buf as _, Bytes};
use hyper::body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Marks a response, as an extension: its body goes on for long, and is written by a loop
/// of its own. It is the connection's last.
#[derive(Debug, Clone, Copy)]
pub struct LongLived;

/// What is written at once: so many frames of a body…
const MAX_FRAMES: usize = 14;
/// …or so many bytes, and one frame more. Full: the body is not asked until it is written.
const MAX_BYTES: usize = 64 << 10;
/// After so many writes without a pause others have their turn.
const MAX_WRITES: usize = 16;

/// Writes the body until it ends, the client is gone, or the process cuts what is left.
///
/// # Errors
/// The client has closed the connection or reads nothing any more, or the body broke.
pub(super) async fn write<S>(body: Body, socket: &mut S, hard: CancellationToken) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut writer = Writer { body, socket, chunk: Chunk::default(), ended: false };
    let mut cut = std::pin::pin!(hard.cancelled());
    poll_fn(|cx| {
        match writer.poll_write(cx) {
            // Whatever else may have woken us is looked at when there is nothing to send:
            // a client that is gone also shows when it is written to.
            Poll::Ready(Ok(Wrote::Nothing)) => {}
            Poll::Ready(Ok(Wrote::All)) => return Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return cut.as_mut().poll(cx).map(|()| Ok(())),
        }
        if cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        writer.poll_gone(cx)
    })
    .await
}

enum Wrote {
    /// The body has nothing now, and wakes us when it has.
    Nothing,
    /// The body has ended, and its end is written.
    All,
}

struct Writer<'s, S> {
    body: Body,
    socket: &'s mut S,
    chunk: Chunk,
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Writer<'_, S> {
    /// Writes what the body has. Pending: the socket is full.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wrote>> {
        for _ in 0..MAX_WRITES {
            if self.chunk.is_empty() {
                if self.ended {
                    return Poll::Ready(Ok(Wrote::All));
                }
                self.fill(cx)?;
                if self.chunk.is_empty() {
                    return Poll::Ready(Ok(Wrote::Nothing));
                }
            }
            let mut parts = [IoSlice::new(&[]); MAX_FRAMES + 3];
            let parts = self.chunk.parts(&mut parts);
            let written = ready!(Pin::new(&mut *self.socket).poll_write_vectored(cx, parts))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.chunk.advance(written);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes what the body has ready into the next chunk.
    fn fill(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut frames = Vec::new();
        let mut bytes = 0;
        while !self.ended && frames.len() < MAX_FRAMES && bytes < MAX_BYTES {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers are not sent.
                    let data = frame.into_data().unwrap_or_default();
                    bytes += data.len();
                    frames.extend((!data.is_empty()).then_some(data));
                }
            }
        }
        self.chunk = Chunk::of(frames, bytes, self.ended);
        Ok(())
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

/// What is being written: `size CRLF frames CRLF`, and after the last of all `0 CRLF CRLF`.
#[derive(Default)]
struct Chunk {
    head: Bytes,
    frames: Vec<Bytes>,
    tail: Bytes,
}

impl Chunk {
    fn of(frames: Vec<Bytes>, bytes: usize, is_last: bool) -> Self {
        let head = if bytes == 0 { Bytes::new() } else { size_line(bytes) };
        let tail: &[u8] = match (bytes > 0, is_last) {
            (true, true) => b"\r\n0\r\n\r\n",
            (true, false) => b"\r\n",
            (false, true) => b"0\r\n\r\n",
            (false, false) => b"",
        };
        Self { head, frames, tail: Bytes::from_static(tail) }
    }

    fn is_empty(&self) -> bool {
        self.tail.is_empty()
    }

    fn parts<'a, 'p>(&'a self, parts: &'p mut [IoSlice<'a>; MAX_FRAMES + 3]) -> &'p [IoSlice<'a>] {
        let all = std::iter::once(&self.head).chain(&self.frames).chain([&self.tail]);
        let mut n = 0;
        for (slot, part) in parts.iter_mut().zip(all) {
            *slot = IoSlice::new(part);
            n += 1;
        }
        &parts[..n]
    }

    fn advance(&mut self, mut written: usize) {
        for part in std::iter::once(&mut self.head).chain(&mut self.frames).chain([&mut self.tail]) {
            let now = written.min(part.len());
            part.advance(now);
            written -= now;
        }
    }
}

fn size_line(bytes: usize) -> Bytes {
    let mut line = Vec::with_capacity(8);
    // A Vec takes everything.
    _ = write!(line, "{bytes:x}\r\n");
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt as _, duplex};

    fn frames(sizes: &[usize]) -> (Vec<u8>, Body) {
        let frames: Vec<Bytes> = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| vec![b'a' + u8::try_from(n % 26).unwrap(); *size].into())
            .collect();
        let stream = futures::stream::iter(frames.clone()).map(Ok::<_, io::Error>);
        (frames.concat(), Body::from_stream(stream))
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
        let silent = || Body::from_stream(futures::stream::pending::<io::Result<Bytes>>());
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
