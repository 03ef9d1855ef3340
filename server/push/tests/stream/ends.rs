use std::time::Duration;

use common::buckets::Rate;
use http::{Request, header};
use http_body_util::BodyExt as _;
use idl::access::SiteRole;
use idl::event::RoomRules;
use idl::{DeviceId, UserId};
use push::Settings;

use crate::bench::{Bench, Viewer, path, settings};

fn token(bench: &Bench, device: u64) -> String {
    let hour = Duration::from_secs(3_600);
    bench.signer.sign(UserId(1), "mei", SiteRole::Member, DeviceId(device), hour).unwrap().0
}

fn from(address: &str) -> http::request::Builder {
    let peer = std::net::SocketAddr::new(address.parse().unwrap(), 1);
    Request::get(path("")).extension(axum::extract::ConnectInfo(peer))
}

async fn bye(viewer: &mut Viewer) -> serde_json::Value {
    let bye = viewer.next_of("bye").await;
    assert_eq!((bye.id, viewer.next().await), (None, None), "bye has no id and is the last");
    bye.data
}

#[tokio::test]
async fn a_log_in_that_ends_takes_its_streams_along() {
    let bench = Bench::start(settings()).await;
    let bearer =
        |device| Request::get(path("")).header(header::AUTHORIZATION, format!("Bearer {}", token(&bench, device)));
    let mut gone = Viewer::of(bench.open(bearer(1)).await);
    let mut stays = Viewer::of(bench.open(bearer(2)).await);
    assert_eq!(gone.next().await.unwrap().data["user_id"], "1");
    stays.next_of("hello").await;
    bench.platform.verifier.revocations().revoke(DeviceId(1), i64::MAX);
    let bye = bye(&mut gone).await;
    assert_eq!((&bye["reason"], &bye["reconnect_in_ms"]), (&"revoked".into(), &serde_json::Value::Null));
    bench.say([1]).await;
    stays.numbers_until(1).await;
    assert_eq!(bench.open(bearer(1)).await.status(), 401);
    let cookie = Request::get(path("")).header(header::COOKIE, format!("goligoli_access={}", token(&bench, 1)));
    let mut guest = Viewer::of(bench.open(cookie).await);
    assert!(guest.next().await.unwrap().data["user_id"].is_null(), "a dead cookie makes a guest");
}

#[tokio::test]
async fn guests_are_let_in_and_out_by_the_room() {
    let bench = Bench::start(settings()).await;
    let mut guest = bench.watch("").await;
    guest.next_of("hello").await;
    bench.retain(2, RoomRules { guests: false, ..RoomRules::default() }).await;
    bench.say([1]).await;
    assert_eq!(bye(&mut guest).await["reason"], "guests_out");
    assert_eq!(bench.open(Request::get(path(""))).await.status(), 401);
}

#[tokio::test]
async fn a_lease_ends_and_a_stop_says_bye() {
    let bench = Bench::start(Settings { lease_min_ms: 30, lease_max_ms: 60, ..settings() }).await;
    let lease = bye(&mut bench.watch("").await).await;
    assert_eq!(lease["reason"], "lease");
    assert!(lease["reconnect_in_ms"].as_u64().unwrap() <= 100);

    let bench = Bench::start(settings()).await;
    let mut viewer = bench.watch("").await;
    viewer.next_of("hello").await;
    bench.platform.lifecycle.soft().cancel();
    assert_eq!(bye(&mut viewer).await["reason"], "draining");
    let turned_away = bench.open(Request::get(path(""))).await;
    assert_eq!(turned_away.status(), 200, "an EventSource gives up on an error");
    assert_eq!(Viewer::of(turned_away).next().await, None);
}

#[tokio::test]
async fn a_quiet_stream_keeps_its_position_fresh_and_counts_its_viewers() {
    let bench = Bench::start(Settings { heartbeat_ms: 20, ..settings() }).await;
    let mut viewer = bench.watch("").await;
    let hello = viewer.next_of("hello").await.id;
    let beat = viewer.next().await.unwrap();
    assert_eq!((beat.id, beat.event.as_str()), (hello, ""));
    let _second = bench.watch("").await;
    loop {
        if viewer.next_of("viewers").await.data["connections"] == 2 {
            break;
        }
    }
}

#[tokio::test]
async fn max_events_ends_a_stream_and_requests_are_checked() {
    let bench = Bench::start(settings()).await;
    bench.say(1..=3).await;
    let mut viewer = Viewer::of(bench.open(Request::get(path("?max_events=2"))).await);
    assert_eq!(viewer.next().await.unwrap().event, "welcome");
    assert_eq!(viewer.next().await.unwrap().event, "hello");
    assert_eq!(bye(&mut viewer).await["reason"], "complete");
    for (request, status) in [
        (Request::get(path("?max_events=0")), 400),
        (Request::get(path("?max_events=x")), 400),
        (Request::get("/api/v1/rooms/8/events"), 404),
        (Request::get("/api/v1/rooms/abc/events"), 400),
        (Request::post(path("")), 405),
        (Request::get(path("")).header(header::AUTHORIZATION, "Bearer nonsense"), 401),
        (Request::get(path("")).header(header::AUTHORIZATION, "Basic x"), 401),
    ] {
        let response = bench.open(request).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn one_address_has_so_many_streams_and_the_others_theirs() {
    let bench = Bench::start(settings()).await;
    let mut greedy = Vec::new();
    for _ in 0..3 {
        let mut viewer = Viewer::of(bench.open(from("192.0.2.1")).await);
        viewer.next_of("hello").await;
        greedy.push(viewer);
    }
    let mut turned_away = Viewer::of(bench.open(from("192.0.2.1")).await);
    assert_eq!(turned_away.next().await, None, "200, retry, and the end");
    Viewer::of(bench.open(from("192.0.2.2")).await).next_of("hello").await;
    greedy.pop();
    Viewer::of(bench.open(from("192.0.2.1")).await).next_of("hello").await;
}

#[tokio::test]
async fn a_process_holds_so_many_streams_and_asks_the_others_to_come_back() {
    let bench = Bench::start(Settings { max_streams: 1, ..settings() }).await;
    let mut stays = Viewer::of(bench.open(from("192.0.2.1")).await);
    stays.next_of("hello").await;
    let full = bench.open(from("192.0.2.2")).await;
    assert_eq!(full.status(), 200, "an EventSource gives up on an error");
    let said = full.into_body().collect().await.unwrap().to_bytes();
    let retry_ms = std::str::from_utf8(&said).unwrap().strip_prefix("retry: ").and_then(|said| said.split_once('\n'));
    assert!(retry_ms.unwrap().0.parse::<u64>().unwrap() >= 1_000, "{said:?}");
    bench.say([1]).await;
    assert_eq!(stays.numbers_until(1).await, [1], "who was there before stays");
    drop(stays);
    Viewer::of(bench.open(from("192.0.2.3")).await).next_of("hello").await;
}

#[tokio::test]
async fn one_address_opens_so_many_streams_even_if_it_leaves_them_at_once() {
    let opens_per_address = Rate { burst: 5.try_into().unwrap(), per_minute: 1.try_into().unwrap() };
    let bench = Bench::start(Settings { opens_per_address, ..settings() }).await;
    // A /64 is one client.
    for (n, host) in (0..8).zip(["1", "2", "ffff", "1:2"].iter().cycle()) {
        let mut viewer = Viewer::of(bench.open(from(&format!("2001:db8::{host}"))).await);
        assert_eq!(viewer.next().await.map(|event| event.event), (n < 5).then(|| "welcome".to_owned()), "stream {n}");
    }
    Viewer::of(bench.open(from("2001:db8:0:1::1")).await).next_of("hello").await;
}

#[tokio::test]
async fn a_reader_that_is_always_behind_still_ends() {
    let bench = Bench::start(Settings { lease_min_ms: 100, lease_max_ms: 100, ..settings() }).await;
    let mut viewer = bench.watch("").await;
    viewer.next_of("hello").await;
    let begin = tokio::time::Instant::now();
    for n in 1.. {
        bench.say([n]).await;
        if viewer.next().await.unwrap().event == "bye" {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "the lease is forgotten while there is something to read");
    }
}
