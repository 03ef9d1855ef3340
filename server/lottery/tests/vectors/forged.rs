//! Forgeries: only what was saved at the time shows them.

use idl::UserId;
use idl::draw::{Closed, Hash};

use crate::draw::{Draw, Vector, bytes, expected, lines, text};
use crate::tampered::{CLOSED, Files, OPENED, RECEIPT};
use crate::whole::tiny;

/// Signed anew, whole: only what was saved at the time shows it.
pub(crate) fn forged() -> Vec<Vector> {
    let tiny = tiny();
    let saved = tiny.make();
    let mut other_seed = not_replaced();
    other_seed.seed = Hash(bytes("a seed that was chosen"));
    let mut other_key = not_replaced();
    other_key.secret = bytes("somebody's key");
    other_key.spec.receipt_key = other_key.key().public();
    let mut other_entries = not_replaced();
    other_entries.entries[2].user_id = UserId(66);
    let mut later = not_replaced();
    later.closed_at_ms += 1;
    let mut other_title = not_replaced();
    other_title.spec.title = "A used keyboard".to_owned();
    let mut other_lottery = not_replaced();
    other_lottery.spec.lottery_id.0 += 1;
    let forge = |draw: &Draw| {
        let files = Files::of(draw).put(OPENED, text(&saved.opened)).put(CLOSED, text(&saved.closed));
        files.put(RECEIPT, text(&tiny.receipt(1)))
    };
    let mut unsigned_opened = saved.opened.clone();
    unsigned_opened.signature.0[0] ^= 1;
    let mut unsigned_closed = saved.closed.clone();
    unsigned_closed.signature.0[0] ^= 1;
    let elsewhere = Closed { lottery_id: other_lottery.spec.lottery_id, ..saved.closed.clone() };
    let file = |name: &str, about: &str, which: &str, bytes: String, says: &str| {
        Files::of(&tiny).put(which, bytes).vector(name, about, 1, says)
    };
    vec![
        forge(&other_seed).vector("forged-seed", "a seed that was chosen afterwards", 1, "has another commitment"),
        forge(&other_key).vector("forged-key", "by somebody else", 1, "names another receipt key"),
        forge(&other_title).vector("forged-spec", "another spec", 1, "has another spec"),
        forge(&other_lottery).vector("forged-lottery", "another lottery", 1, "`opened` is for lottery 7301"),
        forge(&other_entries).vector("forged-entries", "other entries", 1, "has another root"),
        forge(&later).vector("forged-time", "another time of the freeze", 1, "has another time of the freeze"),
        file("opened-unsigned", "another signature", OPENED, text(&unsigned_opened), "`opened` is not signed"),
        file("closed-unsigned", "another signature", CLOSED, text(&unsigned_closed), "`closed` is not signed"),
        file("closed-elsewhere", "of another lottery", CLOSED, text(&elsewhere), "`closed` is for lottery 7302"),
        alone(&other_key),
    ]
}

/// The tiny draw, which its forger makes anew.
fn not_replaced() -> Draw {
    let mut draw = tiny();
    draw.replaced.clear();
    draw
}

/// A forgery without anything to hold it against.
fn alone(draw: &Draw) -> Vector {
    let made = draw.make();
    let files = vec![
        ("proof.json".to_owned(), text(&made.proof).into_bytes()),
        ("entries.ndjson".to_owned(), lines(&made.entries).into_bytes()),
        expected("a whole forgery is consistent in itself", &["proof.json", "entries.ndjson"], 3, ""),
    ];
    Vector { name: "forged-alone".to_owned(), files }
}
