//! Traces, as the real Jaeger has them.

use std::net::SocketAddr;
use std::time::Duration;

use common::native;
use goligoli_tests::jaeger::{Span, spans, whole};
use goligoli_tests::lottery::{Lottery, book};
use goligoli_tests::{Account, Answer, Backend, Scene, Server, Setup, Watch, free_port, until};
use reqwest::Method;
use serde_json::{Value, json};

/// A trace of its own for a request: its id, and the header that puts the request in it.
fn fresh(is_sampled: bool) -> (String, String) {
    let trace = format!("{:032x}", rand::random::<u128>() | 1);
    let header = format!("00-{trace}-{:016x}-0{}", rand::random::<u64>() | 1, u8::from(is_sampled));
    (trace, header)
}

const LOTTERY: &str = "POST /api/v1/rooms/{id}/lotteries";
const POST: &str = "POST /api/v1/rooms/{id}/danmaku";

/// A server that traces what its callers want to have traced, and Jaeger's query API; `None`
/// without one.
async fn traced() -> Option<(Server, String)> {
    let (otlp, jaeger) = (native::server("NATIVE_OTLP_URL")?, native::server("NATIVE_JAEGER_URL")?);
    // The log says little: traces are whole all the same. Nobody decides for a trace but who calls.
    let setup = Setup::new().set("TRACES__URL", &otlp).set("TRACES__RATIO", "0").set("LOG__FILTER", "warn");
    let setup = setup.set("GATEWAY__TRUSTED_PROXIES", r#"["127.0.0.0/8"]"#);
    Some((setup.start().await, jaeger))
}

/// The name of a service's process.
fn named(server: &Server, service: &str) -> String {
    if server.is_apart() { format!("goligoli-{service}") } else { "goligoli".to_owned() }
}

fn database(server: &Server) -> &'static str {
    if server.is_apart() { "mariadb" } else { "sqlite" }
}

/// Posts something in a trace.
async fn post_in(header: &str, account: &Account, path: &str, body: &Value) -> Answer {
    Answer::to(account.request(Method::POST, path).header("traceparent", header).json(body)).await
}

#[tokio::test]
async fn a_post_is_one_trace_from_the_edge_to_the_database_and_the_viewers() {
    let Some((server, jaeger)) = traced().await else { return };
    let scene = Scene::open(&server).await;
    let account = Account::register(&server, "mei").await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;

    let path = scene.path("/danmaku");
    let ((unkept, unkept_header), (trace, header)) = (fresh(false), fresh(true));
    let text = json!({"text": "traced"});
    _ = post_in(&unkept_header, &account, &path, &text).await.expect(201);
    _ = post_in(&header, &account, &path, &text).await.expect(201);
    _ = viewer.next("danmaku").await;

    let wanted =
        [POST, "Message.post", "Live.standing", "message.commit", "INSERT danmaku", "Push.publish", "push.write"];
    let trace = whole(&jaeger, &trace, &wanted).await;
    trace.show();
    let tag = |name: &str| trace.of(POST).tags.get(name).cloned().unwrap_or_default();
    assert_eq!(tag("http.request.method"), "POST");
    assert_eq!(tag("http.route"), "/api/v1/rooms/{id}/danmaku");
    assert_eq!(tag("http.response.status_code"), 201);
    assert_eq!(tag("url.path"), path);
    assert_eq!(tag("span.kind"), "server");
    let insert = trace.of("INSERT danmaku");
    assert_eq!(insert.tag("db.system.name"), database(&server));
    assert_eq!(insert.tag("db.collection.name"), "danmaku");
    assert_eq!(insert.parent.as_ref(), Some(&trace.of("message.commit").id));
    assert!(!insert.tag("db.query.text").contains("traced"), "no value is in a statement");
    assert!(trace.0.iter().all(|span| span.name != "RPC"), "every call has its name");
    let write = trace.of("push.write");
    assert!(trace.above(write, "Push.publish").is_some());
    if server.is_apart() {
        let append = trace.0.iter().find(|span| span.tag("db.system.name") == "redis").unwrap();
        assert_eq!((append.name.as_str(), append.tag("span.kind")), ("EVALSHA", "client"));
        assert_eq!(append.parent.as_ref(), Some(&write.id));
        assert_eq!(append.tag("db.operation.name"), "EVALSHA");
        assert!(!append.tag("server.address").is_empty() && append.tags["server.port"].is_u64(), "{append:?}");
    }

    // Each process says who it is.
    assert_eq!(trace.of(POST).service, named(&server, "gateway"));
    assert_eq!(insert.service, named(&server, "message"));
    let served = |name: &str| trace.0.iter().find(|span| span.name == name && span.tag("span.kind") == "server");
    for (call, service) in [("Message.post", "message"), ("Live.standing", "live"), ("Push.publish", "push")] {
        assert_eq!(served(call).unwrap().service, named(&server, service), "{call}");
    }

    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(spans(&jaeger, &unkept).await.is_empty(), "what the caller does not keep is not kept");
}

#[tokio::test]
async fn what_goes_by_the_outbox_is_in_the_trace_of_its_cause() {
    let Some((server, jaeger)) = traced().await else { return };
    let scene = Scene::open(&server).await;
    let (trace, header) = fresh(true);
    _ = post_in(&header, &scene.owner, &scene.path("/danmaku"), &json!({"text": "by the owner"})).await.expect(201);
    let trace =
        whole(&jaeger, &trace, &[POST, "message.commit", "INSERT outbox", "outbox.relay", "Push.publish"]).await;
    trace.show();
    assert!(trace.above(trace.of("outbox.relay"), "Message.post").is_some());
    assert!(trace.above(trace.of("Push.publish"), "outbox.relay").is_some());
}

#[tokio::test]
async fn a_lottery_is_one_trace_from_its_creation_to_the_draw_and_the_viewers() {
    let Some((server, jaeger)) = traced().await else { return };
    let scene = Scene::open(&server).await;
    let account = Account::register(&server, "mei").await;
    let ((unkept, unkept_header), (trace, header)) = (fresh(false), fresh(true));
    let path = scene.path("/lotteries");
    _ = post_in(&unkept_header, &scene.owner, &path, &book(10)).await.expect(201);
    let lottery = Lottery::from(post_in(&header, &scene.owner, &path, &book(10)).await.expect(201));
    _ = lottery.enter(&account).await.expect(201);
    until("it is drawn", async || (lottery.now(&server).await["phase"] == "drawn").then_some(())).await;

    let (published, consumed) = ("publish lottery.draw", "process lottery.draw");
    let wanted = [
        LOTTERY,
        "Lottery.open",
        "INSERT lottery",
        published,
        consumed,
        "UPDATE lottery",
        "INSERT ranking",
        "outbox.relay",
    ];
    let trace = whole(&jaeger, &trace, &wanted).await;
    // The draw is told in a relay of its own, under the message that brought it.
    let told = async || {
        let trace = whole(&jaeger, &trace.0[0].trace, &wanted).await;
        let is_told = |span: &&Span| {
            span.name == "Push.publish" && span.tag("span.kind") == "server" && trace.above(span, consumed).is_some()
        };
        trace.0.iter().any(|span| is_told(&span)).then_some(trace)
    };
    let trace = until("the viewers are in it", told).await;
    trace.show();
    // A wake-up may be sent a second time.
    let consumed = trace.of(consumed);
    let sent = trace.0.iter().find(|span| span.name == published && consumed.parent.as_ref() == Some(&span.id));
    let published = sent.expect("what is consumed is under what was published");
    assert_eq!(published.tag("span.kind"), "producer");
    assert_eq!(consumed.tag("span.kind"), "consumer");
    for span in [published, consumed] {
        assert_eq!(span.tag("messaging.system"), if server.is_apart() { "nsq" } else { "process" });
        assert_eq!(span.tag("messaging.destination.name"), "lottery.draw");
        assert_eq!(span.service, named(&server, "lottery"));
    }
    assert!(trace.above(published, "Lottery.open").is_some());
    let decided = trace.0.iter().find(|span| span.name == "INSERT ranking").unwrap();
    assert_eq!(decided.tag("db.system.name"), database(&server));
    assert!(trace.above(decided, "process lottery.draw").is_some(), "the draw's statements are under its message");
    assert!(spans(&jaeger, &unkept).await.is_empty(), "what the caller does not keep is not kept");
}

#[tokio::test]
async fn a_replay_is_one_trace_from_the_end_of_the_broadcast_to_its_index() {
    let Some((server, jaeger)) = traced().await else { return };
    let scene = Scene::open(&server).await;
    _ = scene.owner.say(&scene.room, "what the replay is of").await.expect(201);
    let (trace, header) = fresh(true);
    let path = scene.path(&format!("/sessions/{}/close", scene.session));
    _ = post_in(&header, &scene.owner, &path, &Value::Null).await.expect(200);
    let edge = "POST /api/v1/rooms/{id}/sessions/{session}/close";
    let wanted = [edge, "publish replay.index", "process replay.index", "Live.replay_indexed"];
    let trace = whole(&jaeger, &trace, &wanted).await;
    trace.show();
    assert_eq!(trace.of("publish replay.index").service, named(&server, "live"));
    assert_eq!(trace.of("process replay.index").service, named(&server, "message"));
    assert!(trace.above(trace.of("process replay.index"), "Live.close").is_some());
    if server.is_apart() {
        let put = trace.of("S3/PutObject");
        assert!(trace.above(put, "process replay.index").is_some());
        assert_eq!((put.tag("rpc.system"), put.tag("rpc.method")), ("aws-api", "PutObject"));
        assert!(put.tag("aws.s3.key").contains("replays/") && !put.tag("aws.s3.bucket").is_empty(), "{put:?}");
        assert!(!put.is_failed() && !put.tag("server.address").is_empty(), "{put:?}");
    }
}

#[tokio::test]
async fn what_fails_is_marked_where_it_failed() {
    let Some((mut server, jaeger)) = traced().await else { return };
    if !server.is_apart() {
        return;
    }
    let scene = Scene::open(&server).await;
    for name in ["message-1", "message-2"] {
        server.site().kill9(name).await;
    }
    let (trace, header) = fresh(true);
    let refused = post_in(&header, &scene.owner, &scene.path("/danmaku"), &json!({"text": "to nobody"})).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    let trace = whole(&jaeger, &trace, &[POST, "Message.post failed"]).await;
    trace.show();
    let (edge, call) = (trace.of(POST), trace.of("Message.post failed"));
    assert!(edge.is_failed() && edge.tag("error.type") == "503", "{edge:?}");
    assert!(call.is_failed() && !call.tag("error.type").is_empty(), "{call:?}");
    assert_eq!((call.service.as_str(), call.tag("span.kind")), ("goligoli-gateway", "client"));
}

#[tokio::test]
async fn a_lottery_that_the_queue_does_not_bring_is_drawn_in_its_trace_too() {
    let (Some(otlp), Some(jaeger)) = (native::server("NATIVE_OTLP_URL"), native::server("NATIVE_JAEGER_URL")) else {
        return;
    };
    let nobody = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    let setup = Setup::new().set("TRACES__URL", &otlp).set("TRACES__RATIO", "0").through(Backend::Nsqd, nobody());
    let server = setup.set("LOG__FILTER", "warn").through(Backend::Lookupd, nobody()).start().await;
    if !server.is_apart() {
        return;
    }
    let scene = Scene::open(&server).await;
    let (trace, header) = fresh(true);
    let opened = post_in(&header, &scene.owner, &scene.path("/lotteries"), &book(10)).await.expect(201);
    let lottery = Lottery::from(opened);
    _ = lottery.enter(&Account::register(&server, "mei").await).await.expect(201);
    until("it is drawn", async || (lottery.now(&server).await["phase"] == "drawn").then_some(())).await;
    let trace = whole(&jaeger, &trace, &[LOTTERY, "publish lottery.draw", "INSERT ranking", "Push.publish"]).await;
    trace.show();
    assert!(trace.of("publish lottery.draw").is_failed());
    let decided = trace.of("INSERT ranking");
    assert!(trace.above(decided, "lottery.due").is_some() && trace.above(decided, "Lottery.open").is_some());
}

#[tokio::test]
async fn a_collector_that_is_away_costs_nothing() {
    let setup = Setup::new().set("TRACES__URL", "http://127.0.0.1:9").set("TRACES__RATIO", "1");
    let mut server = setup.set("LOG__FORMAT", "json").alone().start().await;
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
