//! How much of the ordinary danmaku a stream shows: what the site, the room and the viewer say.

use http::Request;
use idl::UserId;
use idl::event::RoomRules;
use idl::push::{Lane, Outcome, Publication};

use crate::bench::{Bench, Viewer, danmaku, path, settings};

crate::stores::on_every_store!(
    the_same_text_from_many_is_one_event_with_a_count,
    a_room_sets_its_own_rate_and_takes_it_back,
    the_sites_rate_changes_under_way,
    a_restart_in_a_rush_makes_no_other_burst,
    totals_that_nobody_was_told_before_a_kill_are_told_after_it,
    a_viewer_may_ask_for_less_and_still_gets_every_fact,
    a_rate_that_is_none_is_refused,
);

/// `n` people each say something of their own.
fn crowd(from: u64, n: u64) -> Vec<Publication> {
    (from..from + n).map(danmaku).collect()
}

/// It is shown whatever the rate.
fn fact(n: u64) -> Publication {
    Publication { lane: Lane::Guaranteed, sender: Some(UserId(1)), ..danmaku(n) }
}

fn shown(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| **outcome == Outcome::Appended).count()
}

fn slow() -> push::Settings {
    push::Settings { rate_per_s: 1.try_into().unwrap(), burst: 5.try_into().unwrap(), ..settings() }
}

async fn the_same_text_from_many_is_one_event_with_a_count() {
    let bench = Bench::start(slow()).await;
    let mut viewer = bench.watch("").await;
    let cheer = |n| Publication { data: format!(r#"{{"n":{n},"text":"666"}}"#), ..danmaku(n) };
    let outcomes = bench.publish((1..=40).map(cheer).collect()).await.unwrap();
    assert_eq!(shown(&outcomes), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Folded).count(), 39);
    let event = viewer.next_of("danmaku").await.data;
    assert_eq!((&event["text"], &event["count"]), (&"666".into(), &40.into()));
    let totals = viewer.next_of("suppressed").await.data;
    assert_eq!(totals, serde_json::json!({"accepted": 40, "shown": 1, "folded": 39, "suppressed": 0}));
    // There are tokens for one: it is shown as it was said.
    bench.publish(vec![cheer(41)]).await.unwrap();
    assert_eq!(viewer.next_of("danmaku").await.data.get("count"), None);
}

async fn a_room_sets_its_own_rate_and_takes_it_back() {
    let bench = Bench::start(push::Settings { burst: 100_000.try_into().unwrap(), ..settings() }).await;
    let rules = |danmaku_per_s: Option<u32>| RoomRules {
        danmaku_per_s: danmaku_per_s.map(|rate| rate.try_into().unwrap()),
        ..RoomRules::default()
    };
    assert_eq!(shown(&bench.publish(crowd(1, 400)).await.unwrap()), 400, "the site's rate");
    bench.retain(2, rules(Some(10))).await;
    let few = shown(&bench.publish(crowd(1_000, 400)).await.unwrap());
    assert!((10..=12).contains(&few), "{few} in a room of ten a second");
    bench.retain(3, rules(None)).await;
    bench.publish(crowd(2_000, 1)).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await; // 2,000 tokens
    assert_eq!(shown(&bench.publish(crowd(3_000, 400)).await.unwrap()), 400, "the site's rate again");
}

async fn the_sites_rate_changes_under_way() {
    let (source, flow) = common::dynamic::Source::new(settings().flow_rate());
    let bench = Bench::following(settings(), flow).await;
    assert_eq!(shown(&bench.publish(crowd(1, 400)).await.unwrap()), 400);
    source.set(slow().flow_rate());
    let few = shown(&bench.publish(crowd(1_000, 400)).await.unwrap());
    assert!((5..=6).contains(&few), "{few} at a burst of five");
}

async fn a_restart_in_a_rush_makes_no_other_burst() {
    let bench = Bench::start(slow()).await;
    let before = shown(&bench.publish(crowd(1, 400)).await.unwrap());
    // No time passes on the clock of this site.
    let after = bench.killed_and_restarted(slow()).await;
    let since = shown(&after.publish(crowd(1_000, 400)).await.unwrap());
    assert!(before >= 5 && since <= 1, "{before}, and {since} after the restart");
}

async fn totals_that_nobody_was_told_before_a_kill_are_told_after_it() {
    let bench = Bench::start(slow()).await;
    let mut viewer = bench.watch("").await;
    bench.publish(crowd(1, 10)).await.unwrap();
    let told = viewer.next_of("suppressed").await;
    assert_eq!(told.data["accepted"], 10);
    // It would be told a second after the others.
    bench.publish(crowd(100, 30)).await.unwrap();
    let after = bench.killed_and_restarted(slow()).await;
    let mut viewer = after.watch(&told.id.unwrap()).await;
    let told = viewer.next_of("suppressed").await;
    assert_eq!(told.data["accepted"], 40, "and nobody has to speak");

    // What was told is not told again.
    let after = after.killed_and_restarted(slow()).await;
    let mut viewer = after.watch(&told.id.unwrap()).await;
    for n in [1_000, 1_001] {
        after.publish(vec![fact(n)]).await.unwrap();
    }
    while let Some(event) = viewer.next().await
        && event.data["n"] != 1_001
    {
        assert_ne!(event.event, "suppressed");
    }
}

async fn a_viewer_may_ask_for_less_and_still_gets_every_fact() {
    let bench = Bench::start(settings()).await;
    let watch = async |query: &str| Viewer::of(bench.open(Request::get(path(query))).await);
    let (mut all, mut few, mut none) = (watch("").await, watch("?rate=7").await, watch("?rate=0").await);
    let mut sent = crowd(1, 200);
    sent.insert(100, fact(1_000));
    sent.push(fact(1_001));
    assert_eq!(shown(&bench.publish(sent).await.unwrap()), 202);
    assert_eq!(all.numbers_until(1_001).await.len(), 202);
    let seen = few.numbers_until(1_001).await;
    assert!(seen.contains(&1_000) && (9..=10).contains(&seen.len()), "two facts and seven lines, but {seen:?}");
    assert_eq!(none.numbers_until(1_001).await, [1_000, 1_001]);
    let totals = none.next_of("suppressed").await.data;
    assert_eq!(totals["shown"], totals["accepted"], "it counts nowhere");
}

async fn a_rate_that_is_none_is_refused() {
    let bench = Bench::start(settings()).await;
    for bad in ["1001", "-1", "x", "1.5", "99999999999"] {
        assert_eq!(bench.open(Request::get(path(&format!("?rate={bad}")))).await.status(), 400, "{bad}");
    }
}
