//! The documents of the draw protocol `goligoli-draw/1`, as they stand in JSON: what is
//! announced, signed, proved and checked. In all of them ids are decimal strings, `n`,
//! counts and times integers below 2^53, hashes, keys, seeds and signatures lowercase
//! hexadecimal, and unknown fields are refused. What the bytes mean and how they are made
//! is the lottery service's `protocol`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::{LotteryId, RoomId, SessionId, UserId};

/// What a proof names itself.
pub const PROTOCOL: &str = "goligoli-draw/1";

/// The text is not lowercase hexadecimal of the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0} bytes in lowercase hexadecimal")]
pub struct BadHex(usize);

fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], BadHex> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(BadHex(N)),
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return Err(BadHex(N));
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
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

/// What is fixed when a lottery is made. Its canonical JSON (RFC 8785) is the *spec string*,
/// which travels as a string and is hashed as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// 1.
    #[serde(deserialize_with = "exact")]
    pub v: u64,
    /// The lottery.
    pub lottery_id: LotteryId,
    /// Its room.
    pub room_id: RoomId,
    /// What it is called.
    pub title: String,
    /// The tiers, best first.
    pub prizes: Vec<Prize>,
    /// All must hold when somebody enters.
    pub conditions: Vec<Condition>,
    /// How many chances an entry has.
    pub weight: Weight,
    /// How long a winner has to claim; 0: nothing needs to be claimed.
    #[serde(deserialize_with = "exact")]
    pub claim_ms: u64,
    /// From then on entries are taken (ms since 1970),
    #[serde(deserialize_with = "exact")]
    pub opens_at_ms: u64,
    /// and until then.
    #[serde(deserialize_with = "exact")]
    pub draw_at_ms: u64,
    /// The Ed25519 public key that signs everything about this lottery.
    pub receipt_key: Hash,
    /// A public source of randomness that nobody can know before. `null`: the operator is trusted.
    #[serde(deserialize_with = "present")]
    pub beacon: Option<BeaconRound>,
}

/// A tier of prizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prize {
    /// What it is: 1 to 60 characters, one line.
    #[schema(min_length = 1, max_length = 60, example = "a keyboard")]
    pub name: String,
    /// How many of it.
    #[schema(minimum = 1, maximum = 1000)]
    #[serde(deserialize_with = "exact")]
    pub count: u64,
}

/// Who may enter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    /// Who has posted a danmaku in this broadcast.
    Posted(SessionId),
    /// Who posts this as a danmaku, which is the entry.
    Keyword(String),
}

/// How many chances an entry has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Weight {
    /// `"one"`: each entry has one.
    One(One),
    /// By a rule, at most `max`.
    Rule(WeightRule),
}

impl Weight {
    /// The most that an entry may have.
    #[must_use]
    pub const fn max(&self) -> u64 {
        match self {
            Self::One(One::One) => 1,
            Self::Rule(rule) => rule.max,
        }
    }
}

/// The word `one`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum One {
    /// `"one"`.
    One,
}

/// A rule that gives an entry more chances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightRule {
    /// Its name.
    pub rule: String,
    /// The most chances that it gives; at least 1, below 2^32.
    #[serde(deserialize_with = "exact")]
    pub max: u64,
}

/// A round of a drand chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeaconRound {
    /// The chain.
    pub chain_hash: Hash,
    /// The round.
    #[serde(deserialize_with = "exact")]
    pub round: u64,
}

/// A lottery was opened: the promise that binds the seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Opened {
    /// The spec string.
    pub spec: String,
    /// What binds the seed, which nobody sees yet.
    pub commitment: Hash,
    /// Of both, by the spec's key.
    pub signature: Signature,
}

/// The entries are frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    /// Which lottery.
    pub lottery_id: LotteryId,
    /// The Merkle tree hash (RFC 9162) over all entries in order.
    pub root: Hash,
    /// How many there are.
    #[serde(deserialize_with = "exact")]
    pub count: u64,
    /// When they were frozen (ms since 1970).
    #[serde(deserialize_with = "exact")]
    pub closed_at_ms: u64,
    /// Of all that, by the spec's key.
    pub signature: Signature,
}

/// The lottery was called off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancelled {
    /// Which lottery.
    pub lottery_id: LotteryId,
    /// When (ms since 1970).
    #[serde(deserialize_with = "exact")]
    pub at_ms: u64,
    /// Why, in the streamer's words.
    pub reason: String,
    /// That it was called off, by the spec's key.
    pub signature: Signature,
}

/// What an entrant holds: if it is missing under the root, that is fraud, and provable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Which lottery.
    pub lottery_id: LotteryId,
    /// The entry's number, from 0 in order of acceptance, without holes.
    #[serde(deserialize_with = "exact")]
    pub n: u64,
    /// Whose entry.
    pub user_id: UserId,
    /// When it was accepted (ms since 1970).
    #[serde(deserialize_with = "exact")]
    pub entered_at_ms: u64,
    /// How many chances it has.
    #[serde(deserialize_with = "exact")]
    pub weight: u64,
    /// Of all that, by the spec's key.
    pub signature: Signature,
}

/// A line of the entries: NDJSON in order, every line ended by a newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The entry's number.
    #[serde(deserialize_with = "exact")]
    pub n: u64,
    /// Whose.
    pub user_id: UserId,
    /// When it was accepted (ms since 1970).
    #[serde(deserialize_with = "exact")]
    pub entered_at_ms: u64,
    /// How many chances it has.
    #[serde(deserialize_with = "exact")]
    pub weight: u64,
}

/// Everything from which anyone can recompute the result, with the entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// [`PROTOCOL`].
    pub protocol: String,
    /// The spec string.
    pub spec: String,
    /// See [`Opened`].
    pub commitment: Hash,
    /// See [`Opened`].
    pub opened_signature: Signature,
    /// See [`Closed`].
    pub root: Hash,
    /// See [`Closed`].
    #[serde(deserialize_with = "exact")]
    pub count: u64,
    /// See [`Closed`].
    #[serde(deserialize_with = "exact")]
    pub closed_at_ms: u64,
    /// See [`Closed`].
    pub closed_signature: Signature,
    /// What the commitment was of.
    pub seed: Hash,
    /// `null` unless the spec names a round.
    #[serde(deserialize_with = "present")]
    #[schema(required)]
    pub beacon: Option<Beacon>,
    /// Those who hold a prize now, in the order of the ranking.
    pub winners: Vec<Winner>,
    /// The replacements, in their order.
    pub replaced: Vec<Replaced>,
}

/// An integer that every reader of JSON can hold: below 2^53.
fn exact<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let n = u64::deserialize(d)?;
    if n < 1 << 53 { Ok(n) } else { Err(D::Error::custom("an integer is not below 2^53")) }
}

/// `null` has to be said.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(d)
}

/// The randomness of a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Beacon {
    /// The chain.
    pub chain_hash: Hash,
    /// The round.
    #[serde(deserialize_with = "exact")]
    pub round: u64,
    /// Its randomness.
    pub randomness: Hash,
    /// Its BLS signature.
    pub signature: String,
}

/// Who holds a prize.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Winner {
    /// The entry.
    #[serde(deserialize_with = "exact")]
    pub n: u64,
    /// Whose it is.
    pub user_id: UserId,
    /// What it was ranked by.
    pub key: Hash,
    /// Which prize, as an index into the spec's.
    #[serde(deserialize_with = "exact")]
    pub prize: u64,
}

/// A winner was taken out, and the next in the ranking got the prize, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// The entry that was taken out.
    #[serde(deserialize_with = "exact")]
    pub n: u64,
    /// Why.
    pub reason: ReplaceReason,
    /// When (ms since 1970).
    #[serde(deserialize_with = "exact")]
    pub at_ms: u64,
    /// Of all that and the record before, by the spec's key.
    pub signature: Signature,
}

/// Why a winner was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplaceReason {
    /// The time for claiming had passed.
    Unclaimed,
    /// The winner did not want it.
    Declined,
}

impl ReplaceReason {
    /// As it is signed.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Unclaimed => 1,
            Self::Declined => 2,
        }
    }
}

/// That an entry lies under the root: RFC 9162's audit path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// The entry.
    #[serde(deserialize_with = "exact")]
    pub n: u64,
    /// How many there are.
    #[serde(deserialize_with = "exact")]
    pub count: u64,
    /// What they are under.
    pub root: Hash,
    /// The entry's hash.
    pub leaf: Hash,
    /// From the leaf up.
    pub path: Vec<Hash>,
}

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

    #[test]
    fn an_integer_is_one_that_every_reader_can_hold() {
        let line = |n: &str| format!("{{\"n\":{n},\"user_id\":\"1\",\"entered_at_ms\":0,\"weight\":1}}");
        for good in ["0", "9007199254740991"] {
            assert_eq!(serde_json::from_str::<Entry>(&line(good)).unwrap().n.to_string(), good);
        }
        for bad in ["9007199254740992", "18446744073709551616", "-1", "-0", "1.0", "1e3", "01", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Entry>(&line(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_condition_is_one_of_a_closed_list() {
        for good in ["{\"posted\":\"17\"}", "{\"keyword\":\"冲\"}"] {
            let condition: Condition = serde_json::from_str(good).unwrap();
            assert_eq!(serde_json::to_string(&condition).unwrap(), good);
        }
        for bad in ["{\"posted\":17}", "{\"followed\":\"1\"}", "{\"posted\":\"1\",\"keyword\":\"x\"}", "{}", "\"one\""]
        {
            assert!(serde_json::from_str::<Condition>(bad).is_err(), "{bad}");
        }
        for (text, max) in [("\"one\"", 1), ("{\"rule\":\"level\",\"max\":3}", 3)] {
            assert_eq!(serde_json::from_str::<Weight>(text).unwrap().max(), max);
        }
        for bad in ["\"two\"", "1", "{\"rule\":\"level\"}", "{\"rule\":\"level\",\"max\":3,\"min\":1}"] {
            assert!(serde_json::from_str::<Weight>(bad).is_err(), "{bad}");
        }
    }
}
