//! Every way to ask wrongly has its status and a problem, and reaches no service.

use axum::body::Body;
use http::Method;

use crate::support::Site;

const ROOMS: &str = "/api/v1/rooms";
const POSTS: &str = "/api/v1/rooms/7/danmaku";

#[tokio::test]
async fn malformed_paths_and_queries() {
    let site = Site::start();
    for path in [
        "/api/v1/rooms/abc",
        "/api/v1/rooms/0",
        "/api/v1/rooms/007",
        "/api/v1/rooms/-1",
        "/api/v1/rooms/12345678901234567",
        "/api/v1/rooms/%ff",
        "/api/v1/rooms/7%00",
        "/api/v1/rooms/%F0%9F%98%80/cover",
        "/api/v1/rooms/7/danmaku/x",
        "/api/v1/users/x",
        "/api/v1/rooms?limit=0",
        "/api/v1/rooms?limit=101",
        "/api/v1/rooms?limit=-1",
        "/api/v1/rooms?limit=ten",
        "/api/v1/rooms?limit=4294967296",
        "/api/v1/rooms?limit=1&limit=2",
        "/api/v1/rooms?live=1",
        "/api/v1/rooms?owner=mei",
        "/api/v1/rooms?lve=true",
        "/api/v1/rooms/7/cover?w=1",
        "/api/v1/rooms/7/sessions?limit=101",
        "/api/v1/rooms/7/danmaku?limit=201",
        "/api/v1/rooms/7/danmaku?session=x",
        "/api/v1/rooms/7/danmaku?before=1.1&after=1.1",
    ] {
        site.get(path).send().await.problem(400, "malformed-request");
    }
    assert!(site.behind.asked().is_empty());
}

#[tokio::test]
async fn malformed_bodies() {
    let site = Site::start();
    for body in ["", "{", "nonsense", "{\"title\":\"a\"}{}", "{\"title\":\"\\ud800\"}", "{\"title\":1e999}"] {
        site.post(ROOMS).bearer(21).json(body).send().await.problem(400, "malformed-request");
    }
    let invalid_utf8 = Body::from(b"{\"title\":\"\xff\"}".to_vec());
    let ask = site.post(ROOMS).bearer(21).header("content-type", "application/json").body(invalid_utf8);
    ask.send().await.problem(400, "malformed-request");
    assert!(site.behind.asked().is_empty());
}

#[tokio::test]
async fn wrong_values_are_pointed_at() {
    let site = Site::start();
    let hundred_and_one = format!("{{\"text\":\"{}\"}}", "字".repeat(101));
    for (body, pointer) in [
        ("{}", ""),
        ("[]", ""),
        ("[\"hi\"]", ""),
        ("null", ""),
        ("{\"text\":null}", "/text"),
        ("{\"text\":7}", "/text"),
        ("{\"text\":\"  \"}", "/text"),
        ("{\"text\":\"a\\u0000b\"}", "/text"),
        ("{\"text\":\"a\\u202eb\"}", "/text"),
        (hundred_and_one.as_str(), "/text"),
        ("{\"text\":\"a\",\"color\":\"red\"}", "/color"),
        ("{\"text\":\"a\",\"mode\":\"sideways\"}", "/mode"),
        ("{\"text\":\"a\",\"type\":\"gift\"}", "/type"),
        ("{\"text\":\"a\",\"text\":\"b\"}", ""),
    ] {
        let answer = site.post(POSTS).bearer(21).json(body).send().await.problem(422, "invalid-field");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}: {}", answer.json());
    }
    let rules = site.ask(Method::PUT, "/api/v1/rooms/7/rules").bearer(21).json("[]").send().await;
    rules.problem(422, "invalid-field");
    for rate in ["0", "-1", "1.5", "\"x\"", "4294967296", "true", "[50]"] {
        let body = format!("{{\"danmaku_per_s\":{rate}}}");
        let rules = site.ask(Method::PUT, "/api/v1/rooms/7/rules").bearer(21).json(&body).send().await;
        assert_eq!(rules.problem(422, "invalid-field").json()["errors"][0]["pointer"], "/danmaku_per_s", "{rate}");
    }
    let span = site.ask(Method::PUT, "/api/v1/rooms/7/mutes/22").bearer(21).json(r#"{"span":"later"}"#).send().await;
    assert_eq!(span.problem(422, "invalid-field").json()["errors"][0]["pointer"], "/span");
    assert!(site.behind.asked().is_empty());
}

#[tokio::test]
async fn media_types_and_sizes() {
    let site = Site::start();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application", "application/jsonp", ""] {
        let ask = site.post(ROOMS).bearer(21).header("content-type", media_type).body("{\"title\":\"a\"}");
        ask.send().await.problem(415, "unsupported-media-type");
    }
    site.post(ROOMS).bearer(21).body("{\"title\":\"a\"}").send().await.problem(415, "unsupported-media-type");
    let large = format!("{{\"title\":\"{}\"}}", "a".repeat(64 << 10));
    site.post(ROOMS).bearer(21).json(&large).send().await.problem(413, "too-large");
    let announced = site.post(ROOMS).bearer(21).header("content-length", "99999999999").json("{}");
    announced.send().await.problem(413, "too-large");

    let cover = |media_type: &'static str, bytes: usize| {
        let ask = site.ask(Method::PUT, "/api/v1/rooms/7/cover").bearer(21).header("content-type", media_type);
        ask.body(vec![0u8; bytes]).send()
    };
    cover("image/gif", 10).await.problem(415, "unsupported-media-type");
    cover("image/png", (2 << 20) + 1).await.problem(413, "too-large");
    assert!(site.behind.asked().is_empty());
    cover("IMAGE/PNG; x=y", 2 << 20).await.status(200);
    assert_eq!(site.behind.asked(), ["SetCover { 2097152 bytes }"]);
}

#[tokio::test]
async fn idempotency_keys() {
    let site = Site::start();
    for bad in ["", "a b", "\"a", "\"\"", "ключ", &"x".repeat(65)] {
        let ask = site.post(POSTS).bearer(21).header("idempotency-key", bad).json(r#"{"text":"a"}"#);
        ask.send().await.problem(400, "malformed-request");
    }
    let twice = site.post(POSTS).bearer(21).header("idempotency-key", "a").header("idempotency-key", "b");
    twice.json(r#"{"text":"a"}"#).send().await.problem(400, "malformed-request");
    assert!(site.behind.asked().is_empty());
    for good in ["a-1", "\"a-1\""] {
        let ask = site.post(POSTS).bearer(21).header("idempotency-key", good).json(r#"{"text":"a"}"#);
        ask.send().await.status(201);
        assert!(site.behind.asked().last().unwrap().contains("key: Some(IdempotencyKey(\"a-1\"))"));
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let site = Site::start();
    for path in
        ["/api", "/api/", "/api/v1", "/api/v2/rooms", "/api/v1/rooms/", "/api/v1/rooms/7/x", "/api/v1/docs/x.js"]
    {
        site.get(path).header("accept", "text/html").send().await.problem(404, "no-such-path");
        site.ask(Method::DELETE, "/api/v1/nothing").send().await.problem(404, "no-such-path");
    }
    let answer = site.ask(Method::DELETE, ROOMS).send().await.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    let odd = Method::from_bytes(b"BREW").unwrap();
    let answer = site.ask(odd, "/api/v1/rooms/7").send().await.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD,PATCH");
    site.post("/healthz").send().await.problem(405, "method-not-allowed");
    let options = site.ask(Method::OPTIONS, ROOMS).send().await.status(204);
    assert_eq!(options.header("allow"), "GET,HEAD,POST");
    let head = site.ask(Method::HEAD, ROOMS).send().await.status(200);
    assert!(head.body.is_empty() && head.header("content-type") == "application/json");
}

#[tokio::test]
async fn a_service_that_hangs_costs_two_seconds_and_a_503() {
    let site = Site::start();
    site.behind.hang();
    tokio::time::pause();
    let answer = site.get("/api/v1/rooms/7").send().await.problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_service_s_refusal_arrives_as_it_is() {
    let site = Site::start();
    let refusal = idl::Refusal::new(idl::Code::SlowMode, "wait").retry_after_ms(2_500);
    site.behind.refuse(refusal);
    let answer = site.post(POSTS).bearer(21).json(r#"{"text":"a"}"#).send().await.problem(429, "slow-mode");
    assert_eq!(answer.header("retry-after"), "3");
    assert_eq!(answer.json()["retry_after_ms"], 2_500);
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
}
