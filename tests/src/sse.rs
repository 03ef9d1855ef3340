//! Reads a `text/event-stream` by the letter of WHATWG HTML, "Server-sent events".

use serde_json::Value;

/// What a block of a stream comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// No event, but the position moved: this is the last event id now.
    Position(String),
    /// How long to wait before coming back, in milliseconds.
    Retry(u64),
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The id that stood in this very block.
    pub id: Option<String>,
    /// Its type; `message` if none was given.
    pub kind: String,
    /// Its data.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.data))
    }

    /// The text of the danmaku that this is.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        (self.kind == "danmaku").then(|| self.json()["text"].as_str().expect("a text").to_owned())
    }
}

/// Takes bytes as they come and gives items.
#[derive(Debug, Default)]
pub struct Parser {
    /// Bytes of a line that has not ended.
    rest: Vec<u8>,
    /// The byte before was a carriage return: a line feed now belongs to it.
    after_cr: bool,
    past_first_line: bool,
    last_event_id: String,
    block: Block,
}

/// What stands since the last empty line.
#[derive(Debug, Default)]
struct Block {
    id: Option<String>,
    kind: String,
    data: String,
}

impl Parser {
    /// What a client would send as `Last-Event-ID`.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Takes bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        for &byte in bytes {
            let ends = match byte {
                b'\n' => !std::mem::take(&mut self.after_cr),
                b'\r' => {
                    self.after_cr = true;
                    true
                }
                other => {
                    self.after_cr = false;
                    self.rest.push(other);
                    false
                }
            };
            if ends {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned();
                let first = !std::mem::replace(&mut self.past_first_line, true);
                let mark = if first { "\u{feff}" } else { "" };
                items.extend(self.line(line.strip_prefix(mark).unwrap_or(&line)));
            }
        }
        items
    }

    fn line(&mut self, line: &str) -> Option<Item> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.block.kind),
            "data" => {
                self.block.data.push_str(value);
                self.block.data.push('\n');
            }
            "id" if !value.contains('\0') => self.block.id = Some(value.to_owned()),
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                return value.parse().ok().map(Item::Retry);
            }
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Item> {
        let Block { id, kind, mut data } = std::mem::take(&mut self.block);
        if let Some(id) = &id {
            id.clone_into(&mut self.last_event_id);
        }
        if data.is_empty() {
            return id.map(Item::Position);
        }
        data.pop();
        let kind = if kind.is_empty() { "message".to_owned() } else { kind };
        Some(Item::Event(Event { id, kind, data }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(id: Option<&str>, kind: &str, data: &str) -> Item {
        Item::Event(Event { id: id.map(str::to_owned), kind: kind.to_owned(), data: data.to_owned() })
    }

    #[test]
    fn the_standards_own_examples() {
        let stream = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        let third = event(None, "message", " third event");
        assert_eq!(
            Parser::default().feed(stream.as_bytes()),
            [event(Some("1"), "message", "first event"), event(Some(""), "message", "second event"), third]
        );
        let stream = "data\n\ndata\ndata\n\ndata:";
        assert_eq!(
            Parser::default().feed(stream.as_bytes()),
            [event(None, "message", ""), event(None, "message", "\n")]
        );
    }

    #[test]
    fn an_id_alone_moves_the_position_and_an_event_without_one_does_not() {
        let mut parser = Parser::default();
        let items = parser.feed(b"\xef\xbb\xbfid: 7\r\n\r\nretry: 250\n\nretry: 2s\nevent: bye\rdata: {}\r\r");
        assert_eq!(items, [Item::Position("7".to_owned()), Item::Retry(250), event(None, "bye", "{}")]);
        assert_eq!(parser.last_event_id(), "7");
        assert_eq!(parser.feed(b"id: 8\nevent: cut off"), []);
        assert_eq!(parser.last_event_id(), "7", "a block that never ended counts for nothing");
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_bytes_are_cut(cuts in prop::collection::vec(1usize..9, 0..60)) {
            let stream = "id: 1-2\nevent: danmaku\ndata: {\"text\":\"夜行列车 🚆\"}\n\r\n: x\n\nid: 1-3\n\nretry: 5\n\n".as_bytes();
            let whole = Parser::default().feed(stream);
            let (mut parser, mut items, mut rest) = (Parser::default(), Vec::new(), stream);
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                items.extend(parser.feed(now));
                rest = later;
            }
            items.extend(parser.feed(rest));
            prop_assert_eq!(items, whole);
        }
    }
}
