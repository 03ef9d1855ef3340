//! The test vectors of the draw protocol in `tests/draw/vectors`: made here, always the same
//! bytes. `WRITE_DRAW_VECTORS=1 cargo test -p goligoli-lottery --test vectors` writes them
//! anew. What a verifier answers to them is tested where the command is.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod changed;
mod draw;
mod forged;
mod rules;
mod steps;
mod tampered;
mod unreadable;
mod weak;
mod whole;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::draw::Vector;

fn vectors() -> Vec<Vector> {
    whole::vectors().into_iter().chain(tampered::vectors()).collect()
}

fn is_writing() -> bool {
    std::env::var_os("WRITE_DRAW_VECTORS").is_some()
}

#[test]
fn the_committed_vectors_are_those_that_are_made() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/draw/vectors");
    let vectors = vectors();
    let names: BTreeSet<String> = vectors.iter().map(|vector| vector.name.clone()).collect();
    assert_eq!(names.len(), vectors.len(), "every vector has a name of its own");
    if is_writing() {
        fs::remove_dir_all(&folder).unwrap();
        for vector in &vectors {
            let folder = folder.join(&vector.name);
            fs::create_dir_all(&folder).unwrap();
            vector.files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
        }
    }
    let mut committed = listed(&folder);
    if !whole::has_largest() {
        assert!(committed.remove("entries-1000000"), "the largest is there");
    }
    assert_eq!(committed, names);
    for vector in &vectors {
        let folder = folder.join(&vector.name);
        assert_eq!(listed(&folder), vector.files.iter().map(|(name, _)| name.clone()).collect(), "{}", vector.name);
        for (name, bytes) in &vector.files {
            assert!(fs::read(folder.join(name)).unwrap() == *bytes, "{}/{name}", vector.name);
        }
    }
}

/// Every value of the worked example stands in the protocol's text.
#[test]
fn the_text_shows_the_worked_example() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/draw");
    let text = fs::read_to_string(tests.join("PROTOCOL.md")).unwrap();
    let steps = fs::read_to_string(tests.join("vectors/tiny/steps.json")).unwrap();
    let values = steps.split('"').filter(|part| part.len() >= 64 && part.bytes().all(|b| b.is_ascii_hexdigit()));
    let documents = ["proof", "opened", "closed", "receipt-1", "inclusion-1", "cancelled"];
    let documents = documents.map(|name| fs::read_to_string(tests.join(format!("vectors/tiny/{name}.json"))).unwrap());
    let entries = fs::read_to_string(tests.join("vectors/tiny/entries.ndjson")).unwrap();
    for shown in values.chain(documents.iter().map(String::as_str)).chain(entries.lines()) {
        assert!(text.contains(shown), "PROTOCOL.md does not show {shown}");
    }
}

fn listed(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}
