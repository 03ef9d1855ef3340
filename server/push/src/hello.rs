//! `hello`: where a room stands, for viewers who come without a position. Encoded at most
//! once a second and shared, so that a storm of joins costs one encoding.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::frame::{self, Position};
use crate::room::Room;

const FRESH_FOR: Duration = Duration::from_secs(1);
const LATEST_DANMAKU: usize = 50;

/// An encoded hello.
#[derive(Debug, Clone)]
pub(crate) struct Hello {
    encoded_at: Instant,
    /// What it includes; the stream goes on after it.
    pub(crate) position: Position,
    /// `event:` and `data:`, without an id.
    body: Bytes,
    /// The same without danmaku.
    bare: Bytes,
}

impl Hello {
    /// The room's hello, at most a second old. `None` if nobody ever said what the room is.
    pub(crate) fn of(room: &Room) -> Option<Self> {
        let mut cached = room.hello.lock().unwrap_or_else(PoisonError::into_inner);
        // In a rush the feed may have let go of what came after a hello of a moment ago.
        let place = room.feed().place();
        let is_usable = |hello: &&Self| {
            let Position { epoch, seq } = hello.position;
            hello.encoded_at.elapsed() < FRESH_FOR && epoch == place.epoch && seq + 1 >= place.first
        };
        if let Some(hello) = cached.as_ref().filter(is_usable) {
            return Some(hello.clone());
        }
        let hello = Self::encode(room)?;
        *cached = Some(hello.clone());
        Some(hello)
    }

    /// What was encoded is not told to anybody any more.
    pub(crate) fn forget(room: &Room) {
        *room.hello.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn encode(room: &Room) -> Option<Self> {
        let feed = room.feed();
        let state = feed.state.as_deref()?;
        // The danmaku are JSON already; parsing them again would only cost.
        let body = |danmaku: &str| {
            let data = format!(
                "{{\"room\":{},\"viewers\":{},\"totals\":{},\"lotteries\":{},\"danmaku\":[{danmaku}]}}",
                frame::json(state),
                room.connections(),
                frame::json(&feed.totals),
                frame::json(&feed.lotteries.all()),
            );
            let mut body = BytesMut::with_capacity(data.len() + 32);
            frame::put_event(&mut body, "hello", &data);
            body.freeze()
        };
        let latest = feed.latest_danmaku(LATEST_DANMAKU).join(",");
        let position = feed.at(feed.last());
        Some(Self { encoded_at: Instant::now(), position, body: body(&latest), bare: body("") })
    }

    /// The frame for a stream that goes on from here.
    pub(crate) fn frame(&self) -> [Bytes; 2] {
        [id_line(self.position), self.body.clone()]
    }

    /// The frame for a stream that goes on from an earlier position: what was said since
    /// then follows as events, so it is not in here.
    pub(crate) fn frame_before(&self, position: Position) -> [Bytes; 2] {
        [id_line(position), self.bare.clone()]
    }
}

fn id_line(position: Position) -> Bytes {
    let mut id = BytesMut::with_capacity(48);
    frame::put_id(&mut id, position);
    id.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Feed;
    use crate::record::{Change, Head, Retention};
    use idl::event::{Owner, RoomRules, RoomState};
    use idl::{RoomId, UserId};

    const KEEP: Retention = Retention { events: 20, age_ms: 1_000_000, bytes: 1 << 20 };

    fn state(version: u64) -> RoomState {
        RoomState {
            id: RoomId(7),
            version,
            title: "a room".to_owned(),
            owner: Owner { id: UserId(1), name: "mei".to_owned() },
            cover_url: None,
            session: None,
            rules: RoomRules::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_come_within_a_second_share_one_hello() {
        let feed = Feed::new(Head { epoch: 5, first: 1, state: Some(state(1)), ..Head::default() });
        let (room, _inbox) = Room::new(RoomId(7), feed, false);
        let body = || Hello::of(&room).unwrap().body;
        let first = body();
        tokio::time::advance(FRESH_FOR - Duration::from_millis(1)).await;
        assert_eq!(body().as_ptr(), first.as_ptr());
        tokio::time::advance(Duration::from_millis(1)).await;
        let second = body();
        assert_ne!(second.as_ptr(), first.as_ptr(), "it tells how many viewers there are, and is not to be old");
        room.apply(Change { state: Some(state(2)), ..Change::default() }, KEEP);
        assert_ne!(body().as_ptr(), second.as_ptr(), "what the room was is not told to anybody any more");
    }
}
