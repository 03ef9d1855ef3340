//! A danmaku file becomes a replay, all of it or nothing. The file lies in the object store;
//! a thread reads it piece by piece, and what it gives is stored in portions that nobody sees
//! before the last one is.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufReader, Read};

use bytes::{Buf as _, Bytes};
use common::objects::ObjectReader;
use common::{Outcome, failpoint, rpc};
use idl::access::Identity;
use idl::live::{DeleteReplay, EndImport, GetReplayJob, Replay, ReplayState};
use idl::message::{ImportReplay, ImportedReplay};
use idl::replay::{ImportReport, ReplayDanmaku};
use idl::{Code, DanmakuId, Refusal, ReplayId, Timestamp};
use tokio::sync::mpsc;

use super::Replays;
use crate::format::bilibili_xml::{self, Changed, Line, Report, Skipped};
use crate::store::lines;
use crate::store::replay as table;

/// The most danmaku of a file. More: the file is refused.
const MAX_LINES: u64 = 2_000_000;
/// Danmaku that are stored in one transaction.
const PORTION: usize = 2_000;
/// Pieces of the file, and portions of danmaku, that wait. Full: whoever makes them waits.
const WAITING: usize = 4;
/// A replay ends so long after its last danmaku has appeared.
const AFTERGLOW_MS: u64 = 10_000;

/// How reading a file ended.
enum End {
    Whole(Report),
    Malformed(String),
}

impl Replays {
    /// Makes a replay of a file.
    pub(crate) async fn import(&self, who: &Identity, asked: ImportReplay) -> Outcome<ImportedReplay> {
        let replay = self.begun(who, asked.replay).await?;
        let imported = self.import_object(&replay, &asked.object).await;
        if imported.is_err()
            && let Err(left) = self.give_import_up(&asked).await
        {
            // Live has it removed later.
            _ = left.into_refusal(&format!("removing what was stored of replay {}", replay.id));
        }
        self.0.objects.delete(&asked.object).await?;
        imported
    }

    /// The replay that was begun for the file, by somebody who may.
    async fn begun(&self, who: &Identity, replay: ReplayId) -> Outcome<Replay> {
        let none = || Refusal::new(Code::NoSuchReplay, "there is no such replay that waits for a file");
        let request = GetReplayJob { replay };
        let job = rpc::answer(self.0.live.replay_job(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
        let waits = job.replay.state == ReplayState::Importing && !job.deleted;
        let replay = waits.then_some(job.replay).ok_or_else(none)?;
        match self.owns(who, &replay).await? {
            true => Ok(replay),
            false => Err(none().into()),
        }
    }

    async fn import_object(&self, replay: &Replay, object: &str) -> Outcome<ImportedReplay> {
        let file = self.0.objects.open_object(object).await?;
        let file = file.ok_or_else(|| anyhow::anyhow!("the object {object} is not there"))?;
        // What an import before this one has left, if the process died in it.
        lines::remove_imported(&self.0.store.db, replay.id).await?;
        self.import_file(replay, file).await
    }

    async fn import_file(&self, replay: &Replay, file: ObjectReader) -> Outcome<ImportedReplay> {
        let (pieces, to_read) = mpsc::channel(WAITING);
        let (portions, mut to_store) = mpsc::channel(WAITING);
        let reading = tokio::task::spawn_blocking(move || read(to_read, &portions));
        let (fed, stored) = tokio::join!(feed(file, pieces), self.store_portions(replay, &mut to_store));
        // Ends the reader, if storing has failed.
        drop(to_store);
        let end = reading.await.map_err(anyhow::Error::from)?;
        let last_ms = stored?;
        fed?;
        let report = match end {
            End::Whole(report) => report,
            End::Malformed(why) => return Err(Refusal::new(Code::BadFile, why).into()),
        };
        failpoint::reached("replay.import-stored");
        let mut tx = self.0.store.db.begin().await?;
        table::begin(&self.0.store.db, &mut tx, replay.id, None, replay.room_id).await?;
        tx.commit().await?;
        let duration_ms = if report.accepted == 0 { 0 } else { last_ms + AFTERGLOW_MS };
        let end = EndImport { replay: replay.id, duration_ms };
        let replay = rpc::answer(self.0.live.end_import(rpc::within(rpc::EDGE_DEADLINE), end).await)?;
        let report = ImportReport {
            accepted: report.accepted,
            skipped: by_slug(report.skipped, Skipped::slug),
            changed: by_slug(report.changed, Changed::slug),
        };
        Ok(ImportedReplay { replay, report })
    }

    /// Stores what the reader gives; returns the time of the last danmaku.
    async fn store_portions(&self, replay: &Replay, portions: &mut mpsc::Receiver<Vec<Line>>) -> Outcome<u64> {
        let store = &self.0.store;
        let (mut ids_used, mut last_ms, mut count) = (HashSet::new(), 0, 0);
        while let Some(portion) = portions.recv().await {
            count += portion.len() as u64;
            if count > MAX_LINES {
                let detail = format!("the file has more than {MAX_LINES} danmaku");
                return Err(Refusal::new(Code::TooLarge, detail).into());
            }
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

    async fn give_import_up(&self, asked: &ImportReplay) -> Outcome<()> {
        lines::remove_imported(&self.0.store.db, asked.replay).await?;
        let request = DeleteReplay { caller: asked.caller.clone(), replay: asked.replay };
        rpc::answer(self.0.live.delete_replay(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
        Ok(())
    }
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
