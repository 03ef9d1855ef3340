//! A piece of a chunked body (RFC 9112 §7.1) on its way into a socket.

use std::io::{self, IoSlice, Write as _};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::net::TcpStream;

use super::stall::joined;

/// What is written at once: so many frames…
const MAX_FRAMES: usize = 14;
/// …or so many bytes, and one frame more.
const MAX_BYTES: usize = 64 << 10;

/// What is ready to be sent.
#[derive(Debug, Default)]
pub struct Ready {
    /// Most often there is one.
    frames: SmallVec<[Bytes; 1]>,
    bytes: usize,
}

impl Ready {
    /// Adds to it.
    pub fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        if !frame.is_empty() {
            self.frames.push(frame);
        }
    }

    /// All of it, in one piece.
    #[must_use]
    pub fn joined(&self) -> Bytes {
        self.frames.concat().into()
    }

    /// What else there is waits for the next write.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frames.len() >= MAX_FRAMES || self.bytes >= MAX_BYTES
    }
}

/// `size CRLF`, of more digits than there ever are.
type SizeLine = SmallVec<[u8; 16]>;

/// `size CRLF frames CRLF`, and after the last of all `0 CRLF CRLF`.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    size_line: SizeLine,
    ready: Ready,
    end: &'static [u8],
    /// So many bytes of all this have been written.
    written: usize,
}

impl Chunk {
    /// Empty if nothing is ready and more will come.
    pub(super) fn of(ready: Ready, is_last: bool) -> Self {
        let mut size_line = SizeLine::new();
        if ready.bytes > 0 {
            // A vector takes everything.
            _ = write!(size_line, "{:x}\r\n", ready.bytes);
        }
        let end: &[u8] = match (ready.bytes > 0, is_last) {
            (true, true) => b"\r\n0\r\n\r\n",
            (true, false) => b"\r\n",
            (false, true) => b"0\r\n\r\n",
            (false, false) => b"",
        };
        Self { size_line, ready, end, written: 0 }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.end.is_empty()
    }

    /// Writes what the socket takes. When it has taken all, the chunk is empty.
    pub(super) fn write_to(&mut self, socket: &TcpStream) -> io::Result<()> {
        let mut slots = [IoSlice::new(&[]); MAX_FRAMES + 2];
        let parts = self.left(&mut slots);
        let written = joined(parts, |joined| socket.try_write(joined));
        match written.unwrap_or_else(|| socket.try_write_vectored(parts))? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => {
                self.advance(written);
                Ok(())
            }
        }
    }

    /// All that is left to write, as far as the slots go.
    fn left<'a, 's>(&'a self, slots: &'s mut [IoSlice<'a>]) -> &'s [IoSlice<'a>] {
        let (mut n, mut written) = (0, self.written);
        let frames = self.ready.frames.iter().map(|frame| &frame[..]);
        let all = std::iter::once(&self.size_line[..]).chain(frames).chain([self.end]);
        for part in all {
            let begin = written.min(part.len());
            written -= begin;
            if begin < part.len() && n < slots.len() {
                slots[n] = IoSlice::new(&part[begin..]);
                n += 1;
            }
        }
        &slots[..n]
    }

    fn advance(&mut self, written: usize) {
        self.written += written;
        if self.written >= self.size_line.len() + self.ready.bytes + self.end.len() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written through a socket that takes so much at once.
    fn written(mut chunk: Chunk, at_once: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !chunk.is_empty() {
            let mut slots = [IoSlice::new(&[]); 3];
            let left = chunk.left(&mut slots).iter().flat_map(|part| part.iter().copied());
            let taken: Vec<u8> = left.take(at_once).collect();
            assert!(!taken.is_empty());
            chunk.advance(taken.len());
            all.extend(taken);
        }
        all
    }

    #[test]
    fn a_chunk_is_written_whole_however_little_is_taken() {
        for at_once in [1, 2, 5, 1_000] {
            let of = |frames: &[&'static str], is_last| {
                let mut ready = Ready::default();
                frames.iter().for_each(|frame| ready.push(Bytes::from_static(frame.as_bytes())));
                String::from_utf8(written(Chunk::of(ready, is_last), at_once)).unwrap()
            };
            assert_eq!(
                of(&["hello", "", " you all, who ", "are there"], false),
                "1c\r\nhello you all, who are there\r\n"
            );
            assert_eq!(of(&["end"], true), "3\r\nend\r\n0\r\n\r\n");
            assert_eq!(of(&[""], true), "0\r\n\r\n");
            assert_eq!(of(&[], false), "");
        }
    }

    #[test]
    fn what_is_ready_is_bounded() {
        let mut ready = Ready::default();
        while !ready.is_full() {
            ready.push(Bytes::from_static(b"x"));
        }
        assert_eq!(ready.frames.len(), MAX_FRAMES);
        let mut ready = Ready::default();
        ready.push(vec![0; MAX_BYTES].into());
        assert!(ready.is_full());
    }
}
