//! A danmaku file becomes a replay, all of it or nothing. The file lies in the object store;
//! a thread reads it piece by piece, and what it gives is stored in portions that nobody sees
//! before the last one is.
//!
//! What is stored of a replay is removed when live says that the replay was deleted, and not
//! before: so an import whose end live knows, but whose answer was lost, is whole or gone.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufReader, Read};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use common::data_dir::FreeSpace;
use common::objects::ObjectReader;
use common::{Failure, Lifecycle, Outcome, Platform, failpoint, rpc};
use idl::live::{EndImport, GetReplayJob, GiveImportUp, Replay, ReplayState};
use idl::message::{ImportReplay, ImportedReplay};
use idl::replay::{ImportReport, ReplayDanmaku};
use idl::{Code, DanmakuId, Refusal, ReplayId, Timestamp};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::attempt::LEASE;
use super::{Replays, until};
use crate::Settings;
use crate::format::bilibili_xml::{self, Changed, Line, Report, Skipped};
use crate::store::lines;
use crate::store::replay as table;

/// Files that are read at once. Each holds a thread, up to 40 MB for the ids that it has used,
/// and the database for a portion at a time. More: they wait; who sends them bounds how many.
const AT_ONCE: usize = 2;
/// Danmaku that are stored in one transaction, which posts have to wait for.
const PORTION: usize = 500;
/// Pieces of the file, and portions of danmaku, that wait. Full: whoever makes them waits.
const WAITING: usize = 4;
/// A replay ends so long after its last danmaku has appeared.
const AFTERGLOW_MS: u64 = 10_000;
/// When live does not answer to the end of an import, it is told again after each of these.
const TOLD_AGAIN_AFTER: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

/// How reading a file ended.
enum End {
    Whole(Report),
    Malformed(String),
}

/// A replay whose file may be stored: it can't be wiped meanwhile, by any instance.
struct Begun {
    replay: Replay,
    /// The attempt whose lease keeps it.
    attempt: u64,
}

/// A file whose danmaku are all stored.
struct Stored {
    report: Report,
    last_ms: u64,
}

/// What imports share.
#[derive(Debug)]
pub(super) struct Imports {
    turns: Semaphore,
    running: Mutex<HashSet<ReplayId>>,
    max_danmaku: u64,
    space: FreeSpace,
    lifecycle: Lifecycle,
}

impl Imports {
    pub(super) fn new(settings: &Settings, platform: &Platform) -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            running: Mutex::default(),
            max_danmaku: settings.import_max_danmaku.get(),
            space: platform.space.clone(),
            lifecycle: platform.lifecycle.clone(),
        }
    }

    /// Whether danmaku are being stored for the replay by this process; others have its lease.
    pub(super) fn is_running(&self, replay: ReplayId) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).contains(&replay)
    }

    /// Whoever has this may store danmaku for the replay; nobody else does.
    fn run(&self, replay: ReplayId) -> Option<Running<'_>> {
        let is_new = self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(replay);
        is_new.then_some(Running { imports: self, replay })
    }

    /// Does something unless the process stops meanwhile.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let stopped = || Refusal::new(Code::Unavailable, "the service stops").retry_after_ms(5_000);
        self.lifecycle.soft().run_until_cancelled(work).await.ok_or_else(stopped)?
    }
}

struct Running<'a> {
    imports: &'a Imports,
    replay: ReplayId,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.imports.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.replay);
    }
}

impl Replays {
    /// Makes a replay of a file.
    pub(crate) async fn import(&self, asked: &ImportReplay) -> Outcome<ImportedReplay> {
        let (imports, replay) = (&self.0.imports, asked.replay);
        let running = imports.run(replay).ok_or_else(being_imported)?;
        let begun = imports.unless_stopped(self.begun(replay)).await;
        let was_begun = begun.is_ok();
        let imported = match begun {
            Ok((turn, begun)) => {
                let stored = imports.unless_stopped(self.store_file(&begun, &asked.object())).await;
                drop(turn);
                let imported = match stored {
                    Ok(stored) => self.end_import(&begun, stored).await,
                    Err(failure) => Err(failure),
                };
                if imported.is_err() {
                    self.let_go(replay, begun.attempt).await;
                }
                imported
            }
            Err(failure) => Err(failure),
        };
        // The replay is not wiped before.
        drop(running);
        if was_begun && imported.is_err() {
            let request = GiveImportUp { replay };
            let given_up = rpc::answer(self.0.live.give_import_up(rpc::within(rpc::EDGE_DEADLINE), request).await);
            if let Err(refusal) = given_up {
                tracing::warn!(%replay, %refusal, "a replay whose import failed could not be removed");
            }
        }
        if let Err(error) = self.0.objects.delete(&asked.object()).await {
            _ = Failure::Broken(error).into_refusal(&format!("removing the file of replay {replay}"));
        }
        imported
    }

    /// The replay, if it waits for a file still when it is its turn.
    async fn begun(&self, replay: ReplayId) -> Outcome<(SemaphorePermit<'_>, Begun)> {
        let turn = self.0.imports.turns.acquire().await.map_err(anyhow::Error::from)?;
        let room = self.waiting(replay).await?.room_id;
        let (db, now) = (&self.0.store.db, self.0.clock.now());
        let begun = table::begin_import(db, replay, room, now, until(&self.0.clock, LEASE)).await?;
        let attempt = begun.ok_or_else(being_imported)?;
        // It can't be wiped from now on. Before, it may have been, and what is stored then nobody
        // would remove.
        match self.waiting(replay).await {
            Ok(replay) => Ok((turn, Begun { replay, attempt })),
            Err(refusal) => {
                self.let_go(replay, attempt).await;
                if refusal.code == Code::NoSuchReplay && self.job(replay).await?.is_none() {
                    table::forget(db, replay).await?;
                }
                Err(refusal.into())
            }
        }
    }

    /// The replay, if it waits for a file.
    async fn waiting(&self, replay: ReplayId) -> Result<Replay, Refusal> {
        let request = GetReplayJob { replay };
        let job = rpc::answer(self.0.live.replay_job(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
        if job.replay.state == ReplayState::Importing && !job.deleted {
            return Ok(job.replay);
        }
        Err(Refusal::new(Code::NoSuchReplay, "there is no such replay that waits for a file"))
    }

    /// The replay may be wiped at once. If this fails: when the lease ends.
    async fn let_go(&self, replay: ReplayId, attempt: u64) {
        if let Err(error) = table::give_up(&self.0.store.db, replay, attempt).await {
            _ = Failure::Db(error).into_refusal(&format!("ending the import of replay {replay}"));
        }
    }

    async fn store_file(&self, begun: &Begun, object: &str) -> Outcome<Stored> {
        let file = self.0.objects.open_object(object).await?;
        let file = file.ok_or_else(|| anyhow::anyhow!("the object {object} is not there"))?;
        // What an import before this one has left, if the process died in it.
        lines::remove_imported(&self.0.store.db, begun.replay.id).await?;
        let (pieces, to_read) = mpsc::channel(WAITING);
        let (portions, to_store) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(move || read(to_read, &portions));
        // Each has its end of the channel: if it fails, the reader ends, and with that the other.
        let (fed, stored) = tokio::join!(feed(file, pieces), self.store_portions(begun, to_store));
        let end = reading.await.map_err(anyhow::Error::from)?;
        let last_ms = stored?;
        fed?;
        match end {
            End::Whole(report) => Ok(Stored { report, last_ms }),
            End::Malformed(why) => Err(Refusal::new(Code::BadFile, why).into()),
        }
    }

    /// Stores what the reader gives; returns the time of the last danmaku.
    async fn store_portions(&self, begun: &Begun, mut portions: mpsc::Receiver<Vec<Line>>) -> Outcome<u64> {
        let (store, imports, replay) = (&self.0.store, &self.0.imports, &begun.replay);
        let (mut ids_used, mut last_ms, mut count) = (HashSet::new(), 0, 0);
        while let Some(portion) = portions.recv().await {
            count += portion.len() as u64;
            if count > imports.max_danmaku {
                let detail = format!("the file has more than {} danmaku", imports.max_danmaku);
                return Err(Refusal::new(Code::TooLarge, detail).into());
            }
            imports.space.check()?;
            let mut danmaku = Vec::with_capacity(portion.len());
            for line in portion {
                last_ms = last_ms.max(line.at_ms);
                let id = match line.id.filter(|id| ids_used.insert(*id)) {
                    Some(id) => id,
                    None => self.unused_id(&mut ids_used).await?,
                };
                danmaku.push(as_danmaku(line, id, replay.started_at));
            }
            let mut tx = store.db.begin().await?;
            let lease = until(&self.0.clock, LEASE);
            if !table::renew_in(&mut tx, replay.id, begun.attempt, lease).await? {
                return Err(was_wiped().into());
            }
            lines::import(&mut tx, replay.id, &danmaku).await?;
            tx.commit().await?;
            failpoint::reached("replay.import-portion");
        }
        Ok(last_ms)
    }

    async fn unused_id(&self, used: &mut HashSet<DanmakuId>) -> Outcome<DanmakuId> {
        loop {
            let id = DanmakuId(self.0.store.ids.next().await?);
            if used.insert(id) {
                return Ok(id);
            }
        }
    }

    /// From the answer on the replay is indexed.
    async fn end_import(&self, begun: &Begun, stored: Stored) -> Outcome<ImportedReplay> {
        failpoint::reached("replay.import-stored");
        let (Stored { report, last_ms }, replay) = (stored, &begun.replay);
        // Whoever indexes it needs the lease.
        if !table::renew(&self.0.store.db, replay.id, begun.attempt, Timestamp(0)).await? {
            return Err(was_wiped().into());
        }
        let duration_ms = if report.accepted == 0 { 0 } else { last_ms + AFTERGLOW_MS };
        let end = EndImport { replay: replay.id, duration_ms };
        let mut pauses = TOLD_AGAIN_AFTER.into_iter();
        let replay = loop {
            let ended = rpc::answer(self.0.live.end_import(rpc::within(rpc::EDGE_DEADLINE), end.clone()).await);
            match (ended, pauses.next()) {
                (Err(refusal), Some(pause)) if refusal.code == Code::Unavailable => tokio::time::sleep(pause).await,
                (ended, _) => break ended?,
            }
        };
        let report = ImportReport {
            accepted: report.accepted,
            skipped: by_slug(report.skipped, Skipped::slug),
            changed: by_slug(report.changed, Changed::slug),
        };
        Ok(ImportedReplay { replay, report: Some(report) })
    }
}

fn being_imported() -> Refusal {
    Refusal::new(Code::ReplayNotReady, "the replay is being imported already")
}

fn was_wiped() -> Refusal {
    Refusal::new(Code::NoSuchReplay, "the replay was deleted meanwhile")
}

/// A file that does not say when something was sent: the time of its appearing, had the
/// replay been a broadcast that began when the file was brought.
fn as_danmaku(line: Line, id: DanmakuId, began: Timestamp) -> ReplayDanmaku {
    let appears = began.plus_ms(line.at_ms);
    line.into_danmaku(id, appears)
}

/// Hands the file to the reader, until it wants no more.
async fn feed(mut file: ObjectReader, pieces: mpsc::Sender<Bytes>) -> Outcome<()> {
    while let Some(piece) = file.next().await? {
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Reads lines from pieces, in a thread of its own.
fn read(pieces: mpsc::Receiver<Bytes>, portions: &mpsc::Sender<Vec<Line>>) -> End {
    let mut lines = bilibili_xml::read(BufReader::new(Pieces { pieces, piece: Bytes::new() }));
    let mut portion = Vec::with_capacity(PORTION);
    for line in &mut lines {
        match line {
            Ok(line) => portion.push(line),
            Err(malformed) => return End::Malformed(malformed.to_string()),
        }
        if portion.len() == PORTION && portions.blocking_send(std::mem::take(&mut portion)).is_err() {
            break;
        }
    }
    // Nobody to take it: storing has failed, and that is what is told.
    _ = portions.blocking_send(portion);
    End::Whole(lines.report().clone())
}

/// What comes through a channel, as something that is read.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let bytes = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..bytes]);
        Ok(bytes)
    }
}

fn by_slug<K>(counts: BTreeMap<K, u64>, slug: impl Fn(K) -> &'static str) -> BTreeMap<String, u64> {
    counts.into_iter().map(|(reason, count)| (slug(reason).to_owned(), count)).collect()
}
