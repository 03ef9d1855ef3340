//! Ed25519 (RFC 8032): the key that signs everything about a lottery, and the documents that
//! it signs.
//!
//! Whoever holds the key may not be able to make a signature that one verifier takes and
//! another does not, nor one that holds for several messages. So a signature is checked by the
//! strictest of the usual rules; see [`is_signed`].

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ed25519_dalek::VerifyingKey;
use idl::LotteryId;
use idl::draw::{Cancelled, Closed, Entry, Hash, Opened, Receipt, ReplaceReason, Replaced, Signature};

use super::messages::ReplacementChain;
use super::spec::SpecText;
use super::{merkle, messages};

/// The secret was refused by the cryptographic library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receipt key's secret was refused")]
pub struct BadKey;

/// A receipt key. Shows only its public half.
pub struct ReceiptKey {
    pair: Ed25519KeyPair,
    public: Hash,
}

impl fmt::Debug for ReceiptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiptKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl ReceiptKey {
    /// From its secret: 32 random bytes (the "private key" of RFC 8032).
    ///
    /// # Errors
    /// The cryptographic library refused them.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, BadKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(secret).map_err(|_| BadKey)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| BadKey)?;
        Ok(Self { pair, public: Hash(public) })
    }

    /// The public half, which specs name.
    #[must_use]
    pub const fn public(&self) -> Hash {
        self.public
    }

    /// Signs. The same bytes always get the same signature.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(message).as_ref());
        Signature(signature)
    }

    /// Announces a lottery with what binds its seed.
    #[must_use]
    pub fn open(&self, spec: &SpecText, seed: &Hash) -> Opened {
        let commitment = messages::commitment(spec.hash(), seed);
        let signature = self.sign(&messages::opened(spec.hash(), &commitment));
        Opened { spec: spec.text().to_owned(), commitment, signature }
    }

    /// Confirms an entry.
    #[must_use]
    pub fn receipt(&self, lottery_id: LotteryId, entry: &Entry) -> Receipt {
        let Entry { n, user_id, entered_at_ms, weight } = *entry;
        let signature = self.sign(&messages::receipt(lottery_id, &merkle::leaf(entry)));
        Receipt { lottery_id, n, user_id, entered_at_ms, weight, signature }
    }

    /// Announces that the entries are frozen.
    #[must_use]
    pub fn close(&self, spec: &SpecText, root: Hash, count: u64, closed_at_ms: u64) -> Closed {
        let signature = self.sign(&messages::closed(spec.hash(), &root, count, closed_at_ms));
        Closed { lottery_id: spec.spec().lottery_id, root, count, closed_at_ms, signature }
    }

    /// Announces that a lottery was called off. The reason is not signed.
    #[must_use]
    pub fn cancel(&self, spec: &SpecText, at_ms: u64, reason: String) -> Cancelled {
        let signature = self.sign(&messages::cancelled(spec.hash(), at_ms));
        Cancelled { lottery_id: spec.spec().lottery_id, at_ms, reason, signature }
    }

    /// Records that a winner is taken out, after the replacements that `chain` has seen.
    /// Whether it may be is for [`super::prizes::Holders::replace`] to say.
    #[must_use]
    pub fn replace(&self, chain: &mut ReplacementChain, n: u64, reason: ReplaceReason, at_ms: u64) -> Replaced {
        let signature = self.sign(&chain.append(n, reason, at_ms));
        Replaced { n, reason, at_ms, signature }
    }
}

/// Whether the public key signed these bytes.
///
/// A public key that is none has signed nothing, nor has one that is not in its canonical form
/// (y not below p) or of small order: under those some signatures hold for many messages. The
/// signature's `R` may not be of small order either, its `S` has to be below the group's order,
/// and the equation holds without the cofactor: "strict" verification, see "Taming the many
/// EdDSAs" (Chalkias, Garillot, Nikolaenko 2020).
#[must_use]
pub fn is_signed(public: &Hash, message: &[u8], signature: &Signature) -> bool {
    VerifyingKey::from_bytes(&public.0).is_ok_and(|key| {
        let is_canonical = key.to_edwards().compress().0 == public.0;
        is_canonical && key.verify_strict(message, &signature.0.into()).is_ok()
    })
}

/// Whether the public key signed this receipt. No receipt has a weight that is not below 2^32.
#[must_use]
pub fn is_receipt_signed(public: &Hash, receipt: &Receipt) -> bool {
    let has_leaf = u32::try_from(receipt.weight).is_ok();
    has_leaf
        && is_signed(
            public,
            &messages::receipt(receipt.lottery_id, &merkle::leaf(&entry_of(receipt))),
            &receipt.signature,
        )
}

/// The entry that a receipt is for.
#[must_use]
pub const fn entry_of(receipt: &Receipt) -> Entry {
    let Receipt { n, user_id, entered_at_ms, weight, .. } = *receipt;
    Entry { n, user_id, entered_at_ms, weight }
}

#[cfg(test)]
mod tests {
    use idl::UserId;

    use super::*;

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn a_known_signature() {
        let mut secret = [0; 32];
        let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let expected = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
        secret.copy_from_slice(&hex.parse::<Hash>().unwrap().0);
        let key = ReceiptKey::from_secret(&secret).unwrap();
        assert_eq!(key.public().to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert_eq!(key.sign(b"").to_string(), expected);
        assert!(is_signed(&key.public(), b"", &key.sign(b"")));
        assert!(!is_signed(&key.public(), b"x", &key.sign(b"")));
        assert!(!is_signed(&Hash([0xff; 32]), b"", &key.sign(b"")));
        assert!(!format!("{key:?}").contains("9d61"), "Debug tells nothing secret");
    }

    #[test]
    fn a_receipt_holds_for_one_entry_of_one_lottery() {
        let key = ReceiptKey::from_secret(&[1; 32]).unwrap();
        let entry = Entry { n: 3, user_id: UserId(9), entered_at_ms: 100, weight: 1 };
        let receipt = key.receipt(LotteryId(5), &entry);
        assert_eq!(entry_of(&receipt), entry);
        assert!(is_receipt_signed(&key.public(), &receipt));
        for other in [
            Receipt { lottery_id: LotteryId(6), ..receipt.clone() },
            Receipt { n: 4, ..receipt.clone() },
            Receipt { user_id: UserId(8), ..receipt.clone() },
            Receipt { entered_at_ms: 101, ..receipt.clone() },
            Receipt { weight: 2, ..receipt },
        ] {
            assert!(!is_receipt_signed(&key.public(), &other), "{other:?}");
        }
    }
}
