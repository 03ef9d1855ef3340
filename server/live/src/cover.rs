//! Covers: decoded by few workers, kept in the object store under a name that is never
//! used twice, so that readers and writers of one room don't meet.
//!
//! The object is there before the row names it, and goes after the row names another. A
//! crash between the two leaves an object that nobody reads; it is never the other way
//! round.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::Outcome;
use idl::access::Identity;
use idl::event::RoomChange;
use idl::live::{Cover, Room};
use idl::{Code, Refusal, RoomId};
use tokio::sync::Semaphore;

use crate::change::Told;
use crate::role::Deed;
use crate::{Core, picture, store};

/// Images that wait for a worker, each up to 2 MiB. Full: the upload is refused for now.
const WAITING: usize = 16;
/// How long an upload waits for a worker.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Where images are decoded.
#[derive(Debug)]
pub(crate) struct Workshop {
    workers: Arc<Semaphore>,
    places: Semaphore,
}

impl Workshop {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: Arc::new(Semaphore::new(workers)), places: Semaphore::new(workers + WAITING) }
    }

    async fn make(&self, image: Bytes) -> Result<Vec<u8>, Refusal> {
        let busy = || Refusal::new(Code::Unavailable, "too many covers are being set just now").retry_after_ms(2_000);
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let worker = tokio::time::timeout(PATIENCE, Arc::clone(&self.workers).acquire_owned());
        let worker = worker.await.ok().and_then(Result::ok).ok_or_else(busy)?;
        let making = tokio::task::spawn_blocking(move || {
            // Held by the work, not by who waits for it.
            let _worker = worker;
            picture::cover(&image)
        });
        making.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an image decoder panicked");
            Err(picture::damaged("the decoder gave up"))
        })
    }
}

impl Core {
    /// Replaces the room's cover.
    pub(crate) async fn set_cover(&self, who: &Identity, room: RoomId, image: Bytes) -> Outcome<Room> {
        if image.len() > picture::MAX_FILE_BYTES {
            return Err(picture::too_large().into());
        }
        self.check_deed(room, who, Deed::Run).await?;
        self.platform.space.check()?;
        let jpeg = self.covers.make(image).await?;
        let version = self.ids.next().await?;
        let object = object(room, version.cast_signed());
        self.platform.objects.put(&object, jpeg.into()).await?;
        let flipped = self.flip_cover(who, room, version.cast_signed()).await;
        match flipped {
            Ok((row, before)) => {
                if before != 0 {
                    self.remove(&self::object(room, before)).await;
                }
                Ok(row)
            }
            Err(failure) => {
                // A refusal changed nothing. After a failure the row may name the object.
                if matches!(failure, common::Failure::Refused(_)) {
                    self.remove(&object).await;
                }
                Err(failure)
            }
        }
    }

    async fn flip_cover(&self, who: &Identity, room: RoomId, version: i64) -> Outcome<(Room, i64)> {
        let mut change = self.change(room, who, Deed::Run).await?;
        let before = change.row.cover_version;
        if !store::flip_cover(&mut change.tx, room, before, version).await? {
            let detail = "the cover was changed by somebody else at the same time";
            return Err(Refusal::new(Code::Unavailable, detail).retry_after_ms(100).into());
        }
        let row = self.finish(change, Told::Room(RoomChange::Edited)).await?;
        Ok((row.into(), before))
    }

    /// The room's cover.
    pub(crate) async fn cover(&self, room: RoomId) -> Outcome<Cover> {
        // The object may go between the row's reading and its own; then the row names another.
        for _ in 0..3 {
            let version = self.find_room(room).await?.cover_version;
            if version == 0 {
                return Err(Refusal::new(Code::NoCover, format!("room {room} has no cover")).into());
            }
            if let Some(jpeg) = self.platform.objects.get(&object(room, version)).await? {
                return Ok(Cover { jpeg, version: version.cast_unsigned() });
            }
        }
        Err(common::Failure::Broken(anyhow::anyhow!("the object with the cover of room {room} is missing")))
    }

    /// Best effort: an object that nobody names does no harm but takes a little room.
    async fn remove(&self, object: &str) {
        if let Err(error) = self.platform.objects.delete(object).await {
            tracing::warn!(error = %format!("{error:#}"), "the old cover {object} stays behind");
        }
    }
}

fn object(room: RoomId, version: i64) -> String {
    format!("covers/{room}/{version}.jpg")
}
