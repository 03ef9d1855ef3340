//! The pair of tokens that a log-in holds.
//!
//! Access tokens are [`common::token`]'s. A refresh token is
//! `device ‖ generation ‖ HMAC-SHA256(key, label ‖ secret ‖ device ‖ generation)` in
//! base64url; `secret` is 32 random bytes in the device's row, `key` lies in the data
//! folder. So the tokens of a log-in can be made again (two tabs that refresh at once get
//! the same pair), every one that it ever had is recognised (a reused one ends it), none
//! is stored, and neither the database alone nor the key alone makes one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use common::Outcome;
use common::keys::SecretKey;
use common::token::{Issue, Signer};
use idl::user::{LoggedIn, Secret};
use idl::{DeviceId, Timestamp};

use crate::store::{AccountRow, DeviceRow};

const LABEL: &[u8] = b"goligoli/refresh-token/1";
const CLAIM_BYTES: usize = 8 + 4;
const TOKEN_BYTES: usize = CLAIM_BYTES + 32;

/// The random part of a device's refresh tokens. It has no Debug.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DeviceSecret([u8; 32]);

impl DeviceSecret {
    pub(crate) fn random() -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gave no randomness"))?;
        Ok(Self(bytes))
    }

    pub(crate) fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    pub(crate) fn from_hex(text: &str) -> Result<Self, hex::FromHexError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes))
    }
}

/// Makes and checks tokens.
pub(crate) struct Tokens {
    signer: Arc<Signer>,
    key: hmac::Key,
    access_lifetime: Duration,
}

/// What a refresh token claims; [`Tokens::is_genuine`] tells whether that is true.
pub(crate) struct Claimed {
    pub(crate) device: DeviceId,
    pub(crate) generation: u32,
    bytes: [u8; TOKEN_BYTES],
}

impl Claimed {
    /// `None`: this was never a refresh token of ours.
    pub(crate) fn parse(token: &Secret) -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        if BASE64.decode_slice(&token.0, &mut bytes).ok()? != TOKEN_BYTES {
            return None;
        }
        let (device, rest) = bytes.split_first_chunk()?;
        let (generation, _) = rest.split_first_chunk()?;
        Some(Self {
            device: DeviceId::from_i64(i64::from_be_bytes(*device)),
            generation: u32::from_be_bytes(*generation),
            bytes,
        })
    }
}

impl Tokens {
    pub(crate) fn new(signer: Arc<Signer>, key: &SecretKey, access_lifetime: Duration) -> Self {
        Self { signer, key: hmac::Key::new(hmac::HMAC_SHA256, key.bytes()), access_lifetime }
    }

    /// The pair of the device's present generation; the same one however often it is made.
    pub(crate) fn pair(&self, account: &AccountRow, device: &DeviceRow) -> Outcome<LoggedIn> {
        let issue =
            Issue { at: device.used_at, id: format!("{}-{}-{}", device.id, device.generation, device.used_at.0) };
        // An access token does not outlive its log-in.
        let lifetime = self.access_lifetime.min(Duration::from_millis(device.expires_at.since_ms(device.used_at)));
        let signed = self.signer.sign_issue(issue, account.id, &account.name, account.role, device.id, lifetime);
        let (access_token, access_expires_at) = signed.context("signing an access token")?;
        Ok(LoggedIn {
            account: account.clone().into(),
            device: device.id,
            access_token: Secret(access_token),
            access_expires_at,
            refresh_token: self.refresh_token(device.id, device.generation, &device.secret),
            refresh_expires_at: device.expires_at,
        })
    }

    /// Whether the token was made by us for that device, at whatever time.
    pub(crate) fn is_genuine(&self, token: &Claimed, device: &DeviceRow) -> bool {
        let signed = self.signed(token.device, token.generation, &device.secret);
        token.device == device.id && hmac::verify(&self.key, &signed, &token.bytes[CLAIM_BYTES..]).is_ok()
    }

    /// By then no access token that exists now is valid, on any clock that goes right to a
    /// minute.
    pub(crate) fn all_expired_at(&self, now: Timestamp) -> Timestamp {
        const MARGIN: Duration = Duration::from_secs(60);
        now.plus_ms(u64::try_from((self.access_lifetime + MARGIN).as_millis()).unwrap_or(u64::MAX))
    }

    fn refresh_token(&self, device: DeviceId, generation: u32, secret: &DeviceSecret) -> Secret {
        let tag = hmac::sign(&self.key, &self.signed(device, generation, secret));
        let mut token = claim(device, generation).to_vec();
        token.extend_from_slice(tag.as_ref());
        Secret(BASE64.encode(token))
    }

    fn signed(&self, device: DeviceId, generation: u32, secret: &DeviceSecret) -> Vec<u8> {
        [LABEL, &secret.0, &claim(device, generation)].concat()
    }
}

fn claim(device: DeviceId, generation: u32) -> [u8; CLAIM_BYTES] {
    let mut claim = [0; CLAIM_BYTES];
    claim[..8].copy_from_slice(&device.as_i64().to_be_bytes());
    claim[8..].copy_from_slice(&generation.to_be_bytes());
    claim
}
