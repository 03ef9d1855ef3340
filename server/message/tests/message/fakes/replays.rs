//! What the stand-in for live knows of replays.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use idl::live::*;
use idl::replay::ReplayOrigin;
use idl::user::Done;
use idl::{Code, Refusal, ReplayId, RoomId, SessionId, Timestamp};

#[derive(Clone, Default)]
pub(crate) struct FakeReplays(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    jobs: HashMap<ReplayId, ReplayJob>,
    told: Vec<ReplayIndexed>,
    wiped: Vec<ReplayId>,
    /// How often jobs were asked for.
    asks: usize,
    wiped_after: Option<usize>,
    unanswered: HashSet<ReplayId>,
    lost_ends: usize,
    keeps_imports: bool,
}

impl FakeReplays {
    /// The replay of the broadcast that has the number of the room.
    pub(crate) fn of_broadcast(&self, replay: ReplayId, room: RoomId, began: Timestamp, duration_ms: u64) {
        let session = Some(SessionId(room.0));
        self.add(replay, room, session, ReplayOrigin::Broadcast, ReplayState::Indexing, began, duration_ms);
    }

    /// A replay that waits for its file.
    pub(crate) fn of_file(&self, replay: ReplayId, room: RoomId, began: Timestamp) {
        self.add(replay, room, None, ReplayOrigin::File, ReplayState::Importing, began, 0);
    }

    #[expect(clippy::too_many_arguments, reason = "two short forms of it are what tests call")]
    fn add(
        &self,
        id: ReplayId,
        room_id: RoomId,
        session_id: Option<SessionId>,
        origin: ReplayOrigin,
        state: ReplayState,
        started_at: Timestamp,
        duration_ms: u64,
    ) {
        let replay = Replay {
            id,
            room_id,
            session_id,
            title: "An evening".to_owned(),
            origin,
            state,
            visibility: Visibility::Public,
            started_at,
            duration_ms,
            danmaku_count: 0,
            version: 0,
        };
        let prefix = format!("replays/{room_id}/2023/11/{id}-0123456789abcdef");
        let job = ReplayJob { replay, prefix, revision: 1, marks: Vec::new(), deleted: false };
        self.lock().jobs.insert(id, job);
    }

    pub(crate) fn change(&self, replay: ReplayId, how: impl FnOnce(&mut ReplayJob)) {
        how(self.lock().jobs.get_mut(&replay).expect("the replay is there"));
    }

    pub(crate) fn job(&self, replay: ReplayId) -> Option<ReplayJob> {
        self.lock().jobs.get(&replay).cloned()
    }

    /// What live was told of a replay, in order. The same may be told again.
    pub(crate) fn told(&self, replay: ReplayId) -> Vec<ReplayIndexed> {
        self.lock().told.iter().filter(|told| told.replay == replay).cloned().collect()
    }

    pub(crate) fn is_wiped(&self, replay: ReplayId) -> bool {
        self.lock().wiped.contains(&replay)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often somebody has asked what is to be done about replays.
    pub(crate) fn asks(&self) -> usize {
        self.lock().asks
    }

    /// After so many more answers, everything was deleted and wiped.
    pub(crate) fn wipe_after(&self, asks: usize) {
        let mut inner = self.lock();
        inner.wiped_after = Some(inner.asks + asks);
    }

    /// Nobody learns what is to be done about this one.
    pub(crate) fn keep_unanswered(&self, replay: ReplayId) {
        self.lock().unanswered.insert(replay);
    }

    pub(super) fn answer_job(&self, replay: ReplayId) -> Result<ReplayJob, Refusal> {
        let mut inner = self.lock();
        inner.asks += 1;
        if inner.wiped_after.is_some_and(|asks| inner.asks > asks) {
            inner.jobs.clear();
        }
        if inner.unanswered.contains(&replay) {
            return Err(Refusal::new(Code::Unavailable, "live is away"));
        }
        inner.jobs.get(&replay).cloned().ok_or_else(none)
    }

    pub(super) fn locate(&self, replay: ReplayId) -> Result<LocatedReplay, Refusal> {
        let job = self.job(replay).filter(|job| !job.deleted && job.replay.state != ReplayState::Importing);
        job.map(|job| LocatedReplay { replay: job.replay, prefix: job.prefix }).ok_or_else(none)
    }

    pub(super) fn indexed(&self, index: ReplayIndexed) -> Done {
        let mut inner = self.lock();
        if let Some(job) = inner.jobs.get_mut(&index.replay).filter(|job| job.replay.version < index.version) {
            job.replay.state = ReplayState::Ready;
            job.replay.version = index.version;
            job.replay.duration_ms = index.duration_ms;
            job.replay.danmaku_count = index.danmaku_count;
        }
        inner.told.push(index);
        Done {}
    }

    pub(super) fn wiped(&self, replay: ReplayId) -> Done {
        let mut inner = self.lock();
        inner.jobs.remove(&replay);
        inner.wiped.push(replay);
        Done {}
    }

    /// So many ends of imports happen without an answer.
    pub(crate) fn lose_ends(&self, count: usize) {
        self.lock().lost_ends = count;
    }

    /// No import can be given up.
    pub(crate) fn keep_imports(&self) {
        self.lock().keeps_imports = true;
    }

    pub(super) fn give_up(&self, replay: ReplayId) -> Result<Done, Refusal> {
        if self.lock().keeps_imports {
            return Err(Refusal::new(Code::Unavailable, "live is away"));
        }
        self.change(replay, |job| job.deleted = true);
        Ok(Done {})
    }

    pub(super) fn end_import(&self, asked: &EndImport) -> Result<Replay, Refusal> {
        let job = self.job(asked.replay).filter(|job| !job.deleted).ok_or_else(none)?;
        self.change(asked.replay, |job| {
            job.replay.state = ReplayState::Indexing;
            job.replay.duration_ms = asked.duration_ms;
        });
        let mut inner = self.lock();
        if inner.lost_ends > 0 {
            inner.lost_ends -= 1;
            return Err(Refusal::new(Code::Unavailable, "the answer is lost"));
        }
        drop(inner);
        Ok(self.job(asked.replay).unwrap_or(job).replay)
    }
}

fn none() -> Refusal {
    Refusal::new(Code::NoSuchReplay, "no such replay")
}
