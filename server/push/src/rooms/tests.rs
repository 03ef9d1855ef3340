use std::pin::pin;

use common::buckets::Rate;
use futures::poll;
use idl::Timestamp;

use super::*;

const ROOM: RoomId = RoomId(7);
const PATIENCE: Duration = Duration::from_secs(5);

fn settings() -> Settings {
    Settings {
        feeds: "log:".to_owned(),
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
    Rooms::new(folder.path().to_owned(), settings(), flow, clock, Lifecycle::new())
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
