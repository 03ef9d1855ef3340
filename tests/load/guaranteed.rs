//! What the streamer says is not held up by what everybody else says.

use std::time::Duration;

use goligoli_tests::swarm::{Options, Stamp, Swarm, Target};
use goligoli_tests::timing::median;
use goligoli_tests::{Account, Scene, Setup};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::asked::LONG;
use crate::flood::{all_created, begin, flood};

const VIEWERS: usize = 1_000;
const RATE: &str = "50";
/// Ten times what passes.
const POSTS_PER_S: f64 = 500.0;
const ACCOUNTS: usize = 500;
/// Phases alternate, so that whatever else the machine does hits both alike.
const PHASES: usize = 5;
const PHASE: Duration = Duration::from_secs(7);
const STREAMERS_LINES_PER_S: u32 = 15;
const CLASS: &str = "guaranteed";
/// What the flood may cost the streamer in the quietest phases, in which nothing is the machine's…
const MOST: f64 = 1.5;
/// …and in those in the middle: the flood's poster and a thousand readers share its processors.
const MOST_IN_THE_MIDDLE: f64 = 2.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_hold_up_the_streamer() {
    let server = Setup::new().set("PUSH__RATE_PER_S", RATE).unset("PUSH__BURST").start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, ACCOUNTS).await;
    let swarm = Swarm::start(Target::room(server.address(), &scene.room), &Options::viewers(VIEWERS)).unwrap();
    _ = swarm.wait_until_all_watch(LONG);

    let mut said = 0;
    let mut p99_ms = [Vec::new(), Vec::new()];
    for phase in 0..2 * PHASES {
        let is_flooded = phase % 2 == 1;
        let plan = flood(&server, &scene.room, &accounts, POSTS_PER_S);
        let flood = is_flooded.then(|| begin(plan));
        _ = swarm.mark();
        let lines = speak(&scene.owner, &scene.room, &mut said).await;
        let label = format!("danmaku/{CLASS}");
        let report =
            swarm.wait_until("all have heard the streamer", LONG, |report| report.each_saw(&label) == Some(lines));
        report.assert_whole();
        p99_ms[usize::from(is_flooded)].push(report.label_ms(&label, 0.99));
        if let Some(flood) = flood {
            let shown = report.by_label["danmaku"].all / VIEWERS as u64;
            assert!(all_created(&flood.stop()) > 2 * shown, "the limiter is not saturated: {shown} shown");
        }
    }
    println!("p99 of the streamer's lines in ms, by phase: idle {:.1?}, flooded {:.1?}", p99_ms[0], p99_ms[1]);
    // Not of all phases together: a single moment in which the machine does something else
    // would decide that.
    let [idle, flooded] = p99_ms.clone().map(|phases| phases.into_iter().fold(f64::INFINITY, f64::min));
    assert!(flooded <= MOST * idle, "{:.2} times an idle room's p99 in the quietest phases", flooded / idle);
    let [idle, flooded] = p99_ms.map(median);
    assert!(flooded <= MOST_IN_THE_MIDDLE * idle, "{:.2} times an idle room's p99", flooded / idle);
}

/// The streamer speaks for one phase; returns how many lines that were.
async fn speak(owner: &Account, room: &str, said: &mut u64) -> u32 {
    let end = Instant::now() + PHASE;
    let mut pace = interval(Duration::from_secs(1) / STREAMERS_LINES_PER_S);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut lines = 0;
    while Instant::now() < end {
        pace.tick().await;
        _ = owner.say(room, &Stamp::now(*said, CLASS).to_string()).await.expect(201);
        (*said, lines) = (*said + 1, lines + 1);
    }
    lines
}
