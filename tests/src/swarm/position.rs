//! Where in a feed a viewer is.

use std::fmt;
use std::str::FromStr;

use memchr::memchr;

use super::stamp::digits;

/// An event's id as goligoli writes it, `{epoch}-{seq}`; clients must not look inside, this
/// one does, because it is here to find what is lost. Servers without such ids are
/// followed by the numbers in the texts, in epoch 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Numbers of two epochs have nothing to do with each other.
    pub epoch: u64,
    /// Counts up by one per event.
    pub seq: u64,
}

impl Position {
    pub(super) fn read(id: &[u8]) -> Option<Self> {
        let hyphen = memchr(b'-', id)?;
        Some(Self { epoch: digits(&id[..hyphen])?, seq: digits(&id[hyphen + 1..])? })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, String> {
        Self::read(id.as_bytes()).ok_or_else(|| format!("{id} is no {{epoch}}-{{seq}}"))
    }
}
