//! Passwords: what may be one, and argon2id on a few threads of its own.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _};
use common::Outcome;
use idl::user::Secret;
use idl::{Code, Refusal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization as _;

const MIN_CHARS: usize = 8;
const MAX_CHARS: usize = 128;
/// How long a password waits for a core.
const WAIT: Duration = Duration::from_secs(2);
const RETRY_AFTER_MS: u64 = 1_000;

/// A well-formed password, in Unicode's form NFC: keyboards differ in how they write `é`.
/// It has no Debug.
#[derive(Clone)]
pub(crate) struct Password(String);

/// The only way in which a password is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password has {MIN_CHARS} to {MAX_CHARS} characters")]
pub(crate) struct BadPassword;

impl Password {
    pub(crate) fn parse(secret: &Secret) -> Result<Self, BadPassword> {
        // The bytes first: what is absurdly long is not even normalised.
        if secret.0.len() > 16 * MAX_CHARS {
            return Err(BadPassword);
        }
        let password: String = secret.0.nfc().collect();
        if (MIN_CHARS..=MAX_CHARS).contains(&password.chars().count()) { Ok(Self(password)) } else { Err(BadPassword) }
    }

    /// A new one that nobody guesses, easy to read out: 20 letters and digits of 32 kinds,
    /// none of which looks like another.
    pub(crate) fn random() -> anyhow::Result<Self> {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bytes = [0; 20];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gave no randomness"))?;
        Ok(Self(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()))
    }

    pub(crate) fn reveal(self) -> Secret {
        Secret(self.0)
    }
}

/// Hashes and checks passwords with argon2id, 19 MiB and two passes each (OWASP's first
/// choice), at most one per core at a time.
#[derive(Debug)]
pub(crate) struct Hasher {
    cores: Arc<Semaphore>,
    /// One for each that is hashed or waits for it. None left: the caller is told to come
    /// back, since it would not be served within its deadline anyway.
    places: Arc<Semaphore>,
    /// The hash of a password that nobody knows, checked for names that nobody has: the
    /// time that an answer takes must not tell which names there are.
    decoy: String,
}

impl Hasher {
    pub(crate) fn new(queue: usize) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Self {
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores + queue)),
            decoy: hash(&Password::random()?).context("hashing a password")?,
        })
    }

    pub(crate) async fn hash(&self, password: Password) -> Outcome<String> {
        let hashed = self.on_a_core(move || hash(&password)).await?;
        Ok(hashed.context("hashing a password")?)
    }

    /// Whether it is the password with that hash; without a hash it never is, and takes
    /// as long to find out.
    pub(crate) async fn verify(&self, password: Password, hash: Option<&str>) -> Outcome<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let verified = self.on_a_core(move || {
            let hash = PasswordHash::new(&hash)?;
            match Argon2::default().verify_password(password.0.as_bytes(), &hash) {
                Err(password_hash::Error::PasswordInvalid) => Ok(false),
                other => other.map(|()| true),
            }
        });
        let right: Result<bool, password_hash::Error> = verified.await?;
        Ok(right.context("checking a password")? && known)
    }

    async fn on_a_core<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
        let full = || Refusal::new(Code::Unavailable, "too many log-ins at once").retry_after_ms(RETRY_AFTER_MS);
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| full())?;
        let core = tokio::time::timeout(WAIT, Arc::clone(&self.cores).acquire_owned());
        let core = core.await.map_err(|_| full())?.context("the hasher is closed")?;
        // The permits move along: if the caller goes away, the core is still busy.
        Ok(tokio::task::spawn_blocking(move || {
            let _held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, core);
            work()
        })
        .await
        .context("a hashing thread ended early")?)
    }
}

fn hash(password: &Password) -> Result<String, password_hash::Error> {
    Ok(Argon2::default().hash_password(password.0.as_bytes())?.to_string())
}

#[cfg(test)]
impl Hasher {
    /// Takes all places, until it is dropped.
    pub(crate) async fn occupy(&self) -> OwnedSemaphorePermit {
        let all = u32::try_from(self.places.available_permits()).unwrap();
        Arc::clone(&self.places).acquire_many_owned(all).await.unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<Password, BadPassword> {
        Password::parse(&Secret(text.to_owned()))
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(password("1234567").is_err());
        assert!(password("密码密码密码密码").is_ok());
        assert!(password(&"😀".repeat(128)).is_ok());
        assert!(password(&"a".repeat(129)).is_err());
        assert!(password(&"a".repeat(1_000_000)).is_err());
        assert_ne!(Password::random().unwrap().0, Password::random().unwrap().0);
        assert!(password(&Password::random().unwrap().0).is_ok());
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_however_typed() {
        let hasher = Hasher::new(4).unwrap();
        let hash = hasher.hash(password("caf\u{e9} au lait").unwrap()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(hasher.verify(password("cafe\u{301} au lait").unwrap(), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(password("cafe au lait").unwrap(), Some(&hash)).await.unwrap());
        assert!(!hasher.verify(password("cafe au lait").unwrap(), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let hasher = Hasher::new(0).unwrap();
        let cores = hasher.places.available_permits();
        let held = hasher.occupy().await;
        let refused = hasher.hash(password("correct horse").unwrap()).await.unwrap_err().into_refusal("a test");
        assert_eq!((refused.code, refused.retry_after_ms), (Code::Unavailable, Some(RETRY_AFTER_MS)));
        drop(held);
        hasher.hash(password("correct horse").unwrap()).await.unwrap();
        assert_eq!(hasher.places.available_permits(), cores);
    }
}
