//! Owns: lotteries, entries, draws, proofs.
//! Calls: live (who may what in a room, keywords), message (who posted), push (viewers).
//! Emits: `lottery` events of every change, through its outbox, to push; draws through the queue.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};

use common::failure::again;
use common::keys::{ConfiguredKey, SecretKey};
use common::outbox::Outbox;
use common::rpc::{LiveClient, LotteryClient, MessageClient, PushClient, Serving};
use common::{Db, Ids, Platform};
use idl::LotteryId;
use idl::lottery::{Lottery as _, LotteryRequest, LotteryResponse, RoomLottery};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use tarpc::server::Channel as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;

mod announce;
mod cancel;
mod desk;
mod draw;
mod enter;
mod keyring;
mod keyword;
mod open;
mod prizes;
pub mod protocol;
mod read;
mod row;
mod rpc;
mod rules;
mod schedule;
mod seal;
mod store;

use keyring::KeyRing;
use row::Facts;
use seal::Seal;

/// Lotteries in memory, as far as they never change. Full: the least used is read again.
const KNOWN: u64 = 1_000;
/// Pages of trees in memory, of some 270 KB each. Full: the least used is hashed again.
const TREE_PAGES: u64 = 50;

/// The file of the data folder that stands in for `lottery.seed_key`.
pub const SEED_KEY: &str = "lottery-seed.key";
/// The one that stands in for `lottery.receipt_key`.
pub const RECEIPT_KEY: &str = "lottery-receipt.key";

/// The tables, for [`Db::open`].
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Settings of the lottery service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Entrants of one lottery that may wait. Full: further ones are refused as `unavailable`.
    pub waiting_entries: NonZeroUsize,
    /// The most entries that one transaction stores; at most 1,000.
    pub batch_entries: NonZeroUsize,
    /// Lotteries that a room may have at once before they are decided; at most 10.
    pub open_per_room: NonZeroU32,
    /// Lotteries that are drawn at the same time; each may take 50 MB for a million entries.
    pub draws_at_once: NonZeroUsize,
    /// What encrypts seeds that are not revealed yet.
    pub seed_key: ConfiguredKey,
    /// The secret half of the key that signs announcements and receipts.
    pub receipt_key: ConfiguredKey,
    /// Earlier ones, which go on signing for the lotteries that they opened.
    pub retired_receipt_keys: Vec<ConfiguredKey>,
}

/// The lottery service of this process.
#[derive(Debug, Clone)]
pub struct Lottery {
    core: Arc<Core>,
}

/// What every part of the service stands on.
#[derive(Debug)]
struct Core {
    settings: Settings,
    platform: Platform,
    db: Db,
    ids: Ids,
    outbox: Outbox,
    live: LiveClient,
    message: MessageClient,
    push: PushClient,
    seal: Seal,
    keys: KeyRing,
    desk: desk::Desk,
    known: Cache<LotteryId, Arc<Facts>>,
    /// Drawn lotteries as everybody sees them, by version.
    decided: Cache<(LotteryId, u64), RoomLottery>,
    tree_pages: Cache<(LotteryId, u64), Arc<read::TreePage>>,
    keywords_read: enter::KeywordsRead,
    /// Places for those that are drawn at the same time.
    drawing: Arc<Semaphore>,
    /// Since when viewers could not be told of a root, the last time.
    untold_since: Mutex<Option<Instant>>,
}

impl Lottery {
    /// Opens the database and begins to draw what is due, to tell viewers, and to follow
    /// keywords.
    ///
    /// # Errors
    /// A setting is out of bounds, a key or the database can't be opened, or a lottery is not
    /// decided whose key is another one.
    pub async fn start(
        settings: Settings,
        platform: &Platform,
        live: LiveClient,
        message: MessageClient,
        push: PushClient,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(settings.batch_entries.get() <= 1_000, "lottery.batch_entries is over 1000");
        anyhow::ensure!(settings.open_per_room.get() <= 10, "lottery.open_per_room is over 10");
        let db = Db::open(&platform.db_url, &platform.data_dir, "lottery", &MIGRATIONS).await?;
        let ids = Ids::new(db.clone());
        let keys = KeyRing::open(&settings, &platform.data_dir)?;
        let seed_key = SecretKey::configured_or(&settings.seed_key, &platform.data_dir, SEED_KEY)?;
        let seal = Seal::new(&seed_key)?;
        keys.check(&db, &seal).await?;
        // Instances that start together may meet here.
        let (key, now) = (keys.current().public(), platform.clock.now());
        again(|| async { Ok(store::results::use_key(&db, &key, now).await?) }).await?;
        // Whoever held one was a process before this one: the data folder is locked.
        if !db.is_shared() {
            store::void_leases(&db).await?;
        }
        let (waiting, batch) = (settings.waiting_entries.get(), settings.batch_entries.get());
        let desk = desk::Desk::new(db.clone(), platform.clock.clone(), platform.lifecycle.clone(), waiting, batch);
        let core = Arc::new(Core {
            drawing: Arc::new(Semaphore::new(settings.draws_at_once.get())),
            untold_since: Mutex::default(),
            settings,
            outbox: Outbox::new(db.clone(), ids.clone()),
            platform: platform.clone(),
            db,
            ids,
            live,
            message,
            push,
            seal,
            keys,
            desk,
            known: Cache::new(KNOWN),
            decided: Cache::new(KNOWN),
            tree_pages: Cache::new(TREE_PAGES),
            keywords_read: enter::KeywordsRead::default(),
        });
        core.begin_rounds();
        core.begin_draws()?;
        Ok(Self { core })
    }

    /// A client that reaches this service in this process.
    #[must_use]
    pub fn serve_in_process(&self) -> LotteryClient {
        self.serving().here(&self.core.platform.lifecycle).into()
    }

    /// How this service answers, for callers in this process and in others.
    #[must_use]
    pub fn serving(&self) -> Serving<LotteryRequest, LotteryResponse> {
        let service = rpc::Service::new(Arc::clone(&self.core));
        Serving::new(move |far| far.execute(service.clone().serve()))
    }
}

impl Core {
    fn begin_rounds(self: &Arc<Self>) {
        // Not cut by a stop: what was written while stopping is still delivered.
        let core = Arc::clone(self);
        self.platform.lifecycle.spawn("lottery.relay", async move { core.relay().await });
        self.begin_round("lottery.sums", |core| async move { core.tell_sums().await });
        self.begin_round("lottery.free_keywords", |core| async move { core.free_keywords().await });
        self.begin_round("lottery.retain", |core| async move { core.retain_states().await });
        self.begin_round("lottery.keywords", |core| async move { core.follow_keywords().await });
        self.begin_round("lottery.sweep", |core| async move { core.sweep_hourly().await });
    }

    /// Does something again and again until the process stops.
    fn begin_round<F>(self: &Arc<Self>, name: &'static str, round: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (round, stop) = (round(Arc::clone(self)), self.platform.lifecycle.soft().clone());
        self.platform.lifecycle.spawn(name, async move {
            stop.run_until_cancelled(round).await;
        });
    }

    /// Forgets idempotency keys that count no more.
    async fn sweep_hourly(&self) {
        loop {
            let swept = async {
                let mut tx = self.db.begin().await?;
                common::idempotency::sweep(&mut tx, self.platform.clock.now()).await?;
                tx.commit().await
            };
            if let Err(error) = swept.await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys were not removed");
            }
            tokio::time::sleep(std::time::Duration::from_hours(1)).await;
        }
    }
}
