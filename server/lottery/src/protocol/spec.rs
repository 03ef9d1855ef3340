//! What is fixed when a lottery is made, as the string that is hashed: canonical JSON
//! (RFC 8785).
//!
//! Reading is strict. Text is refused if a field is missing, unknown or there twice, if its
//! version is not known, a number is not below 2^53 or a largest weight is none, and if any
//! byte is not the one that canonical JSON has there: what is hashed has exactly one meaning,
//! and one form. A spec that is just foolish (no prizes, drawn before it opens) is read, and
//! not written.

use idl::draw::{Hash, Spec, Weight};
use sha2::{Digest as _, Sha256};

/// The version of [`Spec`] that this is.
pub const VERSION: u64 = 1;
/// A rule gives no entry more chances. Each of them is an HMAC: what a verifier has to compute
/// for an entry is bounded, whatever a document says.
pub const MAX_WEIGHT: u64 = u16::MAX as u64;

/// Why text, or what it says, can be no spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSpec {
    /// No JSON, or not with exactly these fields.
    #[error("the spec can't be read: {0}")]
    Json(String),
    /// The same in canonical JSON has other bytes.
    #[error("the spec is not canonical JSON (RFC 8785)")]
    NotCanonical,
    /// Another version.
    #[error("the spec has version {0}, and only {VERSION} is known")]
    Version(u64),
    /// Nothing can be won.
    #[error("the spec has no prizes, or none of one kind")]
    NoPrize,
    /// Nobody could ever enter.
    #[error("the spec's draw is not after its opening")]
    NeverOpen,
    /// No weight, or too large a one.
    #[error("the spec's largest weight is not from 1 to {MAX_WEIGHT}")]
    Weight,
    /// Only numbers below 2^53 are exact everywhere.
    #[error("a number in the spec is not below 2^53")]
    Number,
}

/// A spec with its string and that string's hash. What it holds was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecText {
    spec: Spec,
    text: String,
    hash: Hash,
}

impl SpecText {
    /// Writes a new lottery's spec.
    ///
    /// # Errors
    /// Its values make no sense, or not together.
    pub fn new(spec: Spec) -> Result<Self, BadSpec> {
        check(&spec)?;
        if spec.prizes.is_empty() || spec.prizes.iter().any(|prize| prize.count == 0) {
            return Err(BadSpec::NoPrize);
        }
        if spec.opens_at_ms >= spec.draw_at_ms {
            return Err(BadSpec::NeverOpen);
        }
        let text = canonical(&spec)?;
        // Numbers that are too large are noticed by the one place that knows how.
        serde_json::from_str::<Spec>(&text).map_err(|_| BadSpec::Number)?;
        Ok(Self { hash: hash(&text), spec, text })
    }

    /// Reads a spec string.
    ///
    /// # Errors
    /// It is not the canonical form of a spec.
    pub fn parse(text: &str) -> Result<Self, BadSpec> {
        let spec: Spec = serde_json::from_str(text).map_err(|error| BadSpec::Json(error.to_string()))?;
        check(&spec)?;
        if canonical(&spec)? != text {
            return Err(BadSpec::NotCanonical);
        }
        Ok(Self { hash: hash(text), spec, text: text.to_owned() })
    }

    /// What it says.
    #[must_use]
    pub const fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The string that travels and is hashed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// `spec_hash`: SHA-256 of the string.
    #[must_use]
    pub const fn hash(&self) -> &Hash {
        &self.hash
    }
}

fn hash(text: &str) -> Hash {
    Hash(Sha256::digest(text).into())
}

fn canonical(spec: &Spec) -> Result<String, BadSpec> {
    serde_json_canonicalizer::to_string(spec).map_err(|error| BadSpec::Json(error.to_string()))
}

fn check(spec: &Spec) -> Result<(), BadSpec> {
    if spec.v != VERSION {
        return Err(BadSpec::Version(spec.v));
    }
    if let Weight::Rule(rule) = &spec.weight
        && !(1..=MAX_WEIGHT).contains(&rule.max)
    {
        return Err(BadSpec::Weight);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use idl::draw::{Condition, One, Prize};
    use idl::{LotteryId, RoomId, SessionId};

    use super::*;

    fn spec() -> Spec {
        Spec {
            v: 1,
            lottery_id: LotteryId(7),
            room_id: RoomId(1),
            title: "A \"new\" keyboard\n键盘 \u{1F389}\u{7f}".to_owned(),
            prizes: vec![Prize { name: "keyboard".to_owned(), count: 1 }],
            conditions: vec![Condition::Posted(SessionId(3)), Condition::Keyword("冲".to_owned())],
            weight: Weight::One(One::One),
            claim_ms: 0,
            opens_at_ms: 1_000,
            draw_at_ms: 2_000,
            receipt_key: Hash([0xab; 32]),
            beacon: None,
        }
    }

    #[test]
    fn the_text_is_canonical() {
        let key = "ab".repeat(32);
        let expected = format!(
            "{{\"beacon\":null,\"claim_ms\":0,\"conditions\":[{{\"posted\":\"3\"}},{{\"keyword\":\"冲\"}}],\
             \"draw_at_ms\":2000,\"lottery_id\":\"7\",\"opens_at_ms\":1000,\
             \"prizes\":[{{\"count\":1,\"name\":\"keyboard\"}}],\"receipt_key\":\"{key}\",\"room_id\":\"1\",\
             \"title\":\"A \\\"new\\\" keyboard\\n键盘 \u{1F389}\u{7f}\",\"v\":1,\"weight\":\"one\"}}"
        );
        let text = SpecText::new(spec()).unwrap();
        assert_eq!(text.text(), expected);
        assert_eq!(SpecText::parse(&expected).unwrap(), text);
        assert_eq!(text.hash().0, <[u8; 32]>::from(Sha256::digest(expected.as_bytes())));
    }

    #[test]
    fn any_other_form_of_the_same_is_refused() {
        let text = SpecText::new(spec()).unwrap().text;
        for (from, to) in [
            ("{\"beacon\":null,\"claim_ms\":0,", "{\"claim_ms\":0,\"beacon\":null,"),
            ("\"v\":1", "\"v\": 1"),
            ("\"v\":1", "\"\\u0076\":1"),
            ("\\n", "\\u000a"),
            ("键", "\\u952e"),
            ("}", "} "),
        ] {
            assert_eq!(SpecText::parse(&text.replacen(from, to, 1)), Err(BadSpec::NotCanonical), "{from} {to}");
        }
    }

    #[test]
    fn what_is_missing_unknown_double_or_nonsense_is_refused() {
        let text = SpecText::new(spec()).unwrap().text;
        for (from, to) in [
            ("\"beacon\":null,", ""),
            ("\"beacon\":null,", "\"beacon\":null,\"beacon\":null,"),
            ("\"beacon\":null,", "\"also\":null,\"beacon\":null,"),
            ("\"count\":1,", ""),
            ("\"count\":1,", "\"count\":1,\"count\":1,"),
            ("posted", "liked"),
            ("\"one\"", "\"two\""),
            ("\"one\"", "{\"max\":3,\"max\":3,\"rule\":\"level\"}"),
            ("\"v\":1", "\"v\":1e0"),
            ("\"claim_ms\":0", "\"claim_ms\":-0"),
            ("\"claim_ms\":0", "\"claim_ms\":9007199254740992"),
            ("\"lottery_id\":\"7\"", "\"lottery_id\":7"),
            ("abab", "ABAB"),
        ] {
            let bad = SpecText::parse(&text.replacen(from, to, 1));
            assert!(matches!(bad, Err(BadSpec::Json(_))), "{from} {to} {bad:?}");
        }
        for (from, to, expected) in [
            ("\"v\":1", "\"v\":2", BadSpec::Version(2)),
            ("\"one\"", "{\"max\":0,\"rule\":\"level\"}", BadSpec::Weight),
            ("\"one\"", "{\"max\":65536,\"rule\":\"level\"}", BadSpec::Weight),
        ] {
            assert_eq!(SpecText::parse(&text.replacen(from, to, 1)), Err(expected), "{from} {to}");
        }
        let largest = text.replacen("\"one\"", "{\"max\":65535,\"rule\":\"level\"}", 1);
        assert_eq!(SpecText::parse(&largest).unwrap().spec().weight.max(), MAX_WEIGHT);
        assert_eq!(SpecText::new(Spec { draw_at_ms: 1 << 53, ..spec() }), Err(BadSpec::Number));
        assert_eq!(SpecText::new(Spec { prizes: Vec::new(), ..spec() }), Err(BadSpec::NoPrize));
        assert_eq!(SpecText::new(Spec { draw_at_ms: 1_000, ..spec() }), Err(BadSpec::NeverOpen));
    }
}
