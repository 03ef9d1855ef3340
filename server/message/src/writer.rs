//! Group commit: one task stores all posts of this process. While one batch is being
//! made durable the next gathers in the queue, so a commit is shared by as many posts as
//! came meanwhile, and none waits for company.
//!
//! The invariant that the history stands on: danmaku become visible in the order of
//! (time, id). There is one batch at a time, its time is never before the one before (but
//! for a clock that was wrong for long, see [`next_time`]), and ids ascend. A reader's snapshot is therefore a prefix of all later ones, and the
//! commit horizon is exactly what is committed: a forward page neither waits for the open
//! batch nor can miss it. Several instances on one database do not follow one another:
//! there a forward page stops two seconds before now (see [`crate::history`]).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::db::Tx;
use common::failure::may_pass;
use common::outbox::Slot;
use common::telemetry::traces::{self, Trace};
use common::{Clock, Failure, Lifecycle, Outcome};
use idl::message::Danmaku;
use idl::push::Lane;
use idl::{Code, DanmakuId, Refusal, RoomId, Timestamp, UserId};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use crate::announce::Announcement;
use crate::batch::{self, Known, Verdict};
use crate::delivery::Delivered;
use crate::keys::KeyHash;
use crate::lane::Lanes;
use crate::post::Post;
use crate::store::{self, Store};
use crate::{Settings, announce, keys};

/// Tries of a batch that meets a lock; each waits for the lock on its own, too.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(20);
/// Where others write, too, a batch whose commit does not begin so long after its time gets
/// another time: see [`crate::history`].
const COMMITTED_WITHIN: Duration = Duration::from_secs(1);
/// How far the clock may have gone back for times to go on from where they were.
const MAX_STEP_BACK_MS: u64 = 60_000;

type Answer = Result<Danmaku, Refusal>;

/// Hands posts to the writing task. Clones reach the same task.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    // Full: the post is refused as unavailable, to be tried again; nothing was stored. A
    // longer wait would only end in the caller's deadline.
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    post: Post,
    answer: oneshot::Sender<Answer>,
    /// Where the post came from.
    trace: Option<Trace>,
}

impl Writer {
    /// Stores a post. A caller that goes away while it waits undoes nothing.
    pub(crate) async fn store(&self, post: Post) -> Outcome<Danmaku> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { post, answer, trace: Trace::here() }).map_err(|full| match full {
            mpsc::error::TrySendError::Full(_) => {
                Refusal::new(Code::Unavailable, "too many danmaku wait to be stored").retry_after_ms(1_000)
            }
            mpsc::error::TrySendError::Closed(_) => {
                Refusal::new(Code::Unavailable, "the server is stopping").retry_after_ms(2_000)
            }
        })?;
        let answer = answered.await.map_err(|_| anyhow::anyhow!("the writer ended with a post in hand"))?;
        answer.map_err(Failure::Refused)
    }
}

/// Starts the writing task. When the process stops it stores what waits and takes no more.
pub(crate) async fn start(
    settings: &Settings,
    store: Store,
    clock: Clock,
    announcements: mpsc::Sender<Announcement>,
    delivered: Delivered,
    lifecycle: &Lifecycle,
) -> sqlx::Result<Writer> {
    let latest = store.latest_sent_at().await?.unwrap_or_default();
    let lanes = Lanes::new(settings.guaranteed_per_room_per_s);
    let mut committer = Committer { store, clock, latest, lanes, announcements, delivered };

    let (queue, mut waiting) = mpsc::channel::<Waiting>(settings.waiting_posts.get());
    let batch_posts = settings.batch_posts.get();
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("message.writer", async move {
        let mut batch = Vec::with_capacity(batch_posts);
        loop {
            tokio::select! {
                biased;
                () = soft.cancelled(), if !waiting.is_closed() => waiting.close(),
                taken = waiting.recv_many(&mut batch, batch_posts) => {
                    if taken == 0 {
                        break;
                    }
                    let traces: Vec<_> = batch.iter_mut().map(|w: &mut Waiting| w.trace.take()).collect();
                    let (posts, answers): (Vec<_>, Vec<_>) = batch.drain(..).map(|w| (w.post, w.answer)).unzip();
                    let span = tracing::info_span!("message.commit", posts = posts.len());
                    traces::stand_for(&span, traces.iter().flatten());
                    let outcomes = committer.commit(&posts, &traces).instrument(span).await;
                    for (answer, outcome) in answers.into_iter().zip(outcomes) {
                        // An error here means that the caller went away: its danmaku stays.
                        let _ = answer.send(outcome);
                    }
                }
                // Nobody posts, and what became of the latest danmaku waits to be noted.
                () = committer.delivered.due() => {
                    committer.commit(&[], &[]).await;
                    // Also after a failure: trying on and on would help nobody.
                    committer.delivered.is_noted();
                }
            }
        }
    });
    Ok(Writer { queue })
}

struct Committer {
    store: Store,
    clock: Clock,
    /// The time of the latest batch.
    latest: Timestamp,
    lanes: Lanes,
    // Full: the danmaku is not shown live and counted as undelivered; history has it.
    announcements: mpsc::Sender<Announcement>,
    delivered: Delivered,
}

/// Posts that are stored together, with what they are stored under.
struct Batch<'a> {
    posts: &'a [Post],
    /// Where each post came from.
    traces: &'a [Option<Trace>],
    lanes: &'a [Lane],
    ids: Vec<u64>,
    slots: Vec<Slot>,
}

/// A batch of which nobody knows whether it was committed.
struct Unsure {
    /// It is there if this is.
    first: DanmakuId,
    committed: Committed,
}

/// A batch that is durable.
struct Committed {
    answers: Vec<Answer>,
    /// What goes to push by the ordinary lane; the rest is in the outbox.
    ordinary: Vec<Danmaku>,
    facts: usize,
}

impl Committer {
    async fn commit(&mut self, posts: &[Post], traces: &[Option<Trace>]) -> Vec<Answer> {
        let began = Instant::now();
        let lanes: Vec<Lane> = posts.iter().map(|post| self.lane(post)).collect();
        let outcome = self.commit_in_tries(posts, traces, &lanes).await;
        metrics::histogram!("goligoli_danmaku_commit_seconds").record(began.elapsed());
        match outcome {
            Ok(committed) => {
                if committed.facts > 0 {
                    self.store.outbox.committed();
                }
                for danmaku in committed.ordinary {
                    let of_it = |answer: &Answer| answer.as_ref().is_ok_and(|stored| stored.id == danmaku.id);
                    // Without traces there is nothing to look for.
                    let traced = traces.iter().any(Option::is_some);
                    let at = if traced { committed.answers.iter().position(of_it) } else { None };
                    let trace = at.and_then(|at| traces[at].clone());
                    if self.announcements.try_send(Announcement { danmaku, trace }).is_err() {
                        announce::count_undelivered(1);
                    }
                }
                committed.answers
            }
            Err(error) => {
                let refusal = Failure::Db(error).into_refusal("storing a batch of danmaku");
                posts.iter().map(|_| Err(refusal.clone())).collect()
            }
        }
    }

    fn lane(&self, post: &Post) -> Lane {
        post.admission.as_ref().map_or(Lane::Ordinary, |admission| self.lanes.choose(post.room, admission.role))
    }

    async fn commit_in_tries(
        &mut self,
        posts: &[Post],
        traces: &[Option<Trace>],
        lanes: &[Lane],
    ) -> sqlx::Result<Committed> {
        let guaranteed = lanes.iter().filter(|lane| **lane == Lane::Guaranteed).count();
        let (mut tried, mut unsure) = (1, None);
        let (ids, slots) = loop {
            match self.places(posts.len(), guaranteed).await {
                Ok(places) => break places,
                Err(error) if tried < TRIES && may_pass(&error) => {
                    tracing::warn!(tried, error = &error as &dyn std::error::Error, "a batch met a lock; again");
                }
                Err(error) => return Err(error),
            }
            tried += 1;
            tokio::time::sleep(PAUSE).await;
        };
        let batch = Batch { posts, traces, lanes, ids, slots };
        loop {
            match self.try_commit(&batch, &mut unsure).await {
                Ok(Some(committed)) => return Ok(committed),
                Ok(None) if tried < TRIES => {}
                Ok(None) => return Err(sqlx::Error::PoolTimedOut),
                Err(error) if tried < TRIES && (may_pass(&error) || unsure.is_some() && is_taken(&error)) => {
                    tracing::warn!(tried, error = &error as &dyn std::error::Error, "a batch met a lock; again");
                }
                Err(error) => return Err(error),
            }
            tried += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What the batch is stored under: a block of ids may have to be taken first.
    async fn places(&self, posts: usize, guaranteed: usize) -> sqlx::Result<(Vec<u64>, Vec<Slot>)> {
        Ok((self.store.ids.take(posts).await?, self.store.outbox.slots(guaranteed).await?))
    }

    /// One transaction; `None` if another instance claimed a key of the batch meanwhile, which
    /// the next try will see, or if it waited for too long. If nobody knows whether it was
    /// committed it is `unsure`: the next try, with the same ids, finds that out.
    async fn try_commit(&mut self, batch: &Batch<'_>, unsure: &mut Option<Unsure>) -> sqlx::Result<Option<Committed>> {
        let (store, posts, ids) = (self.store.clone(), batch.posts, &batch.ids);
        let mut slots = batch.slots.iter().copied();

        let mut tx = store.db.begin().await?;
        if let Some(before) = unsure.take() {
            if store::is_stored(&mut tx, before.first).await? {
                tx.rollback().await?;
                return Ok(Some(before.committed));
            }
            *unsure = Some(before);
        }
        if !posts.is_empty() {
            store::replay::pass_gate(&store.db, &mut tx).await?;
        }
        // Read with the lock in hand: nothing later can be committed before this batch. Not
        // before the gate, where it may have waited.
        self.latest = next_time(self.latest, self.clock.now());
        let (now, timed) = (self.latest, Instant::now());
        let known = known(&mut tx, posts, now).await?;

        let mut answers: Vec<Answer> = Vec::with_capacity(posts.len());
        let (mut new, mut new_keys, mut ways) = (Vec::new(), Vec::new(), Vec::new());
        for (at, verdict) in batch::judge(posts, now, known).into_iter().enumerate() {
            answers.push(match verdict {
                Verdict::Store(admission) => {
                    let danmaku = batch::danmaku(&posts[at], &admission, DanmakuId(ids[at]), now);
                    new_keys.extend(posts[at].key.as_ref().map(|key| (key, danmaku.id)));
                    ways.push((batch.lanes[at], batch.traces[at].as_ref()));
                    new.push(danmaku.clone());
                    Ok(danmaku)
                }
                Verdict::Repeat(danmaku) => Ok(*danmaku),
                Verdict::SameAs(first) => answers[first].clone(),
                Verdict::Refuse(refusal) => Err(refusal),
            });
        }
        let delivered = self.delivered.portion();
        if new.is_empty() && delivered.is_empty() {
            tx.rollback().await?;
            return Ok(Some(Committed { answers, ordinary: new, facts: 0 }));
        }

        store::mark_delivered(&mut tx, delivered).await?;
        // In one order in all instances: they wait for one another, but not in a circle.
        new_keys.sort_unstable_by_key(|(key, _)| *key);
        if !store::insert_keys(&mut tx, store.db.insert_ignore(), &new_keys, now).await? {
            tx.rollback().await?;
            return Ok(None);
        }
        store::insert(&mut tx, &new).await?;
        let (mut ordinary, mut facts) = (Vec::with_capacity(new.len()), 0);
        for (danmaku, (lane, trace)) in new.into_iter().zip(ways) {
            if lane == Lane::Guaranteed
                && let Some(slot) = slots.next()
            {
                let fact = announce::publication(&danmaku, lane);
                store.outbox.add_in(trace, &mut tx, slot, danmaku.room_id.0, &fact).await?;
                facts += 1;
            } else {
                ordinary.push(danmaku);
            }
        }
        let first = answers.iter().zip(ids).find(|(answer, id)| matches!(answer, Ok(d) if d.id.0 == **id));
        let first = first.map(|(_, id)| DanmakuId(*id));
        let committed = Committed { answers, ordinary, facts };
        if store.db.is_shared() && timed.elapsed() > COMMITTED_WITHIN {
            tracing::warn!("a batch waited for locks until its time had passed; again");
            tx.rollback().await?;
            return Ok(None);
        }
        let ended = tx.commit().await;
        if let (Err(sqlx::Error::Io(_)), Some(first)) = (&ended, first) {
            *unsure = Some(Unsure { first, committed });
            return ended.map(|()| None);
        }
        ended?;
        if !delivered.is_empty() {
            self.delivered.is_noted();
        }
        Ok(Some(committed))
    }
}

/// The time of a batch after the latest one. The platform's clock goes back far only when it
/// takes for wrong what it took for right; danmaku of the wrong time are then out of order,
/// but new ones do not all get the time of the last of them until it has come again.
fn next_time(latest: Timestamp, now: Timestamp) -> Timestamp {
    let stepped_back_ms = latest.since_ms(now);
    if stepped_back_ms > MAX_STEP_BACK_MS {
        tracing::warn!(stepped_back_ms, "the clock is far behind the latest danmaku; history will not be in order");
        return now;
    }
    latest.max(now)
}

/// The try before this one, of which nobody knew, is just being committed.
fn is_taken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.is_unique_violation())
}

async fn known(tx: &mut Tx, posts: &[Post], now: Timestamp) -> sqlx::Result<Known> {
    let keys: Vec<&KeyHash> = posts.iter().filter_map(|post| post.key.as_ref()).collect();
    let mut slow: BTreeMap<(RoomId, UserId), Timestamp> = BTreeMap::new();
    for post in posts {
        if let Some(wait_ms) = post.admission.as_ref().ok().map(|a| a.slow_mode_ms).filter(|ms| *ms > 0) {
            let after = Timestamp(now.0.saturating_sub(i64::try_from(wait_ms).unwrap_or(i64::MAX)));
            let earliest = slow.entry((post.room, post.user)).or_insert(after);
            *earliest = after.min(*earliest);
        }
    }
    let sessions = posts.iter().filter_map(|post| post.admission.as_ref().ok().map(|a| a.session.id)).collect();
    let slow: Vec<_> = slow.into_iter().map(|((room, user), after)| (room, user, after)).collect();
    Ok(Known {
        by_key: store::danmaku_by_key(tx, &keys, keys::oldest_kept(now)).await?,
        last_sent: store::last_sent(tx, &slow).await?,
        sealed: store::replay::sealed(tx, &sessions).await?,
    })
}
