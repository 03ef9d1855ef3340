//! Why a process believes that another one belongs to the site: certificates of one CA on both
//! ends, a secret that both know, or both.
//!
//! A secret alone keeps strangers out, but who sits on the wire reads along and may take a
//! connection over: that is for networks of one's own.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::hmac;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::settings::{Settings, TlsSettings};
use crate::secret::SecretText;

/// The least characters of a secret: nobody guesses it from a handshake that was recorded.
const SECRET_CHARACTERS: usize = 32;

/// What a process shows others, and asks of them. Clones are the same.
#[derive(Clone)]
pub struct Trust {
    /// The current one first.
    secrets: Vec<hmac::Key>,
    tls: Option<Tls>,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    name: String,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trust({} secrets, tls: {})", self.secrets.len(), self.tls.is_some())
    }
}

impl Trust {
    /// Reads what is configured.
    ///
    /// # Errors
    /// Nothing is, a secret is too short, or a file can't be used: names the key.
    pub fn open(settings: &Settings) -> anyhow::Result<Self> {
        let mut secrets = Vec::new();
        for (key, secret) in [("rpc.secret", &settings.secret), ("rpc.previous_secret", &settings.previous_secret)] {
            secrets.extend(read_secret(secret).with_context(|| key.to_owned())?);
        }
        ensure!(
            !settings.secret.is_empty() || settings.previous_secret.is_empty(),
            "rpc.previous_secret is set, but rpc.secret is not"
        );
        let tls = Tls::open(&settings.tls)?;
        ensure!(
            !secrets.is_empty() || tls.is_some(),
            "processes that call each other need a secret (rpc.secret) or certificates (rpc.tls.ca, rpc.tls.certificate, rpc.tls.key)"
        );
        Ok(Self { secrets, tls })
    }

    /// The proofs that a secret is known, for each that is.
    pub(crate) fn prove(&self, what: &[u8]) -> Vec<Vec<u8>> {
        self.secrets.iter().map(|secret| hmac::sign(secret, what).as_ref().to_vec()).collect()
    }

    /// Which of the secrets one of the proofs is made with.
    pub(crate) fn proven(&self, what: &[u8], proofs: &[Vec<u8>]) -> Option<usize> {
        let is_proof = |secret: &hmac::Key| proofs.iter().any(|proof| hmac::verify(secret, what, proof).is_ok());
        self.secrets.iter().position(is_proof)
    }

    /// Whether a peer has to prove that it knows a secret.
    pub(crate) fn asks_for_secret(&self) -> bool {
        !self.secrets.is_empty()
    }

    pub(crate) fn acceptor(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref().map(|tls| &tls.acceptor)
    }

    /// What connects to a service at `host`, and the name that its certificate must have.
    pub(crate) fn connector(
        &self,
        service: &str,
        host: &str,
    ) -> anyhow::Result<Option<(&TlsConnector, ServerName<'static>)>> {
        let Some(tls) = &self.tls else { return Ok(None) };
        let name = tls.name.replace("{service}", service).replace("{host}", host);
        let server =
            ServerName::try_from(name.clone()).with_context(|| format!("rpc.tls.name: {name:?} is no name"))?;
        Ok(Some((&tls.connector, server)))
    }
}

fn read_secret(secret: &SecretText) -> anyhow::Result<Option<hmac::Key>> {
    if secret.is_empty() {
        return Ok(None);
    }
    let characters = secret.reveal().chars().count();
    ensure!(characters >= SECRET_CHARACTERS, "has {characters} characters, but needs {SECRET_CHARACTERS}");
    Ok(Some(hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes())))
}

impl Tls {
    fn open(settings: &TlsSettings) -> anyhow::Result<Option<Self>> {
        let files = [&settings.ca, &settings.certificate, &settings.key];
        match files.iter().filter(|file| !file.as_os_str().is_empty()).count() {
            0 => return Ok(None),
            3 => {}
            _ => bail!("rpc.tls.ca, rpc.tls.certificate and rpc.tls.key are set together, or not at all"),
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&settings.ca).context("rpc.tls.ca")? {
            roots.add(certificate).with_context(|| format!("rpc.tls.ca: {}", settings.ca.display()))?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&settings.certificate).context("rpc.tls.certificate")?;
        let key = PrivateKeyDer::from_pem_file(&settings.key)
            .map_err(|error| anyhow::anyhow!("rpc.tls.key: {}: {error}", settings.key.display()))?;
        let provider = || Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .context("rpc.tls.certificate and rpc.tls.key do not belong together")?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().context("rpc.tls.ca")?;
        let server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .context("rpc.tls.certificate and rpc.tls.key do not belong together")?;
        Ok(Some(Self {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            name: settings.name.clone(),
        }))
    }
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>, rustls::pki_types::pem::Error> { CertificateDer::pem_file_iter(file)?.collect() };
    let all = read().map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    ensure!(!all.is_empty(), "{} holds no certificate", file.display());
    Ok(all)
}
