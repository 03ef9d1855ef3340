//! Writes Bilibili's XML, so that every reader we know of takes it.
//!
//! What the rules below come from is how these readers fail: a line break between the
//! declaration and `<i>` makes one take the file for another format; numeric references,
//! CDATA and empty elements make others drop the line or the file; control characters make
//! one drop the file; a `>` in an attribute ends the tag for two.

use std::io::{self, Write};

use idl::replay::{ReplayDanmaku, ReplayHead};

use crate::format::Ascending;
use crate::format::code::{mode_number, size_number};

/// What an escaped text or attribute has at most; one reader's buffer is 1,024 bytes. A
/// danmaku of 100 characters has at most 600, so only texts of older rules are ever cut.
const MAX_ESCAPED_BYTES: usize = 1_023;

/// Stands for characters that must not be in such a file. What is left of a text of older
/// rules is never nothing, so that no line is lost.
const REPLACEMENT: char = '\u{FFFD}';

/// Writes one file, a line a danmaku.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    row: String,
    order: Ascending,
}

impl<W: Write> Writer<W> {
    /// Writes what stands before the lines. `maxlimit` is how many there are.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(mut out: W, head: &ReplayHead) -> io::Result<Self> {
        // No line break before <i>.
        writeln!(
            out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><i><chatserver>goligoli</chatserver><chatid>{}</chatid>\
             <mission>0</mission><maxlimit>{}</maxlimit><state>0</state><real_name>0</real_name><source>k-v</source>",
            head.id, head.danmaku_count,
        )?;
        Ok(Self { out, row: String::new(), order: Ascending::default() })
    }

    /// Writes a line; lines come by (`at_ms`, `id`). A time of sending before 1970 is 1970.
    ///
    /// # Errors
    /// Those of the output.
    pub fn line(&mut self, line: &ReplayDanmaku) -> io::Result<()> {
        use std::fmt::Write as _;
        self.order.take(line);
        let sent_ms = line.sent_at.0.max(0);
        self.row.clear();
        // A String takes everything.
        let _ = write!(
            self.row,
            "<d p=\"{}.{:03}00,{},{},{},{},0,{},{}\" sent_ms=\"{sent_ms}\"",
            line.at_ms / 1_000,
            line.at_ms % 1_000,
            mode_number(line.mode),
            size_number(line.size),
            line.color.rgb(),
            sent_ms / 1_000,
            line.sender_hash,
            line.id,
        );
        if let Some(name) = &line.user_name {
            self.row.push_str(" user=\"");
            escape(name, &mut self.row);
            self.row.push('"');
        }
        self.row.push('>');
        escape(line.text.as_str(), &mut self.row);
        self.row.push_str("</d>\n");
        self.out.write_all(self.row.as_bytes())
    }

    /// Writes what stands behind the lines, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end(mut self) -> io::Result<W> {
        self.out.write_all(b"</i>\n")?;
        Ok(self.out)
    }
}

/// Appends a text with XML's five entities and no other; never nothing.
fn escape(text: &str, row: &mut String) {
    let begin = row.len();
    for c in text.trim().chars() {
        let mut utf8 = [0; 4];
        let escaped = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&apos;",
            '\t' | '\n' | '\r' => " ",
            c if is_forbidden(c) => REPLACEMENT.encode_utf8(&mut utf8),
            c => c.encode_utf8(&mut utf8),
        };
        if row.len() - begin + escaped.len() > MAX_ESCAPED_BYTES {
            break;
        }
        row.push_str(escaped);
    }
    if row.len() == begin {
        row.push(REPLACEMENT);
    }
}

/// Control characters, of which XML forbids most, and what is no character in Unicode.
fn is_forbidden(c: char) -> bool {
    c.is_control() || u32::from(c) & 0xFFFE == 0xFFFE || matches!(c, '\u{FDD0}'..='\u{FDEF}')
}
