//! A process that was stopped over the moment of the draw.

use goligoli_tests::lottery::{Lottery, book, receipt};
use goligoli_tests::{Account, Scene, Setup, Watch, until};

#[tokio::test]
async fn a_stopped_process_draws_once_when_it_wakes() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 4).await;
    let (late, entrants) = accounts.split_last().unwrap();
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    let lottery = Lottery::open(&scene, &book(2)).await;
    let mut receipts = Vec::new();
    for account in entrants {
        receipts.push(receipt(&lottery.enter(account).await));
    }
    server.hold();
    let now_ms = || common::Clock::system().now().0.cast_unsigned();
    until("its moment has passed by a second", async || (now_ms() > lottery.draw_at_ms() + 1_000).then_some(())).await;
    // Somebody asks while it can't answer; it does when it wakes.
    let woken_ms = now_ms();
    let (answer, ()) = tokio::join!(lottery.enter(late), async { server.go_on() });
    answer.refused(409, "lottery-closed");
    let drawn = lottery.drawn(&server).await;
    let closed_at_ms = drawn["closed"]["closed_at_ms"].as_u64().unwrap();
    assert!(closed_at_ms >= woken_ms, "{closed_at_ms} is when it could, {woken_ms}");
    assert_eq!(drawn["closed"]["count"], entrants.len());
    // A later one comes after whatever this one still had to say.
    let next = Lottery::open(&scene, &book(1)).await;
    let seen = viewer.through(|event| next.told([event]).iter().any(|(change, _)| change == "drawn")).await;
    let told = lottery.told(&seen);
    let steps: Vec<&str> = told.iter().map(|(change, _)| change.as_str()).filter(|c| *c != "entered").collect();
    assert_eq!(steps, ["opened", "closed", "drawn"], "once");
    lottery.audit(&server, &drawn["opened"], &drawn["closed"], &receipts).await;
}
