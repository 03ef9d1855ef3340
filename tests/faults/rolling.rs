//! Planned restarts: nothing fails but what was in flight on a process that was killed, and
//! nothing was killed.

use std::time::{Duration, Instant};

use goligoli_tests::{PROCESSES, Setup};
use tokio::time::sleep;

use crate::evening::Evening;
use crate::stack::is_short;

/// All gateways are restarted under these.
const MANY: usize = 2_000;
const VIEWERS: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn gateways_are_restarted_under_two_thousand_viewers() {
    if is_short() {
        return;
    }
    let mut evening = Evening::begin(Setup::new(), MANY).await;
    let (since, before) = (Instant::now(), evening.report());
    for name in ["gateway-1", "gateway-2"] {
        let status = evening.server.site().terminate(name).await;
        assert!(status.success(), "{name}: {status}");
        evening.server.site().start(name).await;
        sleep(Duration::from_secs(2)).await;
    }
    let failed: Vec<_> = evening.asked_since(since).into_iter().filter(|asked| asked.status != Some(201)).collect();
    assert!(failed.is_empty(), "posts failed: {failed:?}");
    let after = evening.report();
    assert_eq!((after.broken, after.ended), (before.broken, before.ended), "no stream breaks");
    assert_eq!(after.watching, MANY);
    _ = evening.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn every_process_is_restarted_and_no_request_fails() {
    let mut evening = Evening::begin(Setup::new(), VIEWERS).await;
    let since = Instant::now();
    // Callees before callers, as the order of a new contract would need it.
    for name in PROCESSES {
        let status = evening.server.site().terminate(name).await;
        assert!(status.success(), "{name}: {status}");
        evening.server.site().start(name).await;
        sleep(Duration::from_secs(1)).await;
    }
    let failed: Vec<_> = evening.asked_since(since).into_iter().filter(|asked| asked.status != Some(201)).collect();
    assert!(failed.is_empty(), "posts failed: {failed:?}");
    _ = evening.end().await;
}
