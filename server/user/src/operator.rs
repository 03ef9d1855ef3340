//! What the site's operator may do from the command line, beyond the contract: in a
//! running server, or on the data of a stopped one.

use std::sync::Arc;

use common::token::Signer;
use common::{Outcome, Platform};
use idl::access::SiteRole;
use idl::user::{Account, Secret};
use idl::{Code, Refusal};

use crate::accounts::{Accounts, no_such_user};
use crate::names::Name;
use crate::passwords::Password;
use crate::seed::{Seed, Seeding};
use crate::store::AccountRow;
use crate::{Settings, open};

/// The operator's functions. Clones are one operator.
#[derive(Clone)]
pub struct Operator {
    accounts: Arc<Accounts>,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operator")
    }
}

impl Operator {
    pub(crate) const fn new(accounts: Arc<Accounts>) -> Self {
        Self { accounts }
    }

    /// Opens the accounts of a stopped server (the caller holds the data folder's lock).
    /// What its functions have to tell push is told when the server starts again.
    ///
    /// # Errors
    /// Those of [`crate::User::start`].
    pub async fn open(settings: &Settings, platform: &Platform, signer: Arc<Signer>) -> anyhow::Result<Self> {
        Ok(Self::new(Arc::new(open(settings, platform, signer).await?)))
    }

    /// Makes an account a site admin. Its tokens say so from its next refresh on.
    ///
    /// # Errors
    /// `no-such-user`, or the database failed.
    pub async fn grant_site_admin(&self, name: &str) -> Outcome<Account> {
        self.accounts.space.check()?;
        let (account, _) = self.find(name).await?;
        self.accounts.store.set_role(account.id, SiteRole::SiteAdmin).await?;
        self.accounts.account(account.id).await
    }

    /// Gives an account a new random password and ends all its log-ins.
    ///
    /// # Errors
    /// `no-such-user`, or the database failed.
    pub async fn reset_password(&self, name: &str) -> Outcome<Secret> {
        self.accounts.space.check()?;
        let password = Password::random()?;
        let hash = self.accounts.hasher.hash(password.clone()).await?;
        let (account, former) = self.find(name).await?;
        let overtaken = || Refusal::new(Code::Unavailable, "the password was changed just now").retry_after_ms(100);
        self.accounts.replace_password(account.id, &former, &hash, |_| true, None, overtaken).await?;
        // Who asks for this may have tried too often before.
        let mut tx = self.accounts.store.db().begin().await?;
        crate::store::forget_wrong_passwords_for_name(&mut tx, &account.name.to_lowercase()).await?;
        tx.commit().await?;
        Ok(password.reveal())
    }

    /// Makes test accounts, or gives new tokens to those of an earlier seeding; they come
    /// page by page.
    ///
    /// # Errors
    /// `invalid-field`, or hashing the password failed.
    pub async fn seed(&self, seed: Seed) -> Outcome<Seeding> {
        Seeding::begin(Arc::clone(&self.accounts), seed).await
    }

    async fn find(&self, name: &str) -> Outcome<(AccountRow, String)> {
        let name = Name::parse(name).map_err(|_| no_such_user())?;
        Ok(self.accounts.store.find_by_login_name(&name.login_name()).await?.ok_or_else(no_such_user)?)
    }
}
