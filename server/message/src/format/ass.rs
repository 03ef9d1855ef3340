//! Writes danmaku as subtitles in Advanced SubStation Alpha, laid out as they would fly over
//! a picture of 1920 × 1080, for players that know no danmaku.
//!
//! Every line is shown. One that finds no lane free goes where it overlaps the least: where
//! the fewest others have been laid over each other, and of these places the one that is free
//! the soonest. (Converters leave such lines out, or pile them up at the top.)
//!
//! Nothing in a text can become a command: braces and backslashes are written as their
//! full-width forms `｛｝＼`, because no way to escape them is known to all renderers.

use std::fmt::Write as _;
use std::io::{self, Write};

use idl::danmaku::{Color, Mode, Size};
use idl::replay::{ReplayDanmaku, ReplayHead};
use unicode_width::UnicodeWidthStr as _;

use crate::format::Ascending;

mod lanes;

use lanes::{Lanes, ROW_PX, Shape};

/// The picture that positions are of; players stretch it to theirs.
const WIDTH_PX: u32 = 1_920;
const HEIGHT_PX: u32 = 1_080;
/// How long a line takes from one side to the other, as on the page.
const SCROLL_CS: u64 = 900;
/// How long a line stands.
const STAND_CS: u64 = 500;
/// Text that is darker than this, of 255, gets a white outline instead of a black one.
const DARK: u32 = 64;

/// The font is the one that most danmaku converters name; where it is missing, players take
/// another for Chinese. Colours are `&HAABBGGRR`, where `AA` is how much shows through.
const STYLES: &str = "\
[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Small,Microsoft YaHei,27,&H33FFFFFF,&H33FFFFFF,&H33000000,&H33000000,0,0,0,0,100,100,0,0,1,1,0,7,0,0,0,1
Style: Standard,Microsoft YaHei,38,&H33FFFFFF,&H33FFFFFF,&H33000000,&H33000000,0,0,0,0,100,100,0,0,1,1,0,7,0,0,0,1
Style: Large,Microsoft YaHei,54,&H33FFFFFF,&H33FFFFFF,&H33000000,&H33000000,0,0,0,0,100,100,0,0,1,1,0,7,0,0,0,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
";

/// Writes one file, a line a danmaku.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    lanes: Lanes,
    row: String,
    text: String,
    order: Ascending,
}

impl<W: Write> Writer<W> {
    /// Writes what stands before the lines.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(mut out: W, head: &ReplayHead) -> io::Result<Self> {
        let mut title = String::new();
        plain(&head.title, &mut title);
        // The mark is how older players know that a file is UTF-8.
        write!(
            out,
            "\u{FEFF}[Script Info]\nTitle: {title}\nScriptType: v4.00+\nWrapStyle: 2\nScaledBorderAndShadow: yes\n\
             PlayResX: {WIDTH_PX}\nPlayResY: {HEIGHT_PX}\n\n{STYLES}"
        )?;
        let (row, text) = (String::new(), String::new());
        Ok(Self { out, lanes: Lanes::default(), row, text, order: Ascending::default() })
    }

    /// Writes a line; lines come by (`at_ms`, `id`).
    ///
    /// # Errors
    /// Those of the output.
    pub fn line(&mut self, line: &ReplayDanmaku) -> io::Result<()> {
        self.order.take(line);
        self.text.clear();
        plain(line.text.as_str(), &mut self.text);
        let shape = shape(&self.text, line.size);
        // What players show is in hundredths of a second; so is the layout.
        let start_cs = line.at_ms / 10;
        let top_px = self.lanes.place(line.mode, start_cs, shape).row * ROW_PX;

        self.row.clear();
        // A String takes everything.
        let _ = self.write_row(line, start_cs, shape.width_px, top_px, shape.rows * ROW_PX);
        self.out.write_all(self.row.as_bytes())
    }

    /// Gives the output back; nothing stands behind the lines.
    pub fn end(self) -> W {
        self.out
    }

    /// `edge_px` is from the top, for lines at the bottom from there.
    fn write_row(
        &mut self,
        line: &ReplayDanmaku,
        start_cs: u64,
        width_px: u32,
        edge_px: u32,
        height_px: u32,
    ) -> std::fmt::Result {
        let (layer, lasts_cs) = match line.mode {
            Mode::Scroll | Mode::Reverse => (2, SCROLL_CS),
            Mode::Top | Mode::Bottom => (3, STAND_CS),
        };
        debug_assert!(edge_px + height_px <= HEIGHT_PX);
        let style = match line.size {
            Size::Small => "Small",
            Size::Standard => "Standard",
            Size::Large => "Large",
        };
        let row = &mut self.row;
        write!(row, "Dialogue: {layer},{},{},{style},,0,0,0,,{{", Time(start_cs), Time(start_cs + lasts_cs))?;
        match line.mode {
            Mode::Scroll => write!(row, "\\move({WIDTH_PX},{edge_px},-{width_px},{edge_px})")?,
            Mode::Reverse => write!(row, "\\move(-{width_px},{edge_px},{WIDTH_PX},{edge_px})")?,
            Mode::Top => write!(row, "\\an8\\pos({},{edge_px})", WIDTH_PX / 2)?,
            Mode::Bottom => write!(row, "\\an2\\pos({},{})", WIDTH_PX / 2, HEIGHT_PX - edge_px)?,
        }
        if line.color != Color::WHITE {
            let [_, r, g, b] = line.color.rgb().to_be_bytes();
            write!(row, "\\c&H{b:02X}{g:02X}{r:02X}&")?;
        }
        if is_dark(line.color) {
            row.push_str("\\3c&HFFFFFF&");
        }
        row.push('}');
        row.push_str(&self.text);
        row.push('\n');
        Ok(())
    }
}

/// `h:mm:ss.cc`
struct Time(u64);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (s, cs) = (self.0 / 100, self.0 % 100);
        write!(f, "{}:{:02}:{:02}.{cs:02}", s / 3_600, s / 60 % 60, s % 60)
    }
}

/// Appends a text in which nothing is a command or a line break, and that is not nothing:
/// there are readers that pass over empty lines.
fn plain(text: &str, to: &mut String) {
    let begin = to.len();
    to.extend(text.trim().chars().map(|c| match c {
        '{' => '｛',
        '}' => '｝',
        '\\' => '＼',
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c => c,
    }));
    if to.len() == begin {
        to.push(char::REPLACEMENT_CHARACTER);
    }
}

/// How much room a text takes: a letter of East Asian width is as wide as the font is large,
/// others are half as wide. Fonts differ, most are a little narrower.
fn shape(text: &str, size: Size) -> Shape {
    let (font_px, rows) = match size {
        Size::Small => (27, 3),
        Size::Standard => (38, 4),
        Size::Large => (54, 6),
    };
    let columns = u32::try_from(text.width()).unwrap_or(u32::MAX);
    Shape { width_px: columns.saturating_mul(font_px) / 2, rows }
}

/// By how bright people see the three colours (ITU-R BT.601).
fn is_dark(color: Color) -> bool {
    let [_, r, g, b] = color.rgb().to_be_bytes().map(u32::from);
    (299 * r + 587 * g + 114 * b) / 1_000 < DARK
}

#[cfg(test)]
mod tests;
