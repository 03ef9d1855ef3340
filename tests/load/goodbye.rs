//! A process that is asked to stop sends a full room away gently.

use std::time::{Duration, Instant};

use goligoli_tests::swarm::{Options, Swarm, Target};
use goligoli_tests::{Account, Scene, Setup, Watch};
use tokio::task::JoinSet;

use crate::asked::LONG;
use crate::flood::{begin, flood};

const VIEWERS: usize = 1_000;
/// So many more note when they are sent away, and for how long.
const WITNESSES: usize = 200;
const LINES_PER_S: f64 = 100.0;
/// The project's own settings.
const DRAIN_MS: f64 = 3_000.0;
const RECONNECT_SPREAD_MS: f64 = 3_000.0;
/// The largest distance of 200 samples from a uniform distribution is above 0.14 once in a
/// thousand times; all at one moment would be a distance near 1.
const MOST_DISTANCE: f64 = 0.2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goodbyes_are_spread_over_the_drain() {
    let mut server = Setup::new().unset("PUSH__DRAIN_MS").unset("PUSH__RECONNECT_SPREAD_MS").start().await;
    let scene = Scene::open(&server).await;
    let speaker = Account::register(&server, "mei").await;
    let options = Options { come_back: None, ..Options::viewers(VIEWERS) };
    let swarm = Swarm::start(Target::room(server.address(), &scene.room), &options).unwrap();
    _ = swarm.wait_until_all_watch(LONG);
    let mut witnesses = JoinSet::new();
    for _ in 0..WITNESSES {
        let mut viewer = Watch::guest().open(&server, &scene.room).await;
        _ = viewer.next("hello").await;
        witnesses.spawn(async move {
            let bye = viewer.next("bye").await.json();
            let at = Instant::now();
            assert!(viewer.item_or_error().await.expect("it ends properly").is_none(), "a bye is the last word");
            (at, bye)
        });
    }
    // The room is in full flow until the last moment.
    let flow = begin(flood(&server, &scene.room, &[speaker], LINES_PER_S));
    swarm.wait_until("people speak", LONG, |report| report.tally.deliveries > 100 * VIEWERS as u64);
    let report = swarm.report();
    assert_eq!((report.each_saw("bye"), report.gone), (Some(0), 0), "nobody leaves before the stop");

    let asked = Instant::now();
    let status = server.terminate().await;
    let took = asked.elapsed();
    assert!(status.success(), "{status}");
    let report = swarm.wait_until("all are gone", LONG, |report| report.gone == VIEWERS);
    report.assert_whole();
    assert_eq!(report.each_saw("bye"), Some(1), "none is cut without a bye");
    assert_eq!((report.ended, report.broken), (VIEWERS as u64, 0), "every stream ends properly");

    let byes = witnesses.join_all().await;
    assert!(byes.iter().all(|(_, bye)| bye["reason"] == "draining"), "{byes:?}");
    let sent_away: Vec<f64> = byes.iter().map(|(at, _)| (*at - asked).as_secs_f64() * 1e3).collect();
    let reconnect: Vec<f64> = byes.iter().map(|(_, bye)| bye["reconnect_in_ms"].as_f64().unwrap()).collect();
    let (over_drain, over_spread) = (distance(&sent_away, DRAIN_MS), distance(&reconnect, RECONNECT_SPREAD_MS));
    println!(
        "{} lines, a stop in {:.2} s; byes of {VIEWERS} + {WITNESSES} viewers: distance from uniform over the drain \
         {over_drain:.3}, of reconnect_in_ms {over_spread:.3}",
        flow.stop().created(),
        took.as_secs_f64()
    );
    assert!(over_drain <= MOST_DISTANCE, "not spread over the drain: {sent_away:?}");
    assert!(over_spread <= MOST_DISTANCE, "they would come back together: {reconnect:?}");
    assert!(took >= Duration::from_millis(1_000), "the drain was cut short");
}

/// The Kolmogorov–Smirnov distance of the samples from a uniform distribution over 0 to `most`.
fn distance(samples: &[f64], most: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let apart = sorted.iter().enumerate().map(|(n, sample)| {
        let uniform = (sample / most).clamp(0.0, 1.0);
        (uniform - n as f64 / count).abs().max((uniform - (n + 1) as f64 / count).abs())
    });
    apart.fold(0.0, f64::max)
}

#[test]
fn the_distance_tells_spread_from_crowded() {
    let even: Vec<f64> = (0..100).map(f64::from).collect();
    assert!(distance(&even, 100.0) <= 0.02);
    assert!(distance(&vec![1.0; 100], 100.0) > 0.9);
    assert!(distance(&even, 200.0) >= 0.49, "all of them in the first half");
}
