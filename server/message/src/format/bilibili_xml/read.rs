//! Reads Bilibili's XML.
//!
//! It streams: memory does not grow with the file. Lines that can't be shown here are
//! skipped and counted by reason, and what is changed in others is counted too; a file that
//! is not well-formed or not UTF-8 ends in an error that names the line. Entities other than
//! XML's five and character references are never expanded, so a document type has no effect.

use std::io::BufRead;

use idl::danmaku::{Color, DanmakuText, Mode, Size};
use idl::replay::{ReplayDanmaku, SenderHash};
use idl::{DanmakuId, Timestamp};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesDecl, BytesStart, Event};

mod bounded;
mod fields;
mod report;

use bounded::Bounded;
use fields::Parameters;
pub use report::{Changed, Malformed, Report, Skipped};

/// The longest tag, text or comment. Scripted danmaku (modes 7 to 9) are long; nothing
/// honest is this long.
const MAX_TOKEN_BYTES: usize = 1 << 20;
/// What is kept of a danmaku's text. A text that is longer is refused anyway.
const MAX_TEXT_BYTES: usize = 4_096;
/// Danmaku files are two levels deep.
const MAX_DEPTH: usize = 16;

/// A danmaku of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When it appears, in milliseconds from the beginning.
    pub at_ms: u64,
    /// How it moves.
    pub mode: Mode,
    /// In which colour.
    pub color: Color,
    /// How large; the nearest of ours.
    pub size: Size,
    /// What it says.
    pub text: DanmakuText,
    /// When it was sent, if the file says so.
    pub sent_at: Option<Timestamp>,
    /// Who said it, as the file hides it; the same for all lines of a sender.
    pub sender_hash: SenderHash,
    /// Its number in the file, if it has one that is an id here too. Two lines may have the same.
    pub id: Option<DanmakuId>,
    /// Who said it by name, if the file says so: 1 to 64 characters, one line.
    pub user_name: Option<String>,
}

impl Line {
    /// As a replay's danmaku: with an id of ours, and a time of sending if the file has none.
    #[must_use]
    pub fn into_danmaku(self, id: DanmakuId, sent_at: Timestamp) -> ReplayDanmaku {
        let Self { at_ms, mode, color, size, text, sender_hash, user_name, .. } = self;
        let sent_at = self.sent_at.unwrap_or(sent_at);
        ReplayDanmaku { id, at_ms, sent_at, mode, color, size, text, sender_hash, user_name }
    }
}

/// Reads a file from its beginning.
pub fn read<R: BufRead>(input: R) -> Lines<R> {
    Lines {
        xml: Reader::from_reader(Bounded::new(input)),
        token: Vec::new(),
        open: 0,
        seen_root: false,
        parameters: None,
        text: Text::default(),
        report: Report::default(),
        ended: false,
    }
}

/// The lines of a file, in the file's order. Ends after the first error.
#[derive(Debug)]
pub struct Lines<R> {
    xml: Reader<Bounded<R>>,
    token: Vec<u8>,
    /// Elements that are open.
    open: usize,
    seen_root: bool,
    /// Those of the `<d>` that is open.
    parameters: Option<Result<Parameters, Skipped>>,
    text: Text,
    report: Report,
    ended: bool,
}

/// A text that is being read.
#[derive(Debug, Default)]
struct Text {
    kept: String,
    /// Why it can't be a line, if that is known already.
    bad: Option<Skipped>,
}

/// What a step through the file came to.
enum Step {
    On,
    Line(Line),
    End,
}

impl<R: BufRead> Lines<R> {
    /// What became of the lines so far.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    fn step(&mut self) -> Result<Step, String> {
        let mut token = std::mem::take(&mut self.token);
        token.clear();
        self.xml.get_mut().allow(MAX_TOKEN_BYTES);
        let step = match self.xml.read_event_into(&mut token) {
            Ok(event) => self.take(&event),
            Err(error) => Err(error.to_string()),
        };
        self.token = token;
        step.map_err(|reason| {
            if self.xml.get_ref().is_utf_16() { "the file is UTF-16; only UTF-8 is read".to_owned() } else { reason }
        })
    }

    fn take(&mut self, event: &Event<'_>) -> Result<Step, String> {
        let in_line = self.parameters.is_some() && self.open == 2;
        match event {
            Event::Start(tag) => self.opened(tag)?,
            Event::Empty(tag) => {
                self.opened(tag)?;
                return Ok(self.closed());
            }
            Event::End(_) => return Ok(self.closed()),
            Event::Text(text) if in_line => self.text.push(text),
            Event::CData(text) if in_line => self.text.push(text),
            Event::GeneralRef(reference) if in_line => match reference.resolve_char_ref() {
                Ok(Some(c)) => self.text.push(c.encode_utf8(&mut [0; 4])),
                Ok(None) => match resolve_xml_entity(reference) {
                    Some(text) => self.text.push(text),
                    None => self.text.bad = Some(Skipped::BadText),
                },
                Err(_) => self.text.bad = Some(Skipped::BadText),
            },
            Event::Decl(declaration) => check_encoding(declaration)?,
            Event::Eof if self.open > 0 => return Err("the file ends before its elements do".to_owned()),
            Event::Eof if !self.seen_root => return Err("there is no <i> element".to_owned()),
            Event::Eof => return Ok(Step::End),
            _ => {}
        }
        Ok(Step::On)
    }

    fn opened(&mut self, tag: &BytesStart<'_>) -> Result<(), String> {
        let name = tag.name();
        match (self.open, name.as_ref()) {
            (0, _) if self.seen_root => return Err("there is a second outermost element".to_owned()),
            (0, "i") => self.seen_root = true,
            (0, _) => return Err("the outermost element is not <i>".to_owned()),
            (1, "d") => {
                self.parameters = Some(fields::parameters(tag)?);
                self.text.clear();
            }
            (1, "sc" | "gift" | "guard") => self.report.skip(Skipped::Paid),
            (MAX_DEPTH.., _) => return Err(format!("elements are nested more than {MAX_DEPTH} deep")),
            _ => {}
        }
        self.open += 1;
        Ok(())
    }

    fn closed(&mut self) -> Step {
        self.open -= 1;
        if self.open != 1 {
            return Step::On;
        }
        let Some(parameters) = self.parameters.take() else { return Step::On };
        match parameters.and_then(|parameters| parameters.with_text(self.text.get()?)) {
            Ok((line, changes)) => {
                self.report.accept(&changes);
                Step::Line(line)
            }
            Err(reason) => {
                self.report.skip(reason);
                Step::On
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Line, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.step() {
                Ok(Step::On) => {}
                Ok(Step::Line(line)) => return Some(Ok(line)),
                Ok(Step::End) => self.ended = true,
                Err(reason) => {
                    self.ended = true;
                    return Some(Err(Malformed { line: self.xml.get_ref().line(), reason }));
                }
            }
        }
        None
    }
}

impl Text {
    fn clear(&mut self) {
        self.kept.clear();
        self.bad = None;
    }

    fn push(&mut self, more: &str) {
        if self.kept.len() + more.len() > MAX_TEXT_BYTES {
            self.bad.get_or_insert(Skipped::LongText);
        } else if self.bad.is_none() {
            self.kept.push_str(more);
        }
    }

    fn get(&self) -> Result<&str, Skipped> {
        self.bad.map_or(Ok(&self.kept), Err)
    }
}

/// A file that says that it is in another encoding is believed, even if it happens to be
/// UTF-8 as well: readers that know that encoding would read something else.
fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), String> {
    const SHOWN_CHARS: usize = 40;
    let Some(encoding) = declaration.encoding() else { return Ok(()) };
    let encoding = encoding.map_err(|e| e.to_string())?;
    if ["utf-8", "utf8", "us-ascii"].iter().any(|known| encoding.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let shown: String = encoding.chars().take(SHOWN_CHARS).collect();
    Err(format!("the file says that it is {shown:?}; only UTF-8 is read"))
}

#[cfg(test)]
mod tests;
