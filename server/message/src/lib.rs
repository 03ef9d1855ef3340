//! Owns: danmaku, their history and replays, which of them are lotteries' keywords, the idempotency keys of posts.
//! Calls: user (does a sender exist), live (what may an account do in a room, replays), push (to viewers).
//! Emits: `danmaku` and `moderation` publications; moderators' danmaku and deletions through the outbox.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;

use common::keys::{ConfiguredKey, SecretKey};
use common::outbox::Outbox;
use common::rpc::{LiveClient, MessageClient, PushClient, Serving, UserClient};
use common::{Db, Ids, Lifecycle, Platform};
use idl::message::{Message as _, MessageRequest, MessageResponse};
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use tarpc::server::Channel as _;

mod announce;
mod batch;
mod delete;
mod delivery;
pub mod format;
mod history;
mod keys;
mod keyword;
mod lane;
mod post;
mod replay;
mod rpc;
mod store;
mod writer;

use replay::Replays;
use rpc::Service;
use store::Store;

/// The file of the data folder that stands in for `message.sender_key`.
pub const SENDER_KEY: &str = "replay-sender.key";

/// The tables, for [`Db::open`].
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// Settings of the message service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Posts that may wait to be stored. Full: further ones are refused as `unavailable`.
    pub waiting_posts: NonZeroUsize,
    /// The most posts that one transaction stores; at most 1,000.
    pub batch_posts: NonZeroUsize,
    /// Stored danmaku that may wait for push. Full: further ones are not shown live.
    pub waiting_announcements: NonZeroUsize,
    /// The same for one room, so that it can't take the place of all others.
    pub waiting_announcements_per_room: NonZeroUsize,
    /// Rooms that danmaku are sent to push for at the same time.
    pub announced_rooms_at_once: NonZeroUsize,
    /// Danmaku of a room's owner and admins a second and room that are shown for certain;
    /// what they post beyond that may be sampled out like anybody's.
    pub guaranteed_per_room_per_s: NonZeroU32,
    /// The most danmaku of a file that becomes a replay. More: the file is refused.
    pub import_max_danmaku: NonZeroU64,
    /// What the hashes are made with that stand for senders in replays.
    pub sender_key: ConfiguredKey,
}

/// The message service of this process.
#[derive(Debug)]
pub struct Message {
    lifecycle: Lifecycle,
    service: Service,
}

impl Message {
    /// Opens the database and starts the writer, the ways to push and the sweeper.
    ///
    /// # Errors
    /// A setting is out of range, or the database can't be opened.
    pub async fn start(
        settings: Settings,
        platform: &Platform,
        user: UserClient,
        live: LiveClient,
        push: PushClient,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(settings.batch_posts.get() <= 1_000, "message.batch_posts is over 1000");
        let (clock, lifecycle) = (&platform.clock, &platform.lifecycle);
        let db = Db::open(&platform.db_url, &platform.data_dir, "message", &MIGRATIONS).await?;
        let ids = Ids::new(db.clone());
        let outbox = Outbox::new(db.clone(), ids.clone());
        let store = Store { db, ids, outbox };

        let sender_key = SecretKey::configured_or(&settings.sender_key, &platform.data_dir, SENDER_KEY)?;
        let replays = Replays::start(&settings, store.clone(), live.clone(), platform, &sender_key).await?;

        let (deliveries, delivered) = delivery::queue();
        announce::relay_facts(store.outbox.clone(), push.clone(), deliveries.clone(), lifecycle);
        let announcements = announce::start(&settings, push, deliveries, lifecycle);
        let writer =
            writer::start(&settings, store.clone(), clock.clone(), announcements, delivered, lifecycle).await?;
        keys::sweep_hourly(store.clone(), clock.clone(), lifecycle);

        let service = Service {
            store,
            replays,
            writer,
            user,
            live,
            clock: clock.clone(),
            space: platform.space.clone(),
            verifier: platform.verifier.clone(),
            lifecycle: lifecycle.clone(),
        };
        Ok(Self { lifecycle: lifecycle.clone(), service })
    }

    /// Makes a database that was put back from a backup safe to start on: versions of replays
    /// that may have been shown since are not given to anything else. No service may run on it.
    ///
    /// # Errors
    /// The database can't be opened.
    pub async fn after_restore(db_url: &str, data_dir: &Path) -> anyhow::Result<()> {
        let db = Db::open(db_url, data_dir, "message", &MIGRATIONS).await?;
        store::replay::skip_attempts(&db).await?;
        db.close().await;
        Ok(())
    }

    /// Serves in this process; the client reaches it through an in-memory channel.
    #[must_use]
    pub fn serve_in_process(&self) -> MessageClient {
        self.serving().here(&self.lifecycle).into()
    }

    /// How this service answers, for callers in this process and in others.
    #[must_use]
    pub fn serving(&self) -> Serving<MessageRequest, MessageResponse> {
        let service = rpc::Shared(Arc::new(self.service.clone()));
        Serving::new(move |far| far.execute(service.clone().serve()))
    }
}
