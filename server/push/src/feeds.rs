//! A room's feed as the operator reads it: what was appended, when, and in which lane, but
//! not what it says. In a running service from memory, else from the room's file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use idl::RoomId;
use idl::event::EventType;
use idl::push::Lane;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::FeedsUrl;
use crate::feed::{Feed, Resume};
use crate::frame::Position;
use crate::log::Log;
use crate::record::{Record, Retention};
use crate::rooms::{Rooms, file_of};

/// What is read at once; the feed is locked against its writer for so long.
const PAGE: usize = 500;
/// Who waits for news looks for itself this often: the room may have been put away.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// An event of a feed, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appended {
    /// As viewers get it.
    pub id: String,
    /// Its type.
    pub event: EventType,
    /// What happened: `danmaku:17`, say.
    pub source: String,
    /// When it happened (ms since 1970).
    pub at_ms: i64,
    /// When it was appended: what the flow limiter goes by.
    pub appended_ms: i64,
    /// In which lane it came.
    pub lane: Lane,
    /// As it goes to a viewer.
    pub bytes: usize,
}

/// What a reader of a feed gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FeedLine {
    /// An event.
    Event(Appended),
    /// So many events are gone; `null` if nobody knows, after a change of epoch.
    Gap {
        /// How many.
        gap: Option<u64>,
    },
}

/// The feeds of a service, or of a folder that no service uses.
#[derive(Debug, Clone)]
pub struct Feeds(Where);

#[derive(Debug, Clone)]
enum Where {
    Service(Rooms),
    Folder(PathBuf),
    /// In a server that only running services ask.
    Elsewhere,
}

impl Feeds {
    pub(crate) const fn of(rooms: Rooms) -> Self {
        Self(Where::Service(rooms))
    }

    /// Those that no service uses now, as `push.feeds` says; the caller has locked the data
    /// folder. Shared ones are only read through a running service.
    #[must_use]
    pub fn at_rest(feeds: &FeedsUrl, data_dir: &Path) -> Self {
        if feeds.is_log() { Self::in_folder(data_dir) } else { Self(Where::Elsewhere) }
    }

    /// Those in a data folder that the caller has locked.
    #[must_use]
    pub fn in_folder(data_dir: &Path) -> Self {
        Self(Where::Folder(data_dir.join("feeds")))
    }

    /// Reads a room's feed from its oldest event on, or from the one after `after`.
    ///
    /// # Errors
    /// The room has no feed, it can't be read, or `after` is no event's id.
    pub async fn open(&self, room: RoomId, after: Option<&str>) -> anyhow::Result<FeedReader> {
        let after = after.map(|id| id.parse::<Position>().ok().with_context(|| format!("{id:?} is no event's id")));
        let from = match &self.0 {
            Where::Service(rooms) => From::Service(rooms.clone()),
            Where::Elsewhere => anyhow::bail!("push.feeds is a Redis: feeds are read through a running push service"),
            Where::Folder(folder) => {
                let path = file_of(folder, room);
                let feed = tokio::task::spawn_blocking(move || read(&path)).await??;
                From::File(feed.with_context(|| no_feed(room))?)
            }
        };
        let mut reader = FeedReader { room, from, seen: after.transpose()?, bell: None };
        // A room that is not there is an error now and not in the first page.
        if let From::Service(rooms) = &reader.from {
            reader.bell = Some(rooms.find(room).await?.with_context(|| no_feed(room))?.bell());
        }
        Ok(reader)
    }
}

/// Goes through a room's feed.
#[derive(Debug)]
pub struct FeedReader {
    room: RoomId,
    from: From,
    seen: Option<Position>,
    bell: Option<watch::Receiver<()>>,
}

#[derive(Debug)]
enum From {
    Service(Rooms),
    File(Arc<Feed>),
}

impl FeedReader {
    /// What comes next; empty when there is no more by now.
    ///
    /// # Errors
    /// The feed can't be read any more.
    pub async fn next_page(&mut self) -> anyhow::Result<Vec<FeedLine>> {
        let room = match &self.from {
            From::File(feed) => return Ok(page(feed, &mut self.seen)),
            From::Service(rooms) => rooms.find(self.room).await?.with_context(|| no_feed(self.room))?,
        };
        // Listened to before it is read: nothing falls between.
        self.bell = Some(room.bell());
        let page = page(&room.feed(), &mut self.seen);
        Ok(page)
    }

    /// Returns when there may be more; at once if this is a file, which gets no more.
    pub async fn wait(&mut self) {
        if let Some(bell) = &mut self.bell {
            // An error says that the room was put away, and a timeout that it is quiet.
            _ = tokio::time::timeout(LOOK_AGAIN, bell.changed()).await;
        }
    }
}

fn page(feed: &Feed, seen: &mut Option<Position>) -> Vec<FeedLine> {
    let oldest = feed.first() - 1;
    let (gap, after) = match seen.map(|seen| feed.resume(seen)) {
        None => (None, oldest),
        Some(Resume::At(seq)) => (None, seq),
        Some(Resume::Missed { n, at }) => (Some(FeedLine::Gap { gap: n }), at),
    };
    let events = feed.appended(after, PAGE);
    *seen = Some(feed.at(after + events.len() as u64));
    gap.into_iter().chain(events.into_iter().map(FeedLine::Event)).collect()
}

fn read(path: &Path) -> anyhow::Result<Option<Arc<Feed>>> {
    // All that the file has: it is about to be let go of only when something is written.
    const ALL: Retention = Retention { events: usize::MAX, age_ms: i64::MAX, bytes: usize::MAX };
    let loaded = Log::<Record>::load(path)?;
    Ok(loaded.map(|loaded| Arc::new(Feed::from_records(loaded.records, ALL))))
}

fn no_feed(room: RoomId) -> String {
    format!("room {room} has no feed")
}
