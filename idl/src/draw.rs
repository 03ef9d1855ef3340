//! The documents of the draw protocol `goligoli-draw/1`, as they stand in JSON: what is
//! announced, signed, proved and checked. In all of them ids are decimal strings, `n`,
//! counts and times integers below 2^53, hashes, keys, seeds and signatures lowercase
//! hexadecimal, and unknown fields are refused. What the bytes mean and how they are made
//! is the lottery service's `protocol`.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::{LotteryId, RoomId, SessionId, UserId};

mod hex;
mod strict;

pub use hex::{BadHex, Hash, Signature};
pub use strict::Object;

/// What a proof names itself.
pub const PROTOCOL: &str = "goligoli-draw/1";

/// What is fixed when a lottery is made. Its canonical JSON (RFC 8785) is the *spec string*,
/// which travels as a string and is hashed as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// 1.
    #[serde(deserialize_with = "strict::exact")]
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
    #[serde(deserialize_with = "strict::exact")]
    pub claim_ms: u64,
    /// From then on entries are taken (ms since 1970),
    #[serde(deserialize_with = "strict::exact")]
    pub opens_at_ms: u64,
    /// and until then.
    #[serde(deserialize_with = "strict::exact")]
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
    #[serde(deserialize_with = "strict::exact")]
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
    /// The most chances that it gives: 1 to 65,535.
    #[serde(deserialize_with = "strict::exact")]
    pub max: u64,
}

/// A round of a drand chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeaconRound {
    /// The chain.
    pub chain_hash: Hash,
    /// The round.
    #[serde(deserialize_with = "strict::exact")]
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
    #[serde(deserialize_with = "strict::exact")]
    pub count: u64,
    /// When they were frozen (ms since 1970).
    #[serde(deserialize_with = "strict::exact")]
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
    #[serde(deserialize_with = "strict::exact")]
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
    #[serde(deserialize_with = "strict::exact")]
    pub n: u64,
    /// Whose entry.
    pub user_id: UserId,
    /// When it was accepted (ms since 1970).
    #[serde(deserialize_with = "strict::exact")]
    pub entered_at_ms: u64,
    /// How many chances it has; below 2^32.
    #[serde(deserialize_with = "strict::weight")]
    pub weight: u64,
    /// Of all that, by the spec's key.
    pub signature: Signature,
}

/// A line of the entries: NDJSON in order, every line ended by a newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The entry's number.
    #[serde(deserialize_with = "strict::exact")]
    pub n: u64,
    /// Whose.
    pub user_id: UserId,
    /// When it was accepted (ms since 1970).
    #[serde(deserialize_with = "strict::exact")]
    pub entered_at_ms: u64,
    /// How many chances it has; below 2^32.
    #[serde(deserialize_with = "strict::weight")]
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
    #[serde(deserialize_with = "strict::exact")]
    pub count: u64,
    /// See [`Closed`].
    #[serde(deserialize_with = "strict::exact")]
    pub closed_at_ms: u64,
    /// See [`Closed`].
    pub closed_signature: Signature,
    /// What the commitment was of.
    pub seed: Hash,
    /// `null` unless the spec names a round.
    #[serde(deserialize_with = "strict::object_or_null")]
    #[schema(required)]
    pub beacon: Option<Beacon>,
    /// Those who hold a prize now, in the order of the ranking.
    #[serde(deserialize_with = "strict::objects")]
    pub winners: Vec<Winner>,
    /// The replacements, in their order.
    #[serde(deserialize_with = "strict::objects")]
    pub replaced: Vec<Replaced>,
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
    #[serde(deserialize_with = "strict::exact")]
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
    #[serde(deserialize_with = "strict::exact")]
    pub n: u64,
    /// Whose it is.
    pub user_id: UserId,
    /// What it was ranked by.
    pub key: Hash,
    /// Which prize, as an index into the spec's.
    #[serde(deserialize_with = "strict::exact")]
    pub prize: u64,
}

/// A winner was taken out, and the next in the ranking got the prize, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// The entry that was taken out.
    #[serde(deserialize_with = "strict::exact")]
    pub n: u64,
    /// Why.
    #[serde(deserialize_with = "strict::name")]
    pub reason: ReplaceReason,
    /// When (ms since 1970).
    #[serde(deserialize_with = "strict::exact")]
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
    #[serde(deserialize_with = "strict::exact")]
    pub n: u64,
    /// How many there are.
    #[serde(deserialize_with = "strict::exact")]
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
