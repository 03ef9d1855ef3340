//! Bilibili's protobuf: a replay in segments of six minutes, each a message
//! `DmSegMobileReply` of package `bilibili.community.service.dm.v1`:
//!
//! ```proto
//! message DmSegMobileReply { repeated DanmakuElem elems = 1; /* and more */ }
//! ```
//!
//! Segments are numbered from 1. The elements come first, as one reader knows the format by
//! its first byte; the other fields have their defaults and so are not written, and a segment
//! without danmaku has no bytes. As segments are nothing but elements, several of them one
//! after the other are a message as well.
//!
//! The original has at most 6,000 elements a segment, a sample of what was said. Here a
//! segment has all of them, however many: a replay leaves nothing out.
//!
//! Elements have two fields of ours that other readers pass over, so that a line comes back
//! whole: `int64 sent_ms = 1001`, because `ctime` has seconds only, and
//! `string user_name = 1002`.

use std::io::{self, Write};

use idl::danmaku::{Color, DanmakuText};
use idl::replay::{ReplayDanmaku, ReplayOrigin};
use idl::{DanmakuId, Timestamp};
use prost::Message as _;

use crate::format::Ascending;
use crate::format::code::{mode_number, mode_of, sender_hash_of, size_number, size_of};

mod wire;

/// `attr`: it was said in a live broadcast.
const ATTR_LIVE: i32 = 1 << 1;

/// `DanmakuElem`, the fields that have a meaning here.
#[derive(Clone, PartialEq, prost::Message)]
struct Element {
    #[prost(int64, tag = "1")]
    id: i64,
    /// Milliseconds from the replay's beginning, not the segment's.
    #[prost(int32, tag = "2")]
    progress: i32,
    #[prost(int32, tag = "3")]
    mode: i32,
    #[prost(int32, tag = "4")]
    font_size: i32,
    #[prost(uint32, tag = "5")]
    color: u32,
    #[prost(string, tag = "6")]
    mid_hash: String,
    #[prost(string, tag = "7")]
    content: String,
    /// Unix seconds.
    #[prost(int64, tag = "8")]
    ctime: i64,
    #[prost(string, tag = "12")]
    id_str: String,
    #[prost(int32, tag = "13")]
    attr: i32,
    #[prost(int64, tag = "1001")]
    sent_ms: i64,
    #[prost(string, optional, tag = "1002")]
    user_name: Option<String>,
}

/// Writes a segment, or all of them to one output.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// These three keep their memory from line to line.
    element: Element,
    row: Vec<u8>,
    order: Ascending,
}

impl<W: Write> Writer<W> {
    /// Lines of a broadcast are marked as live.
    pub fn begin(out: W, origin: ReplayOrigin) -> Self {
        let attr = if origin == ReplayOrigin::Broadcast { ATTR_LIVE } else { 0 };
        let element = Element { attr, ..Element::default() };
        Self { out, element, row: Vec::new(), order: Ascending::default() }
    }

    /// Writes a line; lines come by (`at_ms`, `id`). Times beyond 24 days are written as the
    /// 24 days, 20 hours and 31 minutes that the format has room for.
    ///
    /// # Errors
    /// Those of the output.
    pub fn line(&mut self, line: &ReplayDanmaku) -> io::Result<()> {
        use std::fmt::Write as _;
        self.order.take(line);
        let element = &mut self.element;
        element.id = line.id.as_i64();
        element.progress = i32::try_from(line.at_ms).unwrap_or(i32::MAX);
        element.mode = mode_number(line.mode).into();
        element.font_size = size_number(line.size).into();
        element.color = line.color.rgb();
        element.ctime = line.sent_at.0.div_euclid(1_000);
        element.sent_ms = line.sent_at.0;
        element.content.clear();
        element.content.push_str(line.text.as_str());
        element.mid_hash.clear();
        element.id_str.clear();
        // Strings take everything.
        let _ = write!(element.mid_hash, "{}", line.sender_hash);
        let _ = write!(element.id_str, "{}", line.id);
        element.user_name.clone_from(&line.user_name);
        self.row.clear();
        self.row.push(wire::ELEMENTS_KEY);
        element.encode_length_delimited(&mut self.row).map_err(io::Error::other)?;
        self.out.write_all(&self.row)
    }

    /// Gives the output back; nothing stands behind the lines.
    pub fn end(self) -> W {
        self.out
    }
}

/// The bytes are not a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {reason}")]
pub struct BadSegment {
    /// Where the element or field begins that can't be read.
    pub offset: usize,
    /// What is wrong.
    pub reason: String,
}

/// Reads the danmaku of a segment, one by one. Ends after the first error.
#[must_use]
pub const fn read(segment: &[u8]) -> Lines<'_> {
    Lines { segment, rest: segment }
}

/// The danmaku of a segment, in its order.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    segment: &'a [u8],
    rest: &'a [u8],
}

impl Iterator for Lines<'_> {
    type Item = Result<ReplayDanmaku, BadSegment>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let offset = self.segment.len() - self.rest.len();
            match wire::next_element(&mut self.rest) {
                Ok(None) => {}
                Ok(Some(element)) => match danmaku(element) {
                    Ok(line) => return Some(Ok(line)),
                    Err(reason) => return Some(Err(self.fail(offset, reason))),
                },
                Err(reason) => return Some(Err(self.fail(offset, reason))),
            }
        }
        None
    }
}

impl Lines<'_> {
    const fn fail(&mut self, offset: usize, reason: String) -> BadSegment {
        self.rest = &[];
        BadSegment { offset, reason }
    }
}

/// What was written comes back, whatever the rules for texts are today.
fn danmaku(element: Element) -> Result<ReplayDanmaku, String> {
    let id: DanmakuId = element.id.to_string().parse().map_err(|e| format!("{}: {e}", element.id))?;
    let at_ms = u64::try_from(element.progress).map_err(|_| format!("{} ms is no time", element.progress))?;
    let mode = mode_of(element.mode.into()).map_err(|_| format!("mode {} is none of ours", element.mode))?;
    let sent_ms = if element.sent_ms.div_euclid(1_000) == element.ctime {
        element.sent_ms
    } else {
        element.ctime.saturating_mul(1_000)
    };
    Ok(ReplayDanmaku {
        id,
        at_ms,
        sent_at: Timestamp(sent_ms),
        mode: mode.value,
        color: Color::from_rgb(element.color),
        size: size_of(element.font_size.into()).value,
        text: DanmakuText::from_stored(element.content),
        sender_hash: sender_hash_of(&element.mid_hash),
        user_name: element.user_name,
    })
}

#[cfg(test)]
mod tests;
