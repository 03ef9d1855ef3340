//! Draws that agree.

use idl::SessionId;
use idl::draw::{Condition, ReplaceReason, Weight, WeightRule};
use lottery::protocol::spec::MAX_WEIGHT;

use crate::draw::{CLAIM_MS, CLOSED_AT_MS, DRAW_AT_MS, Draw, Vector, expected, lines};
use crate::tampered::{ENTRIES, Files};
use crate::unreadable::longer_line;
use crate::{is_writing, steps};

/// The draw that the protocol's text works through, and that others are tampered versions of.
pub(crate) fn tiny() -> Draw {
    let prizes = [("a keyboard", 1), ("a sticker", 1)];
    Draw::new("tiny", 3, &prizes).take_out(0, ReplaceReason::Unclaimed, CLOSED_AT_MS + CLAIM_MS)
}

/// A million entries take a program that is not optimised a quarter of a minute: that draw is
/// made when the vectors are written, and compared by a program that is optimised.
pub(crate) fn has_largest() -> bool {
    !cfg!(debug_assertions) || is_writing()
}

pub(crate) fn vectors() -> Vec<Vector> {
    let mut tiny_vector = Vector::good("tiny", "the draw that PROTOCOL.md works through", &tiny(), &[1]);
    tiny_vector.files.extend(steps::files(&tiny()));
    let mut vectors = vec![tiny_vector];
    for count in [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 100] {
        let name = format!("entries-{count}");
        let draw = Draw::new(&name, count, &[("first", 1), ("second", 2)]);
        let last = usize::try_from(count).unwrap().checked_sub(1);
        vectors.push(Vector::good(&name, "a tree of this size; the last entry's receipt", &draw, last.as_slice()));
    }
    let largest = has_largest().then_some(1_000_000);
    for count in [8_191, 8_192, 8_193].into_iter().chain(largest) {
        let name = format!("entries-{count}");
        let draw = Draw::new(&name, count, &[("first", 1), ("second", 10), ("third", 100)]);
        let about = "a long list: make the entries from entries.json";
        vectors.push(Vector::long(&name, about, &draw));
    }
    vectors.extend(others());
    vectors.extend(unanchored());
    let longest = longer_line(&lines(&tiny().entries), 1_024);
    let about = "a line of 1,024 bytes with its newline";
    vectors.push(Files::of(&tiny()).put(ENTRIES, longest).vector("entries-longest-line", about, 0, ""));
    vectors
}

fn others() -> Vec<Vector> {
    let weights = Draw::new("weights", 20, &[("first", 5)]).weighted();
    let mut heaviest = Draw::new("weights-largest", 3, &[("first", 1)]);
    heaviest.spec.weight = Weight::Rule(WeightRule { rule: "level".to_owned(), max: MAX_WEIGHT });
    heaviest.entries[1].weight = MAX_WEIGHT;
    let fewer = Draw::new("fewer-entries-than-prizes", 2, &[("first", 1), ("second", 5)]);
    let many = Draw::new("many-winners", 60, &[("first", 1), ("second", 20), ("third", 30)]);
    let mut text = Draw::new("text", 3, &[("\u{1F381} \"gift\" \\ /", 1)]);
    text.spec.title = "键盘\ttab, \u{1} \u{7f} \u{2028} \u{1F389} é e\u{301}".to_owned();
    text.spec.conditions = vec![Condition::Posted(SessionId(9)), Condition::Keyword("冲鸭".to_owned())];
    let mut no_condition = Draw::new("no-condition", 3, &[("first", 1)]);
    no_condition.spec.conditions.clear();
    let mut edges = Draw::new("edges", 2, &[("first", 1)]);
    edges.entries[1].entered_at_ms = DRAW_AT_MS - 1;
    edges.closed_at_ms = DRAW_AT_MS;
    let mut numbers = Draw::new("large-numbers", 2, &[("first", (1 << 53) - 1), ("second", (1 << 53) - 1)]);
    numbers.entries[1].user_id.0 = (1 << 53) - 1;
    numbers.closed_at_ms = (1 << 53) - 1;

    let declined = Draw::new("redraw-declined", 9, &[("first", 1), ("second", 2)]).take_out(
        1,
        ReplaceReason::Declined,
        CLOSED_AT_MS + 5,
    );
    let chain = Draw::new("redraw-chain", 9, &[("first", 1), ("second", 1)])
        .take_out(0, ReplaceReason::Declined, CLOSED_AT_MS + 5)
        .take_out(1, ReplaceReason::Unclaimed, CLOSED_AT_MS + 5 + CLAIM_MS)
        .take_out(0, ReplaceReason::Unclaimed, CLOSED_AT_MS + 9 + CLAIM_MS)
        .take_out(1, ReplaceReason::Declined, CLOSED_AT_MS + 9 + CLAIM_MS);
    let nobody = Draw::new("redraw-nobody-left", 3, &[("first", 2)])
        .take_out(0, ReplaceReason::Declined, CLOSED_AT_MS + 5)
        .take_out(0, ReplaceReason::Declined, CLOSED_AT_MS + 6);
    let all_out = Draw::new("redraw-all-out", 1, &[("first", 1)]).take_out(0, ReplaceReason::Declined, CLOSED_AT_MS);
    vec![
        Vector::good("weights", "weights 1, 2 and 3 by a rule", &weights, &[0, 1, 2]),
        Vector::good("weights-largest", "the largest weight that a rule may give", &heaviest, &[1]),
        Vector::good("fewer-entries-than-prizes", "all win, the rest stays open", &fewer, &[]),
        Vector::good("many-winners", "three tiers", &many, &[]),
        Vector::good("text", "characters that JSON escapes, or need not; two conditions", &text, &[]),
        Vector::good("no-condition", "anyone may enter", &no_condition, &[]),
        Vector::good("edges", "the first and the last moment in which one can enter, and close", &edges, &[]),
        Vector::good("large-numbers", "the largest numbers; more prizes than 64 bits count", &numbers, &[]),
        Vector::good("redraw-declined", "a winner declined, the next has the prize", &declined, &[]),
        Vector::good("redraw-chain", "replacements replaced, to the millisecond", &chain, &[]),
        Vector::good("redraw-nobody-left", "the last prize stays open", &nobody, &[]),
        Vector::good("redraw-all-out", "nobody holds a prize any more", &all_out, &[]),
    ]
}

/// Consistent in themselves, and not more than that.
fn unanchored() -> Vec<Vector> {
    let receipt = ["--receipt", "../tiny/receipt-1.json"];
    let opened = ["--opened", "../tiny/opened.json"];
    let closed = ["--closed", "../tiny/closed.json"];
    let cases: [(&str, &str, Vec<&str>); 4] = [
        ("saved-nothing", "without announcements", vec![]),
        ("saved-opened-only", "`closed` is missing", opened.to_vec()),
        ("saved-closed-only", "`opened` is missing", closed.to_vec()),
        ("saved-receipt-only", "both announcements are missing", receipt.to_vec()),
    ];
    let vector = |(name, about, saved): (&str, &str, Vec<&str>)| {
        let args = [vec!["../tiny/proof.json", "../tiny/entries.ndjson"], saved].concat();
        Vector { name: name.to_owned(), files: vec![expected(about, &args, 3, "")] }
    };
    cases.into_iter().map(vector).collect()
}
