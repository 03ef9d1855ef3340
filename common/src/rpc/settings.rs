//! Settings of the calls between processes.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::secret::SecretText;

/// How processes call each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where calls are taken (`address:port`); empty: nowhere.
    pub listen: String,
    /// Where others reach that (`host:port`); empty: as `listen`, if that is one address.
    pub advertise: String,
    /// What this process is called among others; empty: the machine's name and something random.
    pub instance: String,
    /// What all processes of the site know, and nobody else: 32 characters at least. Empty: none.
    pub secret: SecretText,
    /// The one before, which is still accepted while it is being changed.
    pub previous_secret: SecretText,
    /// Requests that this process answers at the same time. More are refused at once.
    pub max_in_flight: NonZeroUsize,
    /// A stop goes on answering so long after it has said that it leaves.
    pub drain_ms: u64,
    /// Certificates on both ends.
    pub tls: TlsSettings,
}

/// Mutual TLS; all three files, or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// PEM: who signs the site's certificates.
    pub ca: PathBuf,
    /// PEM: this process's certificate, with what leads up to the CA.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// What a called process's certificate must be made for: `{service}` stands for the
    /// service that is called, `{host}` for the host of its address.
    pub name: String,
}
