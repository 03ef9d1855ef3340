//! `goligoli demo` plays real danmaku files, and every line is accounted for; each broadcast
//! is a replay afterwards.

use std::path::Path;

use goligoli_tests::sse::{Item, Parser};
use goligoli_tests::{Server, Setup, Watch, danmaku, until};
use serde_json::Value;

use crate::danmaku_file::{self, Line};

/// The demo's room is the first of its data folder.
const ROOM: &str = "1";
const SPEED: &str = "200";
const PROLOGUE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><i><d p="0.1,1,25,16777215,0,0,a,1">prologue</d></i>"#;

/// What the stream and the history said of a performance.
struct Evening {
    shown: Vec<Line>,
    /// The totals of this performance alone.
    accepted: u64,
    folded: u64,
    suppressed: u64,
    history: Vec<String>,
    /// What the replay of this performance has.
    replayed: Vec<Line>,
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
    let shown: Vec<Line> =
        sorted(events.iter().filter(|event| event.kind == "danmaku").map(|event| line(&event.json())));
    assert_eq!(since("shown"), shown.len() as u64, "what is said to be shown was shown");
    let replayed = replay_of(&server, since("accepted")).await;
    let history = danmaku(&server, ROOM).await;
    let history = history.into_iter().map(|one| one["text"].as_str().unwrap().to_owned());
    Evening {
        shown,
        accepted: since("accepted"),
        folded: since("folded"),
        suppressed: since("suppressed"),
        history: sorted(history.filter(|text| text != "prologue")),
        replayed,
    }
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

/// The lines of the latest broadcast's replay, as its XML has them.
async fn replay_of(server: &Server, lines: u64) -> Vec<Line> {
    let replay = until("the broadcast is a replay", async || {
        let latest = items(server, "replays").await.into_iter().next()?;
        (latest["state"] == "ready" && latest["danmaku_count"] == lines).then_some(latest)
    })
    .await;
    let id = replay["id"].as_str().unwrap();
    danmaku_file::lines_of(&server.get(&format!("/api/v1/replays/{id}/danmaku.xml")).await.text())
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

fn line(danmaku: &Value) -> Line {
    let text = |field: &str| danmaku[field].as_str().unwrap().to_owned();
    let mode = match danmaku["mode"].as_str().unwrap() {
        "scroll" => "scroll",
        "top" => "top",
        "bottom" => "bottom",
        "reverse" => "reverse",
        other => panic!("no mode: {other}"),
    };
    (text("text"), mode, text("color"))
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items
}

async fn every_line_is_accounted_for(name: &str) {
    let Some(folder) = danmaku_file::folder() else {
        println!("skipped: there is no folder ../shared/data/danmaku beside the repository");
        return;
    };
    let file = folder.join(name);
    let lines = danmaku_file::lines(&file);
    let texts = sorted(lines.iter().map(|(text, _, _)| text.clone()));

    // With limits that nothing reaches every line is on the stream, as it stands in the file.
    let whole = play(&file, Setup::new(), lines.len()).await;
    assert_eq!(whole.shown, lines);
    assert_eq!((whole.accepted, whole.folded, whole.suppressed), (lines.len() as u64, 0, 0));
    assert_eq!(whole.history, texts);
    assert_eq!(whole.replayed, lines);

    // With few tokens most are only counted; what is shown is from the file.
    let few = Setup::new().set("PUSH__RATE_PER_S", "20").set("PUSH__BURST", "20");
    let thin = play(&file, few, lines.len()).await;
    assert!(thin.suppressed > 0, "at this speed some must be sampled out");
    assert_eq!(thin.shown.len() as u64 + thin.folded + thin.suppressed, lines.len() as u64);
    let mut rest = lines.iter();
    for shown in &thin.shown {
        assert!(rest.any(|line| line == shown), "{shown:?} is not in the file, or not as often");
    }
    assert_eq!(thin.history, texts, "history has all");
    assert_eq!(thin.replayed, lines, "the replay has all");
}

#[tokio::test]
async fn the_short_file_plays_whole() {
    every_line_is_accounted_for("bilibili-11724691.xml").await;
}

#[tokio::test]
async fn the_long_file_plays_whole() {
    every_line_is_accounted_for("bilibili-580770634.xml").await;
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
    let server = Setup::new().run(demo.collect::<Vec<_>>()).start().await;

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
        assert_eq!(sorted(danmaku.iter().map(line)), danmaku_file::lines_of(THREE));
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
