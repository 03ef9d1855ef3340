//! Some viewers stop reading and some read a byte a second: nobody else notices.

use std::time::{Duration, Instant};

use goligoli_tests::poster::Poster;
use goligoli_tests::process::resident_bytes;
use goligoli_tests::swarm::{Options, Swarm, Target};
use goligoli_tests::timing::median;
use goligoli_tests::{Account, Scene, Server, Setup};
use tokio::time::{sleep, sleep_until};

use crate::asked::{LONG, soak};
use crate::flood::{all_created, begin, flood};
use crate::sockets::Lookout;

const VIEWERS: usize = 1_000;
/// One in a hundred stalls, and one in a hundred drips.
const STALLED: usize = VIEWERS / 100;
const DRIPPING: usize = VIEWERS / 100;
/// Small buffers, so that it soon shows that nobody reads: fixed here and at the server.
const BUFFER_BYTES: usize = 4 << 10;
const SEND_BUFFER_BYTES: &str = "8192";
/// Phases without and with bad readers alternate; the bad ones of each phase are cut in it.
const PHASES: usize = 3;
const PHASE: Duration = Duration::from_secs(9);
const MOST: f64 = 1.5;
const EVICTED_WITHIN: Duration = Duration::from_secs(5);

const POSTS_PER_S: f64 = 200.0;
const ACCOUNTS: usize = 200;

/// Memory at this time, and at every later one, in bytes.
const WARM: Duration = Duration::from_secs(30);
/// Bad readers that come when the ones before have been cut.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
const MOST_GROWTH: f64 = 1.05;
const MOST_MORE: f64 = (8 << 20) as f64;

/// A full room under a flood that the limiter thins out to its own rate.
struct Stage {
    server: Server,
    scene: Scene,
    good: Swarm,
    flood: Poster,
}

impl Stage {
    async fn set() -> Self {
        let setup = Setup::new().unset("PUSH__RATE_PER_S").unset("PUSH__BURST");
        // Of those who post here, nobody refreshes a token.
        let setup = setup.set("USER__ACCESS_TOKEN_SECONDS", "900");
        let server = setup.set("HTTP__SEND_BUFFER_BYTES", SEND_BUFFER_BYTES).start().await;
        let scene = Scene::open(&server).await;
        let accounts = Account::seed(&server, ACCOUNTS).await;
        let target = Target::room(server.address(), &scene.room);
        let good = Swarm::start(target, &Options::viewers(VIEWERS - STALLED - DRIPPING)).unwrap();
        _ = good.wait_until_all_watch(LONG);
        let flood = begin(flood(&server, &scene.room, &accounts, POSTS_PER_S));
        good.wait_until("the flood has begun", LONG, |report| report.tally.deliveries > 0);
        Self { server, scene, good, flood }
    }

    fn bad_readers(&self) -> Swarm {
        let options = Options {
            stalled: STALLED,
            dripping: DRIPPING,
            special_buffer_bytes: BUFFER_BYTES,
            come_back: None,
            ..Options::viewers(STALLED + DRIPPING)
        };
        Swarm::start(Target::room(self.server.address(), &self.scene.room), &options).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_cut_and_nobody_else_notices() {
    let stage = Stage::set().await;
    let mut p99_ms = [Vec::new(), Vec::new()];
    for phase in 0..2 * PHASES {
        let has_bad = phase % 2 == 1;
        let lookout = has_bad.then(|| Lookout::begin(stage.server.address()));
        let bad = has_bad.then(|| stage.bad_readers());
        _ = stage.good.mark();
        sleep(PHASE).await;
        let report = stage.good.mark();
        report.assert_whole();
        assert_eq!((report.tally.gaps, report.broken, report.ended), (0, 0, 0), "the others lose nothing");
        p99_ms[usize::from(has_bad)].push(report.latency_ms(0.99));
        if let Some((bad, lookout)) = bad.zip(lookout) {
            let cut = bad.wait_until("all bad readers are cut", LONG, |report| report.gone == STALLED + DRIPPING);
            assert_eq!((cut.stalled_cut.len(), cut.dripping_cut.len()), (STALLED, DRIPPING));
            let (ended, overshoot) = lookout.end();
            let within = ended.iter().map(|one| one.at_least).max().unwrap();
            let longest = ended.iter().map(|one| one.at_most).max().unwrap();
            println!(
                "{} cut, after {within:?} to {longest:?} at most; a timer is {overshoot:?} late at worst",
                ended.len()
            );
            assert!(ended.len() >= STALLED, "only {} were cut with a full buffer", ended.len());
            assert!(within <= EVICTED_WITHIN + overshoot, "evicted {within:?} after filling");
        }
    }
    let posts = all_created(&stage.flood.stop());
    println!("{posts} posts; p99 in ms without bad readers {:.1?}, with {:.1?}", p99_ms[0], p99_ms[1]);
    let [without, with] = p99_ms.map(median);
    assert!(with <= MOST * without, "with bad readers the others' p99 is {:.2} times as long", with / without);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_while_bad_readers_come_and_go() {
    let span = soak();
    assert!(span >= WARM + RENEWED_EVERY, "LOAD_SOAK_SECONDS is too few: memory after {WARM:?} is held against later");
    let stage = Stage::set().await;
    let begin = Instant::now();
    let (mut warm, mut most) = (None, 0);
    let mut cut = 0;
    while begin.elapsed() < span {
        let bad = stage.bad_readers();
        sleep_until((Instant::now() + RENEWED_EVERY).into()).await;
        let resident = resident_bytes(stage.server.pid());
        if begin.elapsed() >= WARM {
            let warm = *warm.get_or_insert(resident);
            most = most.max(resident);
            println!("{:>4} s: {:.1} MiB", begin.elapsed().as_secs(), mib(resident));
            let allowed = warm as f64 * MOST_GROWTH + MOST_MORE;
            assert!(resident as f64 <= allowed, "{:.1} MiB, after {:.1} at {WARM:?}", mib(resident), mib(warm));
        }
        cut += bad.report().gone;
    }
    let posts = all_created(&stage.flood.stop());
    let report = stage.good.report();
    report.assert_whole();
    assert_eq!((report.tally.gaps, report.broken), (0, 0), "the others lose nothing");
    println!(
        "{:.1} MiB at {WARM:?}, {:.1} MiB at most until {span:?}; {posts} posts, {cut} bad readers cut",
        mib(warm.unwrap()),
        mib(most)
    );
    assert!(cut > 0, "bad readers were there");
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
