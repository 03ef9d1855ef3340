//! One of two push nodes or gateways dies under many viewers, and then the other.

use std::time::Instant;

use goligoli_tests::Setup;

use crate::evening::Evening;

const MANY: usize = 2_000;
const SOME: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn viewers_of_a_push_node_that_dies_resume_on_the_other() {
    let mut evening = Evening::begin(Setup::new(), MANY).await;
    let before = evening.report();
    let url = evening.server.site().ops("push-1", "/metrics");
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    let on_it = metrics.lines().find_map(|line| line.strip_prefix("goligoli_push_streams ")).unwrap();
    let on_it: u64 = on_it.parse().unwrap();
    let since = Instant::now();
    evening.server.site().kill9("push-1").await;
    _ = evening.healed("push-1 killed, all viewers on push-2", since).await;
    let after = evening.report();
    let interrupted = after.broken + after.ended - before.broken - before.ended;
    println!("{interrupted} of {MANY} streams broke");
    // The ingress gives each new stream to the node that has fewer.
    assert!((MANY as u64 / 3..=MANY as u64 * 2 / 3).contains(&on_it), "they are spread over both: {on_it}");
    assert_eq!(interrupted, on_it, "those of the other node are not interrupted");
    evening.server.site().start("push-1").await;
    // Holds that all have seen the same in the same order, nothing lost and nothing repeated.
    let report = evening.end().await;
    assert_eq!(report.watching, MANY);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn a_push_node_that_has_just_come_back_takes_all_viewers() {
    let mut evening = Evening::begin(Setup::new(), SOME).await;
    evening.server.site().kill9("push-1").await;
    _ = evening.healed("push-1 killed", Instant::now()).await;
    evening.server.site().start("push-1").await;
    let before = evening.report();
    evening.server.site().kill9("push-2").await;
    _ = evening.healed("push-2 killed, all viewers on push-1", Instant::now()).await;
    let after = evening.report();
    assert_eq!(after.broken - before.broken, SOME as u64, "all were on push-2");
    assert_eq!(after.ended, before.ended, "the ingress sends nobody away while one node is there");
    evening.server.site().start("push-2").await;
    _ = evening.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn a_gateway_that_has_just_come_back_takes_all_posts() {
    let mut evening = Evening::begin(Setup::new(), SOME).await;
    let since = Instant::now();
    evening.server.site().kill9("gateway-1").await;
    _ = evening.healed("gateway-1 killed", since).await;
    evening.server.site().start("gateway-1").await;
    evening.server.site().kill9("gateway-2").await;
    _ = evening.healed("gateway-2 killed, all posts to gateway-1", Instant::now()).await;
    let refused = evening.asked_since(since).into_iter().filter(|asked| asked.status != Some(201)).count();
    assert_eq!(refused, 0, "the ingress finds the one that is there");
    evening.server.site().start("gateway-2").await;
    _ = evening.end().await;
}
