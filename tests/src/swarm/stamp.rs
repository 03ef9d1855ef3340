//! What a poster writes into a text, so that whoever receives it knows when it was sent.
//!
//! `sent_us=123456;n=7;class=guaranteed;`: the time on the machine's monotonic clock, which
//! all processes of one machine share; the number of the post; and, if there is one, the
//! class that it is counted under. Everything is plain ASCII that JSON does not escape.

use std::fmt;

use memchr::{memchr, memmem};
use rustix::time::{ClockId, clock_gettime};

const MARK: &[u8] = b"sent_us=";

/// What stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// When it was sent: see [`now_us`].
    pub sent_us: u64,
    /// Counts a poster's texts from 0.
    pub n: u64,
    /// A class of its own in the report; empty for none. Letters, digits and hyphens.
    pub class: &'a str,
}

impl<'a> Stamp<'a> {
    /// A stamp for a text that is sent now.
    #[must_use]
    pub fn now(n: u64, class: &'a str) -> Self {
        Self { sent_us: now_us(), n, class }
    }

    /// The first stamp in `bytes`.
    #[must_use]
    pub fn find(bytes: &'a [u8]) -> Option<Self> {
        let at = memmem::find(bytes, MARK)? + MARK.len();
        let (sent_us, rest) = number(&bytes[at..])?;
        let (n, rest) = number(rest.strip_prefix(b"n=")?)?;
        let class = rest.strip_prefix(b"class=").and_then(|rest| Some(&rest[..memchr(b';', rest)?]));
        Some(Self { sent_us, n, class: std::str::from_utf8(class.unwrap_or_default()).ok()? })
    }
}

impl fmt::Display for Stamp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent_us={};n={};", self.sent_us, self.n)?;
        if self.class.is_empty() { Ok(()) } else { write!(f, "class={};", self.class) }
    }
}

/// The digits up to a semicolon, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = memchr(b';', bytes)?;
    Some((digits(&bytes[..end])?, &bytes[end + 1..]))
}

/// A decimal number and nothing else.
pub(super) fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 20 {
        return None;
    }
    bytes.iter().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Microseconds on the machine's monotonic clock.
#[must_use]
pub fn now_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_back_from_the_middle_of_a_text() {
        for class in ["", "guaranteed"] {
            let stamp = Stamp::now(17, class);
            let text = format!(r#"{{"id":"4","text":"hello {stamp} line 17"}}"#);
            assert_eq!(Stamp::find(text.as_bytes()), Some(stamp));
        }
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        for text in ["", "sent_us=", "sent_us=;n=1;", "sent_us=1", "sent_us=1;m=2;", "sent_us=x;n=1;", "sent_us=1;n=2"]
        {
            assert_eq!(Stamp::find(text.as_bytes()), None, "{text}");
        }
    }
}
