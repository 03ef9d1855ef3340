//! Too often is too often, except for whom the operator trusts.

use idl::{Code, Refusal};

use crate::support::{Answer, Site};

fn check_headers(answer: &Answer, policy: &str) {
    assert_eq!(answer.header("ratelimit-policy"), policy);
    let name = policy.split(';').next().unwrap();
    let wait_s: u64 = answer.header("retry-after").parse().unwrap();
    assert_eq!(answer.header("ratelimit"), format!("{name};r=0;t={wait_s}"));
    assert!((1..=60).contains(&wait_s), "{wait_s}");
    let wait_ms = answer.json()["retry_after_ms"].as_u64().unwrap();
    assert_eq!(wait_ms.div_ceil(1_000), wait_s);
}

#[tokio::test]
async fn an_address_may_not_ask_all_the_time() {
    let site = Site::start_with("[limits]\nper_address = { burst = 2, per_minute = 1 }\nexempt = ['198.51.100.0/24']");
    let get = |address: &str| site.get("/api/v1/rooms").from(address).send();
    for _ in 0..2 {
        get("192.0.2.1").await.status(200);
        get("2001:db8::1").await.status(200);
    }
    let refused = get("192.0.2.1").await.problem(429, "rate-limited");
    check_headers(&refused, "\"address\";q=2;w=120");
    get("2001:db8::ffff").await.problem(429, "rate-limited");
    get("2001:db8:0:1::1").await.status(200);
    get("192.0.2.2").await.status(200);
    for _ in 0..9 {
        get("198.51.100.7").await.status(200);
    }
    // Neither an unknown path nor the page is a way around, but health is always told.
    for path in ["/", "/api/v1/nothing", "/api/v1/docs/"] {
        site.get(path).send().await.problem(429, "rate-limited");
    }
    site.get("/healthz").send().await.status(200);
    assert_eq!(site.behind.asked().len(), 4 + 2 + 9);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_counts_not_the_proxy() {
    let site = Site::start_with("[limits]\nper_address = { burst = 1, per_minute = 1 }");
    let get =
        |peer: &str, forwarded: &str| site.get("/api/v1/rooms").from(peer).header("x-forwarded-for", forwarded).send();
    get("10.0.0.1", "192.0.2.1").await.status(200);
    get("10.0.0.1", "192.0.2.2").await.status(200);
    get("10.0.0.2", "192.0.2.1").await.problem(429, "rate-limited");
    get("192.0.2.9", "192.0.2.77").await.status(200);
    get("192.0.2.9", "192.0.2.78").await.problem(429, "rate-limited");
}

#[tokio::test]
async fn signing_in_is_limited_more_strictly() {
    let site = Site::start_with("[limits]\nsign_in_per_address = { burst = 3, per_minute = 6 }");
    let ask = |path: &str, body: &str| site.post(path).json(body).send();
    ask("/api/v1/auth/login", r#"{"name":"mei","password":"12345678"}"#).await.status(200);
    ask("/api/v1/users", r#"{"name":"mei","password":"12345678"}"#).await.status(201);
    ask("/api/v1/auth/login", "nonsense").await.problem(400, "malformed-request");
    let refused = ask("/api/v1/auth/refresh", r#"{"refresh_token":"x"}"#).await.problem(429, "rate-limited");
    check_headers(&refused, "\"sign-in\";q=3;w=30");
    site.get("/api/v1/rooms").send().await.status(200);
}

#[tokio::test]
async fn an_account_may_not_post_or_write_all_the_time() {
    let site = Site::start_with(
        "[limits]\ndanmaku_per_user = { burst = 5, per_minute = 60 }\nwrites_per_user = { burst = 1, per_minute = 1 }\nexempt = ['198.51.100.7/32']",
    );
    let post = |user: u64, address: &str| {
        site.post("/api/v1/rooms/7/danmaku").from(address).bearer(user).json(r#"{"text":"a"}"#).send()
    };
    for n in 0..5 {
        post(21, &format!("192.0.2.{n}")).await.status(201);
    }
    let refused = post(21, "192.0.2.99").await.problem(429, "rate-limited");
    check_headers(&refused, "\"danmaku\";q=5;w=5");
    post(22, "192.0.2.99").await.status(201);
    for _ in 0..9 {
        post(21, "198.51.100.7").await.status(201);
    }
    let write = || site.post("/api/v1/rooms/7/stream-key").bearer(21).send();
    write().await.status(200);
    check_headers(&write().await.problem(429, "rate-limited"), "\"writes\";q=1;w=60");
    site.get("/api/v1/me").bearer(21).send().await.status(200);
}

#[tokio::test]
async fn what_was_accepted_may_be_repeated_past_the_limit() {
    let site = Site::start_with(
        "[limits]\ndanmaku_per_user = { burst = 1, per_minute = 1 }\nwrites_per_user = { burst = 4, per_minute = 1 }",
    );
    let post = || site.post("/api/v1/rooms/7/danmaku").bearer(21).json(r#"{"text":"a"}"#);
    let with_key = || post().header("idempotency-key", "k").send();
    let first = with_key().await.status(201);
    let again = with_key().await.status(201);
    assert_eq!((again.header("location"), again.json()), (first.header("location"), first.json()));
    let asked = site.behind.asked();
    assert!(asked[0].starts_with("PostDanmaku") && asked[1].starts_with("Repeat PostDanmaku"), "{asked:?}");
    post().send().await.problem(429, "rate-limited");
    site.behind.refuse(Refusal::new(Code::KeyReused, "another body"));
    with_key().await.problem(422, "idempotency-key-reused");
    site.behind.refuse(Refusal::new(Code::NoSuchDanmaku, "a new key"));
    check_headers(&with_key().await.problem(429, "rate-limited"), "\"danmaku\";q=1;w=60");
    post().header("idempotency-key", "a b").send().await.problem(400, "malformed-request");
    // Asking for repetitions has an end, too.
    assert_eq!(site.behind.asked().len(), 4);
    check_headers(&with_key().await.problem(429, "rate-limited"), "\"writes\";q=4;w=240");
    assert_eq!(site.behind.asked().len(), 4);
}
