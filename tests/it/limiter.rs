//! More danmaku than anybody can read: the flow limiter thins the stream out, and says so.
//! The quick copy of `tests/load/limiter.rs`, without its flood: for every run of the tests.

use goligoli_tests::sse::Event;
use goligoli_tests::{Account, Scene, Setup, Watch};
use serde_json::Value;
use tokio::task::JoinSet;

const ACCOUNTS: usize = 50;
const POSTS_EACH: usize = 10;
const LAST: &str = "that was that";

#[tokio::test]
async fn what_is_not_shown_is_counted_and_stays_in_the_history() {
    let server = Setup::new().set("PUSH__RATE_PER_S", "20").set("PUSH__BURST", "20").start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, ACCOUNTS).await;
    let mut viewers =
        [Watch::guest().open(&server, &scene.room).await, Watch::by(&accounts[0]).open(&server, &scene.room).await];
    for viewer in &mut viewers {
        _ = viewer.next("hello").await;
    }
    let mut posting = JoinSet::new();
    for account in accounts {
        let room = scene.room.clone();
        posting.spawn(async move {
            for n in 0..POSTS_EACH {
                _ = account.say(&room, &format!("{} {n}", account.name)).await.expect(201);
            }
        });
    }
    _ = posting.join_all().await;
    let accepted = (ACCOUNTS * POSTS_EACH) as u64;

    let mut seen = Vec::new();
    for viewer in &mut viewers {
        // Totals come at most once a second; the last ones count everything.
        let mut events =
            viewer.through(|event| event.kind == "suppressed" && event.json()["accepted"] == accepted).await;
        if seen.is_empty() {
            // What the streamer says is never sampled out.
            _ = scene.owner.say(&scene.room, LAST).await.expect(201);
        }
        events.extend(viewer.through_text(LAST).await);
        seen.push(events.into_iter().filter(|event| event.id.is_some()).collect::<Vec<Event>>());
    }
    assert_eq!(seen[0], seen[1], "two viewers see the same, in the same order");
    let totals: Vec<Value> = seen[0].iter().filter(|event| event.kind == "suppressed").map(Event::json).collect();
    let count = |totals: &Value, field: &str| totals[field].as_u64().unwrap();
    for one in &totals {
        let sum = count(one, "shown") + count(one, "folded") + count(one, "suppressed");
        assert_eq!(count(one, "accepted"), sum, "{one}");
    }
    let last = totals.last().unwrap();
    let shown: Vec<String> = seen[0].iter().filter_map(Event::text).filter(|text| text != LAST).collect();
    assert_eq!(count(last, "shown"), shown.len() as u64, "what is said to be shown was shown");
    assert!(count(last, "suppressed") > 0 && !shown.is_empty(), "{last}");
    let distinct: std::collections::HashSet<&String> = shown.iter().collect();
    assert_eq!(distinct.len(), shown.len(), "nothing is shown twice");
    assert_eq!(scene.history(&server).await.len() as u64, accepted + 1, "history has all, shown or not");
    // A newcomer is told the same totals.
    let hello = Watch::guest().open(&server, &scene.room).await.next("hello").await.json();
    assert_eq!(&hello["totals"], last);
}
