//! A reader of Bilibili's XML that shares nothing with the server's.

use std::path::{Path, PathBuf};

/// What viewers are to see of a line: text, mode and colour, as they stand in JSON.
pub(crate) type Line = (String, &'static str, String);

/// The real files that the project is tested on, if they are there.
pub(crate) fn folder() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let folder = root.join("../shared/data/danmaku");
    folder.is_dir().then_some(folder)
}

/// All lines of a file.
pub(crate) fn lines(path: &Path) -> Vec<Line> {
    lines_of(&std::fs::read_to_string(path).expect("a danmaku file"))
}

/// The same of a file's text.
pub(crate) fn lines_of(file: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for element in file.split("<d p=\"").skip(1) {
        let (parameters, rest) = element.split_once("\">").expect("the attribute ends");
        let (text, _) = rest.split_once("</d>").expect("the element ends");
        let fields: Vec<&str> = parameters.split(',').collect();
        let mode = match fields[1] {
            "1" | "2" | "3" => "scroll",
            "4" => "bottom",
            "5" => "top",
            "6" => "reverse",
            other => panic!("the test's files have no mode {other}"),
        };
        let color: u32 = fields[3].parse().expect("a colour");
        lines.push((plain(text).trim().to_owned(), mode, format!("#{color:06x}")));
    }
    assert!(!lines.is_empty());
    lines.sort();
    lines
}

fn plain(text: &str) -> String {
    // The ampersand last: "&amp;lt;" says "&lt;".
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}
