//! A message's bytes on NSQ: JSON, `{"body": "17", "traceparent": null}`. Fields that are not
//! known are passed over, and what is no such JSON is a bare body, so that older and newer
//! processes, and people with a command line, understand each other.

use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) body: String,
    #[serde(default)]
    pub(super) traceparent: Option<String>,
}

pub(super) fn pack(body: String, traceparent: Option<String>) -> Vec<u8> {
    let envelope = Envelope { body, traceparent };
    // Two strings always are JSON.
    serde_json::to_vec(&envelope).unwrap_or_else(|_| envelope.body.into_bytes())
}

pub(super) fn unpack(bytes: &[u8]) -> Envelope {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Envelope { body: String::from_utf8_lossy(bytes).into_owned(), traceparent: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_understood_by_older_and_newer_ones() {
        let packed = pack("17".to_owned(), None);
        assert_eq!(packed, br#"{"body":"17","traceparent":null}"#);
        let bare = |body: &str| Envelope { body: body.to_owned(), traceparent: None };
        assert_eq!(unpack(&packed), bare("17"));
        assert_eq!(unpack(br#"{"body":"17","priority":1}"#), bare("17"));
        assert_eq!(unpack(b"17"), bare("17"));
        assert_eq!(unpack(br#"{"id":17}"#), bare(r#"{"id":17}"#));
        let traced = pack("17".to_owned(), Some("00-ab-cd-01".to_owned()));
        assert_eq!(unpack(&traced).traceparent.as_deref(), Some("00-ab-cd-01"));
    }
}
