//! What etcd holds of a site: who is there, and what is shared.

use std::process::Stdio;
use std::time::{Duration, Instant};

use goligoli_tests::{Server, Setup, until};
use tokio::process::Command;
use tokio::time::sleep;

const PUSH: [&str; 2] = ["push-1", "push-2"];
/// A process that died is gone with its lease of 10 s, which etcd ends a moment late.
const GONE: Duration = Duration::from_secs(13);

async fn etcdctl(arguments: &[&str]) -> String {
    let url = std::env::var("NATIVE_ETCD_URL").unwrap();
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", &url]).args(arguments).stdin(Stdio::null());
    let ran = command.output().await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// The rate that a push node goes by.
async fn rate(server: &mut Server, name: &str) -> u32 {
    let url = server.site().ops(name, "/metrics");
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    let rate = metrics.lines().find_map(|line| line.strip_prefix("goligoli_push_rate_per_s "));
    rate.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn a_rate_that_is_shared_is_everywhere_at_once() {
    let mut server = Setup::new().start().await;
    let key = format!("/{}/config/push/rate_per_s", server.site().name());
    let mut took_ms = Vec::new();
    for rate_per_s in 101..=110 {
        etcdctl(&["put", &key, &rate_per_s.to_string()]).await;
        let since = Instant::now();
        for name in PUSH {
            while rate(&mut server, name).await != rate_per_s {
                assert!(since.elapsed() < Duration::from_secs(5), "{name} has not {rate_per_s}");
                sleep(Duration::from_millis(2)).await;
            }
        }
        took_ms.push(since.elapsed().as_millis());
    }
    took_ms.sort_unstable();
    println!("ten changes at both push nodes after {took_ms:?} ms");
    assert!(took_ms[5] <= 1_000, "the median");

    // What can't be used is said, and what was before stays.
    etcdctl(&["put", &key, "many"]).await;
    until("each says that it can't be used", async || {
        let log = server.logged();
        (log.lines().filter(|line| line.contains("WARN") && line.contains("rate_per_s")).count() >= 10).then_some(())
    })
    .await;
    for name in PUSH {
        assert_eq!(rate(&mut server, name).await, 110);
    }
    etcdctl(&["del", &key]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn who_dies_is_gone_from_the_registry_with_its_lease() {
    let mut server = Setup::new().start().await;
    let prefix = format!("/{}/instances/", server.site().name());
    let listed = async || etcdctl(&["get", "--prefix", &prefix, "--keys-only"]).await;
    let all = listed().await;
    println!("{all}");
    for name in ["push", "message", "lottery"] {
        for n in 1..=2 {
            assert!(all.contains(&format!("{prefix}{name}/{name}-{n}")), "{all}");
        }
    }
    server.site().kill9("message-2").await;
    let since = Instant::now();
    while listed().await.contains("message-2") {
        assert!(since.elapsed() < GONE, "it is still there after {:?}", since.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    println!("gone after {:.1} s", since.elapsed().as_secs_f64());
    // Who is asked to stop takes itself out at once.
    let status = server.site().terminate("lottery-2").await;
    assert!(status.success() && !listed().await.contains("lottery-2"), "{}", listed().await);
}
