//! From the bytes of a connection to the events in them, without an allocation per event.
//!
//! Knows as much of HTTP and of event streams as servers send: lines end with LF or CRLF
//! (a lone CR is not a line's end here; [`crate::sse`] reads by the letter).

use memchr::{memchr, memmem};

use super::position::Position;
use super::stamp::{Stamp, digits};
use super::target::Ids;

/// Longer heads and events are taken for a broken stream.
const MOST_HEAD_BYTES: usize = 16 << 10;
const MOST_EVENT_BYTES: usize = 4 << 20;
/// An empty buffer that has grown beyond this is given back.
const KEPT_BYTES: usize = 4 << 10;
/// Different labels that are told apart; all further ones are counted under the last.
pub(super) const MOST_LABELS: usize = 16;

/// A block of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) what: What,
    /// Index into [`Labels`].
    pub(super) label: u8,
    pub(super) position: Option<Position>,
    pub(super) sent_us: Option<u64>,
    /// Checksum of type and data.
    pub(super) content: u32,
}

/// What a block means for the viewer's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The next event of the feed, if it has a position; else a word about this connection.
    Event,
    /// Tells the position that the stream goes on from.
    Hello,
    /// So many events will never come; `None` if the server cannot know.
    Gap(Option<u64>),
    /// An id without an event.
    Mark,
}

/// Why a connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// Answered with another status than 200.
    Refused(u16),
    /// Not HTTP, not chunked as it says, or an event without end.
    Malformed,
}

/// The labels that events are counted under: their type, and `type/class` for those whose
/// text names a class.
#[derive(Debug, Default, Clone)]
pub(super) struct Labels(Vec<String>);

impl Labels {
    fn index(&mut self, kind: &[u8], class: &str) -> u8 {
        let is = |label: &String| {
            let (name, rest) = label.split_once('/').unwrap_or((label, ""));
            name.as_bytes() == kind && rest == class
        };
        let found = self.0.iter().position(is).unwrap_or_else(|| {
            if self.0.len() + 1 < MOST_LABELS {
                let kind = String::from_utf8_lossy(kind);
                self.0.push(if class.is_empty() { kind.into_owned() } else { format!("{kind}/{class}") });
            } else if self.0.len() < MOST_LABELS {
                self.0.push("(others)".to_owned());
            }
            self.0.len() - 1
        });
        u8::try_from(found).unwrap_or(u8::MAX)
    }

    pub(super) fn names(&self) -> &[String] {
        &self.0
    }
}

/// How far one connection has been read.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    framing: Framing,
    /// A head or an event whose end has not come.
    tail: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// The head is not complete.
    #[default]
    Head,
    /// The body ends with the connection.
    Plain,
    /// So much of the body is left, as its head said: what an ingress says that has no stream.
    Sized { left: u64 },
    /// In a line that says how long the next chunk is.
    ChunkSize { bytes: u64, in_extension: bool },
    /// So much of a chunk is left.
    Chunk { left: u64 },
    /// So much of the line end after a chunk is left.
    ChunkEnd { left: u8 },
    /// The whole body has come.
    Ended,
}

impl Decoder {
    /// Nothing is half read: the same bytes mean the same to every such connection.
    pub(super) fn is_between_events(&self) -> bool {
        self.tail.is_empty()
            && matches!(self.framing, Framing::Plain | Framing::ChunkSize { bytes: 0, in_extension: false })
    }

    pub(super) const fn has_head(&self) -> bool {
        !matches!(self.framing, Framing::Head)
    }

    /// The body's end is told: a connection that ends before it broke.
    pub(super) const fn tells_its_end(&self) -> bool {
        !matches!(self.framing, Framing::Head | Framing::Plain)
    }

    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.framing, Framing::Ended)
    }

    /// Takes what was read and appends the blocks that it completes.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        ids: Ids,
        labels: &mut Labels,
        items: &mut Vec<Item>,
    ) -> Result<(), Broken> {
        if self.has_head() {
            return self.frames(bytes, ids, labels, items);
        }
        self.tail.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.tail, b"\r\n\r\n") else {
            return if self.tail.len() > MOST_HEAD_BYTES { Err(Broken::Malformed) } else { Ok(()) };
        };
        let head = std::mem::take(&mut self.tail);
        self.framing = framing(&head[..end])?;
        self.frames(&head[end + 4..], ids, labels, items)
    }

    fn frames(&mut self, mut bytes: &[u8], ids: Ids, labels: &mut Labels, items: &mut Vec<Item>) -> Result<(), Broken> {
        while !bytes.is_empty() {
            match &mut self.framing {
                Framing::Head | Framing::Ended => break,
                Framing::Plain => return self.body(bytes, ids, labels, items),
                Framing::Sized { left } => {
                    *left = left.checked_sub(bytes.len() as u64).ok_or(Broken::Malformed)?;
                    if *left == 0 {
                        self.framing = Framing::Ended;
                    }
                    return self.body(bytes, ids, labels, items);
                }
                Framing::ChunkSize { bytes: size, in_extension } => {
                    match bytes[0] {
                        b'\n' if *size == 0 => self.framing = Framing::Ended,
                        b'\n' => self.framing = Framing::Chunk { left: *size },
                        b';' | b' ' | b'\r' => *in_extension = true,
                        _ if *in_extension => {}
                        digit => {
                            let value = char::from(digit).to_digit(16).ok_or(Broken::Malformed)?;
                            *size = size.checked_mul(16).ok_or(Broken::Malformed)? + u64::from(value);
                        }
                    }
                    bytes = &bytes[1..];
                }
                Framing::Chunk { left } => {
                    let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= now as u64;
                    if *left == 0 {
                        self.framing = Framing::ChunkEnd { left: 2 };
                    }
                    let (chunk, rest) = bytes.split_at(now);
                    self.body(chunk, ids, labels, items)?;
                    bytes = rest;
                }
                Framing::ChunkEnd { left } => {
                    if bytes[0] != [b'\n', b'\r'][usize::from(*left - 1)] {
                        return Err(Broken::Malformed);
                    }
                    *left -= 1;
                    if *left == 0 {
                        self.framing = Framing::ChunkSize { bytes: 0, in_extension: false };
                    }
                    bytes = &bytes[1..];
                }
            }
        }
        Ok(())
    }

    fn body(&mut self, bytes: &[u8], ids: Ids, labels: &mut Labels, items: &mut Vec<Item>) -> Result<(), Broken> {
        if self.tail.is_empty() {
            let used = blocks(bytes, ids, labels, items)?;
            self.tail.extend_from_slice(&bytes[used..]);
        } else {
            self.tail.extend_from_slice(bytes);
            let used = blocks(&self.tail, ids, labels, items)?;
            self.tail.drain(..used);
            if self.tail.is_empty() && self.tail.capacity() > KEPT_BYTES {
                self.tail = Vec::new();
            }
        }
        if self.tail.len() > MOST_EVENT_BYTES { Err(Broken::Malformed) } else { Ok(()) }
    }
}

/// What the head says about the body.
fn framing(head: &[u8]) -> Result<Framing, Broken> {
    let status = head.strip_prefix(b"HTTP/1.").and_then(|rest| digits(rest.get(2..5)?));
    match status.and_then(|status| u16::try_from(status).ok()) {
        Some(200) => {}
        Some(other) => return Err(Broken::Refused(other)),
        None => return Err(Broken::Malformed),
    }
    let head = head.to_ascii_lowercase();
    if memmem::find(&head, b"\r\ntransfer-encoding: chunked").is_some() {
        return Ok(Framing::ChunkSize { bytes: 0, in_extension: false });
    }
    const LENGTH: &[u8] = b"\r\ncontent-length: ";
    let Some(at) = memmem::find(&head, LENGTH) else { return Ok(Framing::Plain) };
    let length = head[at + LENGTH.len()..].split(|byte| *byte == b'\r').next();
    match length.and_then(digits).ok_or(Broken::Malformed)? {
        0 => Ok(Framing::Ended),
        left => Ok(Framing::Sized { left }),
    }
}

/// Reads whole blocks and returns how many bytes they take.
fn blocks(bytes: &[u8], ids: Ids, labels: &mut Labels, items: &mut Vec<Item>) -> Result<usize, Broken> {
    let (mut used, mut at) = (0, 0);
    let mut block = Block::default();
    while let Some(length) = memchr(b'\n', &bytes[at..]) {
        let line = &bytes[at..at + length];
        at += length + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            items.extend(std::mem::take(&mut block).item(ids, labels)?);
            used = at;
        } else {
            block.line(line);
        }
    }
    Ok(used)
}

#[derive(Default)]
struct Block<'a> {
    id: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
    stamp: Option<Stamp<'a>>,
    content: crc32fast::Hasher,
}

impl<'a> Block<'a> {
    fn line(&mut self, line: &'a [u8]) {
        let value = |skip: usize| {
            let value = &line[skip..];
            value.strip_prefix(b" ").unwrap_or(value)
        };
        if line.starts_with(b"data:") {
            let data = value(5);
            self.content.update(data);
            self.stamp = self.stamp.or_else(|| Stamp::find(data));
            self.data.get_or_insert(data);
        } else if line.starts_with(b"id:") {
            self.id = Some(value(3));
        } else if line.starts_with(b"event:") {
            self.kind = Some(value(6));
        }
    }

    fn item(mut self, ids: Ids, labels: &mut Labels) -> Result<Option<Item>, Broken> {
        let position = match (ids, self.id) {
            (Ids::Goligoli, Some(id)) => Some(Position::read(id).ok_or(Broken::Malformed)?),
            (Ids::Numbers, _) => self.stamp.map(|stamp| Position { epoch: 0, seq: stamp.n }),
            (Ids::Goligoli | Ids::Opaque, _) => None,
        };
        let Some(data) = self.data else {
            let mark = Item { what: What::Mark, label: u8::MAX, position, sent_us: None, content: 0 };
            return Ok(position.map(|_| mark));
        };
        let kind = self.kind.unwrap_or(b"message");
        self.content.update(kind);
        let what = match (ids, kind) {
            (Ids::Goligoli, b"hello") => What::Hello,
            (Ids::Goligoli, b"gap") => What::Gap(missed(data)?),
            _ => What::Event,
        };
        // The danmaku in a hello have been sent long ago.
        let stamp = self.stamp.filter(|_| what == What::Event);
        let label = labels.index(kind, stamp.map_or("", |stamp| stamp.class));
        let sent_us = stamp.map(|stamp| stamp.sent_us);
        Ok(Some(Item { what, label, position, sent_us, content: self.content.finalize() }))
    }
}

/// The `n` of a gap.
fn missed(data: &[u8]) -> Result<Option<u64>, Broken> {
    let at = memmem::find(data, br#""n":"#).ok_or(Broken::Malformed)? + 4;
    let end = data[at..].iter().position(|byte| matches!(byte, b',' | b'}')).ok_or(Broken::Malformed)?;
    match &data[at..at + end] {
        b"null" => Ok(None),
        number => digits(number).map(Some).ok_or(Broken::Malformed),
    }
}

#[cfg(test)]
mod tests;
