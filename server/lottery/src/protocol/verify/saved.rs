//! What people saved at the time, held against the proof. This is what a forgery fails on
//! that agrees with itself.

use idl::draw::{Closed, Opened, Proof, Receipt};

use super::entries::Entries;
use super::fault::{Disagreement, Document};
use crate::protocol::keys::{entry_of, is_receipt_signed, is_signed};
use crate::protocol::messages;
use crate::protocol::spec::SpecText;

/// The announcement of the opening, with its spec.
pub(super) fn opened(
    spec: &SpecText,
    proof: &Proof,
    saved_spec: &SpecText,
    saved: &Opened,
) -> Result<(), Disagreement> {
    let document = Document::Opened;
    let key = &saved_spec.spec().receipt_key;
    if !is_signed(key, &messages::opened(saved_spec.hash(), &saved.commitment), &saved.signature) {
        return Err(Disagreement::SavedSignature(document));
    }
    let (expected, found) = (spec.spec().lottery_id, saved_spec.spec().lottery_id);
    if expected != found {
        return Err(Disagreement::OtherLottery { document, expected, found });
    }
    if *key != spec.spec().receipt_key {
        return Err(Disagreement::OtherKey(document));
    }
    differs(document, "spec", saved.spec == proof.spec)?;
    differs(document, "commitment", saved.commitment == proof.commitment)
}

/// The announcement of the freeze.
pub(super) fn closed(spec: &SpecText, proof: &Proof, saved: &Closed) -> Result<(), Disagreement> {
    let document = Document::Closed;
    let (expected, found) = (spec.spec().lottery_id, saved.lottery_id);
    if expected != found {
        return Err(Disagreement::OtherLottery { document, expected, found });
    }
    let message = messages::closed(spec.hash(), &saved.root, saved.count, saved.closed_at_ms);
    if !is_signed(&spec.spec().receipt_key, &message, &saved.signature) {
        return Err(Disagreement::SavedSignature(document));
    }
    differs(document, "root", saved.root == proof.root)?;
    differs(document, "count", saved.count == proof.count)?;
    differs(document, "time of the freeze", saved.closed_at_ms == proof.closed_at_ms)
}

/// An entrant's receipt, the `i`-th.
pub(super) fn receipt(i: usize, spec: &SpecText, saved: &Receipt, entries: &Entries) -> Result<(), Disagreement> {
    let document = Document::Receipt(i);
    let (expected, found) = (spec.spec().lottery_id, saved.lottery_id);
    if expected != found {
        return Err(Disagreement::OtherLottery { document, expected, found });
    }
    if !is_receipt_signed(&spec.spec().receipt_key, saved) {
        return Err(Disagreement::SavedSignature(document));
    }
    if entries.get(saved.n) == Some(entry_of(saved)) {
        Ok(())
    } else {
        Err(Disagreement::EntryMissing { i, n: saved.n })
    }
}

fn differs(document: Document, what: &'static str, agrees: bool) -> Result<(), Disagreement> {
    if agrees { Ok(()) } else { Err(Disagreement::Equivocation { document, what }) }
}
