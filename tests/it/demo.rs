//! `goligoli demo` plays real danmaku files, and every line is accounted for.

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
    let history = danmaku(&server, ROOM).await;
    let history = history.into_iter().map(|one| one["text"].as_str().unwrap().to_owned());
    Evening {
        shown,
        accepted: since("accepted"),
        folded: since("folded"),
        suppressed: since("suppressed"),
        history: sorted(history.filter(|text| text != "prologue")),
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
}

#[tokio::test]
async fn the_short_file_plays_whole() {
    every_line_is_accounted_for("bilibili-11724691.xml").await;
}

#[tokio::test]
async fn the_long_file_plays_whole() {
    every_line_is_accounted_for("bilibili-580770634.xml").await;
}
