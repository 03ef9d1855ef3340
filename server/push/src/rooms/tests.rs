use std::pin::pin;

use common::buckets::Rate;
use futures::poll;
use idl::event::EventType;
use idl::push::{Lane, Outcome, Publication};
use idl::{Timestamp, UserId};
use tokio::sync::oneshot;

use super::*;

const ROOM: RoomId = RoomId(7);
const QUIET_ROOM: RoomId = RoomId(8);
const PATIENCE: Duration = Duration::from_secs(5);

fn settings() -> Settings {
    Settings {
        feeds: crate::FeedsUrl::log(),
        rate_per_s: 50.try_into().unwrap(),
        burst: 100.try_into().unwrap(),
        egress_mbps: 1,
        tick_ms: 1,
        keep_events: 1_000,
        keep_ms: 600_000,
        keep_bytes: 1 << 20,
        heartbeat_ms: 60_000,
        lease_min_ms: 60_000,
        lease_max_ms: 60_000,
        reconnect_spread_ms: 100,
        drain_ms: 50,
        max_streams: 1_000,
        max_streams_per_address: 3,
        opens_per_address: Rate { burst: 1.try_into().unwrap(), per_minute: 1.try_into().unwrap() },
    }
}

fn rooms(folder: &tempfile::TempDir) -> Rooms {
    let flow = Dynamic::fixed(settings().flow_rate());
    let clock = Clock::manual(Timestamp(1_700_000_000_000));
    Rooms::new(Home::Folder(folder.path().to_owned()), settings(), flow, clock, Lifecycle::new())
}

/// Each of `n` people says something; returns how many of them were shown.
async fn shown_of_crowd(rooms: &Rooms, room: RoomId, first: u64, n: u64) -> usize {
    let danmaku = |n: u64| Publication {
        source: format!("danmaku:{n}"),
        event: EventType::Danmaku,
        data: format!("{{\"n\":{n}}}"),
        at_ms: 0,
        lane: Lane::Ordinary,
        sender: Some(UserId(n)),
        tombstones: Vec::new(),
        state: None,
        lottery: None,
    };
    let (answer, published) = oneshot::channel();
    let publications = (first..first + n).map(danmaku).collect();
    rooms.send(room, Command::Publish { publications, answer, trace: None }).await.unwrap();
    let outcomes = published.await.unwrap().unwrap().outcomes;
    outcomes.iter().filter(|outcome| **outcome == Outcome::Appended).count()
}

/// As when a viewer gives up, or a call is aborted.
#[tokio::test]
async fn a_load_goes_on_and_keeps_its_turn_when_nobody_waits_for_it_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let rooms = rooms(&folder);
    {
        let loading = pin!(rooms.get(ROOM, true));
        assert!(poll!(loading).is_pending());
    }
    assert!(rooms.turn(ROOM).try_lock().is_err(), "a second reader would read the file beside the first");
    let turn = tokio::time::timeout(PATIENCE, rooms.turn(ROOM).lock()).await;
    assert!(turn.is_ok() && rooms.in_memory(ROOM).is_some(), "what was read is there");
}

#[tokio::test]
async fn a_room_whose_writer_has_ended_is_read_again_by_who_comes_next() {
    let folder = tempfile::tempdir().unwrap();
    let rooms = rooms(&folder);
    assert_eq!(shown_of_crowd(&rooms, ROOM, 1, 3).await, 3);
    let before = rooms.find(ROOM).await.unwrap().unwrap();
    before.close().await;
    let viewing = rooms.join(ROOM, None).await.unwrap().unwrap();
    assert!(!viewing.room.has_ended() && !Arc::ptr_eq(&viewing.room, &before));
    assert_eq!(viewing.room.feed().last(), before.feed().last());
    assert_eq!(shown_of_crowd(&rooms, ROOM, 4, 1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn no_room_shows_more_than_the_process_can_afford() {
    const VIEWERS: usize = 500;
    let folder = tempfile::tempdir().unwrap();
    let rooms = rooms(&folder);
    assert_eq!(shown_of_crowd(&rooms, ROOM, 1, 10).await, 10);
    assert_eq!(shown_of_crowd(&rooms, QUIET_ROOM, 1, 10).await, 10);
    let mut viewings = Vec::new();
    for _ in 0..VIEWERS {
        viewings.push(rooms.join(ROOM, None).await.unwrap().unwrap());
    }
    let said = async {
        // House keeping has looked once, and looks again after the rush.
        tokio::time::sleep(LOOK_EVERY + LOOK_EVERY / 2).await;
        let before = shown_of_crowd(&rooms, ROOM, 1_000, 1_000).await;
        tokio::time::sleep(LOOK_EVERY).await;
        (before, shown_of_crowd(&rooms, ROOM, 2_000, 1_000).await)
    };
    let (before, after) = tokio::select! {
        () = rooms.clone().keep_house() => panic!("it keeps house until the process stops"),
        said = said => said,
    };
    assert!(before >= 90, "{before}: nothing was asked of the network yet");
    let room = |id| rooms.in_memory(id).unwrap();
    let event_bytes = room(ROOM).feed().bytes() / room(ROOM).feed().len();
    let most_per_s = 1_000_000 / (VIEWERS * event_bytes * 8);
    assert!((2..10).contains(&most_per_s), "{most_per_s}: events of {event_bytes} bytes prove nothing");
    assert_eq!(room(ROOM).most_per_s() as usize, most_per_s);
    assert_eq!(room(QUIET_ROOM).most_per_s() as usize, most_per_s, "who is quiet now may speak up as much");
    // The burst lasts two seconds at any rate.
    assert!((1..=2 * most_per_s).contains(&after), "{after} at {most_per_s} a second");
}
