//! Readers of a replay's files. They read what the exports promise, and nothing else.

/// A line of an exported XML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XmlLine {
    /// The fields of `p`, as they stand there.
    pub fields: Vec<String>,
    /// When it was sent (ms since 1970).
    pub sent_ms: i64,
    /// Who said it.
    pub user: Option<String>,
    /// What it says.
    pub text: String,
}

/// A danmaku of a binary segment, in the format's own numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentLine {
    /// Its id.
    pub id: u64,
    /// When it appears, in milliseconds from the replay's beginning.
    pub at_ms: u64,
    /// How it moves: 1, 4, 5 or 6.
    pub mode: u64,
    /// The font's size: 18, 25 or 36.
    pub size: u64,
    /// RGB.
    pub color: u64,
    /// What it says.
    pub text: String,
}

/// The rows of an exported XML file behind its head.
#[must_use]
pub fn xml_rows(file: &str) -> &str {
    let (head, rows) = file.split_once('\n').expect("the head is a row");
    assert!(head.starts_with(r#"<?xml version="1.0" encoding="UTF-8"?><i><chatserver>"#), "{head}");
    rows.strip_suffix("</i>\n").expect("the end is a row")
}

/// The lines of an exported XML file.
#[must_use]
pub fn xml_lines(file: &str) -> Vec<XmlLine> {
    xml_rows(file).lines().map(xml_line).collect()
}

fn xml_line(row: &str) -> XmlLine {
    let (attributes, text) = row
        .strip_prefix("<d ")
        .and_then(|row| row.strip_suffix("</d>"))
        .and_then(|row| row.split_once('>'))
        .unwrap_or_else(|| panic!("no line: {row}"));
    let attribute = |name: &str| {
        let (_, value) = attributes.split_once(&format!("{name}=\""))?;
        value.split_once('"').map(|(value, _)| plain(value))
    };
    XmlLine {
        fields: attribute("p").expect("p").split(',').map(str::to_owned).collect(),
        sent_ms: attribute("sent_ms").expect("sent_ms").parse().expect("a number"),
        user: attribute("user"),
        text: plain(text),
    }
}

fn plain(text: &str) -> String {
    // The ampersand last: "&amp;lt;" says "&lt;".
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

/// The danmaku of binary segments.
#[must_use]
pub fn segment_lines(mut bytes: &[u8]) -> Vec<SegmentLine> {
    let mut lines = Vec::new();
    while let Some((field, value)) = field(&mut bytes) {
        let (1, Field::Bytes(mut element)) = (field, value) else { continue };
        let mut line = SegmentLine::default();
        while let Some((number, value)) = self::field(&mut element) {
            match (number, value) {
                (1, Field::Number(id)) => line.id = id,
                (2, Field::Number(at_ms)) => line.at_ms = at_ms,
                (3, Field::Number(mode)) => line.mode = mode,
                (4, Field::Number(size)) => line.size = size,
                (5, Field::Number(color)) => line.color = color,
                (7, Field::Bytes(text)) => line.text = String::from_utf8(text.to_vec()).expect("UTF-8"),
                _ => {}
            }
        }
        lines.push(line);
    }
    lines
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    if bytes.is_empty() {
        return None;
    }
    let tag = varint(bytes);
    let value = varint(bytes);
    Some((
        tag >> 3,
        match tag & 7 {
            0 => Field::Number(value),
            2 => {
                let (value, rest) = bytes.split_at(usize::try_from(value).expect("a length"));
                *bytes = rest;
                Field::Bytes(value)
            }
            other => panic!("a field of type {other}"),
        },
    ))
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0).expect("a number ends");
    let (number, rest) = bytes.split_at(end + 1);
    *bytes = rest;
    number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7F))
}
