//! What works, and in which form it answers.

use http::Method;

use crate::support::{JPEG, Site};

#[tokio::test]
async fn what_is_made_says_where_it_is() {
    let site = Site::start();
    let ask = |path: &str, body: &str| site.post(path).bearer(21).json(body).send();
    let room = ask("/api/v1/rooms", r#"{"title":"a"}"#).await.status(201);
    assert_eq!((room.header("location"), &room.json()["id"]), ("/api/v1/rooms/7", &"7".into()));
    let danmaku = ask("/api/v1/rooms/7/danmaku", r##"{"text":" 哈 ","color":"#FFD302"}"##).await.status(201);
    assert_eq!(danmaku.header("location"), "/api/v1/rooms/7/danmaku/9001");
    let body = danmaku.json();
    assert_eq!((&body["text"], &body["color"], &body["mode"]), (&"哈".into(), &"#ffd302".into(), &"scroll".into()));
    assert_eq!(body["sent_at"], "2026-09-21T14:13:20.000Z");
    let session = ask("/api/v1/rooms/7/sessions", "").await.status(201);
    assert_eq!(session.header("location"), "/api/v1/rooms/7/sessions/301");
    let same = site.get(session.header("location")).send().await.status(200);
    assert_eq!(same.json(), session.json());
    let asked = site.behind.asked().pop().unwrap();
    assert_eq!(asked, "GetSession { room: RoomId(7), session: SessionId(301) }");
    assert_eq!(ask("/api/v1/rooms/7/stream-key", "").await.status(200).json()["stream_key"], "shown-once");
}

#[tokio::test]
async fn queries_reach_the_service_as_they_were_meant() {
    let site = Site::start();
    for (path, expected) in [
        ("/api/v1/rooms", "ListRooms { live: false, search: None, owner: None, cursor: None, limit: 50 }"),
        (
            "/api/v1/rooms?live=true&search=%E5%A4%9C%20%26&owner=21&cursor=c&limit=100",
            "ListRooms { live: true, search: Some(\"夜 &\"), owner: Some(UserId(21)), cursor: Some(\"c\"), limit: 100 }",
        ),
        ("/api/v1/rooms/7/danmaku", "from: Latest, session: None, sender: None, limit: 50"),
        (
            "/api/v1/rooms/7/danmaku?before=5.1&limit=200",
            "from: Before(\"5.1\"), session: None, sender: None, limit: 200",
        ),
        (
            "/api/v1/rooms/7/danmaku?after=5.1&session=3&sender=2",
            "session: Some(SessionId(3)), sender: Some(UserId(2))",
        ),
        ("/api/v1/rooms/7/sessions?cursor=x&limit=1", "cursor: Some(\"x\"), limit: 1"),
    ] {
        site.get(path).send().await.status(200);
        let asked = site.behind.asked().pop().unwrap();
        assert!(asked.contains(expected), "{asked}");
    }
}

#[tokio::test]
async fn a_device_is_called_what_it_or_its_software_says() {
    let site = Site::start();
    let login = |body: &str| site.post("/api/v1/auth/login").header("user-agent", "Firefox/140").json(body).send();
    login(r#"{"name":"mei","password":"12345678"}"#).await.status(200);
    login(r#"{"name":"mei","password":"12345678","device_name":"my phone"}"#).await.status(200);
    let asked = site.behind.asked();
    assert!(asked[0].contains("device_name: \"Firefox/140\"") && asked[1].contains("device_name: \"my phone\""));
    assert!(!asked.concat().contains("12345678"), "no secret in Debug");
}

#[tokio::test]
async fn nothing_is_cached_but_covers() {
    let site = Site::start();
    for path in ["/api/v1/rooms", "/api/v1/me", "/api/v1/rooms/7/danmaku", "/api/v1/users/21"] {
        assert_eq!(site.get(path).bearer(21).send().await.status(200).header("cache-control"), "no-store", "{path}");
    }
    let cover = site.get("/api/v1/rooms/7/cover").send().await.status(200);
    assert_eq!((cover.header("content-type"), cover.body.as_slice()), ("image/jpeg", JPEG));
    assert_eq!(cover.header("cache-control"), "public, no-cache");
    assert_eq!(cover.header("x-content-type-options"), "nosniff");
    let lasting = "public, max-age=31536000, immutable";
    assert_eq!(site.get("/api/v1/rooms/7/cover?v=2").send().await.header("cache-control"), lasting);
    assert_eq!(site.get("/api/v1/rooms/7/cover?v=1").send().await.header("cache-control"), "public, no-cache");
    let same = site.get("/api/v1/rooms/7/cover").header("if-none-match", "\"1\", \"2\"").send().await.status(304);
    assert!(same.body.is_empty());
    site.get("/api/v1/rooms/7/cover").header("if-none-match", "\"1\"").send().await.status(200);
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_can_read_that() {
    let site = Site::start();
    let plain = site.get("/api/v1/rooms").send().await.status(200);
    let packed = site.get("/api/v1/rooms").header("accept-encoding", "gzip").send().await.status(200);
    assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), ("", "gzip"));
    assert!(packed.body.len() * 5 < plain.body.len());
    let cover = site.get("/api/v1/rooms/7/cover").header("accept-encoding", "gzip").send().await.status(200);
    assert_eq!(cover.header("content-encoding"), "");
}

#[tokio::test]
async fn the_top_rooms_are_asked_for_by_something_that_can_be_counted() {
    let site = Site::start();
    let path = "/api/v1/stats/rooms";
    site.get(path).send().await.problem(401, "not-signed-in");
    for by in ["", "?by=viewers", "?by=suppressed"] {
        let answer = site.get(&format!("{path}{by}")).bearer(21).send().await.status(200);
        assert_eq!((answer.header("cache-control"), &answer.json()["items"][0]["room_id"]), ("no-store", &"7".into()));
    }
    let asked = site.behind.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    for (asked, by) in asked.iter().zip(["Viewers", "Viewers", "Suppressed"]) {
        assert_eq!(asked, &format!("TopRooms {{ caller: Caller(***), by: {by} }}"));
    }
    for bad in ["?by=", "?by=likes", "?by=Viewers", "?by=viewers&by=shown", "?limit=7"] {
        site.get(&format!("{path}{bad}")).bearer(21).send().await.problem(400, "malformed-request");
    }
    site.behind.refuse(idl::Refusal::new(idl::Code::NotAllowed, "not you"));
    site.get(path).bearer(21).send().await.problem(403, "not-allowed");
}

#[tokio::test]
async fn operators_see_how_it_is() {
    let site = Site::start();
    assert_eq!(site.get("/healthz").send().await.status(200).json()["status"], "ok");
    site.platform.health.report("db", Ok(()));
    // Red until it is known which log-ins have ended.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(5);
    while site.platform.health.parts()["revocations"].is_err() {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", site.platform.health.parts());
        tokio::task::yield_now().await;
    }
    // After that a push that is away is told, and is no reason to send everybody elsewhere.
    let away = idl::Refusal::new(idl::Code::Unavailable, "push is away");
    site.platform.health.report("db", Ok(()));
    site.behind.refuse_only("FollowRevocations", away);
    while site.platform.health.degraded().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "it is told that push is away");
        tokio::task::yield_now().await;
    }
    assert_eq!(site.get("/readyz").send().await.status(200).json()["parts"]["revocations"], "degraded: push is away");
    assert_eq!(site.get("/readyz").send().await.status(200).json()["parts"]["db"], "ok");
    site.platform.health.report("disk", Err("full".to_owned()));
    let red = site.get("/readyz").send().await.problem(503, "unavailable");
    assert_eq!(red.json()["detail"], "disk: full");
    site.get("/healthz").send().await.status(200);
    site.platform.health.report("disk", Ok(()));
    site.platform.lifecycle.soft().cancel();
    assert_eq!(site.get("/readyz").send().await.problem(503, "unavailable").json()["detail"], "process: stopping");

    common::telemetry::metrics();
    site.get("/api/v1/rooms/7").send().await.status(200);
    // The public listener has none, the operators' has them.
    site.get("/metrics").send().await.problem(404, "no-such-path");
    let metrics = site.ask_operators("/metrics").await.status(200);
    assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("route=\"/api/v1/rooms/{id}\""), "{text}");
    assert!(!text.contains("/api/v1/rooms/7"), "no ids in labels");
}

#[tokio::test]
async fn patches_leave_what_they_do_not_name() {
    let site = Site::start();
    let patch = site.ask(Method::PATCH, "/api/v1/rooms/7").bearer(21).json(r#"{"title":"b"}"#).send().await;
    patch.status(200);
    let asked = site.behind.asked().pop().unwrap();
    assert!(asked.contains("title: Some(\"b\"), description: None, category: None"), "{asked}");
    assert!(asked.contains("Caller(***)"), "{asked}");
}
