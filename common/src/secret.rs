//! Settings that nobody may see: passwords, keys of other servers.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a secret looks like wherever it is printed.
const STARS: &str = "***";

/// A secret of any form; empty is none. It is never printed, neither by `goligoli config` nor
/// by Debug.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() { "" } else { STARS })
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(if self.is_empty() { "" } else { STARS })
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = d.deserialize_any(Quoted)?;
        // A printed configuration was taken for one that can be read.
        if text == STARS {
            return Err(D::Error::custom("the secret itself is needed, not the stars that stand for it"));
        }
        Ok(Self(text))
    }
}

/// Takes text alone. What is something else is not shown: serde's own message would quote it.
pub(crate) struct Quoted;

impl Quoted {
    fn refuse<E: Error>() -> Result<String, E> {
        Err(E::custom("a secret has to be text, in quotes"))
    }
}

impl Visitor<'_> for Quoted {
    type Value = String;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<String, E> {
        Self::refuse()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<String, E> {
        Self::refuse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_never_printed() {
        let secret: SecretText = serde_json::from_str("\"open sesame\"").unwrap();
        assert_eq!(secret.reveal(), "open sesame");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"***\"");
        assert_eq!(format!("{secret:?}"), "***");
        let none: SecretText = serde_json::from_str("\"\"").unwrap();
        assert!(none.is_empty());
        assert_eq!(serde_json::to_string(&none).unwrap(), "\"\"");
        assert!(serde_json::from_str::<SecretText>("\"***\"").is_err());
        for bare in ["20240101", "-20240101", "20240101.5", "true"] {
            let error = serde_json::from_str::<SecretText>(bare).unwrap_err().to_string();
            assert!(error.contains("quotes") && !error.contains(bare), "{error}");
        }
    }
}
