//! Bytes as lowercase hexadecimal.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The text is not lowercase hexadecimal of the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0} bytes in lowercase hexadecimal")]
pub struct BadHex(usize);

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], BadHex> {
    let mut bytes = [0; N];
    // The library takes capitals, too.
    let is_lower_case = !text.bytes().any(|c| c.is_ascii_uppercase());
    let decoded = hex::decode_to_slice(text, &mut bytes).is_ok();
    if is_lower_case && decoded { Ok(bytes) } else { Err(BadHex(N)) }
}

macro_rules! hex {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadHex;
            fn from_str(text: &str) -> Result<Self, BadHex> {
                parse_hex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern)).build().into())
            }
        }

        impl ToSchema for $name {}
    };
}

hex!(
    /// A SHA-256 hash, an HMAC, a public key or a revealed seed: 32 bytes.
    Hash,
    32,
    "^[0-9a-f]{64}$"
);
hex!(
    /// An Ed25519 signature.
    Signature,
    64,
    "^[0-9a-f]{128}$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_lower_case_and_of_one_length() {
        let hash = Hash([0xab; 32]);
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
        for bad in [json.to_uppercase(), json.replace("ab\"", "\""), json.replace("ab\"", "ag\""), "1".to_owned()] {
            assert!(serde_json::from_str::<Hash>(&bad).is_err(), "{bad}");
        }
    }
}
