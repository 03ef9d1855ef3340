//! `kill -9` at random moments, in a full room in which people go on speaking.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use goligoli_tests::swarm::{ComeBack, Options, Position, Swarm, Target};
use goligoli_tests::{Account, Scene, Server, Setup, Watch};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::asked::{LONG, seed};

const VIEWERS: usize = 1_000;
const PEOPLE: usize = 20;
/// Of each: together a hundred a second.
const BETWEEN_LINES: Duration = Duration::from_millis(200);
const KILLS: usize = 20;
/// The server lives so long between two kills: also shorter than the viewers need to come back.
const LIFE_MS: std::ops::Range<u64> = 50..1_200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_and_repeat_nothing() {
    let mut rng = StdRng::seed_from_u64(seed());
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let people = Account::seed(&server, PEOPLE).await;
    let swarm = Swarm::start(Target::room(server.address(), &scene.room), &Options::viewers(VIEWERS)).unwrap();
    _ = swarm.wait_until_all_watch(LONG);

    let crowd = Crowd::begin(&people, &scene.room);
    for _ in 0..KILLS {
        sleep(Duration::from_millis(rng.random_range(LIFE_MS))).await;
        server.kill9().await;
        server.start_again().await;
    }
    let acknowledged = crowd.end().await;
    let last = last_word(&server, &scene).await;
    // The owner's word overtakes lines that wait for a token: they reach the viewers behind it.
    let report = swarm.wait_until("all have seen as much", LONG, |report| report.all_at_one(last));
    println!(
        "{KILLS} kills under {VIEWERS} viewers, {} lines: {} deliveries, {} streams opened; lost {}, repeated {}, \
         out of order {}, differing {}, gaps {}",
        acknowledged.len(),
        report.tally.deliveries,
        report.opened,
        report.tally.lost,
        report.tally.repeated,
        report.tally.out_of_order,
        report.tally.differing,
        report.tally.gaps
    );
    report.assert_whole();
    assert_eq!(report.tally.gaps, 0, "the feed holds all of it");
    assert!(report.opened >= (VIEWERS * KILLS / 4) as u64, "the viewers hardly noticed: {}", report.opened);
    let shown = report.each_saw("danmaku").expect("all see the same ones");
    assert!(shown as usize > acknowledged.len() / 2, "{shown} of {} lines were shown", acknowledged.len());
    let history: HashSet<String> =
        scene.history(&server).await.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
    let missing: Vec<&String> = acknowledged.iter().filter(|text| !history.contains(*text)).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_kill_takes_out_of_the_window_is_told_exactly() {
    const KEPT: &str = "20";
    let mut rng = StdRng::seed_from_u64(seed());
    let mut server = Setup::new().set("PUSH__KEEP_EVENTS", KEPT).start().await;
    let scene = Scene::open(&server).await;
    let people = Account::seed(&server, PEOPLE).await;
    // Most come back only when more has been said than is kept.
    let come_back = ComeBack { first: Duration::from_secs(1), most: Duration::from_secs(2) };
    let options = Options { come_back: Some(come_back), ..Options::viewers(VIEWERS) };
    let swarm = Swarm::start(Target::room(server.address(), &scene.room), &options).unwrap();
    _ = swarm.wait_until_all_watch(LONG);

    let crowd = Crowd::begin(&people, &scene.room);
    for _ in 0..KILLS / 4 {
        sleep(Duration::from_millis(rng.random_range(LIFE_MS))).await;
        server.kill9().await;
        server.start_again().await;
    }
    _ = crowd.end().await;
    let last = last_word(&server, &scene).await;
    let report = swarm.wait_until_all_at(last, LONG);
    println!("{} gaps, {} events missed, all told exactly", report.tally.gaps, report.tally.missed);
    report.assert_whole();
    assert!(report.tally.gaps > 0, "a window of {KEPT} events is too short for a restart");
}

/// The position of a last line that is said now.
async fn last_word(server: &Server, scene: &Scene) -> Position {
    let mut witness = Watch::guest().open(server, &scene.room).await;
    _ = witness.next("hello").await;
    _ = scene.owner.say(&scene.room, "good night").await.expect(201);
    witness.through_text("good night").await.pop().unwrap().id.unwrap().parse().unwrap()
}

/// People who speak at a steady pace; each line is repeated until it is acknowledged.
struct Crowd {
    stop: Arc<AtomicBool>,
    speaking: JoinSet<Vec<String>>,
}

impl Crowd {
    fn begin(people: &[Account], room: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut speaking = JoinSet::new();
        for person in people {
            let (stop, person, room) = (Arc::clone(&stop), person.clone(), room.to_owned());
            speaking.spawn(async move {
                let mut pace = interval(BETWEEN_LINES);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                let mut said = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    pace.tick().await;
                    let text = format!("{} {}", person.name, said.len());
                    _ = person.insist(&room, &text, &said.len().to_string()).await;
                    said.push(text);
                }
                said
            });
        }
        Self { stop, speaking }
    }

    /// Everything that was acknowledged.
    async fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.speaking.join_all().await.concat()
    }
}
