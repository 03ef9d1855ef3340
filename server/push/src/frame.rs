//! Events as they stand in a `text/event-stream` (WHATWG HTML, "Server-sent events").
//!
//! An event's id line comes first and is written apart, so that later a stream of many
//! rooms can put an id of its own before the same shared bytes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// A place in a room's feed: just after the event with this number. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Changes when events that somebody saw may have been lost: numbers of two epochs
    /// must not be compared.
    pub(crate) epoch: u64,
    /// Counts up by one per event of the room, from 1.
    pub(crate) seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Position {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (epoch, seq) = text.split_once('-').ok_or(())?;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse().map_err(|_| ()) } else { Err(()) }
        };
        Ok(Self { epoch: number(epoch)?, seq: number(seq)? })
    }
}

/// Appends `id: …`.
pub(crate) fn put_id(out: &mut BytesMut, position: Position) {
    line(out, "id: ", &position.to_string());
}

/// Appends `event: …`, `data: …` and the empty line. `data` must be one line.
pub(crate) fn put_event(out: &mut BytesMut, event: &str, data: &str) {
    line(out, "event: ", event);
    line(out, "data: ", data);
    out.extend_from_slice(b"\n");
}

/// A whole event without an id.
pub(crate) fn unnumbered<T: Serialize>(event: &str, payload: &T) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    put_event(&mut out, event, &json(payload));
    out.freeze()
}

/// A block with nothing but an id: it moves the client's position and fires no event.
pub(crate) fn id_only(position: Position) -> Bytes {
    let mut out = BytesMut::with_capacity(48);
    put_id(&mut out, position);
    out.extend_from_slice(b"\n");
    out.freeze()
}

/// Tells the client how long to wait before it comes back by itself.
pub(crate) fn retry(ms: u64) -> Bytes {
    Bytes::from(format!("retry: {ms}\n\n"))
}

/// A payload as one line of JSON.
pub(crate) fn json<T: Serialize>(payload: &T) -> String {
    // Our own payload types have string keys and no failing Serialize.
    serde_json::to_string(payload).unwrap_or_else(|_| "null".to_owned())
}

/// What a danmaku's payload says; `None` if it is not one.
pub(crate) fn text(data: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Said<'d> {
        #[serde(borrow)]
        text: Cow<'d, str>,
    }
    serde_json::from_str::<Said<'_>>(data).ok().map(|said| said.text)
}

/// Lets a danmaku's payload, a JSON object that [`text`] could read, stand for so many.
pub(crate) fn put_count(data: &mut String, count: u64) {
    if data.pop() == Some('}') {
        // What else is in it stays as its publisher wrote it, also what this build does not know.
        data.push_str(&format!(",\"count\":{count}}}"));
    }
}

fn line(out: &mut BytesMut, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_and_nothing_else_is() {
        let position = Position { epoch: 17, seq: 4 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "-", "1-", "-1", "1", "+1-2", "1-2-3", "a-b", "1-99999999999999999999999"] {
            assert_eq!(bad.parse::<Position>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn a_count_is_added_to_what_is_there() {
        let mut data = r#"{"id":"9007199254740991","text":"a \"b\"","new":{}}"#.to_owned();
        assert_eq!(text(&data).as_deref(), Some("a \"b\""));
        put_count(&mut data, 37);
        assert_eq!(data, r#"{"id":"9007199254740991","text":"a \"b\"","new":{},"count":37}"#);
        assert_eq!((text("{}"), text("7"), text("")), (None, None, None));
    }

    #[test]
    fn a_frame_is_what_the_standard_says() {
        let mut out = BytesMut::new();
        put_id(&mut out, Position { epoch: 1, seq: 2 });
        put_event(&mut out, "danmaku", "{}");
        assert_eq!(out, "id: 1-2\nevent: danmaku\ndata: {}\n\n");
    }
}
