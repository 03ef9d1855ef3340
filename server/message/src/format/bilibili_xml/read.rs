//! Reads danmaku files in Bilibili's XML: `<i><d p="…">text</d>…</i>`, and the dialects
//! that add elements and attributes to it.
//!
//! It streams: memory does not grow with the file. Lines that can't be shown here are
//! skipped and counted by reason; a file that is not well-formed ends in an error that
//! names the line. Entities other than XML's five and character references are never
//! expanded, so a document type has no effect.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

use idl::danmaku::{Color, DanmakuText, Mode, Size};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

mod bounded;

use bounded::Bounded;

/// The longest tag, text or comment. Scripted danmaku (modes 7 to 9) are long; nothing
/// honest is this long.
const MAX_TOKEN_BYTES: usize = 1 << 20;
/// What is kept of a danmaku's text. A text that is longer is refused anyway.
const MAX_TEXT_BYTES: usize = 4_096;
/// Danmaku files are two levels deep.
const MAX_DEPTH: usize = 16;
/// Longer sender hashes are cut off.
const MAX_SENDER_CHARS: usize = 64;
/// More than a year into a video is a mistake.
const MAX_AT_S: f64 = 366.0 * 24.0 * 3_600.0;

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
    /// Who said it, as the file hides it; the same for all lines of a sender. May be empty.
    pub sender_hash: String,
}

/// Why a line was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skipped {
    /// Modes 7, 8 and 9: positioned or scripted.
    SpecialMode,
    /// A mode that nobody knows.
    UnknownMode,
    /// The `p` attribute is missing, too short, or not numbers.
    BadParameters,
    /// The text is empty, too long or has characters that are not allowed.
    BadText,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpecialMode => "positioned or scripted (modes 7 to 9)",
            Self::UnknownMode => "unknown mode",
            Self::BadParameters => "unreadable parameters",
            Self::BadText => "text that is not allowed",
        })
    }
}

/// What became of the lines that were read so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that were given out.
    pub accepted: u64,
    /// Lines that were not, by reason.
    pub skipped: BTreeMap<Skipped, u64>,
}

/// The file can't be read on.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Malformed {
    /// The line that reading stopped in, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
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
    /// It is too long, or has something that is no character.
    bad: bool,
}

/// The part of the `p` attribute that counts here.
#[derive(Debug, PartialEq)]
struct Parameters {
    at_ms: u64,
    mode: Mode,
    size: Size,
    color: Color,
    sender_hash: String,
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
        step
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
                    None => self.text.bad = true,
                },
                Err(_) => self.text.bad = true,
            },
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
                let p = tag.try_get_attribute("p").map_err(|e| e.to_string())?;
                self.parameters = Some(p.map_or(Err(Skipped::BadParameters), |p| parameters(&p.value)));
                self.text = Text::default();
            }
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
        match parameters.and_then(|parameters| line(parameters, &self.text)) {
            Ok(line) => {
                self.report.accepted += 1;
                Step::Line(line)
            }
            Err(reason) => {
                *self.report.skipped.entry(reason).or_default() += 1;
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
    fn push(&mut self, more: &str) {
        if self.kept.len() + more.len() > MAX_TEXT_BYTES {
            self.bad = true;
        } else if !self.bad {
            self.kept.push_str(more);
        }
    }
}

fn line(parameters: Parameters, text: &Text) -> Result<Line, Skipped> {
    if text.bad {
        return Err(Skipped::BadText);
    }
    let text = DanmakuText::parse(&text.kept).map_err(|_| Skipped::BadText)?;
    let Parameters { at_ms, mode, size, color, sender_hash } = parameters;
    Ok(Line { at_ms, mode, color, size, text, sender_hash })
}

/// `at_s,mode,size,color,sent_s,pool,sender,id[,weight]`
fn parameters(p: &str) -> Result<Parameters, Skipped> {
    let mut fields = p.split(',').map(str::trim);
    let mut next = || fields.next().ok_or(Skipped::BadParameters);
    let (at_s, mode, size, color) = (next()?, next()?, next()?, next()?);
    let sender = fields.nth(2).unwrap_or_default();
    Ok(Parameters {
        mode: mode_of(mode)?,
        at_ms: at_ms(at_s)?,
        size: size_of(size)?,
        color: color_of(color)?,
        sender_hash: sender.chars().take(MAX_SENDER_CHARS).collect(),
    })
}

/// Times before the beginning, which some editors write, are the beginning.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked to be small and positive")]
fn at_ms(seconds: &str) -> Result<u64, Skipped> {
    let seconds: f64 = seconds.parse().map_err(|_| Skipped::BadParameters)?;
    // Also true of what is no number.
    if !(-MAX_AT_S..=MAX_AT_S).contains(&seconds) {
        return Err(Skipped::BadParameters);
    }
    Ok((seconds.max(0.0) * 1_000.0).round() as u64)
}

fn mode_of(mode: &str) -> Result<Mode, Skipped> {
    match mode.parse::<i64>().map_err(|_| Skipped::BadParameters)? {
        1..=3 => Ok(Mode::Scroll),
        4 => Ok(Mode::Bottom),
        5 => Ok(Mode::Top),
        6 => Ok(Mode::Reverse),
        7..=9 => Err(Skipped::SpecialMode),
        _ => Err(Skipped::UnknownMode),
    }
}

/// The nearest of 18, 25 and 36.
fn size_of(size: &str) -> Result<Size, Skipped> {
    match size.parse::<i64>().map_err(|_| Skipped::BadParameters)? {
        ..=21 => Ok(Size::Small),
        22..=30 => Ok(Size::Standard),
        31.. => Ok(Size::Large),
    }
}

/// Only the lower 24 bits are a colour; some tools write others above them.
fn color_of(color: &str) -> Result<Color, Skipped> {
    let color: i64 = color.parse().map_err(|_| Skipped::BadParameters)?;
    u32::try_from(color & 0xFF_FF_FF).map(Color::from_rgb).map_err(|_| Skipped::BadParameters)
}

#[cfg(test)]
mod tests;
