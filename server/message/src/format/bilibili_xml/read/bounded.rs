//! Input that a parser reads through: refuses tokens beyond a size, counts lines.

use std::io::{self, BufRead, Read};

/// Passes on at most what was allowed last, then fails: quick-xml gathers a whole token
/// before it shows it, however long that is.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    input: R,
    allowed: usize,
    newlines: u64,
    /// The first two bytes; 0 where there is none (yet).
    head: [u8; 2],
    /// How many bytes were passed on, as far as that matters for `head`.
    passed: usize,
}

impl<R: BufRead> Bounded<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, allowed: 0, newlines: 0, head: [0; 2], passed: 0 }
    }

    /// Allows so many bytes from here on.
    pub(super) const fn allow(&mut self, bytes: usize) {
        self.allowed = bytes;
    }

    /// The line that was reached, from 1.
    pub(super) const fn line(&self) -> u64 {
        self.newlines + 1
    }

    /// Whether what was read begins with the byte order mark of UTF-16, or with `<` in it.
    pub(super) fn is_utf_16(&self) -> bool {
        self.passed >= 2 && matches!(self.head, [0xFF, 0xFE] | [0xFE, 0xFF] | [b'<', 0] | [0, b'<'])
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let bytes = self.input.fill_buf()?;
        if self.allowed == 0 && !bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a tag or text is too long"));
        }
        Ok(&bytes[..bytes.len().min(self.allowed)])
    }

    fn consume(&mut self, n: usize) {
        // What is consumed was filled before: this does not read.
        if let Ok(bytes) = self.input.fill_buf() {
            let newlines = bytes.iter().take(n).filter(|b| **b == b'\n').count();
            self.newlines += u64::try_from(newlines).unwrap_or(0);
            for (to, from) in self.head.iter_mut().skip(self.passed).zip(bytes.iter().take(n)) {
                *to = *from;
                self.passed += 1;
            }
        }
        self.allowed = self.allowed.saturating_sub(n);
        self.input.consume(n);
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let n = bytes.len().min(out.len());
        out[..n].copy_from_slice(&bytes[..n]);
        self.consume(n);
        Ok(n)
    }
}
