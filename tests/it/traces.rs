//! Traces, as the real Jaeger has them.

use std::collections::BTreeMap;
use std::time::Duration;

use common::native;
use goligoli_tests::{Account, Scene, Setup, Watch, until};
use serde_json::Value;

/// A span as the query API tells it.
struct Span {
    name: String,
    tags: BTreeMap<String, Value>,
    trace: String,
    id: String,
    parent: Option<String>,
}

/// All spans of a trace, by what Jaeger's query API says; empty before there are any.
async fn spans(jaeger: &str, trace: &str) -> Vec<Span> {
    let Ok(answer) = reqwest::get(format!("{jaeger}/api/traces/{trace}")).await else { return Vec::new() };
    let Ok(found) = answer.json::<Value>().await else { return Vec::new() };
    let spans = found["data"][0]["spans"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let span = |span: &Value| {
        let tags = span["tags"].as_array().cloned().unwrap_or_default();
        let references = span["references"].as_array().cloned().unwrap_or_default();
        let parent = references.iter().find(|reference| reference["refType"] == "CHILD_OF");
        Span {
            name: text(&span["operationName"]),
            tags: tags.iter().map(|tag| (text(&tag["key"]), tag["value"].clone())).collect(),
            trace: text(&span["traceID"]),
            id: text(&span["spanID"]),
            parent: parent.map(|parent| text(&parent["spanID"])),
        }
    };
    spans.iter().map(span).collect()
}

fn fresh(sampled: bool) -> (String, String) {
    let trace = format!("{:032x}", rand::random::<u128>() | 1);
    let header = format!("00-{trace}-{:016x}-0{}", rand::random::<u64>() | 1, u8::from(sampled));
    (trace, header)
}

#[tokio::test]
async fn a_post_is_one_trace_from_the_edge_to_the_database_and_the_viewers() {
    let (Some(otlp), Some(jaeger)) = (native::server("NATIVE_OTLP_URL"), native::server("NATIVE_JAEGER_URL")) else {
        return;
    };
    let jaeger = jaeger.trim_end_matches('/');
    // The log says little: traces are whole all the same. Nobody decides for a trace but who calls.
    let setup = Setup::new().set("TRACES__URL", &otlp).set("TRACES__RATIO", "0").set("LOG__FILTER", "warn");
    let setup = setup.set("GATEWAY__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#);
    let server = setup.start().await;
    let scene = Scene::open(&server).await;
    let account = Account::register(&server, "mei").await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;

    let path = scene.path("/danmaku");
    let post = |header: &str| {
        let request = account.request(reqwest::Method::POST, &path).header("traceparent", header);
        request.json(&serde_json::json!({"text": "traced"})).send()
    };
    let ((unkept, unkept_header), (trace, header)) = (fresh(false), fresh(true));
    assert_eq!(post(&unkept_header).await.unwrap().status(), 201);
    assert_eq!(post(&header).await.unwrap().status(), 201);
    _ = viewer.next("danmaku").await;

    let wanted = ["POST /api/v1/rooms/{id}/danmaku", "Message.post", "Live.standing", "message.commit", "Push.publish"];
    let spans = until("Jaeger has the whole trace", async || {
        let spans = spans(jaeger, &trace).await;
        wanted.iter().all(|name| spans.iter().any(|span| span.name == *name)).then_some(spans)
    })
    .await;
    for span in &spans {
        assert_eq!(span.trace, trace);
        println!("{} <- {:?}", span.name, span.parent);
    }
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let edge = of(wanted[0]);
    let tag = |name: &str| edge.tags.get(name).cloned().unwrap_or_default();
    assert_eq!(tag("http.request.method"), "POST");
    assert_eq!(tag("http.route"), "/api/v1/rooms/{id}/danmaku");
    assert_eq!(tag("http.response.status_code"), 201);
    assert_eq!(tag("url.path"), path);
    assert_eq!(tag("span.kind"), "server");
    let insert = of("INSERT danmaku");
    assert_eq!(insert.tags["db.system.name"], "sqlite");
    assert_eq!(insert.tags["db.collection.name"], "danmaku");
    assert_eq!(insert.parent.as_deref(), Some(of("message.commit").id.as_str()));
    assert!(!insert.tags["db.query.text"].as_str().unwrap().contains("traced"), "no value is in a statement");
    assert!(spans.iter().all(|span| span.name != "RPC"), "every call has its name");

    // Every span has its place: up from each of them is the edge.
    for span in &spans {
        let mut at = span;
        for _ in 0..20 {
            let Some(up) = spans.iter().find(|up| Some(&up.id) == at.parent.as_ref()) else { break };
            at = up;
        }
        assert_eq!(at.name, wanted[0], "{} hangs in the air", span.name);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(self::spans(jaeger, &unkept).await.is_empty(), "what the caller does not keep is not kept");
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nothing() {
    let setup = Setup::new().set("TRACES__URL", "http://127.0.0.1:9").set("TRACES__RATIO", "1");
    let mut server = setup.set("LOG__FORMAT", "json").start().await;
    let scene = Scene::open(&server).await;
    for n in 0..20 {
        _ = scene.owner.say(&scene.room, &format!("line {n}")).await.expect(201);
    }
    until("it is said once", async || server.logged().contains("traces are lost").then_some(())).await;
    let stopping = std::time::Instant::now();
    assert!(server.terminate().await.success());
    assert!(stopping.elapsed() < Duration::from_secs(6), "{:?}", stopping.elapsed());
    assert_eq!(server.logged().matches("traces are lost").count(), 1);
}
