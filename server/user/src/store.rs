//! SQL: accounts, their names' looks, log-ins, and wrong passwords.

use common::Db;
use common::db::Tx;
use idl::access::SiteRole;
use idl::user::{Account, Profile};
use idl::{DeviceId, Timestamp, UserId};
use sqlx::any::AnyRow;
use sqlx::{Any, QueryBuilder, Row as _};

use crate::attempts::{Guess, subject_of_name};
use crate::names::Name;
use crate::tokens::DeviceSecret;

/// An account as others may see it, with its role.
#[derive(Debug, Clone)]
pub(crate) struct AccountRow {
    pub(crate) id: UserId,
    pub(crate) name: String,
    pub(crate) role: SiteRole,
    pub(crate) bio: String,
    pub(crate) created_at: Timestamp,
}

/// A log-in. It has no Debug, for the secret's sake.
#[derive(Clone)]
pub(crate) struct DeviceRow {
    pub(crate) id: DeviceId,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) secret: DeviceSecret,
    /// How often it was refreshed.
    pub(crate) generation: u32,
    pub(crate) created_at: Timestamp,
    /// When the present generation began.
    pub(crate) used_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// Wrong passwords in a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrongPasswords {
    pub(crate) times: i64,
    pub(crate) ends_at: Timestamp,
}

/// Wrong passwords that matter to a guess.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WrongBefore {
    pub(crate) by_client: Option<WrongPasswords>,
    pub(crate) by_all: Option<WrongPasswords>,
}

/// The database of accounts.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    db: Db,
}

const BY_LOGIN_NAME: &str =
    "SELECT id, name, role, bio, created_at_ms, password_hash FROM account WHERE login_name = ?";
const BY_ID: &str = "SELECT id, name, role, bio, created_at_ms, password_hash FROM account WHERE id = ?";
const DEVICE: &str = "SELECT id, user_id, name, secret, generation, created_at_ms, used_at_ms, expires_at_ms
                      FROM device WHERE id = ? AND expires_at_ms > ?";
const DEVICES: &str = "SELECT id, user_id, name, secret, generation, created_at_ms, used_at_ms, expires_at_ms
                       FROM device WHERE user_id = ? AND expires_at_ms > ? ORDER BY used_at_ms DESC, id DESC";
/// Matches the account only while its password is still the one that was checked, and
/// locks its row until the transaction ends.
const LOCK_ACCOUNT: &str = "UPDATE account SET password_hash = password_hash WHERE id = ? AND password_hash = ?";
const ROTATE: &str = "UPDATE device SET generation = generation + 1, used_at_ms = ?
                      WHERE id = ? AND generation = ? AND secret = ?";
const WRONG: &str = "SELECT client, times, ends_at_ms FROM wrong_password WHERE subject = ? AND client IN (?, ?)";
const COUNT_WRONG: &str =
    "UPDATE wrong_password SET times = times + 1 WHERE subject = ? AND client = ? AND ends_at_ms > ?";
const FORGET_OVER: &str = "DELETE FROM wrong_password WHERE subject = ? AND client = ? AND ends_at_ms <= ?";
/// Stands for all clients together.
const ALL_CLIENTS: &str = "";

impl Store {
    pub(crate) const fn new(db: Db) -> Self {
        Self { db }
    }

    pub(crate) const fn db(&self) -> &Db {
        &self.db
    }

    /// The account of that name, with its password's hash.
    pub(crate) async fn find_by_login_name(&self, login_name: &str) -> sqlx::Result<Option<(AccountRow, String)>> {
        let row = sqlx::query(BY_LOGIN_NAME).bind(login_name).fetch_optional(self.db.reader()).await?;
        row.map(|row| Ok((account(&row)?, row.try_get(5)?))).transpose()
    }

    /// The account, with its password's hash.
    pub(crate) async fn find(&self, user: UserId) -> sqlx::Result<Option<(AccountRow, String)>> {
        let row = sqlx::query(BY_ID).bind(user.as_i64()).fetch_optional(self.db.reader()).await?;
        row.map(|row| Ok((account(&row)?, row.try_get(5)?))).transpose()
    }

    /// Whether an account has that name or looks so.
    pub(crate) async fn is_taken(&self, name: &Name) -> sqlx::Result<bool> {
        for look in name.looks() {
            let found = sqlx::query("SELECT user_id FROM name_look WHERE look = ?").bind(look);
            if found.fetch_optional(self.db.reader()).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The log-in, unless it has expired.
    pub(crate) async fn device(&self, device: DeviceId, now: Timestamp) -> sqlx::Result<Option<DeviceRow>> {
        let row = sqlx::query(DEVICE).bind(device.as_i64()).bind(now.0).fetch_optional(self.db.reader()).await?;
        row.map(|row| self::device(&row)).transpose()
    }

    /// The account's log-ins that have not expired, latest first.
    pub(crate) async fn devices(&self, user: UserId, now: Timestamp) -> sqlx::Result<Vec<DeviceRow>> {
        let rows = sqlx::query(DEVICES).bind(user.as_i64()).bind(now.0).fetch_all(self.db.reader()).await?;
        rows.iter().map(device).collect()
    }

    pub(crate) async fn wrong_passwords(&self, guess: &Guess) -> sqlx::Result<WrongBefore> {
        let rows = sqlx::query(WRONG).bind(guess.subject.as_str()).bind(guess.client.as_str()).bind(ALL_CLIENTS);
        let mut wrong = WrongBefore::default();
        for row in rows.fetch_all(self.db.reader()).await? {
            let counted = WrongPasswords { times: row.try_get(1)?, ends_at: Timestamp(row.try_get(2)?) };
            let all = row.try_get::<&str, _>(0)? == ALL_CLIENTS;
            *if all { &mut wrong.by_all } else { &mut wrong.by_client } = Some(counted);
        }
        Ok(wrong)
    }

    /// Counts one more wrong password, of the client and of all; the first one opens a
    /// window until `ends_at`.
    pub(crate) async fn count_wrong_password(
        &self,
        guess: &Guess,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> sqlx::Result<()> {
        let mut tx = self.db.begin().await?;
        for client in [guess.client.as_str(), ALL_CLIENTS] {
            let subject = guess.subject.as_str();
            let counted = sqlx::query(COUNT_WRONG).bind(subject).bind(client).bind(now.0).execute(&mut *tx).await?;
            if counted.rows_affected() == 0 {
                sqlx::query(FORGET_OVER).bind(subject).bind(client).bind(now.0).execute(&mut *tx).await?;
                let first = format!(
                    "{}wrong_password (subject, client, times, ends_at_ms) VALUES (?, ?, 1, ?)",
                    self.db.insert_ignore()
                );
                let first = sqlx::query(sqlx::AssertSqlSafe(first)).bind(subject).bind(client).bind(ends_at.0);
                if first.execute(&mut *tx).await?.rows_affected() == 0 {
                    // Another instance has opened the window just now.
                    sqlx::query(COUNT_WRONG).bind(subject).bind(client).bind(now.0).execute(&mut *tx).await?;
                }
            }
        }
        tx.commit().await
    }

    /// Whether this call made the device's next generation. False: somebody else did, or
    /// the log-in has ended.
    pub(crate) async fn rotate(&self, device: &DeviceRow, now: Timestamp) -> sqlx::Result<bool> {
        let mut tx = self.db.begin().await?;
        let rotated = sqlx::query(ROTATE)
            .bind(now.0)
            .bind(device.id.as_i64())
            .bind(i64::from(device.generation))
            .bind(device.secret.to_hex())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(rotated.rows_affected() == 1)
    }

    /// Writes what an account says about itself; false if there is no such account.
    pub(crate) async fn set_bio(&self, user: UserId, bio: &str) -> sqlx::Result<bool> {
        let mut tx = self.db.begin().await?;
        let set = sqlx::query("UPDATE account SET bio = ? WHERE id = ?").bind(bio).bind(user.as_i64());
        let set = set.execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(set.rows_affected() == 1)
    }

    pub(crate) async fn set_role(&self, user: UserId, role: SiteRole) -> sqlx::Result<()> {
        let mut tx = self.db.begin().await?;
        sqlx::query("UPDATE account SET role = ? WHERE id = ?")
            .bind(role_word(role))
            .bind(user.as_i64())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

/// New accounts in the caller's transaction. A unique violation: a name is taken.
pub(crate) async fn insert_accounts(
    tx: &mut Tx,
    accounts: &[(AccountRow, Name)],
    password_hash: &str,
    seeded: bool,
) -> sqlx::Result<()> {
    let mut insert = QueryBuilder::<Any>::new(
        "INSERT INTO account (id, name, login_name, password_hash, role, bio, seeded, created_at_ms) ",
    );
    insert.push_values(accounts, |mut row, (account, name)| {
        row.push_bind(account.id.as_i64())
            .push_bind(account.name.clone())
            .push_bind(name.login_name())
            .push_bind(password_hash.to_owned())
            .push_bind(role_word(account.role))
            .push_bind(account.bio.clone())
            .push_bind(i64::from(seeded))
            .push_bind(account.created_at.0);
    });
    insert.build().execute(&mut **tx).await?;
    let looks = accounts.iter().flat_map(|(account, name)| name.looks().into_iter().map(|look| (look, account.id)));
    let mut insert = QueryBuilder::<Any>::new("INSERT INTO name_look (look, user_id) ");
    insert.push_values(looks, |mut row, (look, user)| {
        row.push_bind(look).push_bind(user.as_i64());
    });
    insert.build().execute(&mut **tx).await?;
    Ok(())
}

/// New log-ins in the caller's transaction.
pub(crate) async fn insert_devices(tx: &mut Tx, devices: &[DeviceRow]) -> sqlx::Result<()> {
    let mut insert = QueryBuilder::<Any>::new(
        "INSERT INTO device (id, user_id, name, secret, generation, created_at_ms, used_at_ms, expires_at_ms) ",
    );
    insert.push_values(devices, |mut row, device| {
        row.push_bind(device.id.as_i64())
            .push_bind(device.user.as_i64())
            .push_bind(device.name.clone())
            .push_bind(device.secret.to_hex())
            .push_bind(i64::from(device.generation))
            .push_bind(device.created_at.0)
            .push_bind(device.used_at.0)
            .push_bind(device.expires_at.0);
    });
    insert.build().execute(&mut **tx).await?;
    Ok(())
}

/// Holds the account until the transaction ends; false if its password is another one by now.
pub(crate) async fn lock_account(tx: &mut Tx, user: UserId, password_hash: &str) -> sqlx::Result<bool> {
    let locked = sqlx::query(LOCK_ACCOUNT).bind(user.as_i64()).bind(password_hash).execute(&mut **tx).await?;
    Ok(locked.rows_affected() == 1)
}

/// Changes the password, unless it is another than `former` by now.
pub(crate) async fn set_password(tx: &mut Tx, user: UserId, former: &str, hash: &str) -> sqlx::Result<bool> {
    let set = sqlx::query("UPDATE account SET password_hash = ? WHERE id = ? AND password_hash = ?")
        .bind(hash)
        .bind(user.as_i64())
        .bind(former)
        .execute(&mut **tx)
        .await?;
    Ok(set.rows_affected() == 1)
}

/// All log-ins of the account that are in the table, latest first.
pub(crate) async fn device_ids(tx: &mut Tx, user: UserId) -> sqlx::Result<Vec<DeviceId>> {
    let rows = sqlx::query("SELECT id FROM device WHERE user_id = ? ORDER BY used_at_ms DESC, id DESC")
        .bind(user.as_i64())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter().map(|row| Ok(DeviceId::from_i64(row.try_get(0)?))).collect()
}

/// Deletes a log-in of that account; false if there is none.
pub(crate) async fn delete_device(tx: &mut Tx, user: UserId, device: DeviceId) -> sqlx::Result<bool> {
    let deleted = sqlx::query("DELETE FROM device WHERE id = ? AND user_id = ?")
        .bind(device.as_i64())
        .bind(user.as_i64())
        .execute(&mut **tx)
        .await?;
    Ok(deleted.rows_affected() == 1)
}

/// Forgets what one client got wrong.
pub(crate) async fn forget_wrong_passwords_of_client(tx: &mut Tx, guess: &Guess) -> sqlx::Result<()> {
    forget_wrong_passwords_of(tx, &guess.subject, &guess.client).await
}

/// Forgets what anybody got wrong at a name's log-in.
pub(crate) async fn forget_wrong_passwords_for_name(tx: &mut Tx, login_name: &str) -> sqlx::Result<()> {
    let forget = sqlx::query("DELETE FROM wrong_password WHERE subject = ?").bind(subject_of_name(login_name));
    forget.execute(&mut **tx).await?;
    Ok(())
}

async fn forget_wrong_passwords_of(tx: &mut Tx, subject: &str, client: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM wrong_password WHERE subject = ? AND client = ?")
        .bind(subject)
        .bind(client)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(crate) fn account(row: &AnyRow) -> sqlx::Result<AccountRow> {
    Ok(AccountRow {
        id: UserId::from_i64(row.try_get(0)?),
        name: row.try_get(1)?,
        role: if row.try_get::<&str, _>(2)? == SITE_ADMIN { SiteRole::SiteAdmin } else { SiteRole::Member },
        bio: row.try_get(3)?,
        created_at: Timestamp(row.try_get(4)?),
    })
}

fn device(row: &AnyRow) -> sqlx::Result<DeviceRow> {
    Ok(DeviceRow {
        id: DeviceId::from_i64(row.try_get(0)?),
        user: UserId::from_i64(row.try_get(1)?),
        name: row.try_get(2)?,
        secret: DeviceSecret::from_hex(row.try_get(3)?).map_err(|e| sqlx::Error::Decode(e.into()))?,
        generation: u32::try_from(row.try_get::<i64, _>(4)?).map_err(|e| sqlx::Error::Decode(e.into()))?,
        created_at: Timestamp(row.try_get(5)?),
        used_at: Timestamp(row.try_get(6)?),
        expires_at: Timestamp(row.try_get(7)?),
    })
}

const SITE_ADMIN: &str = "site_admin";

const fn role_word(role: SiteRole) -> &'static str {
    match role {
        SiteRole::SiteAdmin => SITE_ADMIN,
        SiteRole::Member => "member",
    }
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        Self { id: row.id, name: row.name, role: row.role, bio: row.bio, created_at: row.created_at }
    }
}

impl From<AccountRow> for Profile {
    fn from(row: AccountRow) -> Self {
        Self { id: row.id, name: row.name, bio: row.bio, created_at: row.created_at }
    }
}
