//! `goligoli demo` plays real danmaku files, and every line is accounted for; each broadcast
//! is a replay afterwards, with every line and the server's time.

use std::collections::BTreeMap;
use std::path::Path;

use goligoli_tests::replay::{Replay, xml_lines};
use goligoli_tests::sse::{Item, Parser};
use goligoli_tests::{Account, Scene, Server, Setup, Watch, danmaku, until};
use idl::Timestamp;
use serde_json::Value;

use crate::danmaku_file::{self, Look, lines_of, real_files};

/// The demo's room is the first of its data folder.
const ROOM: &str = "1";
const SPEED: &str = "200";
const PROLOGUE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><i><d p="0.1,1,25,16777215,0,0,a,1">prologue</d></i>"#;

/// What the stream, the history and the replay have of a performance.
struct Evening {
    server: Server,
    /// What was shown on the stream.
    shown: Vec<Value>,
    /// The totals of this performance alone.
    accepted: u64,
    folded: u64,
    suppressed: u64,
    /// What was acknowledged, by time and id.
    history: Vec<Value>,
    replay: Replay,
}

/// Plays a file once. A broadcast begins as soon as the process is up, faster than anybody
/// could come; so the room has a short broadcast first, and the viewer comes back to where
/// that one ended.
async fn play(file: &Path, setup: Setup, lines: usize) -> Evening {
    let folder = tempfile::tempdir().unwrap();
    let prologue = folder.path().join("prologue.xml");
    std::fs::write(&prologue, PROLOGUE).unwrap();
    let demo = |file: &Path| -> Vec<std::ffi::OsString> {
        let options = ["--speed", SPEED, "--broadcasts", "1", "--watchers", "2"];
        ["demo".into(), "--file".into(), file.into()].into_iter().chain(options.map(Into::into)).collect()
    };
    let mut server = setup.run(demo(&prologue)).start().await;
    let (position, before) = end_of_prologue(&server).await;
    assert!(server.terminate().await.success());
    server.reconfigure(|setup| setup.run(demo(file)));
    server.start_again().await;

    let mut viewer = Watch::guest().after(&position).open(&server, ROOM).await;
    assert_eq!(viewer.event().await.json()["resumed"], true);
    let (mut closed, mut totals) = (false, before.clone());
    let all = |totals: &Value| count(totals, "accepted") - count(&before, "accepted") == lines as u64;
    let events = viewer
        .through(|event| {
            match event.kind.as_str() {
                "room" => closed |= event.json()["change"] == "closed",
                "suppressed" => totals = event.json(),
                _ => {}
            }
            closed && all(&totals)
        })
        .await;
    let since = |field: &str| count(&totals, field) - count(&before, field);
    assert_eq!(since("accepted"), since("shown") + since("folded") + since("suppressed"), "{totals}");
    let shown: Vec<Value> = events.iter().filter(|event| event.kind == "danmaku").map(|event| event.json()).collect();
    assert_eq!(since("shown"), shown.len() as u64, "what is said to be shown was shown");
    let session = items(&server, "sessions").await[0]["id"].clone();
    let mut history = danmaku(&server, ROOM).await;
    history.retain(|one| one["session_id"] == session);
    history.sort_by_key(|one| (millis(&one["sent_at"]), one["id"].as_str().unwrap().parse::<u64>().unwrap()));
    let (accepted, folded, suppressed) = (since("accepted"), since("folded"), since("suppressed"));
    let replay = replay_of(&server, &session).await;
    Evening { server, shown, accepted, folded, suppressed, history, replay }
}

/// Where the room stands when its first broadcast is over, and the totals there.
async fn end_of_prologue(server: &Server) -> (String, Value) {
    until("the prologue is over", async || {
        // Ends after the hello. The room itself may be still to come.
        let answer = server.get(&format!("/api/v1/rooms/{ROOM}/events?max_events=2")).await;
        let hello = Parser::default().feed(&answer.body).into_iter().find_map(|item| match item {
            Item::Event(event) if event.kind == "hello" => Some(event),
            _ => None,
        })?;
        let room = hello.json();
        let over = room["room"]["session"].is_null() && room["totals"]["accepted"] == 1;
        over.then(|| (hello.id.unwrap(), room["totals"].clone()))
    })
    .await
}

/// The replay of a broadcast, as soon as it is ready.
async fn replay_of(server: &Server, session: &Value) -> Replay {
    until("the broadcast is a replay", async || {
        let replays = items(server, "replays").await;
        let replay = replays.iter().find(|replay| replay["session_id"] == *session)?;
        (replay["state"] == "ready").then(|| Replay::from(replay))
    })
    .await
}

/// What the demo's room has of something, latest first.
async fn items(server: &Server, what: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/v1/rooms/{ROOM}/{what}?limit=100")).await;
    if answer.status == 404 {
        return Vec::new();
    }
    answer.expect(200)["items"].as_array().unwrap().clone()
}

fn count(totals: &Value, field: &str) -> u64 {
    totals[field].as_u64().unwrap()
}

fn millis(time: &Value) -> i64 {
    serde_json::from_value::<Timestamp>(time.clone()).unwrap().0
}

/// What viewers see of danmaku, in the order in which that is sorted.
fn looks(danmaku: &[Value]) -> Vec<Look> {
    let mut looks: Vec<Look> = danmaku.iter().map(Look::of).collect();
    looks.sort();
    looks
}

/// Holds that the replay's XML has what was acknowledged, line by line: the server's time, mode,
/// size, colour, id, sender and text.
async fn the_export_is_what_was_acknowledged(evening: &Evening, reader: &Account) {
    let began_ms = millis(&evening.server.get(&evening.replay.path("")).await.expect(200)["started_at"]);
    let file = evening.replay.file(reader, "xml").await.text();
    let (xml, lines) = (xml_lines(&file), danmaku_file::read(&file));
    assert_eq!((xml.len(), lines.len()), (evening.history.len(), evening.history.len()));
    for ((of_xml, line), one) in xml.iter().zip(lines).zip(&evening.history) {
        let (sent_ms, at_ms) = (millis(&one["sent_at"]), one["offset_ms"].as_i64().unwrap());
        assert_eq!(at_ms, sent_ms - began_ms, "{one}");
        assert_eq!(of_xml.fields[0], format!("{}.{:03}00", at_ms / 1_000, at_ms % 1_000), "{one}");
        assert_eq!(of_xml.fields[4], (sent_ms / 1_000).to_string(), "{one}");
        assert_eq!(of_xml.sent_ms, sent_ms, "{one}");
        assert_eq!(of_xml.fields[7], one["id"].as_str().unwrap());
        assert_eq!(of_xml.user.as_deref(), one["sender"]["name"].as_str());
        assert_eq!(line.look, Look::of(one));
    }
}

#[tokio::test]
async fn real_files_play_whole_and_their_replays_come_back() {
    for file in real_files("the demo of real files") {
        let lines = lines_of(&std::fs::read_to_string(&file).unwrap());

        // With limits that nothing reaches every line is on the stream, as it stands in the file.
        let whole = play(&file, Setup::new().alone(), lines.len()).await;
        assert_eq!(looks(&whole.shown), lines);
        assert_eq!((whole.accepted, whole.folded, whole.suppressed), (lines.len() as u64, 0, 0));
        assert_eq!(looks(&whole.history), lines);
        let times_shown: BTreeMap<_, _> =
            whole.shown.iter().map(|one| (one["id"].to_string(), one["sent_at_ms"].as_i64().unwrap())).collect();
        let times: BTreeMap<_, _> =
            whole.history.iter().map(|one| (one["id"].to_string(), millis(&one["sent_at"]))).collect();
        assert_eq!(times_shown, times, "the stream and the history say the same time");
        let scene = Scene::open(&whole.server).await;
        the_export_is_what_was_acknowledged(&whole, &scene.owner).await;
        _ = whole.replay.comes_back(&scene.owner, &scene.room).await;

        // With few tokens most are only counted; what is shown is from the file.
        let few = Setup::new().alone().set("PUSH__RATE_PER_S", "20").set("PUSH__BURST", "20");
        let thin = play(&file, few, lines.len()).await;
        assert!(thin.suppressed > 0, "at this speed some must be sampled out");
        assert_eq!(thin.shown.len() as u64 + thin.folded + thin.suppressed, lines.len() as u64);
        let mut rest = lines.iter();
        for shown in looks(&thin.shown) {
            assert!(rest.any(|line| *line == shown), "{shown:?} is not in the file, or not as often");
        }
        assert_eq!(looks(&thin.history), lines, "history has all");
        let scene = Scene::open(&thin.server).await;
        the_export_is_what_was_acknowledged(&thin, &scene.owner).await;
    }
}

#[tokio::test]
async fn every_broadcast_becomes_a_replay_and_the_latest_are_kept() {
    const BROADCASTS: usize = 23;
    const KEPT: usize = 20;
    const THREE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><i><d p="0.1,1,25,16777215,0,0,a,1">one</d><d p="0.3,5,25,255,0,0,b,2">two</d><d p="0.6,4,25,16777215,0,0,a,3">three</d></i>"#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("three.xml");
    std::fs::write(&file, THREE).unwrap();
    let broadcasts = BROADCASTS.to_string();
    let demo = ["demo", "--speed", SPEED, "--watchers", "1", "--broadcasts", &broadcasts, "--file"];
    let demo = demo.into_iter().map(std::ffi::OsString::from).chain([file.into()]);
    let server = Setup::new().alone().run(demo.collect::<Vec<_>>()).start().await;

    let sessions = until("all broadcasts are over", async || {
        let sessions = items(&server, "sessions").await;
        let over = sessions.iter().all(|session| session["closed_at"].is_string());
        (over && sessions.len() == BROADCASTS).then_some(sessions)
    })
    .await;
    let replays = until("the latest are replays, and no others", async || {
        let replays = items(&server, "replays").await;
        let ready = replays.iter().all(|replay| replay["state"] == "ready");
        (ready && replays.len() == KEPT).then_some(replays)
    })
    .await;
    for (replay, session) in replays.iter().zip(&sessions) {
        assert_eq!(replay["session_id"], session["id"]);
        assert_eq!(replay["danmaku_count"], 3);
        let part = server.get(&format!("/api/v1/replays/{}/parts/1", replay["id"].as_str().unwrap())).await.expect(200);
        let danmaku = part["danmaku"].as_array().unwrap();
        assert_eq!(looks(danmaku), lines_of(THREE));
    }
    until("nothing is left of the others", async || (replays_on_disk(&server) == KEPT).then_some(())).await;
}

/// Folders in the object store, one a replay: `replays/{room}/{year}/{month}/…`.
fn replays_on_disk(server: &Server) -> usize {
    let mut folders = vec![server.data().join("data/objects/replays").join(ROOM)];
    for _ in ["year", "month", "replay"] {
        let below = |folder: &std::path::PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
        folders = folders.iter().flat_map(below).map(|entry| entry.path()).collect();
    }
    folders.len()
}
