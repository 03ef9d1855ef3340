//! The keys that sign: the one that opens lotteries now, and those that opened earlier ones
//! and go on signing for them.

use std::path::Path;

use anyhow::Context as _;
use common::keys::SecretKey;
use common::{Db, Outcome};
use idl::draw::Hash;
use idl::{Code, Refusal};

use crate::Settings;
use crate::protocol::keys::ReceiptKey;
use crate::row::Facts;
use crate::seal::Seal;
use crate::store::{self, Undecided, results};

/// All receipt keys that are here.
#[derive(Debug)]
pub(crate) struct KeyRing {
    current: ReceiptKey,
    retired: Vec<ReceiptKey>,
}

impl KeyRing {
    pub(crate) fn open(settings: &Settings, data_dir: &Path) -> anyhow::Result<Self> {
        let current = SecretKey::configured_or(&settings.receipt_key, data_dir, crate::RECEIPT_KEY)?;
        let retired = settings.retired_receipt_keys.iter().map(|key| {
            let key = key.configured().context("a key in lottery.retired_receipt_keys is empty")?;
            Ok(ReceiptKey::from_secret(key.bytes())?)
        });
        Ok(Self {
            current: ReceiptKey::from_secret(current.bytes())?,
            retired: retired.collect::<anyhow::Result<_>>()?,
        })
    }

    /// What opens lotteries now.
    pub(crate) const fn current(&self) -> &ReceiptKey {
        &self.current
    }

    fn find(&self, public: &Hash) -> Option<&ReceiptKey> {
        std::iter::once(&self.current).chain(&self.retired).find(|key| key.public() == *public)
    }

    /// What signs for this lottery.
    pub(crate) fn of(&self, facts: &Facts) -> Outcome<&ReceiptKey> {
        let missing = || {
            let detail = "the receipt key of this lottery is not here (lottery.retired_receipt_keys)";
            Refusal::new(Code::Unavailable, detail)
        };
        Ok(self.find(&facts.spec.spec().receipt_key).ok_or_else(missing)?)
    }

    /// Refuses keys with which a lottery that is not decided could not be drawn, or a receipt
    /// of an earlier one not be given again.
    pub(crate) async fn check(&self, db: &Db, seal: &Seal) -> anyhow::Result<()> {
        let mut undecided = Undecided::of(db);
        while let Some(rows) = undecided.next_page().await? {
            for row in rows {
                let (id, key) = (row.facts.id, row.facts.spec.spec().receipt_key);
                anyhow::ensure!(
                    self.find(&key).is_some(),
                    "lottery {id} is not decided, and the secret of its receipt key {key} is neither lottery.receipt_key \
                     nor one of lottery.retired_receipt_keys; put it back"
                );
                seal.open(id, &row.sealed_seed).context("lottery.seed_key does not fit")?;
            }
        }
        for known in results::keys(db).await? {
            anyhow::ensure!(
                self.find(&known.key).is_some() || !store::any_of_key(db, &known.key).await?,
                "the secret of the receipt key {}, which signed for earlier lotteries, is neither lottery.receipt_key nor \
                 one of lottery.retired_receipt_keys; put it back",
                known.key
            );
        }
        Ok(())
    }
}
