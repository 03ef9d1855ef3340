//! What is said while a broadcast is being closed is either refused or in its replay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goligoli_tests::replay::{Replay, Reply, Talker, ids, list};
use goligoli_tests::{Account, Scene, Server, Setup, until};
use rand::RngExt as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Rooms in which broadcasts come and go at once.
const ROOMS: usize = 20;
const ROUNDS: usize = 50;
/// People in each room, who talk without a pause.
const TALKERS: usize = 6;
/// Danmaku that are stored together: few, so that most of what was let in waits to be stored,
/// and the broadcast's end overtakes it.
const BATCH: &str = "4";
/// How long people talk before the broadcast is closed.
const TALK_MS: std::ops::Range<u64> = 0..300;

/// Broadcasts by id, and what was said in them.
type Broadcasts = BTreeMap<String, Said>;

#[derive(Debug, Default)]
struct Said {
    /// The ids of all that was acknowledged.
    ids: BTreeSet<String>,
    /// Lines of which nobody knows: the machine was too slow.
    unknown: usize,
}

/// Talks until it is refused; but before the broadcast is being closed that may be because
/// not everybody knows yet that it is open.
async fn talk(mut talker: Talker, closing: Arc<AtomicBool>) -> (Talker, Said) {
    let mut said = Said::default();
    loop {
        let was_closing = closing.load(Ordering::SeqCst);
        match talker.say(&format!("line {}", said.ids.len())).await {
            Reply::Accepted(id) => _ = said.ids.insert(id),
            Reply::Unknown => said.unknown += 1,
            Reply::Closed if was_closing => return (talker, said),
            Reply::Closed => {}
        }
    }
}

/// Opens and closes broadcasts in a new room, one after the other.
async fn evenings(scene: Scene, mut talkers: Vec<Talker>) -> (Scene, Broadcasts) {
    let mut broadcasts = Broadcasts::new();
    let mut session = scene.session.clone();
    for round in 0..ROUNDS {
        if round > 0 {
            let opened = scene.owner.post(&scene.path("/sessions"), &Value::Null).await.expect(201);
            session = opened["id"].as_str().unwrap().to_owned();
        }
        let closing = Arc::new(AtomicBool::new(false));
        let mut talking = JoinSet::new();
        for talker in talkers.drain(..) {
            talking.spawn(talk(talker, Arc::clone(&closing)));
        }
        let talk_ms = rand::rng().random_range(TALK_MS);
        tokio::time::sleep(Duration::from_millis(talk_ms)).await;
        closing.store(true, Ordering::SeqCst);
        _ = scene.owner.post(&scene.path(&format!("/sessions/{session}/close")), &Value::Null).await.expect(200);
        let mut said = Said::default();
        for (talker, by_one) in talking.join_all().await {
            talkers.push(talker);
            said.ids.extend(by_one.ids);
            said.unknown += by_one.unknown;
        }
        broadcasts.insert(session.clone(), said);
    }
    (scene, broadcasts)
}

#[tokio::test]
async fn what_is_said_at_the_end_is_refused_or_in_the_replay() {
    let server = Setup::new().set("MESSAGE__BATCH_POSTS", BATCH).start().await;
    let accounts = Account::seed(&server, ROOMS * (1 + TALKERS)).await;
    let mut rooms = JoinSet::new();
    for accounts in accounts.chunks(1 + TALKERS) {
        let owner = accounts[0].clone();
        let room = owner.post("/api/v1/rooms", &json!({"title": "The room"})).await.expect(201);
        let room = room["id"].as_str().unwrap().to_owned();
        let session = owner.post(&format!("/api/v1/rooms/{room}/sessions"), &Value::Null).await.expect(201);
        let mut talkers = Vec::new();
        for account in &accounts[1..] {
            talkers.push(Talker::connect(server.address(), account, &room).await);
        }
        let session = session["id"].as_str().unwrap().to_owned();
        rooms.spawn(evenings(Scene { owner, room, session }, talkers));
    }
    let (mut broadcasts, mut lines) = (0, 0);
    for (scene, said) in rooms.join_all().await {
        are_in_replays(&server, &scene, &said).await;
        broadcasts += said.len();
        lines += said.values().map(|said| said.ids.len()).sum::<usize>();
    }
    assert_eq!(broadcasts, ROOMS * ROUNDS);
    println!("{lines} lines in {broadcasts} broadcasts");
    assert!(lines > broadcasts, "hardly anything was said: {lines}");
}

/// Holds that the room's replays have what was acknowledged in their broadcasts, and nothing else.
async fn are_in_replays(server: &Server, scene: &Scene, said: &Broadcasts) {
    let replays = list(&scene.owner, &scene.room).await;
    assert_eq!(replays.len(), said.len(), "each broadcast has a replay");
    for (session, said) in said {
        let of_session = replays.iter().find(|replay| replay["session_id"] == session.as_str()).unwrap();
        let replay = Replay::from(of_session);
        // Others may come before it; every one of them is progress, so nothing is waited for long.
        let shown = until("the replay is ready", async || {
            let shown = server.get(&replay.path("")).await.expect(200);
            (shown["state"] == "ready").then_some(shown)
        })
        .await;
        let in_replay: BTreeSet<String> = ids(&replay.danmaku(&scene.owner).await).into_iter().collect();
        let missing: Vec<&String> = said.ids.difference(&in_replay).collect();
        let more: Vec<&String> = in_replay.difference(&said.ids).collect();
        assert!(missing.is_empty(), "acknowledged, but not in the replay of {session}: {missing:?}");
        assert!(more.len() <= said.unknown, "refused, but in the replay of {session}: {more:?}");
        assert_eq!(shown["danmaku_count"], in_replay.len());
    }
}
