//! Who said something, as a replay shows it.

use aws_lc_rs::hmac;
use common::keys::SecretKey;
use idl::replay::SenderHash;
use idl::{ReplayId, UserId};

/// What makes hashes of accounts. Debug does not show it.
pub(crate) struct SenderKey(hmac::Key);

impl std::fmt::Debug for SenderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SenderKey(***)")
    }
}

impl SenderKey {
    pub(crate) fn new(key: &SecretKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.bytes()))
    }

    /// The same for all that an account said in a replay; in another replay it is another one.
    pub(crate) fn hash(&self, replay: ReplayId, user: UserId) -> SenderHash {
        let mut message = [0; 16];
        message[..8].copy_from_slice(&replay.0.to_be_bytes());
        message[8..].copy_from_slice(&user.0.to_be_bytes());
        let tag = hmac::sign(&self.0, &message);
        let mut first = [0; 4];
        first.copy_from_slice(&tag.as_ref()[..4]);
        SenderHash(u32::from_be_bytes(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_one_hash_in_a_replay_and_others_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let key = |name| SenderKey::new(&SecretKey::load_or_create(dir.path(), name).unwrap());
        let (one, other) = (key("one"), key("other"));
        let hash = one.hash(ReplayId(1), UserId(7));
        assert_eq!(hash, one.hash(ReplayId(1), UserId(7)));
        assert_ne!(hash, one.hash(ReplayId(2), UserId(7)));
        assert_ne!(hash, one.hash(ReplayId(1), UserId(8)));
        assert_ne!(hash, other.hash(ReplayId(1), UserId(7)));
        assert_eq!(format!("{one:?}"), "SenderKey(***)");
    }
}
