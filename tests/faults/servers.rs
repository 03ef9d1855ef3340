//! Each server is killed and started again, and stopped for ten seconds, while people speak.

use std::time::{Duration, Instant};

use goligoli_tests::Setup;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tokio::time::sleep;

use crate::evening::Evening;
use crate::stack::{is_short, seed, stack};

const VIEWERS: usize = 100;
/// Killed and started again after so long. A post without a database is answered after 2 s.
const AWAY: Duration = Duration::from_secs(5);
const STOPPED: Duration = Duration::from_secs(10);

/// Servers, and whether a danmaku can be acknowledged without them.
const SERVERS: [(&str, bool); 7] = [
    ("mariadb", false),
    ("redis", true),
    ("nsqd", true),
    ("nsqlookupd", true),
    ("etcd", true),
    ("versitygw", true),
    ("jaeger", true),
];

/// While `name` is away for so long, whoever can do without it is not refused.
async fn away(evening: &Evening, name: &str, needless: bool, what: &str, leave: &str, back: &str, away: Duration) {
    let (lottery, mut receipts) = evening.raffle(2).await;
    let since = Instant::now();
    stack(leave, name).await;
    let entering = evening.enter_late(&lottery);
    sleep(away).await;
    if name != "mariadb" {
        assert_eq!(evening.room().await, 200, "{name} is away: a room can still be read");
    }
    let back_at = Instant::now();
    stack(back, name).await;
    let back = Instant::now();
    _ = evening.healed(&format!("{name} {what}"), back).await;
    receipts.extend(entering.join_all().await.concat());
    _ = evening.drawn_well(&lottery, &receipts).await;
    // What was asked while it was away has been answered by now.
    let asked: Vec<_> = evening.asked_since(since).into_iter().filter(|asked| asked.at < back_at).collect();
    assert!(!asked.is_empty(), "{name} is away: posts are answered");
    if needless {
        let refused = asked.iter().filter(|asked| asked.status != Some(201)).count();
        assert_eq!(refused, 0, "{name} is away: a post needs it not, but of {} so many failed", asked.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn each_server_is_killed_and_comes_back() {
    let mut rng = StdRng::seed_from_u64(seed());
    let evening = Evening::begin(Setup::new(), VIEWERS).await;
    let mut servers = SERVERS;
    servers.shuffle(&mut rng);
    for (name, needless) in servers {
        away(&evening, name, needless, "killed", "kill", "start", AWAY).await;
    }
    _ = evening.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn each_server_hangs_and_goes_on() {
    if is_short() {
        return;
    }
    let evening = Evening::begin(Setup::new(), VIEWERS).await;
    for (name, needless) in SERVERS {
        away(&evening, name, needless, "hung", "stop", "cont", STOPPED).await;
    }
    _ = evening.end().await;
}
