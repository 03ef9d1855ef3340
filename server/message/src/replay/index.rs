//! Indexing: reads a replay's danmaku in pages and stores what is made of them.

use std::time::Duration;

use bytes::Bytes;
use common::objects::ObjectWriter;
use common::{Outcome, failpoint};
use idl::live::ReplayJob;
use idl::replay::ReplayHead;
use tokio::time::Instant;

use super::maker::{MANIFEST, Made, Maker, names};
use super::{LEASE, Replays, folder};
use crate::store::lines::{Line, Range, Source};
use crate::store::replay::{self as table, IndexRow, Indexed};

/// Danmaku that are read at once.
const PAGE: i64 = 4_000;
/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(LEASE.as_secs() / 4);

impl Replays {
    /// Stores all objects of an attempt; `None` if another one has begun meanwhile.
    pub(super) async fn index(&self, job: &ReplayJob, source: Source, row: &IndexRow) -> Outcome<Option<Indexed>> {
        let (db, replay) = (&self.0.store.db, &job.replay);
        let extent = source.extent(db).await?;
        let head = ReplayHead {
            id: replay.id,
            room_id: replay.room_id,
            title: replay.title.clone(),
            origin: replay.origin,
            started_at: replay.started_at,
            // Something may have been said in the moment of the end.
            duration_ms: replay.duration_ms.max(if extent.count == 0 { 0 } else { extent.last_ms + 1 }),
            danmaku_count: extent.count,
        };
        let duration_ms = head.duration_ms;
        let folder = folder(&job.prefix, row.attempt);
        let mut whole = Vec::new();
        for name in names() {
            whole.push(self.0.objects.create(&format!("{folder}/{name}")).await?);
        }
        let mut maker = Maker::new(head, row.attempt, job.marks.clone()).map_err(anyhow::Error::from)?;
        let (mut after, mut count, mut renewed) = (None, 0, Instant::now());
        loop {
            let page = source.read(db, Range { after, ..Range::default() }, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.place);
            count += page.len() as u64;
            let lines = page.into_iter().map(|line| self.shown(replay.id, line)).collect();
            let made = blocking(maker, move |maker| maker.take(lines)).await?;
            maker = made.0;
            self.keep(&folder, &mut whole, made.1).await?;
            if renewed.elapsed() > RENEW_EVERY {
                let until = self.0.clock.now().plus_ms(LEASE.as_millis() as u64);
                if !table::renew(db, replay.id, row.attempt, until).await? {
                    return Ok(None);
                }
                renewed = Instant::now();
            }
        }
        let (made, mut manifest) = maker.end().map_err(anyhow::Error::from)?;
        self.keep(&folder, &mut whole, made).await?;
        for file in whole {
            file.finish().await?;
        }
        failpoint::reached("replay.before-manifest");
        // What was deleted since it was counted makes another attempt; this one is right in itself.
        manifest.replay.danmaku_count = count;
        let manifest = Bytes::from(serde_json::to_vec(&manifest).map_err(anyhow::Error::from)?);
        self.0.objects.put(&format!("{folder}/{MANIFEST}"), manifest).await?;
        let (attempt, revision, changes) = (row.attempt, job.revision, row.changes);
        Ok(Some(Indexed { attempt, revision, changes, danmaku_count: count, duration_ms }))
    }

    /// A danmaku as the replay shows it.
    pub(super) fn shown(&self, replay: idl::ReplayId, line: Line) -> idl::replay::ReplayDanmaku {
        let mut danmaku = line.danmaku;
        if let Some(user) = line.user {
            danmaku.sender_hash = self.0.sender_key.hash(replay, user);
        }
        danmaku
    }

    async fn keep(&self, folder: &str, whole: &mut [ObjectWriter], made: Made) -> Outcome<()> {
        for (file, piece) in whole.iter_mut().zip(made.pieces) {
            file.write(&piece).await?;
        }
        for (name, body) in made.objects {
            self.0.objects.put(&format!("{folder}/{name}"), body).await?;
            failpoint::reached("replay.part-stored");
        }
        Ok(())
    }
}

/// Formats a page beside the tasks that answer requests.
async fn blocking<T: Send + 'static>(
    mut maker: Maker,
    work: impl FnOnce(&mut Maker) -> std::io::Result<T> + Send + 'static,
) -> Outcome<(Maker, T)> {
    let worked = tokio::task::spawn_blocking(move || {
        let made = work(&mut maker)?;
        std::io::Result::Ok((maker, made))
    });
    Ok(worked.await.map_err(anyhow::Error::from)?.map_err(anyhow::Error::from)?)
}
