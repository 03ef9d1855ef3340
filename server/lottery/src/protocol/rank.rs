//! The order in which entries win. Every entry gets a key that nobody could know before the
//! seed was revealed; the smallest keys win.
//!
//! An entry of weight w has w chances, and its key is the smallest of them. That is exactly
//! drawing without replacement in proportion to the weights: among all chances the smallest
//! belongs to an entry with probability w / total, and what is left once the entry is taken
//! out is again a draw of that kind.
//!
//! Two keys are only equal if HMAC-SHA256 collides, which nobody has ever seen; the order
//! is then by `n`, so that it is always the same.

use std::collections::BinaryHeap;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use idl::UserId;
use idl::draw::Hash;
use sha2::Sha256;

/// `K`, ready to give entries their keys: the two halves of HMAC that depend on `K` only are
/// computed once, which halves the work for each entry. `K` gives away the result before it
/// is announced, so Debug does not show it.
#[derive(Clone)]
pub struct DrawKey {
    keyed: Hmac<Sha256>,
}

impl fmt::Debug for DrawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrawKey").finish_non_exhaustive()
    }
}

impl DrawKey {
    /// From what was announced, the seed, and the beacon's randomness if the spec names a
    /// round.
    #[must_use]
    pub fn derive(seed: &Hash, spec_hash: &Hash, root: &Hash, count: u64, beacon: Option<&Hash>) -> Self {
        let mut mac = with_key(seed);
        mac.update(b"goligoli-draw/1/draw");
        mac.update(&spec_hash.0);
        mac.update(&root.0);
        mac.update(&count.to_be_bytes());
        if let Some(beacon) = beacon {
            mac.update(&beacon.0);
        }
        Self::from_bytes(&Hash(mac.finalize().into_bytes().into()))
    }

    /// From `K` itself.
    #[must_use]
    pub fn from_bytes(k: &Hash) -> Self {
        Self { keyed: with_key(k) }
    }

    /// An entry's key: the smallest `HMAC-SHA256(K, leaf ‖ u32(t))` for t from 0 to below
    /// `weight`. Takes time in proportion to the weight. Without a chance (weight 0, which
    /// no entry has) it is the largest key.
    #[must_use]
    pub fn key(&self, leaf: &Hash, weight: u32) -> Hash {
        let chance = |t: u32| {
            let mut mac = self.keyed.clone();
            let mut message = [0; 36];
            message[..32].copy_from_slice(&leaf.0);
            message[32..].copy_from_slice(&t.to_be_bytes());
            mac.update(&message);
            Hash(mac.finalize().into_bytes().into())
        };
        (0..weight).map(chance).min().unwrap_or(Hash([0xff; 32]))
    }
}

/// HMAC pads a key of 32 bytes with zeros to its block of 64.
fn with_key(key: &Hash) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..32].copy_from_slice(&key.0);
    Hmac::new(&block.into())
}

/// An entry with its key; ordered as they win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ranked {
    /// Its key.
    pub key: Hash,
    /// Its number.
    pub n: u64,
    /// Whose it is.
    pub user_id: UserId,
}

/// The first places of the ranking, found in one pass over the entries in any order. Keeps
/// as many entries as there are places and no more.
#[derive(Debug, Clone)]
pub struct Ranking {
    places: usize,
    /// The worst of the best on top.
    best: BinaryHeap<Ranked>,
}

impl Ranking {
    /// With so many places; see [`super::prizes::places`].
    #[must_use]
    pub fn of(places: usize) -> Self {
        Self { places, best: BinaryHeap::new() }
    }

    /// Offers an entry, each once.
    pub fn offer(&mut self, entry: Ranked) {
        if self.best.len() < self.places {
            self.best.push(entry);
        } else if let Some(mut worst) = self.best.peek_mut()
            && entry < *worst
        {
            *worst = entry;
        }
    }

    /// Those that have the places, the first first. Fewer if there were fewer entries.
    #[must_use]
    pub fn in_order(self) -> Vec<Ranked> {
        self.best.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_plain_hmacs() {
        let [seed, spec_hash, root, leaf] = [1, 2, 3, 4].map(|byte| Hash([byte; 32]));
        let hmac = |key: &[u8], parts: &[&[u8]]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            parts.iter().for_each(|part| mac.update(part));
            Hash(mac.finalize().into_bytes().into())
        };
        let count = 7_u64.to_be_bytes();
        let k = hmac(&seed.0, &[b"goligoli-draw/1/draw", &spec_hash.0, &root.0, &count]);
        let chances = [0_u32, 1, 2].map(|t| hmac(&k.0, &[&leaf.0, &t.to_be_bytes()]));
        let draw = DrawKey::derive(&seed, &spec_hash, &root, 7, None);
        assert_eq!(draw.key(&leaf, 1), chances[0]);
        assert_eq!(draw.key(&leaf, 3), chances.into_iter().min().unwrap());
        assert_eq!(draw.key(&leaf, 0), Hash([0xff; 32]));
        let with_beacon = hmac(&seed.0, &[b"goligoli-draw/1/draw", &spec_hash.0, &root.0, &count, &leaf.0]);
        let draw = DrawKey::derive(&seed, &spec_hash, &root, 7, Some(&leaf));
        assert_eq!(draw.key(&leaf, 1), DrawKey::from_bytes(&with_beacon).key(&leaf, 1));
    }

    proptest! {
        /// Few different keys, so that `n` decides often.
        #[test]
        fn the_first_places_are_those_of_a_full_sort(keys in prop::collection::vec(0_u8..8, 0..60), places in 0_usize..80) {
            let mut all: Vec<Ranked> = (0..).zip(&keys).map(|(n, key)| Ranked { key: Hash([*key; 32]), n, user_id: UserId(n + 1) }).collect();
            let mut ranking = Ranking::of(places);
            all.iter().rev().for_each(|entry| ranking.offer(*entry));
            all.sort_by_key(|entry| (entry.key, entry.n));
            all.truncate(places);
            prop_assert_eq!(ranking.in_order(), all);
        }
    }
}
