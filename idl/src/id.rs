//! Ids and times. Ids are integers below 2^53 inside, decimal strings in JSON, so that a
//! browser never rounds one. Times are milliseconds since 1970 inside, RFC 3339 in JSON.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// What every id looks like in JSON and in a path: no leading zero, and below 2^53; the few
/// ids between 9 × 10^15 and that, which nobody will ever see, are left out.
const ID_PATTERN: &str = "^([1-9][0-9]{0,14}|[1-8][0-9]{15})$";

/// 2^53: the first integer that a double can't tell from its neighbour.
const LIMIT: u64 = 1 << 53;

/// The text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is a decimal number from 1 to 2^53 - 1 without a leading zero")]
pub struct BadId;

fn parse(text: &str) -> Result<u64, BadId> {
    let well_formed =
        (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let id = if well_formed { text.parse().map_err(|_| BadId) } else { Err(BadId) };
    id.and_then(|id: u64| if id < LIMIT { Ok(id) } else { Err(BadId) })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl $name {
            /// As the database keeps it; every id is below 2^53, so nothing is lost.
            #[must_use]
            pub const fn as_i64(self) -> i64 {
                self.0.cast_signed()
            }

            /// From the database.
            #[must_use]
            pub const fn from_i64(n: i64) -> Self {
                Self(n.cast_unsigned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                parse(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if s.is_human_readable() { s.collect_str(&self.0) } else { s.serialize_u64(self.0) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                if d.is_human_readable() {
                    let text = String::deserialize(d)?;
                    text.parse().map_err(D::Error::custom)
                } else {
                    u64::deserialize(d).map(Self)
                }
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(ObjectBuilder::new().schema_type(Type::String).pattern(Some(ID_PATTERN)).build().into())
            }
        }

        impl ToSchema for $name {}
    };
}

id!(
    /// An account.
    UserId
);
id!(
    /// A log-in of an account on one device; revoking it ends that log-in only.
    DeviceId
);
id!(
    /// A room. It outlives its broadcasts.
    RoomId
);
id!(
    /// One broadcast of a room, from opening to closing.
    SessionId
);
id!(
    /// One danmaku.
    DanmakuId
);
id!(
    /// One lottery of a room.
    LotteryId
);
id!(
    /// One replay of a room.
    ReplayId
);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds from `earlier` to this moment; 0 if `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// This moment plus so many milliseconds.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339, UTC, with exactly three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            Err(_) => write!(f, "out of range ({} ms)", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
            Ok(Self(time.as_millisecond()))
        } else {
            i64::deserialize(d).map(Self)
        }
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let date_time = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        RefOr::T(ObjectBuilder::new().schema_type(Type::String).format(Some(date_time)).build().into())
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_string_in_json() {
        assert_eq!(serde_json::to_string(&RoomId(42)).unwrap(), "\"42\"");
        assert_eq!(serde_json::from_str::<RoomId>("\"42\"").unwrap(), RoomId(42));
        assert_eq!(serde_json::from_str::<RoomId>("\"9007199254740991\"").unwrap(), RoomId(LIMIT - 1));
        for bad in
            ["42", "\"042\"", "\"\"", "\"-1\"", "\"12345678901234567\"", "\"9007199254740992\"", "\"4 2\"", "null"]
        {
            assert!(serde_json::from_str::<RoomId>(bad).is_err(), "{bad} is no id");
        }
    }

    #[test]
    fn a_timestamp_is_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        let json = serde_json::to_string(&Timestamp(1_700_000_000_120)).unwrap();
        assert_eq!(json, "\"2023-11-14T22:13:20.120Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), Timestamp(1_700_000_000_120));
    }
}
