//! The rooms in which most is going on, for those who operate the site.

use std::cmp::Reverse;
use std::sync::Arc;

use idl::push::{MAX_TOP_ROOMS, RoomActivity, TopBy};

use crate::room::Room;

/// The first rooms by this, with what goes on in them.
pub(crate) fn top(rooms: &[Arc<Room>], by: TopBy) -> Vec<RoomActivity> {
    let mut ranks: Vec<_> = rooms.iter().map(|room| (measure(room, by), room)).collect();
    let order = |(most, room): &(u64, &Arc<Room>)| (Reverse(*most), room.id);
    if ranks.len() > MAX_TOP_ROOMS {
        // The others need no order among themselves.
        _ = ranks.select_nth_unstable_by_key(MAX_TOP_ROOMS, order);
        ranks.truncate(MAX_TOP_ROOMS);
    }
    ranks.sort_by_key(order);
    ranks.into_iter().map(|(_, room)| activity(room)).collect()
}

fn measure(room: &Room, by: TopBy) -> u64 {
    let counts = |room: &Room| room.statistics.recent(room.totals_here(&room.feed())).1;
    match by {
        TopBy::Viewers => room.connections_here(),
        TopBy::Deliveries => counts(room).deliveries,
        TopBy::Accepted => counts(room).danmaku.accepted,
        TopBy::Shown => counts(room).danmaku.shown,
        TopBy::Suppressed => counts(room).danmaku.suppressed,
        TopBy::Missed => counts(room).missed,
    }
}

fn activity(room: &Room) -> RoomActivity {
    let feed = room.feed();
    let (window, counts) = room.statistics.recent(room.totals_here(&feed));
    RoomActivity {
        room_id: room.id,
        title: feed.state.as_ref().map(|state| state.title.clone()),
        viewers: room.connections_here(),
        window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
        deliveries: counts.deliveries,
        accepted: counts.danmaku.accepted,
        shown: counts.danmaku.shown,
        folded: counts.danmaku.folded,
        suppressed: counts.danmaku.suppressed,
        gaps: counts.gaps,
        missed: counts.missed,
    }
}
