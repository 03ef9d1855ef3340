//! Several push processes on one Redis.

use std::time::Duration;

use common::rpc::{answer, within};
use http::Request;
use idl::event::RoomRules;
use idl::push::{FollowRevocations, Outcome, Publication, Revocation, Revoke, ViewersOf};
use idl::{DeviceId, UserId};
use push::Settings;
use tokio::sync::oneshot;

use crate::bench::{Bench, Event, PATIENCE, ROOM, Viewer, danmaku, fact, path, settings, two};
use crate::stores::{feeds, on_redis};

/// All numbered events of a stream until `n` danmaku have come.
async fn until(viewer: &mut Viewer, n: usize) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    while events.iter().filter(|event| event.event == "danmaku").count() < n {
        let event = viewer.next().await.expect("the stream ended");
        if event.id.is_some() && !event.event.is_empty() && event.event != "hello" {
            events.push(event);
        }
        assert!(events.last().is_none_or(|event| event.event != "gap"), "{events:?}");
    }
    events
}

fn seqs(events: &[Event]) -> Vec<u64> {
    let seq = |event: &Event| event.id.as_ref().unwrap().split_once('-').unwrap().1.parse().unwrap();
    events.iter().map(seq).collect()
}

#[tokio::test]
async fn both_write_at_once_and_all_see_one_order_without_a_hole() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let (mut first, mut second) = (one.watch("").await, two.watch("").await);
        let say = async |bench: &Bench, from: u64| {
            for n in (from..from + 200).step_by(4) {
                let sent = (n..n + 4).map(|n| if n % 3 == 0 { fact(n) } else { danmaku(n) }).collect();
                assert_eq!(bench.publish(sent).await.unwrap(), [Outcome::Appended; 4]);
            }
        };
        tokio::join!(say(&one, 1_000), say(&two, 2_000));
        let (here, there) = (until(&mut first, 400).await, until(&mut second, 400).await);
        let common = here.len().min(there.len());
        assert_eq!(here[..common], there[..common], "one order");
        let seqs = seqs(&here);
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "no hole: {seqs:?}");
        let mut numbers: Vec<u64> = here.iter().filter_map(|event| event.data["n"].as_u64()).collect();
        assert!(numbers.iter().filter(|n| **n < 2_000).is_sorted(), "one caller's are in its order");
        numbers.sort_unstable();
        assert_eq!(numbers, (1_000..1_200).chain(2_000..2_200).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn what_one_appends_the_other_shows_at_once() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let mut viewer = two.watch("").await;
        let mut took = Vec::new();
        for n in 1..=21 {
            let began = std::time::Instant::now();
            one.publish(vec![fact(n)]).await.unwrap();
            viewer.numbers_until(n).await;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        assert!(took[10] < Duration::from_millis(100), "{took:?}: it was found, not told");
    })
    .await;
}

#[tokio::test]
async fn a_source_that_the_other_node_appended_is_not_appended_again() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let mut viewer = two.watch("").await;
        one.say(1..=5).await;
        assert_eq!(two.publish((1..=6).map(danmaku).collect()).await.unwrap(), [Outcome::Appended; 6]);
        one.say(1..=7).await;
        assert_eq!(viewer.numbers_until(7).await, (1..=7).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn the_viewers_of_a_node_that_ends_go_on_at_another_without_loss() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let mut viewer = one.watch("").await;
        one.say(1..=20).await;
        let seen = until(&mut viewer, 10).await.pop().unwrap();
        one.platform.lifecycle.hard().cancel();
        two.say(21..=30).await;
        let mut viewer = two.watch(seen.id.as_ref().unwrap()).await;
        assert_eq!(viewer.next_of("welcome").await.data["resumed"], true);
        assert_eq!(viewer.numbers_until(30).await, (11..=30).collect::<Vec<_>>());
        // And when all of them have been restarted.
        let three = Bench::start(settings()).await;
        let mut viewer = three.watch(seen.id.as_ref().unwrap()).await;
        assert_eq!(viewer.numbers_until(30).await, (11..=30).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn the_viewers_of_a_node_that_drains_get_what_is_written_there_and_elsewhere() {
    on_redis(async {
        let (one, two) = two(|| Settings { drain_ms: 600_000_000, ..settings() }).await;
        let mut viewer = one.watch("").await;
        one.say([1]).await;
        viewer.numbers_until(1).await;
        one.platform.lifecycle.soft().cancel();
        tokio::time::sleep(Duration::from_millis(800)).await;
        two.say([2]).await;
        one.say([3]).await;
        two.say([4]).await;
        assert_eq!(viewer.numbers_until(4).await, [2, 3, 4]);
        drop(viewer);
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert!(one.publish(vec![danmaku(5)]).await.is_err(), "nobody watches there");
        two.say([6]).await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_without_viewers_is_short() {
    on_redis(async {
        let one = Bench::start(settings()).await;
        let mut viewer = one.watch("").await;
        one.say([1]).await;
        viewer.numbers_until(1).await;
        drop(viewer);
        let began = std::time::Instant::now();
        one.platform.lifecycle.stop(Duration::from_secs(8)).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn what_is_deleted_on_one_node_does_not_come_back_on_another() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let mut viewer = two.watch("").await;
        let position = viewer.next_of("hello").await.id.unwrap();
        one.say(1..=3).await;
        assert_eq!(viewer.numbers_until(3).await, [1, 2, 3]);
        let tombstones = vec!["danmaku:2".to_owned(), "danmaku:9".to_owned()];
        one.publish(vec![Publication { tombstones, ..fact(4) }]).await.unwrap();
        viewer.numbers_until(4).await;
        assert_eq!(two.publish(vec![danmaku(9)]).await.unwrap(), [Outcome::Suppressed]);
        let fresh = Bench::start(settings()).await;
        for bench in [&one, &two, &fresh] {
            assert_eq!(bench.watch(&position).await.numbers_until(4).await, [1, 3, 4]);
            let hello = bench.watch("").await.next_of("hello").await.data.to_string();
            assert!(hello.contains("\"n\":3") && !hello.contains("\"n\":2"), "{hello}");
        }
    })
    .await;
}

#[tokio::test]
async fn all_states_are_known_to_all() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let mut guest = two.watch("").await;
        guest.next_of("hello").await;
        one.retain(5, RoomRules { guests: false, ..RoomRules::default() }).await;
        assert_eq!(guest.next_of("bye").await.data["reason"], "guests_out");
        assert_eq!(two.open(Request::get(path(""))).await.status(), 401);
        two.retain(4, RoomRules::default()).await;
        assert_eq!(one.open(Request::get(path(""))).await.status(), 401, "a lower version changes nothing");
    })
    .await;
}

#[tokio::test]
async fn the_totals_are_of_all_nodes_and_add_up() {
    on_redis(async {
        let ten = 10.try_into().unwrap();
        let (one, two) = two(|| Settings { rate_per_s: ten, burst: ten, ..settings() }).await;
        let mut viewer = two.watch("").await;
        let say = async |bench: &Bench, from: u64| {
            for n in (from..from + 100).step_by(10) {
                bench.publish((n..n + 10).map(danmaku).collect()).await.unwrap();
            }
        };
        tokio::join!(say(&one, 1_000), say(&two, 2_000));
        let totals = loop {
            let totals = viewer.next_of("suppressed").await.data;
            let of = |name: &str| totals[name].as_u64().unwrap();
            assert_eq!(of("accepted"), of("shown") + of("folded") + of("suppressed"));
            if of("accepted") == 200 {
                break totals;
            }
        };
        let shown = totals["shown"].as_u64().unwrap();
        assert!((10..60).contains(&shown), "{shown}: both draw from one bucket, more or less");
        let hello = one.watch("").await.next_of("hello").await.data;
        assert_eq!(hello["totals"], totals);
    })
    .await;
}

#[tokio::test]
async fn viewers_are_counted_over_all_nodes_and_not_those_of_a_dead_one() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let count = async |bench: &Bench| {
            let ask = ViewersOf { rooms: vec![ROOM, idl::RoomId(99)] };
            answer(bench.push.viewers(within(PATIENCE), ask).await).unwrap().connections
        };
        let becomes = async |bench: &Bench, n: u64, patience: Duration| {
            let counted = async {
                while count(bench).await != [n, 0] {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let counted = tokio::time::timeout(patience, counted).await;
            assert!(counted.is_ok(), "{:?} instead of {n}", count(bench).await);
        };
        let mut here = one.watch("").await;
        let _there = two.watch("").await;
        let (kill, dead) = process_with_viewer(settings());
        becomes(&one, 3, Duration::from_secs(8)).await;
        becomes(&two, 3, Duration::from_secs(5)).await;
        let announced = here.next_of("viewers").await.data["connections"].as_u64().unwrap();
        assert!((1..=3).contains(&announced), "{announced}");
        drop(kill);
        dead.await.unwrap();
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(count(&one).await[0], 3, "a short silence is no death");
        becomes(&one, 2, Duration::from_secs(12)).await;
        assert_eq!(count(&two).await[0], 2);
    })
    .await;
}

/// A push process with one viewer, that dies without a word when the first of these is dropped.
fn process_with_viewer(settings: Settings) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let (kill, killed) = oneshot::channel::<()>();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::start(settings).await;
            let _viewer = bench.watch("").await;
            _ = killed.await;
            // Its tasks die with the runtime, before the stream says that it has ended.
            std::mem::forget(_viewer);
        });
        runtime.shutdown_background();
    };
    (kill, tokio::task::spawn_blocking(run))
}

fn ended(device: u64) -> Revocation {
    let until_ms = 1_700_000_900_000;
    Revocation { source: format!("device:{device}"), user: UserId(1), device: DeviceId(device), until_ms }
}

#[tokio::test]
async fn an_ended_log_in_is_known_to_all_within_a_second_and_once() {
    on_redis(async {
        let (one, two) = two(settings).await;
        let follow = async |bench: &Bench, after: Option<String>, wait_ms| {
            let ask = FollowRevocations { after, wait_ms };
            answer(bench.push.revocations(within(PATIENCE), ask).await).unwrap()
        };
        let revoke = async |bench: &Bench, devices: &[u64]| {
            let revocations = devices.iter().copied().map(ended).collect();
            answer(bench.push.revoke(within(PATIENCE), Revoke { revocations }).await).unwrap();
        };
        let page = follow(&two, None, 0).await;
        assert_eq!(page.revocations, []);
        let (page, at) = tokio::join!(follow(&two, Some(page.next), 4_000), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            revoke(&one, &[1, 2, 1]).await;
            tokio::time::Instant::now()
        });
        assert!(at.elapsed() < Duration::from_secs(1));
        assert_eq!(page.revocations, [ended(1), ended(2)]);
        revoke(&two, &[2, 3]).await;
        assert_eq!(follow(&one, Some(page.next.clone()), 0).await.revocations, [ended(3)]);
        assert_eq!(follow(&one, None, 0).await.revocations.len(), 3);
        assert_eq!(follow(&one, Some("1-1".to_owned()), 0).await.revocations.len(), 3);
        // Expired ones go with the next that comes.
        one.platform.clock.advance_ms(1_000_000);
        revoke(&one, &[]).await;
        assert_eq!(follow(&two, None, 0).await.revocations, []);
        assert!(feeds().starts_with("redis://"));
    })
    .await;
}
