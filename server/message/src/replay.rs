//! Replays: what was said in a broadcast, or brought in a file, as objects that never change.
//!
//! live says by the queue that there is something to do, again and again until it is done. What
//! live does not know of is looked for here ([`look`]). What is to be done is found out each
//! time anew, so that nothing depends on how often a message comes:
//!
//! 1. The broadcast is *sealed*: from then on a post is refused in the transaction that would
//!    have stored it. So what is read afterwards is all there will ever be.
//! 2. A *lease* is claimed by one conditional update, which counts the attempts. An attempt
//!    writes only below its own number: nobody reads there yet, and nobody else writes there.
//! 3. When all objects are stored, the manifest last, the *pointer* is flipped by one
//!    conditional update to this attempt, and live is told.
//! 4. The objects of other attempts are removed. (They are at the beginning of an attempt, too:
//!    attempts that fail must not fill the disk.)

use std::sync::Arc;
use std::time::Duration;

use common::data_dir::FreeSpace;
use common::keys::SecretKey;
use common::objects::Objects;
use common::queue::Message;
use common::rpc::LiveClient;
use common::{Clock, Outcome, Platform, failpoint, rpc};
use idl::live::{GetReplayJob, ReplayIndexed, ReplayJob, ReplayState, ReplayWiped};
use idl::message::ImportReplay;
use idl::replay::layout;
use idl::{Code, Refusal, ReplayId, Timestamp};

use crate::Settings;
use crate::store::Store;
use crate::store::lines;
use crate::store::replay::{self as table, IndexRow};

mod attempt;
mod heat;
mod import;
mod index;
mod look;
mod maker;
mod read;
mod sender;

use attempt::{Ended, LEASE};
use import::Imports;
use read::Searches;
pub(crate) use sender::SenderKey;

/// The queue's topic; a message is the replay's id.
const TOPIC: &str = "replay.index";
/// Replays that are worked at together; each takes some 20 MB.
const AT_ONCE: usize = 2;
/// The longest that one may be worked at. An attempt itself ends before.
const WITHIN: Duration = Duration::from_mins(12);
/// A revision that no index shows.
const ANY_REVISION: u64 = u64::MAX >> 1;

/// What works at replays. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Replays(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    live: LiveClient,
    objects: Objects,
    clock: Clock,
    space: FreeSpace,
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
        // No other process reads this one's queue: it has the database and the objects to itself.
        if !queue.is_shared() {
            table::void_leases(&store.db).await?;
            // Files of imports that nobody waits for any more.
            objects.delete_all("imports").await?;
        }
        let sender_key = SenderKey::new(sender_key);
        let imports = Imports::new(settings, platform);
        let (searches, space) = (Searches::default(), platform.space.clone());
        let replays = Self(Arc::new(Inner { store, live, objects, clock, space, sender_key, imports, searches }));
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

    /// Never fails: what is not done comes again, from whoever knows of it, and not as fast and
    /// as often as the queue would have it.
    async fn work_at(&self, body: &str) -> Result<(), Refusal> {
        let Ok(replay) = body.parse() else {
            tracing::error!(body, "a message of {TOPIC} is no replay's id");
            return Ok(());
        };
        if let Err(failure) = self.work(replay).await {
            let error = failure.into_refusal(&format!("indexing replay {replay}"));
            tracing::warn!(%replay, %error, "a replay is not as it should be yet; it comes again");
        }
        Ok(())
    }

    /// Does what is to be done about a replay, from wherever it stands.
    async fn work(&self, replay: ReplayId) -> Outcome<()> {
        let Some(job) = self.job_unless_deleted(replay).await? else { return Ok(()) };
        if job.replay.state == ReplayState::Importing {
            return Ok(());
        }
        table::seal(&self.0.store.db, replay, job.replay.session_id, job.replay.room_id).await?;
        failpoint::reached("replay.sealed");
        // While the disk is full nothing is made, but what is left over can go.
        let has_space = self.0.space.check().is_ok();
        if has_space && self.claim(&job, job.revision).await? && self.attempt(&job).await? == Ended::Deleted {
            return self.job_unless_deleted(replay).await.map(drop);
        }
        self.settle(&job).await
    }

    /// What is to be done about a replay; `None` if live does not know it.
    async fn job(&self, replay: ReplayId) -> Outcome<Option<ReplayJob>> {
        let request = GetReplayJob { replay };
        match rpc::answer(self.0.live.replay_job(rpc::within(rpc::EDGE_DEADLINE), request).await) {
            Err(refusal) if refusal.code == Code::NoSuchReplay => Ok(None),
            job => Ok(Some(job?)),
        }
    }

    /// The same; `None` if it was deleted, and what is left of it goes.
    async fn job_unless_deleted(&self, replay: ReplayId) -> Outcome<Option<ReplayJob>> {
        match self.job(replay).await? {
            Some(job) if job.deleted => self.wipe(&job).await?,
            Some(job) => return Ok(Some(job)),
            None => self.forget(replay).await?,
        }
        Ok(None)
    }

    async fn claim(&self, job: &ReplayJob, revision: u64) -> Outcome<bool> {
        let (now, until) = (self.0.clock.now(), until(&self.0.clock, LEASE));
        Ok(table::claim(&self.0.store.db, job.replay.id, &job.prefix, revision, now, until).await?)
    }

    /// Tells live what is shown, and removes what is not.
    async fn settle(&self, job: &ReplayJob) -> Outcome<()> {
        let (db, replay) = (&self.0.store.db, job.replay.id);
        let row = self.row(replay).await?;
        // Whoever is at another attempt does all that afterwards, and needs its objects.
        if row.leased_until > self.0.clock.now() {
            return Ok(());
        }
        let is_told = job.replay.version == row.version && row.done_revision >= job.revision;
        if row.version == 0 || (is_told && !row.is_due) {
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
            if layout::version_of(&name).is_some_and(|version| version != row.version && version <= row.attempt) {
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
            // What it stores would be left. live says again that the replay was deleted.
            return Ok(());
        }
        let is_known = table::find(&self.0.store.db, replay).await?.is_some();
        if is_known && !self.claim(job, ANY_REVISION).await? {
            // What it writes would be left. live says again that the replay was deleted.
            return Ok(());
        }
        self.0.objects.delete_all(&job.prefix).await?;
        self.remove_file(replay).await?;
        table::forget(db, replay).await?;
        rpc::answer(self.0.live.replay_wiped(rpc::within(rpc::EDGE_DEADLINE), ReplayWiped { replay }).await)?;
        Ok(())
    }

    /// Removes what is left of a replay that live does not know any more.
    async fn forget(&self, replay: ReplayId) -> Outcome<()> {
        let db = &self.0.store.db;
        if let Some(prefix) = table::prefix(db, replay).await? {
            self.0.objects.delete_all(&prefix).await?;
        }
        self.remove_file(replay).await?;
        Ok(table::forget(db, replay).await?)
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

/// So long from now.
fn until(clock: &Clock, pause: Duration) -> Timestamp {
    clock.now().plus_ms(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX))
}
