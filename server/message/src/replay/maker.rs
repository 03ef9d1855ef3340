//! Makes a replay's files of its danmaku, line by line: what is in memory does not grow with
//! the replay.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use idl::live::ReplayMark;
use idl::replay::layout::{self, segment_of};
use idl::replay::{ReplayDanmaku, ReplayHead, ReplayLines, ReplayManifest, ReplayPart};

use super::heat::Heat;
use crate::format::protobuf;
use crate::format::{Format, Writer};

/// The most danmaku of a part.
const MAX_PART: usize = 6_000;
/// What most danmaku take in a part; so much is allocated at once, and more only if it must be.
const JSON_BYTES: usize = 256;
const BINARY_BYTES: usize = 128;
/// The files that hold all danmaku.
const WHOLE: [Format; 4] = [Format::Xml, Format::Ass, Format::Json, Format::Protobuf];

/// The files of a replay in the making.
#[derive(Debug)]
pub(crate) struct Maker {
    head: ReplayHead,
    version: u64,
    marks: Vec<ReplayMark>,
    whole: Vec<WholeFile>,
    /// The danmaku of the part that is being gathered.
    part: Vec<ReplayDanmaku>,
    parts: Vec<ReplayPart>,
    heat: Heat,
    /// Place and time of the line before.
    last: Option<(u64, u64)>,
}

/// A file with all danmaku, of which only what was not taken yet is in memory.
#[derive(Debug)]
struct WholeFile {
    writer: Writer<Outlet>,
    outlet: Outlet,
}

/// Bytes that wait to be taken. The memory of those that were taken and stored is used again:
/// allocators give back late, and what each page threw away was most of the memory of an index.
#[derive(Debug, Clone, Default)]
struct Outlet(Arc<Mutex<BytesMut>>);

impl Outlet {
    fn take(&self) -> Bytes {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).split().freeze()
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is to be stored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// Pieces of files that hold all danmaku, in the order of [`names`].
    pub(crate) pieces: Vec<Bytes>,
    /// Whole parts.
    pub(crate) parts: Vec<MadePart>,
}

/// A part in both of its forms.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MadePart {
    pub(crate) part: u64,
    pub(crate) segment: u64,
    pub(crate) json: Bytes,
    /// A piece of the segment's object.
    pub(crate) binary: Bytes,
}

/// The names of the files that hold all danmaku, below the version's folder.
pub(crate) fn names() -> impl Iterator<Item = String> {
    WHOLE.iter().map(|format| layout::whole(format.extension()))
}

impl Maker {
    pub(crate) fn new(head: ReplayHead, version: u64, marks: Vec<ReplayMark>) -> io::Result<Self> {
        let file = |format| {
            let outlet = Outlet::default();
            Ok(WholeFile { writer: Writer::begin(format, outlet.clone(), &head)?, outlet })
        };
        let whole = WHOLE.into_iter().map(file).collect::<io::Result<_>>()?;
        let heat = Heat::new(head.duration_ms);
        Ok(Self { head, version, marks, whole, part: Vec::new(), parts: Vec::new(), heat, last: None })
    }

    /// Takes the next lines. They are in the order of their sending; where the clock was set
    /// back during a broadcast that is not quite the order of their times, which are moved on
    /// then, a millisecond after the line before.
    pub(crate) fn take(&mut self, lines: Vec<ReplayDanmaku>) -> io::Result<Made> {
        let mut made = Made::default();
        for mut line in lines {
            if let Some((at_ms, id)) = self.last
                && (line.at_ms, line.id.0) <= (at_ms, id)
            {
                line.at_ms = at_ms + 1;
            }
            self.last = Some((line.at_ms, line.id.0));
            for file in &mut self.whole {
                file.writer.line(&line)?;
            }
            self.heat.add(line.at_ms);
            let is_of_part = self.part.first().is_none_or(|first| segment_of(first.at_ms) == segment_of(line.at_ms));
            if !is_of_part || self.part.len() == MAX_PART {
                self.end_part(&mut made)?;
            }
            self.part.push(line);
        }
        made.pieces = self.whole.iter().map(|file| file.outlet.take()).collect();
        Ok(made)
    }

    /// Gives the rest, and the manifest.
    pub(crate) fn end(mut self) -> io::Result<(Made, ReplayManifest)> {
        let mut made = Made::default();
        if !self.part.is_empty() {
            self.end_part(&mut made)?;
        }
        for WholeFile { writer, outlet, .. } in self.whole {
            drop(writer.end()?);
            made.pieces.push(outlet.take());
        }
        let heat = self.heat.into_curve();
        let manifest =
            ReplayManifest { replay: self.head, version: self.version, parts: self.parts, heat, marks: self.marks };
        Ok((made, manifest))
    }

    fn end_part(&mut self, made: &mut Made) -> io::Result<()> {
        let mut lines = ReplayLines { danmaku: std::mem::take(&mut self.part) };
        let (Some(first), Some(last)) = (lines.danmaku.first(), lines.danmaku.last()) else { return Ok(()) };
        let part = ReplayPart {
            part: self.parts.len() as u64 + 1,
            segment: segment_of(first.at_ms),
            from_ms: first.at_ms,
            to_ms: last.at_ms,
            danmaku_count: lines.danmaku.len() as u64,
        };
        let count = lines.danmaku.len();
        let mut binary = protobuf::Writer::begin(Vec::with_capacity(count * BINARY_BYTES), self.head.origin);
        lines.danmaku.iter().try_for_each(|line| binary.line(line))?;
        let mut json = Vec::with_capacity(count * JSON_BYTES);
        serde_json::to_writer(&mut json, &lines)?;
        made.parts.push(MadePart {
            part: part.part,
            segment: part.segment,
            json: Bytes::from(json),
            binary: Bytes::from(binary.end()),
        });
        self.parts.push(part);
        lines.danmaku.clear();
        self.part = lines.danmaku;
        Ok(())
    }
}
