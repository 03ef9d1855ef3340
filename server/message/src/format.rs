//! The files that replays are taken away in and brought in. No I/O but what is passed in,
//! and memory that does not grow with the replay: lines are read and written one by one.

use std::io::{self, Write};

use idl::replay::{ReplayDanmaku, ReplayHead};

pub mod ass;
pub mod bilibili_xml;
mod code;
pub mod json;
pub mod protobuf;

/// What a replay can be taken away as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Bilibili's XML, which danmaku tools read; the one that can be brought in again.
    Xml,
    /// Subtitles for video players: the lines laid out as moving text.
    Ass,
    /// One JSON document, see [`idl::replay::ReplayDocument`].
    Json,
    /// All segments of Bilibili's protobuf, one after the other, which is a message as well.
    Protobuf,
}

impl Format {
    /// For the `Content-Type` header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Xml => "text/xml; charset=utf-8",
            Self::Ass => "text/x-ssa; charset=utf-8",
            Self::Json => "application/json",
            Self::Protobuf => "application/octet-stream",
        }
    }

    /// How the file's name ends, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Ass => "ass",
            Self::Json => "json",
            Self::Protobuf => "pb",
        }
    }
}

/// Writes a replay in any of the formats.
///
/// All writers take lines by (`at_ms`, `id`), ascending. They write a line at a time, so the
/// output should be buffered; it is not flushed.
#[derive(Debug)]
pub enum Writer<W> {
    /// See [`Format::Xml`].
    Xml(bilibili_xml::Writer<W>),
    /// See [`Format::Ass`]; boxed because it keeps the state of all lanes.
    Ass(Box<ass::Writer<W>>),
    /// See [`Format::Json`].
    Json(json::Writer<W>),
    /// See [`Format::Protobuf`].
    Protobuf(protobuf::Writer<W>),
}

impl<W: Write> Writer<W> {
    /// Writes what stands before the lines.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(format: Format, out: W, head: &ReplayHead) -> io::Result<Self> {
        Ok(match format {
            Format::Xml => Self::Xml(bilibili_xml::Writer::begin(out, head)?),
            Format::Ass => Self::Ass(Box::new(ass::Writer::begin(out, head)?)),
            Format::Json => Self::Json(json::Writer::begin(out, head)?),
            Format::Protobuf => Self::Protobuf(protobuf::Writer::begin(out, head.origin)),
        })
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Those of the output.
    pub fn line(&mut self, line: &ReplayDanmaku) -> io::Result<()> {
        match self {
            Self::Xml(writer) => writer.line(line),
            Self::Ass(writer) => writer.line(line),
            Self::Json(writer) => writer.line(line),
            Self::Protobuf(writer) => writer.line(line),
        }
    }

    /// Writes what stands behind the lines, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end(self) -> io::Result<W> {
        match self {
            Self::Xml(writer) => writer.end(),
            Self::Ass(writer) => Ok(writer.end()),
            Self::Json(writer) => writer.end(),
            Self::Protobuf(writer) => Ok(writer.end()),
        }
    }
}

/// Holds callers of writers to the order of lines, in tests and debug builds.
#[derive(Debug, Default)]
struct Ascending(Option<(u64, u64)>);

impl Ascending {
    fn take(&mut self, line: &ReplayDanmaku) {
        let next = (line.at_ms, line.id.0);
        debug_assert!(self.0 < Some(next), "lines are written by (at_ms, id): {next:?} after {:?}", self.0);
        self.0 = Some(next);
    }
}

#[cfg(test)]
mod samples;
