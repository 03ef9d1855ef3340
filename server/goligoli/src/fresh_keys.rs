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
        let mut names: Vec<_> =
            settings.into_iter().filter(|(_, set, own)| differs(set, *own)).map(|(name, ..)| name).collect();
        let public = &config.access.public_keys;
        if self.signing.is_some_and(|own| !public.is_empty() && !is_among(public, &own)) {
            names.push("access.public_keys");
        }
        names
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

/// Holds that what is signed with the one key can be verified with the others.
///
/// # Errors
/// It can't: names both keys.
pub(crate) fn ensure_pair(config: &Config) -> anyhow::Result<()> {
    let (signing, public) = (config.access.signing_key.configured(), &config.access.public_keys);
    anyhow::ensure!(
        public.is_empty() || signing.is_none_or(|key| is_among(public, key.bytes())),
        "access.signing_key and access.public_keys do not belong together: the public half of the first is not \
         among the second, so nobody could sign in"
    );
    Ok(())
}

fn is_among(public: &[String], signing: &[u8; 32]) -> bool {
    Signer::public_of(signing).is_ok_and(|own| public.iter().any(|key| key.eq_ignore_ascii_case(&own)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_keys_that_are_not_of_the_site_are_seen() {
        let keys = SiteKeys::fresh();
        let with = |public: Vec<String>| {
            let mut config: Config = common::config::load(crate::config::DEFAULTS, None).unwrap();
            config.access.public_keys = public;
            keys.contradicted_by(&config)
        };
        let own = Signer::public_of(&keys.signing.unwrap()).unwrap();
        assert!(with(Vec::new()).is_empty());
        assert!(with(vec!["0a".repeat(32), own.to_uppercase()]).is_empty());
        assert_eq!(with(vec!["0a".repeat(32)]), ["access.public_keys"]);
    }
}
