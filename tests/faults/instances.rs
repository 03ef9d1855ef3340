//! Each process of the site is killed and started again, and stopped for ten seconds.

use std::time::{Duration, Instant};

use goligoli_tests::{PROCESSES, Setup};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::time::sleep;

use crate::evening::Evening;
use crate::stack::{is_short, seed};

const VIEWERS: usize = 200;
const AWAY: Duration = Duration::from_secs(2);
const STOPPED: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn each_process_is_killed_and_comes_back() {
    let mut rng = StdRng::seed_from_u64(seed());
    let mut evening = Evening::begin(Setup::new(), VIEWERS).await;
    let mut processes = PROCESSES;
    processes.shuffle(&mut rng);
    for name in processes {
        let (lottery, mut receipts) = evening.raffle(2).await;
        let since = Instant::now();
        evening.server.site().kill9(name).await;
        let entering = evening.enter_late(&lottery);
        sleep(AWAY).await;
        // There is another one: what was in the hands of this one is asked again, no more.
        _ = evening.healed(&format!("{name} killed, the other goes on"), since).await;
        evening.server.site().start(name).await;
        _ = evening.healed(&format!("{name} killed and started"), Instant::now()).await;
        receipts.extend(entering.join_all().await.concat());
        _ = evening.drawn_well(&lottery, &receipts).await;
    }
    _ = evening.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn each_process_hangs_and_goes_on() {
    if is_short() {
        return;
    }
    let mut evening = Evening::begin(Setup::new(), VIEWERS).await;
    for name in PROCESSES {
        let (lottery, mut receipts) = evening.raffle(2).await;
        evening.server.site().hold(name);
        let entering = evening.enter_late(&lottery);
        sleep(STOPPED).await;
        evening.server.site().go_on(name);
        _ = evening.healed(&format!("{name} hung"), Instant::now()).await;
        receipts.extend(entering.join_all().await.concat());
        _ = evening.drawn_well(&lottery, &receipts).await;
    }
    _ = evening.end().await;
}
