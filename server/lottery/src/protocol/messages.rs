//! The bytes that are hashed and signed. Each begins with a name of its own, so that no
//! signature of one kind can pass for another; all numbers are big-endian.

use idl::LotteryId;
use idl::draw::{Closed, Hash, ReplaceReason, Replaced};
use sha2::{Digest as _, Sha256};

/// What binds the seed: `SHA256("goligoli-draw/1/commit" ‖ spec_hash ‖ seed)`.
#[must_use]
pub fn commitment(spec_hash: &Hash, seed: &Hash) -> Hash {
    Hash(Sha256::digest([&b"goligoli-draw/1/commit"[..], &spec_hash.0, &seed.0].concat()).into())
}

/// What is signed when a lottery opens: `"goligoli-draw/1/opened" ‖ spec_hash ‖ commitment`.
#[must_use]
pub fn opened(spec_hash: &Hash, commitment: &Hash) -> Vec<u8> {
    [&b"goligoli-draw/1/opened"[..], &spec_hash.0, &commitment.0].concat()
}

/// What is signed for an entrant: `"goligoli-draw/1/receipt" ‖ u64(lottery_id) ‖ leaf`.
#[must_use]
pub fn receipt(lottery: LotteryId, leaf: &Hash) -> Vec<u8> {
    [&b"goligoli-draw/1/receipt"[..], &lottery.0.to_be_bytes(), &leaf.0].concat()
}

/// What is signed when the entries are frozen:
/// `"goligoli-draw/1/closed" ‖ spec_hash ‖ root ‖ u64(N) ‖ u64(closed_at_ms)`.
#[must_use]
pub fn closed(spec_hash: &Hash, root: &Hash, count: u64, closed_at_ms: u64) -> Vec<u8> {
    let (count, closed_at_ms) = (count.to_be_bytes(), closed_at_ms.to_be_bytes());
    [&b"goligoli-draw/1/closed"[..], &spec_hash.0, &root.0, &count, &closed_at_ms].concat()
}

/// What is signed when a lottery is called off: `"goligoli-draw/1/cancelled" ‖ spec_hash ‖ u64(at_ms)`.
#[must_use]
pub fn cancelled(spec_hash: &Hash, at_ms: u64) -> Vec<u8> {
    [&b"goligoli-draw/1/cancelled"[..], &spec_hash.0, &at_ms.to_be_bytes()].concat()
}

/// The replacements of one draw, each bound to the one before: what is signed for the i-th is
/// `"goligoli-draw/1/replaced" ‖ spec_hash ‖ root ‖ u64(i) ‖ u64(n) ‖ u32(reason code) ‖
/// u64(at_ms) ‖ prev`, where `prev` is the SHA-256 of the bytes that were signed (not of the
/// signature) for the record before, and for the first of those for [`closed`].
#[derive(Debug, Clone)]
pub struct ReplacementChain {
    spec_hash: Hash,
    root: Hash,
    next: u64,
    prev: Hash,
}

impl ReplacementChain {
    /// Before the first replacement.
    #[must_use]
    pub fn new(spec_hash: &Hash, root: &Hash, count: u64, closed_at_ms: u64) -> Self {
        let prev = Hash(Sha256::digest(closed(spec_hash, root, count, closed_at_ms)).into());
        Self { spec_hash: *spec_hash, root: *root, next: 0, prev }
    }

    /// After those that were made.
    #[must_use]
    pub fn after(spec_hash: &Hash, closed: &Closed, replaced: &[Replaced]) -> Self {
        let mut chain = Self::new(spec_hash, &closed.root, closed.count, closed.closed_at_ms);
        for record in replaced {
            chain.append(record.n, record.reason, record.at_ms);
        }
        chain
    }

    /// Appends a replacement; returns what is signed for it.
    pub fn append(&mut self, n: u64, reason: ReplaceReason, at_ms: u64) -> Vec<u8> {
        let message = [
            &b"goligoli-draw/1/replaced"[..],
            &self.spec_hash.0,
            &self.root.0,
            &self.next.to_be_bytes(),
            &n.to_be_bytes(),
            &reason.code().to_be_bytes(),
            &at_ms.to_be_bytes(),
            &self.prev.0,
        ]
        .concat();
        self.next += 1;
        self.prev = Hash(Sha256::digest(&message).into());
        message
    }
}
