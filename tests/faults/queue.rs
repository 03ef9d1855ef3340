//! The queue is away for a minute, and nobody's draw waits for it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use goligoli_tests::{Setup, until};
use idl::Timestamp;
use serde_json::Value;
use tokio::time::sleep;

use crate::evening::Evening;
use crate::stack::{is_short, stack};

const VIEWERS: usize = 50;
const AWAY: Duration = Duration::from_secs(60);
/// The scheduler looks for what is due once a second, and a draw takes its time.
const MOST_LATE_MS: i64 = 3_000;

/// What has passed through nsqd for this site since nsqd was started, by topic.
async fn passed(site: &str) -> BTreeMap<String, u64> {
    let url = format!("{}/stats?format=json", std::env::var("NATIVE_NSQD_HTTP").unwrap());
    let stats: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let topics = stats["topics"].as_array().unwrap().iter().filter_map(|topic| {
        let name = topic["topic_name"].as_str()?.strip_prefix(site)?;
        // Finished by a consumer: neither waiting nor in somebody's hands.
        let channel = topic["channels"].as_array()?.first()?;
        let open =
            channel["depth"].as_u64()? + channel["in_flight_count"].as_u64()? + channel["deferred_count"].as_u64()?;
        Some((name.to_owned(), channel["message_count"].as_u64()? - open))
    });
    topics.collect()
}

async fn draw(evening: &Evening) -> i64 {
    let (lottery, receipts) = evening.raffle(2).await;
    let drawn = evening.drawn_well(&lottery, &receipts).await;
    let at: Timestamp = serde_json::from_value(drawn["drawn_at"].clone()).unwrap();
    at.0 - lottery.draw_at_ms().cast_signed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn draws_are_on_time_while_nsqd_is_away() {
    if is_short() {
        return;
    }
    let mut evening = Evening::begin(Setup::new(), VIEWERS).await;
    let site = evening.server.site().name().to_owned();
    println!("late by {} ms through nsqd", draw(&evening).await);
    let through = async |topic: &str, what: &str| {
        until(what, async || passed(&site).await.get(topic).copied().filter(|passed| *passed > 0)).await
    };
    _ = through("lottery.draw", "the draw has passed through nsqd").await;

    let since = Instant::now();
    stack("kill", "nsqd").await;
    let mut late_ms = Vec::new();
    while since.elapsed() < AWAY {
        late_ms.push(draw(&evening).await);
        sleep(Duration::from_secs(3)).await;
    }
    println!("nsqd away for {} s: late by {late_ms:?} ms", since.elapsed().as_secs());
    assert!(late_ms.iter().all(|late| (0..MOST_LATE_MS).contains(late)), "{late_ms:?}");
    let failed = evening.asked_since(since).into_iter().filter(|asked| asked.status != Some(201)).count();
    assert_eq!(failed, 0, "posts need no queue");

    // It counts from nothing when it is back.
    stack("start", "nsqd").await;
    _ = evening.healed("nsqd killed for a minute", Instant::now()).await;
    let draws = until("draws pass through nsqd again", async || {
        println!("late by {} ms, nsqd is back", draw(&evening).await);
        passed(&site).await.get("lottery.draw").copied().filter(|passed| *passed > 0)
    })
    .await;
    println!("{draws} through nsqd since it is back");
    _ = evening.end().await;
    _ = through("replay.index", "the index has passed through nsqd").await;
}
