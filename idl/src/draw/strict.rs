//! Reading JSON to the letter. Derived readers also take an array for an object (its fields
//! in order) and `{"name":null}` for `"name"`: another verifier would not, and what is
//! checked by many has one meaning only if it has one form.
//!
//! In formats that are not for people there is one form anyway, and it is left alone.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, StringDeserializer};
use serde::de::{Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A document that is written as an object, and only as that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() { d.deserialize_map(ObjectVisitor(PhantomData)) } else { T::deserialize(d).map(Self) }
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// An array of objects.
pub(super) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(d)?.into_iter().map(|object| object.0).collect())
}

/// An object or `null`, which has to be said.
pub(super) fn object_or_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(d)?.map(|object| object.0))
}

/// One of a closed list of names.
pub(super) fn name<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<T, D::Error> {
    if d.is_human_readable() {
        let name: StringDeserializer<D::Error> = String::deserialize(d)?.into_deserializer();
        T::deserialize(name)
    } else {
        T::deserialize(d)
    }
}

/// An integer that every reader of JSON can hold: below 2^53.
pub(super) fn exact<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let n = u64::deserialize(d)?;
    if n < 1 << 53 { Ok(n) } else { Err(D::Error::custom("an integer is not below 2^53")) }
}

/// A weight, which is hashed as four bytes: below 2^32.
pub(super) fn weight<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    let n = u64::deserialize(d)?;
    if n < 1 << 32 { Ok(n) } else { Err(D::Error::custom("a weight is not below 2^32")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::{Entry, Proof, Replaced};

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
    fn a_weight_is_below_two_to_the_32() {
        let line = |weight: &str| format!("{{\"n\":0,\"user_id\":\"1\",\"entered_at_ms\":0,\"weight\":{weight}}}");
        for good in ["0", "4294967295"] {
            assert_eq!(serde_json::from_str::<Entry>(&line(good)).unwrap().weight.to_string(), good);
        }
        for bad in ["4294967296", "9007199254740991", "-1", "1.0", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Entry>(&line(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_object_is_no_array_and_a_name_no_object() {
        let good = "{\"n\":0,\"user_id\":\"1\",\"entered_at_ms\":0,\"weight\":1}";
        assert!(serde_json::from_str::<Object<Entry>>(good).is_ok());
        for bad in ["[0,\"1\",0,1]".to_owned(), good.replace("\"n\":0", "\"n\":0,\"n\":0"), good.replace('n', "m")] {
            assert!(serde_json::from_str::<Object<Entry>>(&bad).is_err(), "{bad}");
        }
        let record = |reason: &str| {
            let signature = "00".repeat(64);
            serde_json::from_str::<Replaced>(&format!(
                "{{\"n\":0,\"reason\":{reason},\"at_ms\":1,\"signature\":\"{signature}\"}}"
            ))
        };
        assert!(record("\"declined\"").is_ok());
        for bad in ["{\"declined\":null}", "\"Declined\"", "1", "2", "null"] {
            assert!(record(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_inside_a_proof_is_as_strict() {
        let (hash, signature) = ("00".repeat(32), "00".repeat(64));
        let proof = |beacon: &str, winners: &str, replaced: &str| {
            serde_json::from_str::<Object<Proof>>(&format!(
                "{{\"protocol\":\"p\",\"spec\":\"s\",\"commitment\":\"{hash}\",\"opened_signature\":\"{signature}\",\
                 \"root\":\"{hash}\",\"count\":0,\"closed_at_ms\":0,\"closed_signature\":\"{signature}\",\
                 \"seed\":\"{hash}\"{beacon},\"winners\":[{winners}],\"replaced\":[{replaced}]}}"
            ))
        };
        let null = ",\"beacon\":null";
        assert!(proof(null, "", "").is_ok());
        assert!(proof(null, &format!("{{\"n\":0,\"user_id\":\"1\",\"key\":\"{hash}\",\"prize\":0}}"), "").is_ok());
        assert!(proof("", "", "").is_err());
        assert!(proof(&format!(",\"beacon\":[\"{hash}\",1,\"{hash}\",\"00\"]"), "", "").is_err());
        assert!(proof(null, &format!("[0,\"1\",\"{hash}\",0]"), "").is_err());
        assert!(proof(null, "", &format!("[0,\"declined\",1,\"{signature}\"]")).is_err());
    }
}
