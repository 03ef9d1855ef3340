//! Replays: what was said in a broadcast, or brought in a file, as objects that never change.
//!
//! live says by the queue that there is something to do, again and again until it is done;
//! what is to be done is found out here, each time anew, so that nothing depends on how often
//! a message comes:
//!
//! 1. The broadcast is *sealed*: from then on a post is refused in the transaction that would
//!    have stored it. So what is read afterwards is all there will ever be.
//! 2. A *lease* is claimed by one conditional update, which counts the attempts. An attempt
//!    writes only below its own number: nobody reads there yet, and nobody else writes there.
//! 3. When all objects are stored, the manifest last, the *pointer* is flipped by one
//!    conditional update to this attempt, and live is told.
//! 4. The objects of other attempts are removed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use common::keys::SecretKey;
use common::objects::Objects;
use common::queue::{Message, Queue};
use common::{Clock, Outcome, Platform, failpoint, rpc};
use idl::live::{GetReplayJob, LiveClient, ReplayIndexed, ReplayJob, ReplayState, ReplayWiped};
use idl::message::ImportReplay;
use idl::{Code, Refusal, ReplayId};

use crate::Settings;
use crate::store::Store;
use crate::store::lines;
use crate::store::replay::{self as table, IndexRow};

mod heat;
mod import;
mod index;
mod maker;
mod read;
mod sender;

use import::Imports;
use read::Searches;
pub(crate) use sender::SenderKey;

/// The queue's topic; a message is the replay's id.
const TOPIC: &str = "replay.index";
/// Replays that are worked at together; each takes some 20 MB.
const AT_ONCE: usize = 2;
/// The longest that one may take: ten million danmaku would.
const WITHIN: Duration = Duration::from_mins(10);
/// Whoever indexes has so long, and says again and again that it still does.
const LEASE: Duration = Duration::from_mins(1);
/// A revision that no index shows.
const ANY_REVISION: u64 = u64::MAX >> 1;
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Replays that are looked at together. More: the next look finds them.
const UNSETTLED_AT_ONCE: i64 = 100;

/// What works at replays. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Replays(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    live: LiveClient,
    objects: Objects,
    clock: Clock,
    sender_key: SenderKey,
    imports: Imports,
    searches: Searches,
}

impl Replays {
    /// Begins to index what the queue brings, and what was left over.
    pub(crate) async fn start(
        settings: &Settings,
        store: Store,
        live: LiveClient,
        platform: &Platform,
        sender_key: &SecretKey,
    ) -> anyhow::Result<Self> {
        let (objects, clock) = (platform.objects.clone(), platform.clock.clone());
        let (queue, lifecycle) = (platform.queue.clone(), &platform.lifecycle);
        // Whoever held one was a process before this one: the data folder is locked.
        table::void_leases(&store.db).await?;
        // Files of imports that nobody waits for any more.
        objects.delete_all("imports").await?;
        let sender_key = SenderKey::new(sender_key);
        let imports = Imports::new(settings, platform);
        let searches = Searches::default();
        let replays = Self(Arc::new(Inner { store, live, objects, clock, sender_key, imports, searches }));
        let at_work = replays.clone();
        let handler = move |message: Message| {
            let replays = at_work.clone();
            async move { replays.work_at(&message.body).await }
        };
        queue.consume(TOPIC, AT_ONCE, WITHIN, lifecycle, handler)?;
        let (looking, stop) = (replays.clone(), lifecycle.soft().clone());
        lifecycle.spawn("message.replays", async move {
            stop.run_until_cancelled(looking.look_for_work(&queue)).await;
        });
        Ok(replays)
    }

    async fn work_at(&self, body: &str) -> Result<(), Refusal> {
        let Ok(replay) = body.parse() else {
            tracing::error!(body, "a message of {TOPIC} is no replay's id");
            return Ok(());
        };
        self.work(replay).await.map_err(|failure| failure.into_refusal(&format!("indexing replay {replay}")))
    }

    /// Sends what is not settled through the queue, as long as the process runs; what nothing
    /// comes of more and more seldom.
    async fn look_for_work(&self, queue: &Queue) {
        let mut rounds: HashMap<ReplayId, (u32, u32)> = HashMap::new();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let unsettled = match table::unsettled(&self.0.store.db, self.0.clock.now(), UNSETTLED_AT_ONCE).await {
                Ok(unsettled) => unsettled,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "replays could not be looked for");
                    continue;
                }
            };
            rounds.retain(|replay, _| unsettled.contains(replay));
            for replay in unsettled {
                // In the rounds 0, 1, 3, 7, … up to every 16th.
                let (wait, pause) = rounds.entry(replay).or_insert((0, 1));
                if *wait > 0 {
                    *wait -= 1;
                    continue;
                }
                (*wait, *pause) = (*pause - 1, (*pause * 2).min(16));
                if let Err(full) = queue.publish(TOPIC, replay.to_string()) {
                    tracing::warn!(%replay, error = %full, "a replay could not be queued");
                }
            }
        }
    }

    /// Does what is to be done about a replay, from wherever it stands.
    async fn work(&self, replay: ReplayId) -> Outcome<()> {
        let db = &self.0.store.db;
        let request = GetReplayJob { replay };
        let job = match rpc::answer(self.0.live.replay_job(rpc::within(rpc::EDGE_DEADLINE), request).await) {
            Err(refusal) if refusal.code == Code::NoSuchReplay => {
                self.remove_file(replay).await?;
                return Ok(table::forget(db, replay).await?);
            }
            job => job?,
        };
        if job.deleted {
            return self.wipe(&job).await;
        }
        if job.replay.state == ReplayState::Importing {
            return Ok(());
        }
        table::seal(db, replay, job.replay.session_id, job.replay.room_id).await?;
        failpoint::reached("replay.sealed");
        let now = self.0.clock.now();
        if table::claim(db, replay, job.revision, now, now.plus_ms(LEASE.as_millis() as u64)).await? {
            self.attempt(&job).await?;
        }
        self.settle(&job).await
    }

    async fn attempt(&self, job: &ReplayJob) -> Outcome<()> {
        let (db, replay) = (&self.0.store.db, job.replay.id);
        let row = self.row(replay).await?;
        failpoint::reached("replay.claimed");
        let indexed = self.index(job, read::source(&job.replay)?, &row).await;
        let Ok(Some(done)) = indexed else {
            table::give_up(db, replay, row.attempt).await?;
            return indexed.map(drop);
        };
        failpoint::reached("replay.before-flip");
        if table::flip(db, replay, done).await? {
            failpoint::reached("replay.flipped");
            tracing::info!(%replay, version = done.attempt, danmaku = done.danmaku_count, "a replay was indexed");
        }
        Ok(())
    }

    /// Tells live what is shown, and removes what is not.
    async fn settle(&self, job: &ReplayJob) -> Outcome<()> {
        let (db, replay) = (&self.0.store.db, job.replay.id);
        let row = self.row(replay).await?;
        // Whoever is at another attempt does all that afterwards, and needs its objects.
        if row.leased_until > self.0.clock.now() {
            return Ok(());
        }
        if row.version == 0 || (row.settled && job.replay.version == row.version && row.done_revision >= job.revision) {
            return Ok(());
        }
        let request = ReplayIndexed {
            replay,
            version: row.version,
            revision: row.done_revision,
            duration_ms: row.duration_ms,
            danmaku_count: row.danmaku_count,
        };
        rpc::answer(self.0.live.replay_indexed(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
        failpoint::reached("replay.told");
        // An attempt that began since has a larger number: what it has written stays.
        for name in self.0.objects.folders(&job.prefix).await? {
            let version = name.strip_prefix('v').and_then(|version| version.parse().ok());
            if version.is_some_and(|version: u64| version != row.version && version <= row.attempt) {
                self.0.objects.delete_all(&format!("{}/{name}", job.prefix)).await?;
            }
        }
        failpoint::reached("replay.swept");
        Ok(table::settle(db, replay, &row).await?)
    }

    /// Removes everything of a replay that was deleted.
    async fn wipe(&self, job: &ReplayJob) -> Outcome<()> {
        let (db, replay) = (&self.0.store.db, job.replay.id);
        if self.0.imports.is_running(replay) {
            // What it stores would be left.
            return Err(Refusal::new(Code::Unavailable, "the replay that is to be removed is being imported").into());
        }
        let now = self.0.clock.now();
        let is_known = table::find(db, replay).await?.is_some();
        if is_known && !table::claim(db, replay, ANY_REVISION, now, now.plus_ms(LEASE.as_millis() as u64)).await? {
            // What it writes would be left.
            return Err(Refusal::new(Code::Unavailable, "somebody indexes the replay that is to be removed").into());
        }
        self.0.objects.delete_all(&job.prefix).await?;
        self.remove_file(replay).await?;
        table::forget(db, replay).await?;
        rpc::answer(self.0.live.replay_wiped(rpc::within(rpc::EDGE_DEADLINE), ReplayWiped { replay }).await)?;
        Ok(())
    }

    /// Removes a file that was brought, and what was stored of it.
    async fn remove_file(&self, replay: ReplayId) -> Outcome<()> {
        self.0.objects.delete(&ImportReplay { replay }.object()).await?;
        Ok(lines::remove_imported(&self.0.store.db, replay).await?)
    }

    async fn row(&self, replay: ReplayId) -> Outcome<IndexRow> {
        let row = table::find(&self.0.store.db, replay).await?;
        Ok(row.ok_or_else(|| anyhow::anyhow!("replay {replay} should be in the database, but is not"))?)
    }
}

/// Where the objects of a version lie.
fn folder(prefix: &str, version: u64) -> String {
    format!("{prefix}/v{version}")
}
