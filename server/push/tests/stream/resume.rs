use serde_json::json;

use crate::bench::{Bench, Viewer, path, settings};
use push::Settings;

crate::stores::on_every_store!(
    a_viewer_goes_on_where_it_was_also_after_a_kill,
    an_expired_position_gives_one_exact_gap_and_all_that_is_left,
    a_foreign_position_gives_a_gap_without_a_number,
    who_reads_too_slowly_skips_ahead_and_is_told_how_much,
);

/// The number after the epoch.
fn seq(id: &str) -> u64 {
    id.split_once('-').unwrap().1.parse().unwrap()
}

async fn a_viewer_goes_on_where_it_was_also_after_a_kill() {
    let before = Bench::start(settings()).await;
    let mut viewer = before.watch("").await;
    before.say(1..=10).await;
    let mut seen = viewer.next_of("danmaku").await;
    for _ in 0..4 {
        seen = viewer.next_of("danmaku").await;
    }
    let after = before.killed_and_restarted(settings()).await;
    let mut viewer = after.watch(&seen.id.unwrap()).await;
    assert_eq!(viewer.next().await.unwrap().data["resumed"], true);
    after.say(11..=12).await;
    assert_eq!(viewer.numbers_until(12).await, (6..=12).collect::<Vec<_>>());
}

async fn an_expired_position_gives_one_exact_gap_and_all_that_is_left() {
    let bench = Bench::start(Settings { keep_events: 5, ..settings() }).await;
    let mut viewer = bench.watch("").await;
    bench.say([1]).await;
    let seen = viewer.next_of("danmaku").await.id.unwrap();
    bench.say(2..=50).await;
    let mut viewer = bench.watch(&seen).await;
    assert_eq!(viewer.next().await.unwrap().data["resumed"], false);
    let gap = viewer.next().await.unwrap();
    let hello = viewer.next().await.unwrap();
    assert_eq!((gap.event.as_str(), hello.event.as_str()), ("gap", "hello"));
    let first = viewer.next().await.unwrap();
    let missed = seq(first.id.as_ref().unwrap()) - seq(&seen) - 1;
    assert_eq!(gap.data["n"], missed);
    assert_eq!(seq(hello.id.as_ref().unwrap()), seq(first.id.as_ref().unwrap()) - 1);
    let to: i64 = gap.data["to"].as_str().unwrap().split_once('.').unwrap().0.parse().unwrap();
    assert!(to > 1_700_000_000_045, "{}", gap.data);
    assert_eq!(hello.data["danmaku"], json!([]), "what is left follows as events, once");
}

async fn a_foreign_position_gives_a_gap_without_a_number() {
    let bench = Bench::start(settings()).await;
    bench.say(1..=3).await;
    for id in ["1-2", "nonsense", "9999999999999999-1", "-", "💥"] {
        let query = format!("?last_event_id={}", id.replace('💥', "%F0%9F%92%A5"));
        let mut viewer = Viewer::of(bench.open(http::Request::get(path(&query))).await);
        viewer.next_of("welcome").await;
        let gap = viewer.next().await.unwrap();
        assert_eq!((gap.event.as_str(), &gap.data["n"]), ("gap", &json!(null)), "{id}");
        assert_eq!(viewer.next().await.unwrap().event, "hello");
    }
}

async fn who_reads_too_slowly_skips_ahead_and_is_told_how_much() {
    let bench = Bench::start(Settings { keep_events: 10, ..settings() }).await;
    let mut viewer = bench.watch("").await;
    let hello = viewer.next_of("hello").await.id.unwrap();
    bench.say(1..=200).await;
    let gap = viewer.next().await.unwrap();
    assert_eq!(gap.event, "gap");
    let at = viewer.next().await.unwrap();
    assert_eq!(at.event, "hello");
    assert_eq!(seq(&hello) + gap.data["n"].as_u64().unwrap(), seq(&at.id.unwrap()));
    bench.say([201]).await;
    assert_eq!(viewer.numbers_until(201).await.last(), Some(&201));
}

#[tokio::test]
async fn damage_gives_a_new_epoch_never_a_wrong_event() {
    let before = Bench::start(settings()).await;
    let mut viewer = before.watch("").await;
    before.say(1..=5).await;
    viewer.numbers_until(5).await;
    let seen = before.watch("").await.next_of("hello").await.id.unwrap();
    let file = before.folder.path().join("feeds/07/7.feed");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&file, bytes).unwrap();
    let after = before.killed_and_restarted(settings()).await;
    after.retain(9, Default::default()).await;
    let mut viewer = after.watch(&seen).await;
    viewer.next_of("welcome").await;
    let gap = viewer.next().await.unwrap();
    assert_eq!((gap.event.as_str(), &gap.data["n"]), ("gap", &json!(null)));
}
