//! `goligoli keys`: what several processes must agree on, as settings.

use std::path::Path;

use common::keys::{ConfiguredKey, SecretKey};
use common::token::Signer;

use crate::Config;

/// The keys of a site. What is `None` is a setting of the site already.
#[derive(Default)]
pub(crate) struct SiteKeys {
    rpc_secret: Option<[u8; 32]>,
    signing: Option<[u8; 32]>,
    refresh: Option<[u8; 32]>,
    sender: Option<[u8; 32]>,
    seed: Option<[u8; 32]>,
    receipt: Option<[u8; 32]>,
}

impl SiteKeys {
    /// New ones.
    pub(crate) fn fresh() -> Self {
        let key = || Some(rand::random());
        Self { rpc_secret: key(), signing: key(), refresh: key(), sender: key(), seed: key(), receipt: key() }
    }

    /// Those that an embedded site has made in its data folder, and a fresh one for what it does
    /// not have: calls between processes.
    ///
    /// # Errors
    /// There are none, or one can't be read.
    pub(crate) fn in_folder(data_dir: &Path) -> anyhow::Result<Self> {
        let key = |name| anyhow::Ok(SecretKey::load(data_dir, name)?.map(|key| *key.bytes()));
        let keys = Self {
            rpc_secret: Some(rand::random()),
            signing: Signer::secret_in(data_dir)?,
            refresh: key(user::REFRESH_KEY)?,
            sender: key(message::SENDER_KEY)?,
            seed: key(lottery::SEED_KEY)?,
            receipt: key(lottery::RECEIPT_KEY)?,
        };
        anyhow::ensure!(data_dir.join("keys").is_dir(), "there are no keys in {}", data_dir.display());
        Ok(keys)
    }

    /// The same, for processes that have a secret for their calls.
    pub(crate) fn without_rpc_secret(self) -> Self {
        Self { rpc_secret: None, ..self }
    }

    /// Keys that the configuration sets to something else.
    pub(crate) fn contradicted_by(&self, config: &Config) -> Vec<&'static str> {
        let settings = [
            ("access.signing_key", &config.access.signing_key, self.signing),
            ("user.refresh_key", &config.user.refresh_key, self.refresh),
            ("message.sender_key", &config.message.sender_key, self.sender),
            ("lottery.seed_key", &config.lottery.seed_key, self.seed),
            ("lottery.receipt_key", &config.lottery.receipt_key, self.receipt),
        ];
        let differs = |set: &ConfiguredKey, own: Option<[u8; 32]>| {
            set.configured().zip(own).is_some_and(|(set, own)| *set.bytes() != own)
        };
        settings.into_iter().filter(|(_, set, own)| differs(set, *own)).map(|(name, ..)| name).collect()
    }

    /// Prints lines of an environment file. What is private goes to the processes that need
    /// it, and nowhere else.
    ///
    /// # Errors
    /// The signing key is none.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        println!("# All processes:");
        line("GOLIGOLI_RPC__SECRET", self.rpc_secret);
        match &self.signing {
            Some(key) => println!("GOLIGOLI_ACCESS__PUBLIC_KEYS=[\"{}\"]", Signer::public_of(key)?),
            None => println!("# GOLIGOLI_ACCESS__PUBLIC_KEYS stays as it is set"),
        }
        println!("# user alone:");
        line("GOLIGOLI_ACCESS__SIGNING_KEY", self.signing);
        line("GOLIGOLI_USER__REFRESH_KEY", self.refresh);
        println!("# message alone:");
        line("GOLIGOLI_MESSAGE__SENDER_KEY", self.sender);
        println!("# lottery alone:");
        line("GOLIGOLI_LOTTERY__SEED_KEY", self.seed);
        line("GOLIGOLI_LOTTERY__RECEIPT_KEY", self.receipt);
        Ok(())
    }
}

fn line(name: &str, key: Option<[u8; 32]>) {
    match key {
        Some(key) => println!("{name}={}", hex_of(key)),
        None => println!("# {name} stays as it is set"),
    }
}

fn hex_of(key: [u8; 32]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
