//! Ends a connection whose client has stopped reading.
//!
//! While a socket's buffer is full, an HTTP server does not ask for more of the body, so
//! no timer inside the body can fire, and the connection stays for ever. Here the wait for
//! the socket itself has a deadline: a write that makes no progress for so long fails, and
//! with it the connection.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A vectored write of no more than so much is copied together: one `send` of a few hundred
/// bytes takes the kernel less than a gathering write of their parts.
const JOINED_BYTES: usize = 4 << 10;

thread_local! {
    /// What is being joined. It never holds more than [`JOINED_BYTES`].
    static JOINED: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(JOINED_BYTES));
}

/// Writes small parts as one; `None` if they are too large for that.
pub(super) fn joined<R>(parts: &[IoSlice<'_>], write: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let all: usize = parts.iter().map(|part| part.len()).sum();
    (all <= JOINED_BYTES).then(|| {
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            parts.iter().for_each(|part| joined.extend_from_slice(part));
            write(joined)
        })
    })
}

/// A socket whose writes may stand still only so long.
#[derive(Debug)]
pub(super) struct StallGuard<S> {
    socket: S,
    most: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> StallGuard<S> {
    pub(super) const fn new(socket: S, most: Duration) -> Self {
        Self { socket, most, waiting: None }
    }

    /// A write waits for the client to read.
    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    pub(super) fn into_inner(self) -> S {
        self.socket
    }

    /// Passes progress on; turns a wait that has become too long into an error.
    fn guard<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.waiting = None;
            return progress;
        }
        let most = self.most;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(most)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => {
                // Whoever polls again after the error gets it again.
                waiting.as_mut().reset(Instant::now());
                metrics::counter!("goligoli_http_stalled_total").increment(1);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.guard(cx, progress)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(progress) = joined(bytes, |bytes| self.as_mut().poll_write(cx, bytes)) {
            return progress;
        }
        let progress = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.guard(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const MOST: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_let_go() {
        let (near, far) = duplex(64);
        let mut guarded = StallGuard::new(near, MOST);
        let begin = Instant::now();
        let error = guarded.write_all(&[7; 65]).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed()), (io::ErrorKind::TimedOut, MOST));
        drop(far);
    }

    #[tokio::test]
    async fn parts_arrive_as_one() {
        for size in [1, 700, JOINED_BYTES / 2, JOINED_BYTES] {
            let (near, mut far) = duplex(4 * JOINED_BYTES);
            let (a, b) = (vec![1; size], vec![2; size]);
            let mut guarded = StallGuard::new(near, MOST);
            let parts = [io::IoSlice::new(&a), io::IoSlice::new(&b)];
            let taken =
                std::future::poll_fn(|cx| Pin::new(&mut guarded).poll_write_vectored(cx, &parts)).await.unwrap();
            drop(guarded);
            let mut arrived = Vec::new();
            far.read_to_end(&mut arrived).await.unwrap();
            assert_eq!(arrived, [a, b].concat()[..taken]);
            assert!(taken == 2 * size || size > JOINED_BYTES / 2, "{taken} of {size} and {size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_not() {
        let (near, mut far) = duplex(64);
        let mut guarded = StallGuard::new(near, MOST);
        let read = async {
            for _ in 0..30 {
                tokio::time::sleep(MOST - Duration::from_millis(1)).await;
                far.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(guarded.write_all(&[7; 64 + 30]), read);
        written.unwrap();
    }
}
