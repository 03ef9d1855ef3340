//! An event of a feed, encoded as it goes to the viewers.

use bytes::Bytes;
use idl::event::EventType;
use idl::push::Lane;

use crate::feeds::Appended;
use crate::frame::Position;
use crate::record::Event;

#[derive(Debug)]
pub(super) struct Entry {
    /// Shared with the neighbours that came in the same change.
    pub(super) chunk: Bytes,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where the JSON begins in the chunk; `None` if it was blanked out.
    pub(super) data: Option<usize>,
    pub(super) event: EventType,
    pub(super) source: Box<str>,
    pub(super) at_ms: i64,
    pub(super) appended_ms: i64,
    pub(super) ordinary: bool,
}

impl Entry {
    /// Bytes of its frame.
    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    /// Its JSON, if it was not blanked out.
    pub(super) fn data(&self) -> Option<&str> {
        let data = self.chunk.get(self.data?..self.end - 2)?;
        std::str::from_utf8(data).ok()
    }

    /// Leaves this frame in its place, which has nothing but its number.
    pub(super) fn blank(&mut self, frame: Bytes) {
        (self.start, self.end, self.data) = (0, frame.len(), None);
        self.chunk = frame;
    }

    /// As the log keeps it.
    pub(super) fn event(&self) -> Event {
        Event {
            source: self.source.to_string(),
            event: self.event,
            data: self.data().unwrap_or_default().to_owned(),
            at_ms: self.at_ms,
            appended_ms: self.appended_ms,
            ordinary: self.ordinary,
        }
    }

    /// As the operator reads it.
    pub(super) fn appended(&self, position: Position) -> Appended {
        Appended {
            id: position.to_string(),
            event: self.event,
            source: self.source.to_string(),
            at_ms: self.at_ms,
            appended_ms: self.appended_ms,
            lane: if self.ordinary { Lane::Ordinary } else { Lane::Guaranteed },
            bytes: self.len(),
        }
    }
}
