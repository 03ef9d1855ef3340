//! The network to each server pauses, loses connections without a word, and is cut.

use std::time::{Duration, Instant};

use goligoli_tests::proxy::{Network, Proxy};
use goligoli_tests::{Backend, Setup};
use tokio::time::sleep;

use crate::evening::Evening;
use crate::stack::is_short;

const VIEWERS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn the_network_to_each_server_breaks_and_is_mended() {
    let mut setup = Setup::new();
    let mut proxies = Vec::new();
    let backends = if is_short() { &Backend::ALL[..2] } else { &Backend::ALL[..] };
    for backend in backends.iter().copied() {
        let proxy = Proxy::to(backend.address()).await;
        setup = setup.through(backend, proxy.address());
        proxies.push((backend, proxy));
    }
    let evening = Evening::begin(setup, VIEWERS).await;
    let faults = [(Network::Paused, 5), (Network::HalfOpen, 5), (Network::Cut, 3)];
    let faults = if is_short() { &faults[1..2] } else { &faults[..] };
    for (backend, proxy) in &proxies {
        for (network, seconds) in faults {
            let (lottery, mut receipts) = evening.raffle(2).await;
            proxy.set(*network);
            let entering = evening.enter_late(&lottery);
            sleep(Duration::from_secs(*seconds)).await;
            proxy.set(Network::Whole);
            _ = evening.healed(&format!("{backend:?} {network:?}"), Instant::now()).await;
            receipts.extend(entering.join_all().await.concat());
            _ = evening.drawn_well(&lottery, &receipts).await;
        }
    }
    _ = evening.end().await;
}
