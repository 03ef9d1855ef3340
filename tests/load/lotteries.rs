//! Lotteries that many enter: drawn on time, and what `goligoli verify-draw` agrees with.

use std::collections::BTreeMap;

use goligoli_tests::lottery::{Lottery, book, enter_all, with};
use goligoli_tests::timing::median;
use goligoli_tests::{Account, Scene, Server, Setup, Watch, in_time};
use idl::Timestamp;
use serde_json::{Value, json};

use crate::asked::LONG;

const SMALL: usize = 500;
const LARGE: usize = 10_000;
/// At once, and all due at about the same moment.
const AT_ONCE: usize = 10;
const ROUNDS: usize = 2;
const CONNECTIONS: usize = 32;
/// Of each lottery so many receipts are checked.
const RECEIPTS: usize = 25;
const MOST_LATE_S: f64 = 1.0;

/// Seconds from the moment of the draw until the winners were stored, by the server's stamps.
fn late_s(lottery: &Lottery, drawn: &Value) -> f64 {
    let drawn_at: Timestamp = serde_json::from_value(drawn["drawn_at"].clone()).expect("a time");
    (drawn_at.0 - lottery.draw_at_ms().cast_signed()) as f64 / 1e3
}

/// Opens lotteries, lets accounts enter all of them, and checks each; gives how late they were.
async fn round(server: &Server, scene: &Scene, lotteries: usize, entrants: &[Account], seconds: u64) -> Vec<f64> {
    let mut viewer = Watch::guest().open(server, &scene.room).await;
    _ = viewer.next("hello").await;
    let body = with(book(seconds), json!({"prizes": [{"name": "a mug", "count": 20}]}));
    let (mut opened, mut receipts) = (Vec::new(), Vec::new());
    for _ in 0..lotteries {
        opened.push(Lottery::open(scene, &body).await);
    }
    for lottery in &opened {
        let entered = enter_all(server.address(), lottery, entrants, CONNECTIONS).await;
        receipts.push(entered.into_iter().step_by(entrants.len() / RECEIPTS).collect::<Vec<_>>());
    }
    let (mut closed, mut drawn) = (BTreeMap::new(), 0);
    let all_drawn = viewer.through(|event| {
        if event.kind == "lottery" {
            let told = event.json();
            if told["change"] == "closed" {
                closed.insert(told["lottery_id"].as_str().unwrap().to_owned(), told["lottery"]["closed"].clone());
            }
            drawn += usize::from(told["change"] == "drawn");
        }
        drawn == lotteries
    });
    _ = in_time(LONG, "all are drawn", all_drawn).await;
    let mut late = Vec::new();
    for (lottery, receipts) in opened.iter().zip(&receipts) {
        let drawn = lottery.now(server).await;
        assert_eq!((&drawn["entrants"], &drawn["winners_total"]), (&json!(entrants.len()), &json!(20)));
        lottery.audit(server, &lottery.answer["opened"], &closed[&lottery.id], receipts).await;
        late.push(late_s(lottery, &drawn));
    }
    late
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lotteries_are_drawn_on_time_and_can_be_checked() {
    let server = Setup::new().set("LOTTERY__OPEN_PER_ROOM", "10").start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, LARGE).await;
    let mut late = Vec::new();
    for _ in 0..ROUNDS {
        late.extend(round(&server, &scene, AT_ONCE, &accounts[..SMALL], 6).await);
    }
    println!("{} lotteries of {SMALL}: drawn after {late:.3?} s", late.len());
    let large = round(&server, &scene, 1, &accounts, 12).await;
    println!("one of {LARGE}: drawn after {large:.3?} s");
    assert!(large[0] <= 2.0 * MOST_LATE_S, "a lottery of {LARGE} is drawn {:.3} s after its moment", large[0]);
    late.extend(large);
    assert_eq!(late.len(), ROUNDS * AT_ONCE + 1);
    assert!(late.iter().all(|late| *late >= 0.0), "none is early");
    let median = median(late);
    assert!(median <= MOST_LATE_S, "a lottery is drawn {median:.3} s after its moment");
}

/// They are for tests alone.
#[tokio::test]
async fn a_release_has_no_failpoints() {
    let ran = Setup::new().prepare().operate(&["--version"]).await;
    assert!(ran.ok && !ran.out.contains("failpoints"), "{}", ran.out);
}
