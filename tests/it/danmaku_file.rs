//! A reader of Bilibili's XML that shares nothing with the server's, and the real files that
//! the project is tested on.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Ids are below it, here as in JavaScript.
const NO_ID: u64 = 1 << 53;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) at_ms: u64,
    pub(crate) look: Look,
    pub(crate) sent_ms: i64,
    /// What the file hides the sender behind.
    pub(crate) sender: String,
    /// Its number, if it is an id here too.
    pub(crate) id: Option<u64>,
    /// Whether blanks stand around the text.
    pub(crate) has_blanks: bool,
}

/// What viewers see of a line, as it stands in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Look {
    pub(crate) text: String,
    mode: String,
    color: String,
    size: String,
}

impl Look {
    /// Of a danmaku, wherever the API shows it.
    pub(crate) fn of(danmaku: &Value) -> Self {
        let field = |name: &str| danmaku[name].as_str().unwrap_or_else(|| panic!("no {name}: {danmaku}")).to_owned();
        Self { text: field("text"), mode: field("mode"), color: field("color"), size: field("size") }
    }
}

/// The XML files of `REAL_DANMAKU`, or of `shared/data/danmaku` beside the repository; none of
/// them is the project's to give away. Where there are none this says so, and that is what
/// people see even of a test that passes.
pub(crate) fn real_files(what: &str) -> Vec<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/danmaku");
    let named = std::env::var_os("REAL_DANMAKU").map(PathBuf::from);
    if named.is_none() && !beside.is_dir() {
        let why = "there is no folder ../shared/data/danmaku beside the repository, and REAL_DANMAKU names none";
        // Not by a macro: what those print is kept back.
        std::io::stderr().write_all(format!("skipped: {what}: {why}\n").as_bytes()).unwrap();
        return Vec::new();
    }
    let folder = named.unwrap_or(beside);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = entries.map(|entry| entry.unwrap().path().canonicalize().unwrap());
    let mut files: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|of| of == "xml")).collect();
    assert!(!files.is_empty(), "there are no XML files in {}", folder.display());
    files.sort();
    files
}

/// What viewers see of a file's lines, sorted.
pub(crate) fn lines_of(file: &str) -> Vec<Look> {
    let mut looks: Vec<Look> = read(file).into_iter().map(|line| line.look).collect();
    looks.sort();
    looks
}

/// All lines of a file, in its order. Holds that they are what this server shows too.
pub(crate) fn read(file: &str) -> Vec<Line> {
    let lines: Vec<Line> = file.split("<d p=\"").skip(1).map(line).collect();
    assert!(!lines.is_empty());
    lines
}

fn line(element: &str) -> Line {
    let (parameters, rest) = element.split_once('"').expect("the attribute ends");
    let (_, rest) = rest.split_once('>').expect("the tag ends");
    let (text, _) = rest.split_once("</d>").expect("the element ends");
    let fields: Vec<&str> = parameters.split(',').collect();
    let text = plain(text);
    let look = Look {
        text: text.trim().to_owned(),
        mode: named(fields[1], [("1", "scroll"), ("4", "bottom"), ("5", "top"), ("6", "reverse")]),
        color: format!("#{:06x}", fields[3].parse::<u32>().expect("a colour")),
        size: named(fields[2], [("18", "small"), ("25", "standard"), ("36", "large")]),
    };
    Line {
        at_ms: millis(fields[0]),
        sent_ms: 1_000 * fields[4].parse::<i64>().expect("a time"),
        sender: fields[6].to_owned(),
        id: fields[7].parse().ok().filter(|id| *id < NO_ID),
        has_blanks: look.text.len() < text.len(),
        look,
    }
}

fn named<const N: usize>(number: &str, names: [(&str, &str); N]) -> String {
    let name = names.iter().find(|(of, _)| *of == number);
    name.unwrap_or_else(|| panic!("the tests' files have no {number} there")).1.to_owned()
}

/// Seconds, with three decimals that count, as milliseconds.
fn millis(seconds: &str) -> u64 {
    let (seconds, decimals) = seconds.split_once('.').unwrap_or((seconds, ""));
    let decimals = format!("{decimals:0<3}");
    assert!(decimals[3..].bytes().all(|b| b == b'0'), "microseconds: {decimals}");
    1_000 * seconds.parse::<u64>().expect("seconds") + decimals[..3].parse::<u64>().expect("milliseconds")
}

fn plain(text: &str) -> String {
    // The ampersand last: "&amp;lt;" says "&lt;".
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}
