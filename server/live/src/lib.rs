//! Owns: rooms, their rules, covers, admins, mutes, keywords and stream keys; broadcasts (sessions);
//! replays, but not their danmaku.
//! Calls: user (who an account is), push (publications, retained states, viewer counts).
//! Emits: `room` and `moderation` events of every change, through its outbox, to push; the queue's
//! `replay.index`, again and again until that is done.

use std::sync::Arc;
use std::time::Duration;

use common::outbox::Outbox;
use common::rpc::{LiveClient, PushClient, Serving, UserClient};
use common::{Db, Dynamic, Ids, Platform};
use idl::live::{Live as _, LiveRequest, LiveResponse};
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use tarpc::server::Channel as _;
use tokio::sync::{Mutex, Notify};

mod announce;
mod change;
mod cover;
mod keyword;
mod operator;
mod people;
mod picture;
mod replay;
mod role;
mod room;
mod rounds;
mod rpc;
mod session;
mod standing;
mod store;
mod text;

#[cfg(test)]
mod tests;

pub use operator::Operator;

/// Settings of the live service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The most rooms that an account may have.
    pub rooms_per_account: u32,
    /// How many cover images are decoded at once; each may take some 400 MiB for a moment.
    pub cover_workers: usize,
    /// How often the viewers of live rooms are counted.
    pub viewer_count_interval_ms: u64,
    /// How often the states of live rooms are given to push again, in case it lost them.
    pub retain_interval_ms: u64,
    /// Slow mode of rooms whose owners set none.
    pub slow_mode_s: SlowMode,
}

/// The seconds between two danmaku of one viewer, 0 to 120; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SlowMode(u32);

impl TryFrom<u32> for SlowMode {
    type Error = String;

    fn try_from(seconds: u32) -> Result<Self, String> {
        let fits = seconds <= text::MAX_SLOW_MODE_S;
        fits.then_some(Self(seconds)).ok_or_else(|| format!("more than {} seconds", text::MAX_SLOW_MODE_S))
    }
}

impl From<SlowMode> for u32 {
    fn from(SlowMode(seconds): SlowMode) -> Self {
        seconds
    }
}

/// The live service of this process.
#[derive(Debug, Clone)]
pub struct Live {
    core: Arc<Core>,
}

/// What every part of the service stands on.
#[derive(Debug)]
struct Core {
    settings: Settings,
    /// See [`Settings::slow_mode_s`].
    slow_mode: Dynamic<SlowMode>,
    platform: Platform,
    db: Db,
    ids: Ids,
    outbox: Outbox,
    user: UserClient,
    push: PushClient,
    standings: standing::Standings,
    covers: cover::Workshop,
    arrivals: announce::Arrivals,
    /// Something is to be done about a replay.
    replay_due: Notify,
    /// One change of a room at a time, so that its facts get their places in the outbox in
    /// the order of their commits. Rooms share a place in the queue with few others.
    turns: Vec<Arc<Mutex<()>>>,
}

const TURNS: usize = 64;
/// Items in a page of any list.
const MAX_PAGE: u32 = 100;

impl Live {
    /// Opens the database and begins the rounds: relaying facts, counting viewers,
    /// retaining states, waking who indexes replays, sweeping. `slow_mode` is followed,
    /// whatever `settings` say of it.
    ///
    /// # Errors
    /// A setting is out of bounds, or the database can't be opened or migrated.
    pub async fn start(
        settings: Settings,
        slow_mode: Dynamic<SlowMode>,
        platform: &Platform,
        user: UserClient,
        push: PushClient,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!((1..=64).contains(&settings.cover_workers), "live.cover_workers must be 1 to 64");
        anyhow::ensure!(settings.viewer_count_interval_ms > 0, "live.viewer_count_interval_ms must not be 0");
        anyhow::ensure!(settings.retain_interval_ms > 0, "live.retain_interval_ms must not be 0");
        let db = open(platform).await?;
        let ids = Ids::new(db.clone());
        let core = Arc::new(Core {
            slow_mode,
            platform: platform.clone(),
            outbox: Outbox::new(db.clone(), ids.clone()),
            db,
            ids,
            user,
            push,
            standings: standing::Standings::new(),
            covers: cover::Workshop::new(settings.cover_workers),
            arrivals: announce::Arrivals::default(),
            replay_due: Notify::new(),
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
            settings,
        });
        core.begin_rounds();
        Ok(Self { core })
    }

    /// What only the operator may do.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator::new(self.core.platform.clone(), self.core.db.clone())
    }

    /// A client that reaches this service in this process.
    #[must_use]
    pub fn serve_in_process(&self) -> LiveClient {
        self.serving().here(&self.core.platform.lifecycle).into()
    }

    /// How this service answers, for callers in this process and in others.
    #[must_use]
    pub fn serving(&self) -> Serving<LiveRequest, LiveResponse> {
        let service = rpc::Service::new(Arc::clone(&self.core));
        Serving::new(move |far| far.execute(service.clone().serve()))
    }
}

/// The tables, for [`Db::open`].
pub static MIGRATIONS: Migrator = sqlx::migrate!();

async fn open(platform: &Platform) -> anyhow::Result<Db> {
    Db::open(&platform.db_url, &platform.data_dir, "live", &MIGRATIONS).await
}

impl Core {
    fn begin_rounds(self: &Arc<Self>) {
        let (lifecycle, soft) = (&self.platform.lifecycle, self.platform.lifecycle.soft());
        let core = Arc::clone(self);
        lifecycle.spawn("live.relay", async move { core.relay().await });
        let (core, stop) = (Arc::clone(self), soft.clone());
        let interval = Duration::from_millis(self.settings.viewer_count_interval_ms);
        lifecycle.spawn("live.viewers", async move {
            stop.run_until_cancelled(core.count_viewers_every(interval)).await;
        });
        let (core, stop) = (Arc::clone(self), soft.clone());
        let interval = Duration::from_millis(self.settings.retain_interval_ms);
        lifecycle.spawn("live.retain", async move {
            stop.run_until_cancelled(core.retain_every(interval)).await;
        });
        let (core, stop) = (Arc::clone(self), soft.clone());
        lifecycle.spawn("live.sweep", async move {
            stop.run_until_cancelled(core.sweep_forever()).await;
        });
        self.begin_wakes();
    }
}
