//! Access tokens: JWTs in the shape of RFC 9068, signed with Ed25519. `user` signs; every
//! service verifies for itself with the public key.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::encoding::AsBigEndian as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use idl::access::{Identity, SiteRole};
use idl::{Caller, Code, DeviceId, Refusal, Timestamp, UserId};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::keys::{ConfiguredKey, SecretKey};
use crate::revocation::Revocations;
use crate::{Clock, keys};

/// RFC 9068: tells an access token from any other JWT.
const TOKEN_TYPE: &str = "at+jwt";
/// Where the key lies, if it is not a setting.
const FILE: &str = "access-token.pk8";
const ISSUER: &str = "goligoli";
/// Tokens that were verified a moment ago. Full: the least used is verified anew.
const VERIFIED: u64 = 20_000;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    name: String,
    role: SiteRole,
    sid: String,
    iat: i64,
    exp: i64,
    jti: String,
}

/// When a token was made, and what tells it from the account's other tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// When its lifetime began.
    pub at: Timestamp,
    /// Its own id, never used for another token.
    pub id: String,
}

/// Which keys sign and verify, where processes must agree on them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The secret half, for user alone. Empty: a file in the data folder.
    pub signing_key: ConfiguredKey,
    /// The public halves that count, as 64 hexadecimal digits each.
    pub public_keys: Vec<String>,
}

/// The private key. Debug does not show it.
pub struct Signer {
    key: EncodingKey,
    key_id: String,
    public: Vec<u8>,
    clock: Clock,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.key_id)
    }
}

impl Signer {
    /// Reads the key in the data folder, or makes it (at the first start); only the
    /// folder's owner can read the file.
    ///
    /// # Errors
    /// The file can't be read or written, or is no Ed25519 key.
    pub fn load_or_create(data_dir: &Path, clock: Clock) -> anyhow::Result<Self> {
        let file = keys::file_of(data_dir, FILE);
        if !file.exists() {
            let pk8 = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())
                .map_err(|_| anyhow::anyhow!("the system gave no randomness for a key"))?;
            keys::write_private(&file, pk8.as_ref()).with_context(|| format!("writing {}", file.display()))?;
        }
        let (pair, pk8) = read_pair(&file)?;
        Ok(Self::of(&pair, &pk8, clock))
    }

    /// The secret half of the key in the data folder, as a setting holds it, if it has been
    /// made.
    ///
    /// # Errors
    /// The file can't be read, or is no Ed25519 key.
    pub fn secret_in(data_dir: &Path) -> anyhow::Result<Option<[u8; 32]>> {
        let file = keys::file_of(data_dir, FILE);
        if !file.exists() {
            return Ok(None);
        }
        let seed = read_pair(&file)?.0.seed().ok();
        let seed = seed.and_then(|seed| seed.as_be_bytes().ok()).and_then(|seed| seed.as_ref().try_into().ok());
        seed.map(Some).with_context(|| format!("{} can't be written as a setting", file.display()))
    }

    /// Signs with a configured key.
    ///
    /// # Errors
    /// It is no Ed25519 key.
    pub fn of_key(key: &SecretKey, clock: Clock) -> anyhow::Result<Self> {
        let pair = pair_of(key.bytes())?;
        let pk8 = pair.to_pkcs8().map_err(|_| anyhow::anyhow!("a signing key can't be encoded"))?;
        Ok(Self::of(&pair, pk8.as_ref(), clock))
    }

    /// The public half of a secret key, as 64 hexadecimal digits.
    ///
    /// # Errors
    /// It is no Ed25519 key.
    pub fn public_of(key: &[u8; 32]) -> anyhow::Result<String> {
        Ok(hex::encode(pair_of(key)?.public_key().as_ref()))
    }

    fn of(pair: &Ed25519KeyPair, pk8: &[u8], clock: Clock) -> Self {
        let public = pair.public_key().as_ref().to_vec();
        Self { key: EncodingKey::from_ed_der(pk8), key_id: key_id(&public), public, clock }
    }

    /// Signs a token that holds for `lifetime`; returns it with its end.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn sign(
        &self,
        user: UserId,
        name: &str,
        role: SiteRole,
        device: DeviceId,
        lifetime: Duration,
    ) -> anyhow::Result<(String, Timestamp)> {
        let issue = Issue { at: self.clock.now(), id: format!("{:016x}", rand::random::<u64>()) };
        self.sign_issue(issue, user, name, role, device, lifetime)
    }

    /// Signs the token of that issue; the same arguments give the same token again.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn sign_issue(
        &self,
        issue: Issue,
        user: UserId,
        name: &str,
        role: SiteRole,
        device: DeviceId,
        lifetime: Duration,
    ) -> anyhow::Result<(String, Timestamp)> {
        let exp = (issue.at.0 + i64::try_from(lifetime.as_millis())?) / 1_000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user.to_string(),
            name: name.to_owned(),
            role,
            sid: device.to_string(),
            iat: issue.at.0 / 1_000,
            exp,
            jti: issue.id,
        };
        let header = Header {
            typ: Some(TOKEN_TYPE.to_owned()),
            kid: Some(self.key_id.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.key).context("signing an access token")?;
        Ok((token, Timestamp(exp * 1_000)))
    }

    /// What verifies this signer's tokens.
    #[must_use]
    pub fn verifier(&self, revocations: Revocations) -> Verifier {
        Verifier::of([self.public.as_slice()], self.clock.clone(), revocations)
    }
}

fn read_pair(file: &Path) -> anyhow::Result<(Ed25519KeyPair, Vec<u8>)> {
    let pk8 = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let pair =
        Ed25519KeyPair::from_pkcs8(&pk8).map_err(|_| anyhow::anyhow!("{} is not an Ed25519 key", file.display()))?;
    Ok((pair, pk8))
}

fn pair_of(key: &[u8; 32]) -> anyhow::Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(key).map_err(|_| anyhow::anyhow!("a signing key is no Ed25519 key"))
}

fn key_id(public: &[u8]) -> String {
    hex::encode(&Sha256::digest(public)[..8])
}

/// Verifies access tokens. Clones share what was verified.
#[derive(Clone)]
pub struct Verifier {
    /// By id.
    keys: Arc<HashMap<String, DecodingKey>>,
    clock: Clock,
    revocations: Revocations,
    verified: Cache<String, Arc<Identity>>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({:?})", self.keys.keys())
    }
}

impl Verifier {
    fn of<'a>(public: impl IntoIterator<Item = &'a [u8]>, clock: Clock, revocations: Revocations) -> Self {
        let keys = public.into_iter().map(|public| (key_id(public), DecodingKey::from_ed_der(public))).collect();
        Self { keys: Arc::new(keys), clock, revocations, verified: Cache::new(VERIFIED) }
    }

    /// Verifies what is signed with one of these public keys (64 hexadecimal digits each).
    ///
    /// # Errors
    /// One of them is none.
    pub fn of_keys(public: &[String], clock: Clock, revocations: Revocations) -> anyhow::Result<Self> {
        let parse = |key: &String| {
            let mut bytes = [0; 32];
            hex::decode_to_slice(key, &mut bytes)
                .with_context(|| format!("access.public_keys: {key:?} is not 64 hexadecimal digits"))?;
            anyhow::Ok(bytes)
        };
        let public = public.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self::of(public.iter().map(<[u8; 32]>::as_slice), clock, revocations))
    }

    /// Who the caller is: signature, type, issuer, audience, end and revocation are checked.
    ///
    /// # Errors
    /// `not-signed-in`, whatever is wrong with the token.
    pub fn verify(&self, caller: &Caller) -> Result<Arc<Identity>, Refusal> {
        let refuse = || Refusal::new(Code::NotSignedIn, "the access token is not valid, or not any more");
        let identity = match self.verified.get(&caller.token) {
            Some(identity) => identity,
            None => {
                let identity = Arc::new(self.parse(&caller.token).ok_or_else(refuse)?);
                self.verified.insert(caller.token.clone(), Arc::clone(&identity));
                identity
            }
        };
        if self.clock.now().0 >= identity.expires_at_ms || self.revocations.is_revoked(identity.device) {
            return Err(refuse());
        }
        Ok(identity)
    }

    /// The revocations that this verifier heeds.
    #[must_use]
    pub const fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    fn parse(&self, token: &str) -> Option<Identity> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(TOKEN_TYPE) {
            return None;
        }
        let key = self.keys.get(header.kid.as_deref()?)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[ISSUER]);
        rules.validate_exp = false; // verify() asks our clock, also for cached tokens
        let claims = jsonwebtoken::decode::<Claims>(token, key, &rules).ok()?.claims;
        Some(Identity {
            user: claims.sub.parse().ok()?,
            name: claims.name,
            role: claims.role,
            device: claims.sid.parse().ok()?,
            expires_at_ms: claims.exp.checked_mul(1_000)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_until_it_ends_is_revoked_or_touched() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp(1_700_000_000_000));
        let signer = Signer::load_or_create(dir.path(), clock.clone()).unwrap();
        let verifier = signer.verifier(Revocations::default());
        let sign = |device| {
            signer.sign(UserId(7), "mei", SiteRole::Member, DeviceId(device), Duration::from_secs(60)).unwrap().0
        };
        let caller = |token: &str| Caller { token: token.to_owned() };

        let token = sign(1);
        let identity = verifier.verify(&caller(&token)).unwrap();
        assert_eq!((identity.user, identity.name.as_str(), identity.role), (UserId(7), "mei", SiteRole::Member));

        let mut touched = token.clone().into_bytes();
        let middle = touched.len() / 2;
        touched[middle] = if touched[middle] == b'A' { b'B' } else { b'A' };
        assert!(verifier.verify(&caller(std::str::from_utf8(&touched).unwrap())).is_err());
        assert!(verifier.verify(&caller("")).is_err());

        let other = Signer::load_or_create(tempfile::tempdir().unwrap().path(), clock.clone()).unwrap();
        assert!(other.verifier(Revocations::default()).verify(&caller(&token)).is_err());

        let revoked = sign(2);
        verifier.verify(&caller(&revoked)).unwrap();
        verifier.revocations().revoke(DeviceId(2), clock.now().0 + 60_000);
        assert!(verifier.verify(&caller(&revoked)).is_err());
        verifier.verify(&caller(&token)).unwrap();

        clock.advance_ms(60_000);
        assert!(verifier.verify(&caller(&token)).is_err());
    }

    #[test]
    fn a_process_that_knows_the_public_keys_verifies_but_signs_nothing() {
        let clock = Clock::manual(Timestamp(1_700_000_000_000));
        let key = |digits: &str| serde_json::from_str::<ConfiguredKey>(&format!("\"{}\"", digits.repeat(32))).unwrap();
        let signer = |digits| Signer::of_key(key(digits).configured().unwrap(), clock.clone()).unwrap();
        let public = |digits| Signer::public_of(key(digits).configured().unwrap().bytes()).unwrap();
        let verifier = |keys: &[String]| Verifier::of_keys(keys, clock.clone(), Revocations::default());
        let token =
            signer("0a").sign(UserId(7), "mei", SiteRole::Member, DeviceId(1), Duration::from_secs(60)).unwrap().0;
        let caller = Caller { token };
        verifier(&[public("0b"), public("0a")]).unwrap().verify(&caller).unwrap();
        verifier(&[public("0b")]).unwrap().verify(&caller).unwrap_err();
        assert!(verifier(&["0a".to_owned()]).unwrap_err().to_string().contains("access.public_keys"));
    }

    #[test]
    fn the_key_of_the_folder_can_become_a_setting() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Signer::secret_in(dir.path()).unwrap().is_none());
        let signer = Signer::load_or_create(dir.path(), Clock::system()).unwrap();
        let secret = Signer::secret_in(dir.path()).unwrap().unwrap();
        assert_eq!(Signer::public_of(&secret).unwrap(), hex::encode(&signer.public));
    }

    #[test]
    fn the_key_is_kept_and_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let first = Signer::load_or_create(dir.path(), Clock::system()).unwrap();
        let second = Signer::load_or_create(dir.path(), Clock::system()).unwrap();
        assert_eq!(first.key_id, second.key_id);
        let mode = std::fs::metadata(dir.path().join("keys/access-token.pk8")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
