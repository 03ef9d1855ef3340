//! What those who operate the site see of the streams, and how often a stream may be opened.

use std::collections::BTreeMap;

use goligoli_tests::sse::Item;
use goligoli_tests::{Account, Answer, Scene, Server, Setup, Watch, free_port, until};
use serde_json::{Value, json};

const VIEWERS: u64 = 3;
const POSTERS: usize = 10;

/// The operators' listener of a server that has one.
pub(crate) struct Ops(u16);

impl Ops {
    pub(crate) fn setup() -> (Self, Setup) {
        let ops = Self(free_port());
        let setup =
            Setup::new().alone().set("OPS__ENABLED", "true").set("OPS__LISTEN", &format!("127.0.0.1:{}", ops.0));
        (ops, setup)
    }

    /// The metrics, by name with labels.
    pub(crate) async fn metrics(&self, server: &Server) -> BTreeMap<String, f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.0);
        let text = Answer::to(server.client().get(url)).await.text();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let pair = |line: &str| line.rsplit_once(' ').map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
        lines.map(|line| pair(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn the_operators_see_what_the_viewers_did() {
    let (ops, setup) = Ops::setup();
    let server = setup.set("PUSH__RATE_PER_S", "2").set("PUSH__BURST", "2").start().await;
    let scene = Scene::open(&server).await;
    let posters = Account::seed(&server, POSTERS).await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let mut viewer = Watch::guest().open(&server, &scene.room).await;
        _ = viewer.next("hello").await;
        viewers.push(viewer);
    }
    let posts = posters.iter().map(|poster| poster.say(&scene.room, &poster.name));
    for answer in futures::future::join_all(posts).await {
        _ = answer.expect(201);
    }
    let mut totals = Value::Null;
    for viewer in &mut viewers {
        let events = viewer.through(|event| event.kind == "suppressed" && event.json()["accepted"] == POSTERS).await;
        totals = events.last().unwrap().json();
    }
    assert!(totals["suppressed"].as_u64() > Some(0), "{totals}");

    let path = "/api/v1/stats/rooms";
    server.get(path).await.refused(401, "not-signed-in");
    scene.owner.get(path).await.refused(403, "not-allowed");
    _ = Account::register(&server, "boss").await;
    assert!(server.operate(&["admin", "grant", "boss"]).await.ok);
    let boss = Account::log_in(&server, "boss", Account::PASSWORD).await;
    boss.get(&format!("{path}?by=likes")).await.refused(400, "malformed-request");
    let top = boss.get(&format!("{path}?by=suppressed")).await.expect(200);
    assert_eq!((&top["by"], top["items"].as_array().unwrap().len()), (&json!("suppressed"), 1));
    let room = &top["items"][0];
    assert_eq!((&room["room_id"], &room["title"]), (&json!(scene.room), &json!("The room")));
    for field in ["accepted", "shown", "folded", "suppressed"] {
        assert_eq!(room[field], totals[field], "{field}: {room} {totals}");
    }
    // What was shown, and the totals, to each of them.
    let deliveries = room["deliveries"].as_u64().unwrap();
    assert!(deliveries >= VIEWERS * (totals["shown"].as_u64().unwrap() + 1), "{room}");
    assert_eq!((&room["gaps"], &room["missed"]), (&json!(0), &json!(0)));

    // House keeping tells the metrics every two seconds.
    let metrics = until("the metrics have the danmaku", async || {
        let metrics = ops.metrics(&server).await;
        let danmaku = |outcome| metrics.get(&format!("goligoli_push_danmaku_total{{outcome=\"{outcome}\"}}")).copied();
        let told = ["shown", "folded", "suppressed"].map(danmaku);
        let known = ["shown", "folded", "suppressed"].map(|outcome| totals[outcome].as_f64());
        (told == known && metrics["goligoli_push_streams"] == VIEWERS as f64).then_some(metrics)
    })
    .await;
    assert!(metrics["goligoli_push_deliveries_total"] >= deliveries as f64);
    assert_eq!(metrics["goligoli_push_lag_seconds_count"], metrics["goligoli_push_deliveries_total"]);
    assert_eq!(
        metrics["goligoli_push_lag_seconds_bucket{le=\"+Inf\"}"],
        metrics["goligoli_push_lag_seconds_bucket{le=\"10\"}"],
        "nothing comes ten seconds late here"
    );
    assert_eq!((metrics["goligoli_push_gaps_total"], metrics["goligoli_push_missed_total"]), (0.0, 0.0));
    // One more opened the room.
    assert_eq!(metrics["goligoli_push_streams_opened_total"], (VIEWERS + 1) as f64);
    assert_eq!(metrics["goligoli_push_rooms"], 1.0);
    assert_eq!(metrics["goligoli_push_streams_refused_total{reason=\"full\"}"], 0.0, "it is there before it happens");
    let full = metrics["goligoli_push_fullest_ring_ratio"];
    assert!(metrics["goligoli_push_ring_events"] > 2.0 && full > 0.0 && full < 0.1, "{full}");
    server.get("/metrics").await.refused(404, "no-such-path");
}

#[tokio::test]
async fn who_opens_streams_too_often_is_asked_to_come_back() {
    const BURST: usize = 3;
    let (ops, setup) = Ops::setup();
    let setup = setup.set("PUSH__OPENS_PER_ADDRESS__BURST", "3").set("PUSH__OPENS_PER_ADDRESS__PER_MINUTE", "1");
    let mut server = setup.unset("GATEWAY__LIMITS__EXEMPT").start().await;
    let scene = Scene::open(&server).await; // one stream
    for _ in 1..BURST {
        _ = Watch::guest().open(&server, &scene.room).await.next("hello").await;
    }
    for _ in 0..2 {
        // Not an error: an EventSource would give up.
        let items = Watch::guest().open(&server, &scene.room).await.to_end().await;
        assert!(matches!(items[..], [Item::Retry(ms)] if (1_000..=16_000).contains(&ms)), "{items:?}");
    }
    assert_eq!(ops.metrics(&server).await["goligoli_push_streams_refused_total{reason=\"address\"}"], 2.0);

    server.reconfigure(|setup| setup.set("GATEWAY__LIMITS__EXEMPT", r#"["127.0.0.0/8"]"#));
    server.restart().await;
    for _ in 0..3 * BURST {
        _ = Watch::guest().open(&server, &scene.room).await.next("hello").await;
    }
}
