//! The whole check of a draw, from its documents alone.
//!
//! In this order: the documents can be read; the announcements in the proof are signed by
//! the key that the spec names, and the commitment is of the seed; the saved announcements
//! say the same; the entries are in order, within the rules, of one user each and under the
//! root; the replacements are signed, allowed and chained; the winners are those that follow
//! from all that, in the order of the ranking; the receipts are under the root. What does not
//! hold first is the answer.
//!
//! Decided here, where the protocol leaves it open: `closed_at_ms` is not before
//! `draw_at_ms`; a spec with a beacon is [`Unreadable`], as nothing here can check one (a proof
//! with one that its spec does not name does not agree); so is a spec string that is not
//! canonical.
//!
//! One pass over the entries, which need 24 bytes each, and some 20 for who has entered.

use std::io::BufRead;

use idl::draw::{Closed, Object, Opened, PROTOCOL, Proof, Receipt};
use serde::Deserialize;

use super::keys::is_signed;
use super::messages::{self, ReplacementChain};
use super::prizes::{self, Holders};
use super::rank::{DrawKey, Ranked, Ranking};
use super::spec::SpecText;

mod entries;
mod fault;
mod saved;

pub use entries::{MAX_CHANCES, MAX_ENTRIES, MAX_LINE_BYTES};
pub use fault::{Disagreement, Document, Fault, Unreadable};

use entries::Entries;

/// No document is longer; a proof of some 250,000 winners has as much.
pub const MAX_DOCUMENT_BYTES: usize = 32 << 20;

/// What is checked, as it was read, besides the entries.
#[derive(Debug, Clone, Copy, Default)]
pub struct Documents<'a> {
    /// The proof.
    pub proof: &'a [u8],
    /// The announcement of the opening as somebody saved it at that time.
    pub opened: Option<&'a [u8]>,
    /// That of the freeze.
    pub closed: Option<&'a [u8]>,
    /// Receipts as entrants saved them.
    pub receipts: &'a [Vec<u8>],
}

/// What a draw that agrees is about.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What was fixed when it was made.
    pub spec: SpecText,
    /// The proof.
    pub proof: Proof,
    /// Whether it was held against the `opened` of the time…
    pub with_opened: bool,
    /// …and the `closed`.
    pub with_closed: bool,
    /// How many receipts lie under the root.
    pub receipts: usize,
}

impl Checked {
    /// Whether it agrees with what was signed at the time, and not just with itself.
    #[must_use]
    pub const fn is_anchored(&self) -> bool {
        self.with_opened && self.with_closed
    }

    /// 0: agrees with what was signed at the time; 3: is only consistent in itself.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        if self.is_anchored() { 0 } else { 3 }
    }
}

/// Checks a draw; `entries` is read to its end, as a stream.
///
/// # Errors
/// The first thing that can't be read or does not agree.
pub fn verify(documents: &Documents<'_>, entries: impl BufRead) -> Result<Checked, Fault> {
    let proof: Proof = read(Document::Proof, documents.proof)?;
    let opened: Option<Opened> = documents.opened.map(|bytes| read(Document::Opened, bytes)).transpose()?;
    let closed: Option<Closed> = documents.closed.map(|bytes| read(Document::Closed, bytes)).transpose()?;
    let receipts = documents.receipts.iter().enumerate();
    let receipts: Vec<Receipt> =
        receipts.map(|(i, bytes)| read(Document::Receipt(i + 1), bytes)).collect::<Result<_, _>>()?;
    if proof.protocol != PROTOCOL {
        return Err(Unreadable::Protocol(fault::one_line(&proof.protocol)).into());
    }
    let spec = parse_spec(Document::Proof, &proof.spec)?;
    let opened = opened
        .map(|opened| Ok((parse_spec(Document::Opened, &opened.spec)?, opened)))
        .transpose()
        .map_err(Fault::Unreadable)?;
    if spec.spec().beacon.is_some() {
        return Err(Unreadable::Beacon.into());
    }

    announcements(&spec, &proof)?;
    if let Some((saved_spec, opened)) = &opened {
        saved::opened(&spec, &proof, saved_spec, opened)?;
    }
    if let Some(closed) = &closed {
        saved::closed(&spec, &proof, closed)?;
    }
    let entries = Entries::read(entries, spec.spec(), proof.count)?;
    let root = entries.root();
    if root != proof.root {
        return Err(Disagreement::Root { computed: root, found: proof.root }.into());
    }
    winners(&spec, &proof, &entries)?;
    for (i, receipt) in receipts.iter().enumerate() {
        saved::receipt(i + 1, &spec, receipt, &entries)?;
    }
    Ok(Checked { spec, proof, with_opened: opened.is_some(), with_closed: closed.is_some(), receipts: receipts.len() })
}

fn read<'de, T: Deserialize<'de>>(document: Document, bytes: &'de [u8]) -> Result<T, Unreadable> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(Unreadable::TooLong { document, max_bytes: MAX_DOCUMENT_BYTES });
    }
    serde_json::from_slice::<Object<T>>(bytes)
        .map(|object| object.0)
        .map_err(|error| Unreadable::Json { document, why: fault::one_line(&error.to_string()) })
}

fn parse_spec(document: Document, text: &str) -> Result<SpecText, Unreadable> {
    SpecText::parse(text).map_err(|why| Unreadable::Spec { document, why: fault::one_line(&why.to_string()) })
}

/// What the proof says was announced.
fn announcements(spec: &SpecText, proof: &Proof) -> Result<(), Disagreement> {
    let (key, hash) = (&spec.spec().receipt_key, spec.hash());
    if !is_signed(key, &messages::opened(hash, &proof.commitment), &proof.opened_signature) {
        return Err(Disagreement::OpenedSignature);
    }
    if proof.beacon.is_some() {
        return Err(Disagreement::Beacon);
    }
    if messages::commitment(hash, &proof.seed) != proof.commitment {
        return Err(Disagreement::Commitment);
    }
    let Proof { closed_at_ms, .. } = *proof;
    if closed_at_ms < spec.spec().draw_at_ms {
        return Err(Disagreement::ClosedEarly { closed_at_ms, draw_at_ms: spec.spec().draw_at_ms });
    }
    let closed = messages::closed(hash, &proof.root, proof.count, closed_at_ms);
    if !is_signed(key, &closed, &proof.closed_signature) {
        return Err(Disagreement::ClosedSignature);
    }
    Ok(())
}

/// Ranks the entries, repeats the replacements, and compares who wins.
fn winners(spec: &SpecText, proof: &Proof, entries: &Entries) -> Result<(), Disagreement> {
    let (spec_hash, spec) = (spec.hash(), spec.spec());
    let mut ranking = Ranking::of(prizes::places(&spec.prizes, proof.replaced.len(), proof.count));
    let key = DrawKey::derive(&proof.seed, spec_hash, &proof.root, proof.count, None);
    for (entry, leaf, weight) in entries.with_leaves() {
        ranking.offer(Ranked { key: key.key(&leaf, weight), n: entry.n, user_id: entry.user_id });
    }
    let ranking = ranking.in_order();
    let mut holders = Holders::first(&spec.prizes, spec.claim_ms, &ranking, proof.closed_at_ms);
    let mut chain = ReplacementChain::new(spec_hash, &proof.root, proof.count, proof.closed_at_ms);
    for (i, record) in proof.replaced.iter().enumerate() {
        let message = chain.append(record.n, record.reason, record.at_ms);
        if !is_signed(&spec.receipt_key, &message, &record.signature) {
            return Err(Disagreement::ReplacedSignature { i });
        }
        holders.replace(record.n, record.reason, record.at_ms).map_err(|why| Disagreement::Replaced { i, why })?;
    }
    let computed = holders.winners();
    for (place, (computed, found)) in computed.iter().zip(&proof.winners).enumerate() {
        let place = place + 1;
        if computed.n != found.n {
            return Err(Disagreement::Winner { place, computed: computed.n, found: found.n });
        }
        for (field, agrees) in [
            ("user_id", computed.user_id == found.user_id),
            ("key", computed.key == found.key),
            ("prize", computed.prize == found.prize),
        ] {
            if !agrees {
                return Err(Disagreement::WinnerField { place, n: found.n, field });
            }
        }
    }
    if computed.len() == proof.winners.len() {
        Ok(())
    } else {
        Err(Disagreement::Winners { computed: computed.len(), found: proof.winners.len() })
    }
}
