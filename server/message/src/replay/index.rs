//! Indexing: reads a replay's danmaku in pages and stores what is made of them.

use bytes::Bytes;
use common::objects::{ObjectWriter, Objects};
use common::{Outcome, failpoint};
use idl::live::ReplayJob;
use idl::replay::{ReplayHead, layout};

use super::Replays;
use super::maker::{Made, Maker, names};
use crate::store::lines::{Line, Range, Source};
use crate::store::replay::{IndexRow, Indexed};

/// Danmaku that are read at once.
const PAGE: i64 = 1_000;

impl Replays {
    /// Stores all objects of an attempt.
    pub(super) async fn index(&self, job: &ReplayJob, source: Source, row: &IndexRow) -> Outcome<Indexed> {
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
        let mut files = Files::create(&self.0.objects, layout::folder(&job.prefix, row.attempt)).await?;
        let mut maker = Maker::new(head, row.attempt, job.marks.clone()).map_err(anyhow::Error::from)?;
        let (mut after, mut count) = (None, 0);
        loop {
            // Viewers and posts need what is left of the disk.
            self.0.space.check()?;
            let page = source.read(db, Range { after, ..Range::default() }, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.place);
            count += page.len() as u64;
            let lines = page.into_iter().map(|line| self.shown(replay.id, line)).collect();
            let made = blocking(maker, move |maker| maker.take(lines)).await?;
            maker = made.0;
            files.keep(made.1).await?;
        }
        let (made, mut manifest) = maker.end().map_err(anyhow::Error::from)?;
        files.keep(made).await?;
        // What was deleted since it was counted makes another attempt; this one is right in itself.
        manifest.replay.danmaku_count = count;
        files.end(serde_json::to_vec(&manifest).map_err(anyhow::Error::from)?).await?;
        let (attempt, revision, changes) = (row.attempt, job.revision, row.changes);
        Ok(Indexed { attempt, revision, changes, danmaku_count: count, duration_ms })
    }

    /// A danmaku as the replay shows it.
    pub(super) fn shown(&self, replay: idl::ReplayId, line: Line) -> idl::replay::ReplayDanmaku {
        let mut danmaku = line.danmaku;
        if let Some(user) = line.user {
            danmaku.sender_hash = self.0.sender_key.hash(replay, user);
        }
        danmaku
    }
}

/// The objects of an attempt, as they are stored.
struct Files<'a> {
    objects: &'a Objects,
    folder: String,
    /// Those with all danmaku.
    whole: Vec<ObjectWriter>,
    /// The segment that is being written.
    segment: Option<(u64, ObjectWriter)>,
}

impl<'a> Files<'a> {
    async fn create(objects: &'a Objects, folder: String) -> Outcome<Self> {
        let mut whole = Vec::new();
        for name in names() {
            whole.push(objects.create(&format!("{folder}/{name}")).await?);
        }
        Ok(Self { objects, folder, whole, segment: None })
    }

    async fn keep(&mut self, made: Made) -> Outcome<()> {
        for (file, piece) in self.whole.iter_mut().zip(made.pieces) {
            file.write(&piece).await?;
        }
        for part in made.parts {
            self.objects.put(&self.key(&layout::part(part.part)), part.json).await?;
            failpoint::reached("replay.part-stored");
            if self.segment.as_ref().is_none_or(|(segment, _)| *segment != part.segment) {
                self.end_segment().await?;
                let file = self.objects.create(&self.key(&layout::segment(part.segment))).await?;
                self.segment = Some((part.segment, file));
            }
            if let Some((_, file)) = &mut self.segment {
                // Bytes of one message after those of another are the bytes of both together.
                file.write(&part.binary).await?;
            }
        }
        Ok(())
    }

    async fn end_segment(&mut self) -> Outcome<()> {
        if let Some((_, file)) = self.segment.take() {
            file.finish().await?;
            failpoint::reached("replay.part-stored");
        }
        Ok(())
    }

    async fn end(mut self, manifest: Vec<u8>) -> Outcome<()> {
        self.end_segment().await?;
        for file in std::mem::take(&mut self.whole) {
            file.finish().await?;
        }
        failpoint::reached("replay.before-manifest");
        Ok(self.objects.put(&self.key(layout::MANIFEST), Bytes::from(manifest)).await?)
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
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
