//! Exit code 2.

use idl::draw::{Closed, Winner};

use crate::draw::{Vector, lines, text};
use crate::tampered::{CLOSED, ENTRIES, Files, OPENED, PROOF, RECEIPT};
use crate::whole::tiny;

/// Exit code 2, by the form alone.
pub(crate) fn unreadable() -> Vec<Vector> {
    let files = || Files::of(&tiny());
    let proof =
        |name: &str, about: &str, from: &str, to: &str| files().change(PROOF, from, to).vector(name, about, 2, "");
    let line =
        |name: &str, about: &str, from: &str, to: &str| files().change(ENTRIES, from, to).vector(name, about, 2, "");
    let tiny = tiny();
    let made = tiny.make();
    let (proof_text, entries_text) = (text(&made.proof), lines(&made.entries));
    let winner = text(&made.proof.winners[0]);
    let Winner { n, user_id, key, prize } = &made.proof.winners[0];
    let winner_array = text(&(n, user_id, key, prize));
    let Closed { lottery_id, root, count, closed_at_ms, signature } = &made.closed;
    let closed_array = text(&(lottery_id, root, count, closed_at_ms, signature));
    let deep = "[".repeat(100_000);
    let root = made.proof.root.to_string();
    vec![
        files().put(PROOF, "").vector("proof-empty", "no bytes", 2, ""),
        files().put(PROOF, &proof_text[..200]).vector("proof-cut", "the file ends early", 2, ""),
        files().put(PROOF, deep.clone()).vector("proof-deep", "100,000 nested arrays", 2, ""),
        files().put(PROOF, proof_text.clone() + "{}").vector("proof-and-more", "text behind the document", 2, ""),
        files().put(PROOF, [&proof_text.as_bytes()[..300], b"\xff", &proof_text.as_bytes()[301..]].concat()).vector(
            "proof-not-utf-8",
            "a byte that UTF-8 does not have",
            2,
            "",
        ),
        proof("proof-reason-object", "a reason as an object", "\"unclaimed\"", "{\"unclaimed\":null}"),
        proof("proof-winner-array", "a winner as an array", &winner, &winner_array),
        files().put(CLOSED, closed_array).vector("closed-array", "an announcement as an array", 2, ""),
        line("entries-array", "an entry as an array", &lines(&made.entries[..1]), "[0,\"1000\",1760000000000,1]\n"),
        proof("proof-unknown-field", "a field that is not in the protocol", "\"beacon\"", "\"also\":1,\"beacon\""),
        proof("proof-double-field", "a field that is there twice", "\"beacon\"", "\"beacon\":null,\"beacon\""),
        proof("proof-missing-field", "`beacon` is missing", "\"beacon\":null,", ""),
        proof("proof-missing-replaced", "`replaced` is missing", "\"replaced\"", "\"replaces\""),
        proof("proof-upper-case", "hexadecimal in upper case", &root, &root.to_uppercase()),
        proof("proof-short-hash", "a hash that is too short", &root, &root[2..]),
        proof("proof-float", "a count with a fraction", "\"count\":3", "\"count\":3.0"),
        proof("proof-exponent", "a count with an exponent", "\"count\":3", "\"count\":3e0"),
        proof("proof-negative", "a count below 0", "\"count\":3", "\"count\":-3"),
        proof("proof-text-number", "a count as text", "\"count\":3", "\"count\":\"3\""),
        proof("proof-large-number", "2^53", "\"count\":3", "\"count\":9007199254740992"),
        proof("proof-huge-number", "10^400", "\"count\":3", &format!("\"count\":1{}", "0".repeat(400))),
        proof("proof-other-protocol", "goligoli-draw/2", "goligoli-draw/1\"", "goligoli-draw/2\""),
        proof("proof-unknown-reason", "a reason that nobody knows", "unclaimed", "forgotten"),
        line("entries-open-line", "the last line is not ended", "\"weight\":1}\n{\"n\":2", "\"weight\":1}{\"n\":2"),
        files().put(ENTRIES, entries_text.trim_end()).vector(
            "entries-no-last-newline",
            "the last line is not ended",
            2,
            "",
        ),
        files().put(ENTRIES, entries_text.clone() + "\n").vector(
            "entries-empty-line",
            "a line without an entry",
            2,
            "",
        ),
        files().put(ENTRIES, deep + "\n").vector("entries-deep", "100,000 nested arrays", 2, ""),
        line("entries-unknown-field", "a field that is not in the protocol", "\"weight\"", "\"also\":1,\"weight\""),
        line("entries-double-field", "a field that is there twice", "\"weight\"", "\"weight\":1,\"weight\""),
        line("entries-large-id", "2^53", "\"1000\"", "\"9007199254740992\""),
        line("entries-large-weight", "2^32, which four bytes do not hold", "\"weight\":1", "\"weight\":4294967296"),
        files().put(ENTRIES, longer_line(&entries_text, 1_025)).vector(
            "entries-long-line",
            "a line of 1,025 bytes with its newline",
            2,
            "",
        ),
        line("entries-missing-field", "`weight` is missing", ",\"weight\":1", ""),
        line("entries-numeric-id", "an id as a number", "\"1000\"", "1000"),
        line("entries-leading-zero", "an id with a leading zero", "\"1000\"", "\"01000\""),
        line("entries-large-number", "2^53", "\"n\":0", "\"n\":9007199254740992"),
        files().change(OPENED, "\"spec\"", "\"specs\"").vector("opened-unknown-field", "`specs`", 2, ""),
        files().put(CLOSED, "null").vector("closed-null", "no announcement", 2, ""),
        proof("proof-large-id", "2^53", "\"user_id\":\"1006\"", "\"user_id\":\"9007199254740992\""),
        files().change(RECEIPT, "\"weight\":1", "\"weight\":4294967296").vector("receipt-large-weight", "2^32", 2, ""),
        files().change(RECEIPT, "\"1003\"", "\"9007199254740992\"").vector("receipt-large-id", "2^53", 2, ""),
        files().change(RECEIPT, "\"n\":1", "\"n\":true").vector("receipt-boolean", "a number that is none", 2, ""),
    ]
}

/// With so much space in the first line that it has `length` bytes.
pub(crate) fn longer_line(entries: &str, length: usize) -> String {
    let space = " ".repeat(length - 1 - entries.find('\n').unwrap());
    entries.replacen(':', &format!(":{space}"), 1)
}

/// Exit code 2, by what the spec string says, whoever signed it.
pub(crate) fn bad_spec() -> Vec<Vector> {
    let spec = |name: &str, about: &str, from: &str, to: &str| {
        Files::of(&tiny()).change(PROOF, from, to).vector(name, about, 2, "")
    };
    let quoted = |text: &str| text.replace('"', "\\\"");
    let chain = "00".repeat(32);
    let beacon = format!("\"beacon\":{{\"chain_hash\":\"{chain}\",\"round\":1}}");
    vec![
        spec("spec-space", "a space that canonical JSON does not have", "\\\"v\\\":1", "\\\"v\\\": 1"),
        spec(
            "spec-order",
            "fields in another order",
            &quoted("\"beacon\":null,\"claim_ms\":60000"),
            &quoted("\"claim_ms\":60000,\"beacon\":null"),
        ),
        spec("spec-escape", "a character that canonical JSON does not escape", "A new", "\\\\u0041 new"),
        spec("spec-exponent", "a number in another form", "60000", "6e4"),
        spec("spec-double-field", "a field that is there twice", "\\\"v\\\":1", "\\\"v\\\":1,\\\"v\\\":1"),
        spec("spec-unknown-field", "a field that is not in the protocol", "\\\"v\\\":1", "\\\"v\\\":1,\\\"w\\\":1"),
        spec("spec-missing-field", "`beacon` is missing", &quoted("\"beacon\":null,"), ""),
        spec("spec-version", "a version that nobody knows", "\\\"v\\\":1", "\\\"v\\\":2"),
        spec("spec-unknown-condition", "a condition that nobody knows", "keyword\\\"", "keywords\\\""),
        spec("spec-unknown-weight", "a weight that nobody knows", "\\\"one\\\"", "\\\"two\\\""),
        spec("spec-no-weight", "no weight is allowed", "\\\"one\\\"", &quoted("{\"max\":0,\"rule\":\"level\"}")),
        spec("spec-large-weight", "65,536", "\\\"one\\\"", &quoted("{\"max\":65536,\"rule\":\"level\"}")),
        spec("spec-large-id", "2^53", "\\\"7301\\\"", "\\\"9007199254740992\\\""),
        spec("spec-id-0", "ids are from 1 on", "\\\"7301\\\"", "\\\"0\\\""),
        spec("spec-beacon", "a beacon, which this version can't verify", &quoted("\"beacon\":null"), &quoted(&beacon)),
    ]
}
