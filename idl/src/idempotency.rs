//! Idempotency keys: what makes the repetition of a request safe.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Code, Refusal};

/// The most characters a key may have.
pub const MAX_KEY_CHARS: usize = 64;

/// A key that a client chose for a request: 1 to 64 visible ASCII characters. What it
/// stands for, and for how long, each method says itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = Refusal;
    fn try_from(key: String) -> Result<Self, Refusal> {
        if (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(key));
        }
        let detail = format!("an idempotency key is 1 to {MAX_KEY_CHARS} visible ASCII characters");
        Err(Refusal::new(Code::MalformedRequest, detail))
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_visible_ascii() {
        let parse = |key: &str| IdempotencyKey::try_from(key.to_owned());
        for good in ["k", "~!/\\\"'", &"x".repeat(64)] {
            assert_eq!(parse(good).unwrap().as_str(), good);
            let json = serde_json::to_string(good).unwrap();
            assert_eq!(serde_json::from_str::<IdempotencyKey>(&json).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "a\n", "\u{7f}", "é", "键", "\0", &"x".repeat(65)] {
            assert_eq!(parse(bad).unwrap_err().code, Code::MalformedRequest, "{bad:?}");
            assert!(serde_json::from_str::<IdempotencyKey>(&serde_json::to_string(bad).unwrap()).is_err(), "{bad:?}");
        }
    }
}
