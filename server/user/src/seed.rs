//! Test accounts in numbers: one password hash for all, many rows to an insert.

use std::collections::HashMap;
use std::sync::Arc;

use common::Outcome;
use idl::access::SiteRole;
use idl::user::Secret;
use idl::{Code, DeviceId, Refusal, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sqlx::{Any, QueryBuilder, Row as _};

use crate::accounts::{Accounts, parse_password};
use crate::devices::MAX_DEVICES;
use crate::names::Name;
use crate::store::{self, AccountRow, DeviceRow};

/// Accounts in one transaction, and in one page of the answer.
const PAGE: usize = 500;
const MAX_ACCOUNTS: usize = 1_000_000;
/// What the log-in of a seeding calls itself; an account keeps the same one when it is
/// seeded again.
const DEVICE_NAME: &str = "seed";

/// Which accounts to make.
#[derive(Debug, Clone)]
pub struct Seed {
    /// What they are called, and so how many there are: up to a million.
    pub names: SeedNames,
    /// Their password.
    pub password: Secret,
}

/// The names of test accounts.
#[derive(Debug, Clone)]
pub enum SeedNames {
    /// `viewer-000001`, `viewer-000002`, …
    Numbered {
        /// What they begin with (`viewer-`).
        prefix: String,
        /// How many.
        accounts: u32,
    },
    /// These.
    Listed(Vec<String>),
}

impl SeedNames {
    fn len(&self) -> usize {
        match self {
            Self::Numbered { accounts, .. } => *accounts as usize,
            Self::Listed(names) => names.len(),
        }
    }

    /// The n-th name, from 0.
    fn name(&self, n: usize) -> Result<Name, Refusal> {
        match self {
            Self::Numbered { prefix, .. } => parse_name("/prefix", &format!("{prefix}{:06}", n + 1)),
            Self::Listed(names) => parse_name("/names", names.get(n).map_or("", String::as_str)),
        }
    }
}

fn parse_name(pointer: &str, name: &str) -> Result<Name, Refusal> {
    let name = Name::parse(name).map_err(|bad| Refusal::field(pointer, bad.to_string()))?;
    if name.is_reserved() {
        return Err(Refusal::field(pointer, format!("the name {} is reserved", name.as_str())));
    }
    Ok(name)
}

/// A test account with tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeededAccount {
    /// The account.
    pub user_id: UserId,
    /// Its name.
    pub name: String,
    /// For requests, until it expires like any other.
    pub access_token: Secret,
    /// For one refresh.
    pub refresh_token: Secret,
}

/// A seeding on its way.
pub struct Seeding {
    accounts: Arc<Accounts>,
    seed: Seed,
    password_hash: String,
    done: usize,
}

impl std::fmt::Debug for Seeding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seeding({} of {})", self.done, self.seed.names.len())
    }
}

impl Seeding {
    pub(crate) async fn begin(accounts: Arc<Accounts>, seed: Seed) -> Outcome<Self> {
        accounts.space.check()?;
        if seed.names.len() > MAX_ACCOUNTS {
            return Err(Refusal::field("/accounts", "at most a million accounts are seeded").into());
        }
        // The last one is the longest of numbered ones: refused before any is made.
        seed.names.name(seed.names.len().saturating_sub(1))?;
        let password_hash = accounts.hasher.hash(parse_password("/password", &seed.password)?).await?;
        Ok(Self { accounts, seed, password_hash, done: 0 })
    }

    /// Makes the next accounts; empty when all are made. What was returned is durable.
    ///
    /// # Errors
    /// `name-taken` if somebody else has one of the names; or the database failed.
    pub async fn next_page(&mut self) -> Outcome<Vec<SeededAccount>> {
        let upto = self.seed.names.len().min(self.done + PAGE);
        let names: Vec<Name> = (self.done..upto).map(|n| self.seed.names.name(n)).collect::<Result<_, _>>()?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.accounts.space.check()?;
        let page = self.make(names).await?;
        self.done = upto;
        Ok(page)
    }

    async fn make(&self, names: Vec<Name>) -> Outcome<Vec<SeededAccount>> {
        let accounts = &self.accounts;
        // Two ids each, one for the log-in; those that are there already waste them.
        let mut ids = accounts.ids.take(2 * names.len()).await?.into_iter();
        let mut id = || ids.next().ok_or_else(|| anyhow::anyhow!("too few ids were taken"));
        let now = accounts.clock.now();
        let mut tx = accounts.store.db().begin().await?;
        let present = present(&mut tx, &names).await?;
        let devices_of = reusable_devices(&mut tx, present.values().map(|(account, _)| account.id)).await?;

        let (mut page, mut new_accounts) = (Vec::with_capacity(names.len()), Vec::new());
        let (mut new_devices, mut again) = (Vec::new(), Vec::new());
        for name in names {
            let account = match present.get(&name.login_name()) {
                Some((account, true)) => account.clone(),
                Some((account, false)) => return Err(taken(&account.name).into()),
                None => {
                    let account = new_account(UserId(id()?), &name, now);
                    new_accounts.push((account.clone(), name));
                    account
                }
            };
            let (device_id, devices) = match devices_of.get(&account.id).copied() {
                Some(kept) => (kept, &mut again),
                None => (DeviceId(id()?), &mut new_devices),
            };
            let device = accounts.fresh_device(device_id, account.id, DEVICE_NAME.to_owned())?;
            devices.push(device.clone());
            page.push((account, device));
        }

        if !new_accounts.is_empty() {
            match store::insert_accounts(&mut tx, &new_accounts, &self.password_hash, true).await {
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                    return Err(taken("of one of these").into());
                }
                other => other?,
            }
        }
        if !new_devices.is_empty() {
            store::insert_devices(&mut tx, &new_devices).await?;
        }
        renew(&mut tx, &again).await?;
        set_passwords(&mut tx, present.values().map(|(account, _)| account.id), &self.password_hash).await?;
        tx.commit().await?;
        page.iter().map(|(account, device)| self.with_tokens(account, device)).collect()
    }

    fn with_tokens(&self, account: &AccountRow, device: &DeviceRow) -> Outcome<SeededAccount> {
        let pair = self.accounts.tokens.pair(account, device)?;
        Ok(SeededAccount {
            user_id: account.id,
            name: account.name.clone(),
            access_token: pair.access_token,
            refresh_token: pair.refresh_token,
        })
    }
}

fn new_account(id: UserId, name: &Name, created_at: Timestamp) -> AccountRow {
    AccountRow { id, name: name.as_str().to_owned(), role: SiteRole::Member, bio: String::new(), created_at }
}

fn taken(name: &str) -> Refusal {
    Refusal::new(Code::NameTaken, format!("somebody has the name {name}, or one that looks like it; use other names"))
}

/// The accounts that have these names already, and whether each was seeded.
async fn present(tx: &mut common::db::Tx, names: &[Name]) -> sqlx::Result<HashMap<String, (AccountRow, bool)>> {
    let mut find = QueryBuilder::<Any>::new(
        "SELECT id, name, role, bio, created_at_ms, login_name, seeded FROM account WHERE login_name IN (",
    );
    let mut list = find.separated(", ");
    for name in names {
        list.push_bind(name.login_name());
    }
    find.push(")");
    let rows = find.build().fetch_all(&mut **tx).await?;
    rows.iter().map(|row| Ok((row.try_get(5)?, (store::account(row)?, row.try_get::<i64, _>(6)? != 0)))).collect()
}

/// The log-in that each account is seeded with again: that of its last seeding, or, when it
/// has as many as it may, the least used one.
async fn reusable_devices(
    tx: &mut common::db::Tx,
    users: impl ExactSizeIterator<Item = UserId>,
) -> sqlx::Result<HashMap<UserId, DeviceId>> {
    if users.len() == 0 {
        return Ok(HashMap::new());
    }
    let mut find = QueryBuilder::<Any>::new("SELECT id, user_id, name FROM device WHERE user_id IN (");
    let mut list = find.separated(", ");
    for user in users {
        list.push_bind(user.as_i64());
    }
    find.push(") ORDER BY used_at_ms, id");
    let mut of_user: HashMap<UserId, Vec<(DeviceId, String)>> = HashMap::new();
    for row in find.build().fetch_all(&mut **tx).await? {
        let device = (DeviceId::from_i64(row.try_get(0)?), row.try_get(2)?);
        of_user.entry(UserId::from_i64(row.try_get(1)?)).or_default().push(device);
    }
    let reusable = of_user.into_iter().filter_map(|(user, devices)| {
        let seeded = devices.iter().find(|(_, name)| name == DEVICE_NAME);
        let least_used = devices.first().filter(|_| devices.len() >= MAX_DEVICES);
        seeded.or(least_used).map(|(device, _)| (user, *device))
    });
    Ok(reusable.collect())
}

/// Gives log-ins a new secret: their former refresh tokens are void.
async fn renew(tx: &mut common::db::Tx, devices: &[DeviceRow]) -> sqlx::Result<()> {
    for device in devices {
        sqlx::query(
            "UPDATE device SET name = ?, secret = ?, generation = 0, used_at_ms = ?, expires_at_ms = ? WHERE id = ?",
        )
        .bind(device.name.as_str())
        .bind(device.secret.to_hex())
        .bind(device.used_at.0)
        .bind(device.expires_at.0)
        .bind(device.id.as_i64())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn set_passwords(
    tx: &mut common::db::Tx,
    users: impl Iterator<Item = UserId>,
    password_hash: &str,
) -> sqlx::Result<()> {
    for user in users {
        sqlx::query("UPDATE account SET password_hash = ? WHERE id = ?")
            .bind(password_hash)
            .bind(user.as_i64())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
