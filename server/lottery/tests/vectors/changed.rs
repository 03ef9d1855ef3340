//! Exit code 1: the tiny draw with one thing changed.

use idl::UserId;
use idl::draw::{Beacon, Entry, Proof};

use crate::draw::{CLOSED_AT_MS, DRAW_AT_MS, Draw, OPENS_AT_MS, Vector, lines, text};
use crate::tampered::{ENTRIES, Files, PROOF, RECEIPT};
use crate::whole::tiny;

/// Exit code 1: one thing in the proof.
pub(crate) fn in_proof() -> Vec<Vector> {
    let tiny = tiny();
    let made = tiny.make();
    let proof = |name: &str, about: &str, from: &str, to: &str, says: &str| {
        Files::of(&tiny).change(PROOF, from, to).vector(name, about, 1, says)
    };
    let with = |change: &dyn Fn(&mut Proof)| {
        let mut proof = made.proof.clone();
        change(&mut proof);
        proof
    };
    let swapped = with(&|proof| proof.winners.swap(0, 1));
    let fewer = with(&|proof| proof.winners.truncate(1));
    let more = with(&|proof| proof.winners.push(proof.winners[1].clone()));
    let not_replaced = with(&|proof| proof.replaced.clear());
    let other_key = with(&|proof| proof.winners[0].key.0[31] ^= 1);
    let other_user = with(&|proof| proof.winners[0].user_id.0 += 1);
    let other_prize = with(&|proof| proof.winners.iter_mut().for_each(|winner| winner.prize = 1 - winner.prize));
    let other_seed = with(&|proof| proof.seed.0[0] ^= 1);
    let other_root = with(&|proof| proof.root.0[0] ^= 1);
    let other_commitment = with(&|proof| proof.commitment.0[0] ^= 1);
    let randomness =
        Beacon { chain_hash: made.proof.root, round: 1, randomness: made.proof.root, signature: "00".to_owned() };
    let with_beacon = with(&|proof| proof.beacon = Some(randomness.clone()));
    let put = |name: &str, about: &str, changed, says: &str| {
        Files::of(&tiny).put(PROOF, text(changed)).vector(name, about, 1, says)
    };
    let later = (CLOSED_AT_MS + 1).to_string();
    vec![
        proof("spec-changed", "another title", "A new", "A few", "did not sign this opening"),
        proof(
            "spec-no-prize",
            "a prize of which there is none",
            "\\\"count\\\":1",
            "\\\"count\\\":0",
            "did not sign this opening",
        ),
        proof(
            "spec-never-open",
            "drawn when it opens",
            &DRAW_AT_MS.to_string(),
            &OPENS_AT_MS.to_string(),
            "did not sign this opening",
        ),
        put("beacon-added", "randomness that the spec does not ask for", &with_beacon, "the spec names none"),
        put("seed-changed", "another seed", &other_seed, "the seed is not the one"),
        put("commitment-changed", "another commitment", &other_commitment, "did not sign this opening"),
        put("root-changed", "another root", &other_root, "did not sign this freeze"),
        proof("count-changed", "another count", "\"count\":3", "\"count\":2", "did not sign this freeze"),
        proof(
            "closed-later",
            "another time of the freeze",
            &CLOSED_AT_MS.to_string(),
            &later,
            "did not sign this freeze",
        ),
        put("winners-swapped", "not in the order of the ranking", &swapped, "winner 1 is entry"),
        put("winners-fewer", "one is missing", &fewer, "there are 2 winners"),
        put("winners-more", "one is there twice", &more, "there are 2 winners"),
        put("winner-key", "another key", &other_key, "another key"),
        put("winner-user", "another user", &other_user, "another user_id"),
        put("winner-prize", "the prizes swapped", &other_prize, "another prize"),
        put("replaced-removed", "as if nobody had been taken out", &not_replaced, "winner 1 is entry"),
        proof("replaced-reason", "another reason", "unclaimed", "declined", "replacement 0 is not signed"),
    ]
}

/// Exit code 1: other entries than those that were signed.
pub(crate) fn in_entries() -> Vec<Vector> {
    let tiny = tiny();
    let with = |name: &str, about: &str, says: &str, change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = tiny.entries.clone();
        change(&mut entries);
        Files::of(&tiny).put(ENTRIES, lines(&entries)).vector(name, about, 1, says)
    };
    let receipt = |name: &str, about: &str, says: &str, changed: String| {
        Files::of(&tiny).put(RECEIPT, changed).vector(name, about, 1, says)
    };
    let mut elsewhere = Draw::new("tiny", 3, &[("first", 1)]);
    elsewhere.spec.lottery_id.0 += 1;
    let mut missing = Draw::new("tiny", 3, &[("first", 1)]);
    missing.entries[1].user_id = UserId(77);
    let mut unsigned = tiny.receipt(1);
    unsigned.signature.0[63] ^= 1;
    let mut too_late = tiny.receipt(1);
    too_late.n = 3;
    too_late = tiny.key().receipt(too_late.lottery_id, &lottery::protocol::keys::entry_of(&too_late));
    vec![
        with("entry-removed", "the last is missing", "there are 2 entries", &|entries| entries.truncate(2)),
        with("entry-hole", "one in the middle is missing", "where entry 1 belongs", &|entries| {
            entries.retain(|entry| entry.n != 1);
        }),
        with("entry-added", "one more", "there are 4 entries or more", &|entries| {
            let mut last = entries[2];
            (last.n, last.user_id) = (3, UserId(9_999));
            entries.push(last);
        }),
        with("entries-swapped", "two in the other order", "where entry 1 belongs", &|entries| entries.swap(1, 2)),
        with("entry-user", "another user", "the root over these entries", &|entries| entries[2].user_id.0 += 1),
        with(
            "entry-largest-weight",
            "2^32 - 1, where each has one chance",
            "entry 1 has weight 4294967295",
            &|entries| {
                entries[1].weight = u32::MAX.into();
            },
        ),
        with("entry-time", "another time", "the root over these entries", &|entries| entries[2].entered_at_ms += 1),
        receipt("receipt-unsigned", "a receipt with another signature", "receipt 1 is not signed", text(&unsigned)),
        receipt(
            "receipt-elsewhere",
            "of another lottery",
            "receipt 1 is for lottery 7302",
            text(&elsewhere.receipt(1)),
        ),
        receipt(
            "receipt-missing",
            "signed, and not under the root",
            "proves that the entries",
            text(&missing.receipt(1)),
        ),
        receipt("receipt-beyond", "signed, of an entry after the last", "proves that the entries", text(&too_late)),
    ]
}
