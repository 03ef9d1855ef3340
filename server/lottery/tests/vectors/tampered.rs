//! Documents that do not agree, or can't be read: those of the tiny draw with one thing
//! changed, or of a draw whose operator signs everything and keeps no rules.

use crate::draw::{Draw, Vector, expected, lines, text};
use crate::whole::tiny;
use crate::{changed, forged, rules, unreadable, weak};

pub(crate) fn vectors() -> Vec<Vector> {
    let all = [
        unreadable::unreadable(),
        unreadable::bad_spec(),
        changed::in_proof(),
        changed::in_entries(),
        rules::rules_broken(),
        rules::bad_redraws(),
        forged::forged(),
        weak::vectors(),
    ];
    all.into_iter().flatten().collect()
}

/// The files of the tiny draw, one of which is then changed.
pub(crate) struct Files {
    files: Vec<(&'static str, Vec<u8>)>,
}

pub(crate) const PROOF: &str = "proof.json";
pub(crate) const ENTRIES: &str = "entries.ndjson";
pub(crate) const OPENED: &str = "opened.json";
pub(crate) const CLOSED: &str = "closed.json";
pub(crate) const RECEIPT: &str = "receipt-1.json";

impl Files {
    pub(crate) fn of(draw: &Draw) -> Self {
        let made = draw.make();
        let mut files = vec![
            (PROOF, text(&made.proof).into_bytes()),
            (ENTRIES, lines(&made.entries).into_bytes()),
            (OPENED, text(&made.opened).into_bytes()),
            (CLOSED, text(&made.closed).into_bytes()),
        ];
        if draw.entries.len() > 1 {
            files.push((RECEIPT, text(&draw.receipt(1)).into_bytes()));
        }
        Self { files }
    }

    pub(crate) fn put(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.iter_mut().find(|(known, _)| *known == name).unwrap().1 = bytes.into();
        self
    }

    /// Changes text that must be there.
    pub(crate) fn change(self, name: &str, from: &str, to: &str) -> Self {
        let (_, bytes) = self.files.iter().find(|(known, _)| *known == name).unwrap();
        let before = std::str::from_utf8(bytes).unwrap();
        assert!(before.contains(from), "{name} has no {from}: {before}");
        let after = before.replacen(from, to, 1);
        self.put(name, after)
    }

    /// In a vector's folder lie the files that are not those of the tiny draw.
    pub(crate) fn vector(self, name: &str, about: &str, exit: u8, says: &str) -> Vector {
        let tiny = Files::of(&tiny()).files;
        let path = |(known, bytes): &(&str, Vec<u8>)| {
            let same = tiny.iter().any(|(other, unchanged)| known == other && bytes == unchanged);
            if same { format!("../tiny/{known}") } else { (*known).to_owned() }
        };
        let mut args: Vec<String> = Vec::new();
        for file in &self.files {
            args.extend(match file.0 {
                OPENED => Some("--opened".to_owned()),
                CLOSED => Some("--closed".to_owned()),
                RECEIPT => Some("--receipt".to_owned()),
                _ => None,
            });
            args.push(path(file));
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let changed = self.files.iter().filter(|file| args.contains(&file.0));
        let mut files: Vec<(String, Vec<u8>)> =
            changed.map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect();
        assert!(!files.is_empty(), "{name} changes nothing");
        files.push(expected(about, &args, exit, says));
        Vector { name: name.to_owned(), files }
    }
}
