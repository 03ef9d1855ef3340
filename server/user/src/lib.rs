//! Owns accounts, their log-ins (devices) and what they may do on the site.
//! Calls push, to say which log-ins have ended.
//! Emits revocations, through an outbox.

use std::sync::Arc;
use std::time::Duration;

use common::keys::{ConfiguredKey, SecretKey};
use common::outbox::Outbox;
use common::rpc::{PushClient, UserClient};
use common::rpc::{Serving, answer, within};
use common::token::Signer;
use common::{Db, Ids, Lifecycle, Platform};
use idl::push::Revoke;
use idl::user::{User as _, UserRequest, UserResponse};
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;

mod accounts;
mod attempts;
mod bio;
mod devices;
mod names;
mod operator;
mod passwords;
mod rpc;
mod seed;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod tokens;

pub use operator::Operator;
pub use seed::{Seed, SeedNames, SeededAccount, Seeding};

use accounts::Accounts;
use attempts::{Allowed, Attempts};
use passwords::Hasher;
use store::Store;
use tokens::Tokens;

/// Settings of the user service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How long an access token holds: 60 to 900 seconds.
    pub access_token_seconds: u32,
    /// When a log-in ends, however often it was refreshed: after 1 to 400 days.
    pub log_in_days: u32,
    /// So many wrong passwords in a window (1 to 1,000), and a name takes none from this
    /// client (address or network) until its end; likewise a signed-in device that changes
    /// the password.
    pub wrong_passwords: u32,
    /// So many by all clients together (1 to 100,000), and the name takes none from anybody.
    pub wrong_passwords_per_name: u32,
    /// The window: 1 to 86,400 seconds from the first wrong password.
    pub wrong_passwords_window_seconds: u32,
    /// Passwords that may wait for a core to be hashed on (up to 10,000); more are refused at once.
    pub hash_queue: u32,
    /// What refresh tokens are made with.
    pub refresh_key: ConfiguredKey,
}

/// What publishing revocations may take.
const RELAY_DEADLINE: Duration = Duration::from_secs(2);

/// The user service. Clones are one service.
#[derive(Clone)]
pub struct User {
    accounts: Arc<Accounts>,
    lifecycle: Lifecycle,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("User")
    }
}

impl User {
    /// Opens the database and starts telling push which log-ins have ended.
    ///
    /// # Errors
    /// A setting is out of its range, or the database or a key can't be opened.
    pub async fn start(
        settings: Settings,
        platform: &Platform,
        signer: Arc<Signer>,
        push: PushClient,
    ) -> anyhow::Result<Self> {
        let accounts = Arc::new(open(&settings, platform, signer).await?);
        let (relay, soft) = (Arc::clone(&accounts), platform.lifecycle.soft().clone());
        platform.lifecycle.spawn("user.relay", async move {
            let deliver = |_topic, revocations| {
                let push = push.clone();
                async move {
                    let revoke = Revoke { revocations };
                    answer(push.revoke(within(RELAY_DEADLINE), revoke).await).map(|_| ())
                }
            };
            relay.outbox.relay(soft, deliver).await;
        });
        sweep::start(Arc::clone(&accounts), &platform.lifecycle);
        Ok(Self { accounts, lifecycle: platform.lifecycle.clone() })
    }

    /// A client of this service, for the services of this process.
    #[must_use]
    pub fn serve_in_process(&self) -> UserClient {
        self.serving().here(&self.lifecycle).into()
    }

    /// How this service answers, for callers in this process and in others.
    #[must_use]
    pub fn serving(&self) -> Serving<UserRequest, UserResponse> {
        let handlers = rpc::Handlers::new(Arc::clone(&self.accounts), self.lifecycle.clone());
        Serving::new(move |far| {
            use tarpc::server::Channel as _;
            far.execute(handlers.clone().serve())
        })
    }

    /// What the site's operator may do, beyond the contract.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator::new(Arc::clone(&self.accounts))
    }
}

/// The file of the data folder that stands in for `user.refresh_key`.
pub const REFRESH_KEY: &str = "refresh-token.key";

/// The tables, for [`Db::open`].
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Opens the accounts without serving them.
async fn open(settings: &Settings, platform: &Platform, signer: Arc<Signer>) -> anyhow::Result<Accounts> {
    settings.check()?;
    let db = Db::open(&platform.db_url, &platform.data_dir, "user", &MIGRATIONS).await?;
    let key = SecretKey::configured_or(&settings.refresh_key, &platform.data_dir, REFRESH_KEY)?;
    let ids = Ids::new(db.clone());
    let queue = settings.hash_queue as usize;
    let day = Duration::from_secs(24 * 60 * 60);
    Ok(Accounts {
        outbox: Outbox::new(db.clone(), ids.clone()),
        store: Store::new(db),
        ids,
        clock: platform.clock.clone(),
        space: platform.space.clone(),
        verifier: platform.verifier.clone(),
        tokens: Tokens::new(signer, &key, Duration::from_secs(settings.access_token_seconds.into())),
        log_in_lifetime: day * settings.log_in_days,
        hasher: tokio::task::spawn_blocking(move || Hasher::new(queue)).await??,
        attempts: Attempts::new(
            Allowed { by_client: settings.wrong_passwords, by_all: settings.wrong_passwords_per_name },
            Duration::from_secs(settings.wrong_passwords_window_seconds.into()),
        ),
    })
}

impl Settings {
    fn check(&self) -> anyhow::Result<()> {
        let ranges = [
            ("access_token_seconds", self.access_token_seconds, 60..=900),
            ("log_in_days", self.log_in_days, 1..=400),
            ("wrong_passwords", self.wrong_passwords, 1..=1_000),
            ("wrong_passwords_per_name", self.wrong_passwords_per_name, 1..=100_000),
            ("wrong_passwords_window_seconds", self.wrong_passwords_window_seconds, 1..=86_400),
            ("hash_queue", self.hash_queue, 0..=10_000),
        ];
        for (key, value, range) in ranges {
            anyhow::ensure!(range.contains(&value), "user.{key} is {value}, but has to be in {range:?}");
        }
        Ok(())
    }
}
