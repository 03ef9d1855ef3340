//! What the operator sees of a room's feed.

use goligoli_tests::sse::Event;
use goligoli_tests::{Account, Scene, Server, Setup, Watch, until};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

async fn feed(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let ran = server.operate(&[&["admin", "feed"], arguments].concat()).await;
    assert!(ran.ok, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn refused(server: &Server, arguments: &[&str], why: &str) {
    let ran = server.operate(&[&["admin", "feed"], arguments].concat()).await;
    assert!(!ran.ok && ran.out.is_empty() && ran.err.contains(why), "{arguments:?}: {} {}", ran.out, ran.err);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_else(|| panic!("{field} in {line}"))
}

#[tokio::test]
async fn a_feed_is_listed_as_viewers_get_it_and_when() {
    // More than a page of it; the limiter's totals are events like all others.
    const LINES: usize = 600;
    let mut server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    let accounts = Account::seed(&server, LINES / 100).await;
    for _ in 0..LINES / accounts.len() {
        let say = accounts.iter().map(|account| account.say(&scene.room, "one of many"));
        for answer in futures::future::join_all(say).await {
            _ = answer.expect(201);
        }
    }
    let streamers = scene.owner.say(&scene.room, "the last word").await.expect(201);
    let streamers = format!("danmaku:{}", text(&streamers, "id"));
    // Either may come first: they take different ways.
    let (mut said, mut counted) = (false, false);
    let both = |event: &Event| {
        said |= event.text().as_deref() == Some("the last word");
        counted |= event.kind == "suppressed" && event.json()["accepted"] == LINES;
        said && counted
    };
    let seen = viewer.through(both).await;
    let seen: Vec<(String, String)> =
        seen.into_iter().filter_map(|event| Some((event.id.clone()?, event.kind))).collect();

    let lines = feed(&server, &[&scene.room]).await;
    let listed: Vec<(String, String)> =
        lines.iter().map(|line| (text(line, "id").to_owned(), text(line, "event").to_owned())).collect();
    let from = listed.iter().position(|one| one == &seen[0]).unwrap();
    assert_eq!(listed[from..from + seen.len()], seen, "as viewers got it");
    for line in &lines {
        let (at, appended) = (line["at_ms"].as_i64().unwrap(), line["appended_ms"].as_i64().unwrap());
        assert!(appended >= at && appended - at < 60_000, "{line}");
        assert!(line["bytes"].as_u64().unwrap() > 20, "{line}");
    }
    assert!(lines.is_sorted_by_key(|line| line["appended_ms"].as_i64()));
    for line in &lines {
        let is_ordinary = line["event"] == "danmaku" && line["source"] != streamers;
        assert_eq!(line["lane"], if is_ordinary { "ordinary" } else { "guaranteed" }, "{line}");
    }
    assert_eq!(lines.iter().filter(|line| line["lane"] == "ordinary").count(), LINES, "all of it passes here");
    let sources: std::collections::HashSet<&str> = lines.iter().map(|line| text(line, "source")).collect();
    assert_eq!(sources.len(), lines.len());

    let middle = text(&lines[lines.len() / 2], "id");
    assert_eq!(feed(&server, &[&scene.room, "--after", middle]).await, lines[lines.len() / 2 + 1..]);
    assert_eq!(feed(&server, &[&scene.room, "--after", text(lines.last().unwrap(), "id")]).await.len(), 0);
    let foreign = feed(&server, &[&scene.room, "--after", "1-1"]).await;
    assert_eq!(foreign[0], json!({"gap": null}));
    assert_eq!(foreign[1..], lines, "what follows is all there is");
    refused(&server, &["999999"], "room 999999 has no feed").await;
    refused(&server, &[&scene.room, "--after", "yesterday"], "no event's id").await;

    // On the folder, after a kill, the same.
    server.kill9().await;
    assert_eq!(feed(&server, &[&scene.room]).await, lines);
    assert_eq!(feed(&server, &[&scene.room, "--after", middle]).await, lines[lines.len() / 2 + 1..]);
    refused(&server, &["999999"], "room 999999 has no feed").await;
    refused(&server, &[&scene.room, "--follow"], "no server runs").await;
}

struct Follower {
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Follower {
    fn begin(server: &Server, room: &str) -> Self {
        let mut process = server.begin(&["admin", "feed", room, "--follow"]);
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { lines, _process: process }
    }

    /// Reads up to an event with this source.
    async fn through(&mut self, source: &str) {
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if text(&serde_json::from_str(&line).unwrap(), "source") == source {
                    return;
                }
            }
            panic!("the command ended");
        };
        goligoli_tests::in_time(goligoli_tests::DEADLINE, "the event", found).await;
    }
}

#[tokio::test]
async fn a_feed_is_followed_and_who_left_takes_no_place() {
    let server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let say = async |what: &str| {
        let danmaku = scene.owner.say(&scene.room, what).await.expect(201);
        format!("danmaku:{}", text(&danmaku, "id"))
    };
    // More than are carried out at once, one after the other.
    for n in 0..12 {
        let mut follower = Follower::begin(&server, &scene.room);
        follower.through(&say(&format!("before {n}")).await).await;
        follower.through(&say(&format!("after {n}")).await).await;
    }
    until("a command has its turn", async || server.operate(&["admin", "grant", "streamer"]).await.ok.then_some(()))
        .await;
}
