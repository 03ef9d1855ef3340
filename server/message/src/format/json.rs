//! Writes a replay as one JSON document, [`ReplayDocument`](idl::replay::ReplayDocument).
//!
//! One document, because that is what a browser, `jq` or a script reads without being told;
//! with every danmaku in a line of its own, so that tools for lines can be used as well.

use std::io::{self, Write};

use idl::replay::{ReplayDanmaku, ReplayHead};

use crate::format::Ascending;

/// Writes one document.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    row: Vec<u8>,
    order: Ascending,
    first: bool,
}

impl<W: Write> Writer<W> {
    /// Writes what stands before the lines.
    ///
    /// # Errors
    /// Those of the output.
    pub fn begin(mut out: W, head: &ReplayHead) -> io::Result<Self> {
        let mut row = b"{\"replay\":".to_vec();
        serde_json::to_writer(&mut row, head)?;
        row.extend_from_slice(b",\"danmaku\":[");
        out.write_all(&row)?;
        Ok(Self { out, row, order: Ascending::default(), first: true })
    }

    /// Writes a line; lines come by (`at_ms`, `id`).
    ///
    /// # Errors
    /// Those of the output.
    pub fn line(&mut self, line: &ReplayDanmaku) -> io::Result<()> {
        self.order.take(line);
        self.row.clear();
        self.row.extend_from_slice(if self.first { b"\n" } else { b",\n" });
        self.first = false;
        serde_json::to_writer(&mut self.row, line)?;
        self.out.write_all(&self.row)
    }

    /// Writes what stands behind the lines, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn end(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]}\n")?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use idl::replay::ReplayDocument;
    use proptest::prelude::*;

    use super::*;
    use crate::format::samples;

    fn written(head: &ReplayHead, lines: &[ReplayDanmaku]) -> String {
        let mut writer = Writer::begin(Vec::new(), head).unwrap();
        for line in lines {
            writer.line(line).unwrap();
        }
        String::from_utf8(writer.end().unwrap()).unwrap()
    }

    #[test]
    fn a_replay_without_danmaku_is_a_document_as_well() {
        let document: ReplayDocument = serde_json::from_str(&written(&samples::head(), &[])).unwrap();
        assert_eq!(document, ReplayDocument { replay: samples::head(), danmaku: vec![] });
    }

    proptest! {
        #[test]
        fn every_line_comes_back_and_has_its_own(lines in samples::replay()) {
            let json = written(&samples::head(), &lines);
            prop_assert_eq!(json.lines().count(), lines.len() + 2);
            for (row, line) in json.lines().skip(1).zip(&lines) {
                let row = row.strip_suffix(',').unwrap_or(row);
                prop_assert_eq!(&serde_json::from_str::<ReplayDanmaku>(row).unwrap(), line);
            }
            let document: ReplayDocument = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(document.danmaku, lines);
        }
    }
}
