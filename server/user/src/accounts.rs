//! Registering, logging in, passwords, profiles.

use std::sync::Arc;
use std::time::Duration;

use common::data_dir::FreeSpace;
use common::outbox::Outbox;
use common::token::Verifier;
use common::{Clock, Failure, Ids, Outcome};
use idl::access::{Identity, SiteRole};
use idl::user::{Account, ChangePassword, Done, EditProfile, LogIn, LoggedIn, Profile, Register};
use idl::{Code, Refusal, UserId};

use crate::attempts::{Attempts, Guess, Turn};
use crate::bio;
use crate::devices::{EndedDevices, MAX_DEVICES, device_name};
use crate::names::Name;
use crate::passwords::{Hasher, Password};
use crate::store::{self, AccountRow, DeviceRow, Store};
use crate::tokens::{DeviceSecret, Tokens};

/// The accounts of the site: what the service does, apart from how it is asked.
pub(crate) struct Accounts {
    pub(crate) store: Store,
    pub(crate) ids: Ids,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Clock,
    pub(crate) space: FreeSpace,
    pub(crate) verifier: Verifier,
    pub(crate) tokens: Tokens,
    pub(crate) log_in_lifetime: Duration,
    pub(crate) hasher: Hasher,
    pub(crate) attempts: Attempts,
}

impl Accounts {
    pub(crate) async fn register(&self, request: Register) -> Outcome<LoggedIn> {
        self.space.check()?;
        let name = Name::parse(&request.name).map_err(|bad| Refusal::field("/name", bad.to_string()))?;
        let password = parse_password("/password", &request.password)?;
        // Before the hash, which costs; the table's keys decide in the end.
        if name.is_reserved() || self.store.is_taken(&name).await? {
            return Err(name_taken().into());
        }
        let password_hash = self.hasher.hash(password).await?;
        let account = AccountRow {
            id: UserId(self.ids.next().await?),
            name: name.as_str().to_owned(),
            role: SiteRole::Member,
            bio: String::new(),
            created_at: self.clock.now(),
        };
        let device = self.new_device(account.id, device_name(&request.device_name)).await?;
        let new = [(account, name)];
        let mut tx = self.store.db().begin().await?;
        match store::insert_accounts(&mut tx, &new, &password_hash, false).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Err(name_taken().into()),
            other => other?,
        }
        store::insert_devices(&mut tx, std::slice::from_ref(&device)).await?;
        tx.commit().await?;
        let [(account, _)] = new;
        self.tokens.pair(&account, &device)
    }

    pub(crate) async fn log_in(&self, request: LogIn) -> Outcome<LoggedIn> {
        self.space.check()?;
        // What can't be a name or a password belongs to nobody: there is nothing to hide.
        let name = Name::parse(&request.name).map_err(|_| wrong_credentials())?;
        let password = Password::parse(&request.password).map_err(|_| wrong_credentials())?;
        let login_name = name.login_name();
        let guess = Guess::at_name(&login_name, request.client.as_deref());
        let turn = self.attempts.turn(&self.store, &self.clock, guess).await?;
        let found = self.store.find_by_login_name(&login_name).await?;
        let hash = found.as_ref().map(|(_, hash)| hash.as_str());
        let right = self.hasher.verify(password, hash).await?;
        match found {
            Some((account, hash)) if right => {
                let name = device_name(&request.device_name);
                self.enter(turn, account, &hash, name).await
            }
            _ => {
                turn.wrong(&self.store, &self.clock).await?;
                Err(wrong_credentials().into())
            }
        }
    }

    /// Makes the log-in of somebody who knew the password.
    pub(crate) async fn enter(
        &self,
        turn: Turn<'_>,
        account: AccountRow,
        password_hash: &str,
        name: String,
    ) -> Outcome<LoggedIn> {
        let device = self.new_device(account.id, name).await?;
        let slots = self.outbox.slots(1).await?;
        let mut tx = self.store.db().begin().await?;
        // The password may have been changed since it was checked: such a change ends all
        // log-ins, and must not miss this one.
        if !store::lock_account(&mut tx, account.id, password_hash).await? {
            return Err(wrong_credentials().into());
        }
        turn.right(&mut tx).await?;
        let mut ended = EndedDevices::new(account.id, slots, self.tokens.all_expired_at(self.clock.now()));
        let present = store::device_ids(&mut tx, account.id).await?;
        if present.len() >= MAX_DEVICES
            && let Some(least_used) = present.last()
        {
            ended.end(self, &mut tx, *least_used).await?;
        }
        store::insert_devices(&mut tx, std::slice::from_ref(&device)).await?;
        tx.commit().await?;
        ended.announce(self);
        self.tokens.pair(&account, &device)
    }

    pub(crate) async fn change_password(&self, identity: Arc<Identity>, request: ChangePassword) -> Outcome<Done> {
        self.space.check()?;
        let new = parse_password("/new", &request.new)?;
        let wrong = || Refusal { pointer: Some("/current".to_owned()), ..wrong_credentials() };
        let (account, former) = self.store.find(identity.user).await?.ok_or_else(no_such_user)?;
        // A stolen access token must not help to guess the password either.
        let guess = Guess::on_device(identity.device, request.client.as_deref());
        let turn = self.attempts.turn(&self.store, &self.clock, guess).await?;
        let right = match Password::parse(&request.current) {
            Ok(current) => self.hasher.verify(current, Some(&former)).await?,
            Err(_) => false,
        };
        if !right {
            turn.wrong(&self.store, &self.clock).await?;
            return Err(wrong().into());
        }
        let hash = self.hasher.hash(new).await?;
        self.replace_password(account.id, &former, &hash, |device| device != identity.device, Some(turn), wrong)
            .await?;
        Ok(Done {})
    }

    /// Sets the password and ends the account's log-ins that `ends` names, unless the
    /// password is not `former` any more: then nothing changes.
    pub(crate) async fn replace_password(
        &self,
        user: UserId,
        former: &str,
        hash: &str,
        ends: impl Fn(idl::DeviceId) -> bool + Send,
        turn: Option<Turn<'_>>,
        overtaken: impl FnOnce() -> Refusal + Send,
    ) -> Outcome<()> {
        let slots = self.outbox.slots(MAX_DEVICES).await?;
        let mut tx = self.store.db().begin().await?;
        if !store::set_password(&mut tx, user, former, hash).await? {
            return Err(overtaken().into());
        }
        if let Some(turn) = turn {
            turn.right(&mut tx).await?;
        }
        let mut ended = EndedDevices::new(user, slots, self.tokens.all_expired_at(self.clock.now()));
        for device in store::device_ids(&mut tx, user).await?.into_iter().filter(|device| ends(*device)) {
            ended.end(self, &mut tx, device).await?;
        }
        tx.commit().await?;
        ended.announce(self);
        Ok(())
    }

    pub(crate) async fn account(&self, user: UserId) -> Outcome<Account> {
        let (account, _) = self.store.find(user).await?.ok_or_else(no_such_user)?;
        Ok(account.into())
    }

    pub(crate) async fn profile(&self, user: UserId) -> Outcome<Profile> {
        let (account, _) = self.store.find(user).await?.ok_or_else(no_such_user)?;
        Ok(account.into())
    }

    pub(crate) async fn edit_profile(&self, identity: Arc<Identity>, request: EditProfile) -> Outcome<Account> {
        self.space.check()?;
        let bio = bio::parse(&request.bio).map_err(|bad| Refusal::field("/bio", bad.to_string()))?;
        if !self.store.set_bio(identity.user, &bio).await? {
            return Err(no_such_user().into());
        }
        self.account(identity.user).await
    }

    /// A log-in that is not stored yet.
    pub(crate) async fn new_device(&self, user: UserId, name: String) -> Result<DeviceRow, Failure> {
        let id = idl::DeviceId(self.ids.next().await?);
        self.fresh_device(id, user, name).map_err(Failure::from)
    }

    pub(crate) fn fresh_device(&self, id: idl::DeviceId, user: UserId, name: String) -> anyhow::Result<DeviceRow> {
        let now = self.clock.now();
        let lifetime_ms = u64::try_from(self.log_in_lifetime.as_millis()).unwrap_or(u64::MAX);
        Ok(DeviceRow {
            id,
            user,
            name,
            secret: DeviceSecret::random()?,
            generation: 0,
            created_at: now,
            used_at: now,
            expires_at: now.plus_ms(lifetime_ms),
        })
    }
}

pub(crate) fn parse_password(pointer: &str, password: &idl::user::Secret) -> Result<Password, Refusal> {
    Password::parse(password).map_err(|bad| Refusal::field(pointer, bad.to_string()))
}

pub(crate) fn no_such_user() -> Refusal {
    Refusal::new(Code::NoSuchUser, "there is no such account")
}

fn name_taken() -> Refusal {
    let taken = Refusal::new(Code::NameTaken, "the name is taken, or looks like one that is");
    Refusal { pointer: Some("/name".to_owned()), ..taken }
}

fn wrong_credentials() -> Refusal {
    Refusal::new(Code::WrongCredentials, "name and password do not belong together")
}
