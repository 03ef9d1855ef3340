//! The seed of a lottery while nobody may know it: encrypted in the database with
//! AES-256-GCM, bound to its lottery.

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use common::keys::SecretKey;
use idl::LotteryId;
use idl::draw::Hash;

/// What encrypts seeds. Debug does not show it.
pub(crate) struct Seal(RandomizedNonceKey);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(***)")
    }
}

impl Seal {
    pub(crate) fn new(key: &SecretKey) -> anyhow::Result<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.bytes());
        Ok(Self(key.map_err(|_| anyhow::anyhow!("the key that encrypts seeds was refused"))?))
    }

    /// A seed that nobody has seen, and how it is stored.
    pub(crate) fn draw_seed(&self, lottery: LotteryId) -> anyhow::Result<(Seed, String)> {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| anyhow::anyhow!("the system gave no randomness for a seed"))?;
        let mut sealed = seed.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(bound_to(lottery)), &mut sealed);
        let nonce = nonce.map_err(|_| anyhow::anyhow!("a seed could not be encrypted"))?;
        Ok((Seed(Hash(seed)), hex::encode([nonce.as_ref().as_slice(), &sealed].concat())))
    }

    /// The seed that was stored.
    pub(crate) fn open(&self, lottery: LotteryId, stored: &str) -> anyhow::Result<Seed> {
        let mut stored = hex::decode(stored).context("a sealed seed is not hexadecimal")?;
        let (nonce, sealed) = stored.split_at_mut_checked(NONCE_LEN).context("a sealed seed is too short")?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).context("a sealed seed has no nonce")?;
        let seed = self.0.open_in_place(nonce, Aad::from(bound_to(lottery)), sealed);
        let seed = seed.map_err(|_| {
            anyhow::anyhow!("the seed of lottery {lottery} can't be decrypted: was the key for seeds changed?")
        })?;
        Ok(Seed(Hash((&*seed).try_into().context("a seed has 32 bytes")?)))
    }
}

fn bound_to(lottery: LotteryId) -> [u8; 8] {
    lottery.0.to_be_bytes()
}

/// A seed that is not revealed yet. Debug does not show it.
pub(crate) struct Seed(Hash);

impl Seed {
    /// From here on it is known.
    pub(crate) const fn reveal(&self) -> &Hash {
        &self.0
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_read_back_with_its_key_for_its_lottery_only() {
        let folder = tempfile::tempdir().unwrap();
        let seal = |name| Seal::new(&SecretKey::load_or_create(folder.path(), name).unwrap()).unwrap();
        let (one, other) = (seal("one"), seal("other"));
        let (seed, stored) = one.draw_seed(LotteryId(7)).unwrap();
        assert!(!stored.contains(&seed.reveal().to_string()) && !format!("{seed:?}{one:?}").contains("Hash"));
        assert_eq!(one.open(LotteryId(7), &stored).unwrap().reveal(), seed.reveal());
        assert!(one.open(LotteryId(8), &stored).is_err());
        assert!(other.open(LotteryId(7), &stored).is_err());
        for bad in ["", "00", "zz", &stored[..40], &stored.replace(&stored[60..62], "aa")] {
            assert!(bad == stored || one.open(LotteryId(7), bad).is_err(), "{bad}");
        }
        let (second, again) = one.draw_seed(LotteryId(7)).unwrap();
        assert!(second.reveal() != seed.reveal() && again != stored);
    }
}
