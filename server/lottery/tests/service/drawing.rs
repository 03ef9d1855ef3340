//! Draws, and what becomes of prizes.

use std::time::Duration;

use futures::future::join_all;
use idl::draw::Prize;
use idl::event::LotteryChange::{Cancelled, Closed, Drawn, Opened, Redrawn};
use idl::event::{LotteryPhase, LotteryWinner};
use idl::lottery::LotteryBody;
use idl::{Code, LotteryId};
use tokio::time::Instant;

use crate::stage::{Stage, minute};

async fn enter_all(stage: &Stage, lottery: LotteryId, users: std::ops::Range<u64>) -> Vec<idl::draw::Receipt> {
    join_all(users.map(|user| async move { stage.enter(lottery, user).await.unwrap().receipt })).await
}

#[tokio::test]
async fn however_many_draw_it_there_is_one_result() {
    let stage = Stage::new().await;
    let second = stage.second().await;
    let mut drawn_before = Vec::new();
    for _ in 0..5 {
        let prizes = vec![Prize { name: "a mug".to_owned(), count: 3 }];
        let lottery = stage.open(LotteryBody { prizes, ..minute() }).await;
        let receipts = enter_all(&stage, lottery, 10..30).await;
        // Both instances look for themselves, and one gets the message over and over.
        stage.clock.advance_ms(60_000);
        for _ in 0..20 {
            stage.queue.publish("lottery.draw", lottery.to_string()).unwrap();
        }
        let drawn = stage.drawn(lottery).await;
        assert_eq!((drawn.winners.len(), drawn.winners_total), (3, 3));
        for _ in 0..3 {
            stage.queue.publish("lottery.draw", lottery.to_string()).unwrap();
        }
        let context = common::rpc::within(Duration::from_secs(20));
        let elsewhere = second.lottery(context, idl::lottery::GetLottery { lottery }).await.unwrap().unwrap();
        assert_eq!(elsewhere, drawn);
        assert_eq!(stage.check(lottery, &receipts).await.receipts, 20);
        drawn_before.push((lottery, drawn));
    }
    // What was sent last is handled within this, or a mistake of it would pass.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for (lottery, drawn) in drawn_before {
        assert_eq!(stage.changes(lottery), [Opened, Closed, Drawn]);
        assert_eq!(stage.now(lottery).await, drawn, "nothing changed since");
    }
}

#[tokio::test]
async fn a_draw_whose_process_dies_is_taken_up_within_seconds() {
    let mut stage = Stage::new().await;
    let lottery = stage.open(minute()).await;
    _ = enter_all(&stage, lottery, 10..20).await;
    stage.until_told(lottery, Opened).await;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let doomed = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(stage.second())).join().unwrap());
    stage.stop().await;
    stage.lottery = doomed;
    // It waits for viewers to have the root.
    stage.push.set_away(true);
    stage.clock.advance_ms(60_000);
    let is_signed = async {
        while stage.now(lottery).await.closed.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_signed).await.unwrap();
    runtime.shutdown_background();
    stage.push.set_away(false);
    stage.lottery = stage.second().await;
    assert_eq!(stage.now(lottery).await.phase, LotteryPhase::Closed);
    let drawn = async {
        while stage.now(lottery).await.drawn_at.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stage.clock.advance_ms(100);
        }
    };
    tokio::time::timeout(Duration::from_secs(5), drawn).await.expect("another draws it");
    _ = stage.drawn(lottery).await;
    assert_eq!(stage.changes(lottery), [Opened, Closed, Drawn]);
    _ = stage.check(lottery, &[]).await;
}

#[tokio::test]
async fn viewers_hear_of_everything_in_order_also_if_push_was_away() {
    let stage = Stage::new().await;
    stage.push.set_away(true);
    let drawn = stage.open(minute()).await;
    let cancelled = stage.open(LotteryBody { keyword: Some("go".to_owned()), ..minute() }).await;
    assert_eq!(stage.live.keywords(), ["go"]);
    assert!(stage.cancel(cancelled).await.unwrap().cancelled.is_some());
    _ = enter_all(&stage, drawn, 10..12).await;
    stage.clock.advance_ms(60_000);
    let wait = async {
        while stage.now(drawn).await.drawn_at.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    assert!(stage.push.told(drawn).is_empty());
    stage.push.set_away(false);
    _ = stage.drawn(drawn).await;
    assert_eq!(stage.changes(drawn), [Opened, Closed, Drawn]);
    assert_eq!(stage.changes(cancelled), [Opened, Cancelled]);
    assert_eq!(stage.live.keywords(), Vec::<String>::new(), "whoever is next may have it");
    let versions: Vec<u64> =
        stage.push.told(drawn).iter().map(|event| event.lottery.as_ref().unwrap().version).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    assert!(stage.push.told(drawn)[..2].iter().all(|event| event.winners.is_empty()));
    _ = stage.check(drawn, &[]).await;
}

#[tokio::test]
async fn the_seed_is_not_revealed_before_viewers_could_have_the_root() {
    let stage = Stage::new().await;
    let lottery = stage.open(minute()).await;
    stage.until_told(lottery, Opened).await;
    stage.push.set_away(true);
    let before = Instant::now();
    stage.clock.advance_ms(60_000);
    let is_signed = async {
        while stage.now(lottery).await.closed.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), is_signed).await.unwrap();
    // The wait began after `before`, and what was read so soon was so before it ended.
    loop {
        let phase = stage.now(lottery).await.phase;
        if before.elapsed() > Duration::from_millis(700) {
            break;
        }
        assert_eq!(phase, LotteryPhase::Closed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stage.push.set_away(false);
    _ = stage.drawn(lottery).await;
    assert_eq!(stage.changes(lottery), [Opened, Closed, Drawn]);
}

#[tokio::test]
async fn prizes_that_change_hands_are_told_together() {
    let stage = Stage::new().await;
    let prizes = vec![Prize { name: "a sticker".to_owned(), count: 30 }];
    let lottery = stage.open(LotteryBody { prizes, ..minute() }).await;
    _ = enter_all(&stage, lottery, 10..50).await;
    stage.clock.advance_ms(60_000);
    let winners = stage.drawn(lottery).await.winners;
    let began = Instant::now();
    for winner in winners {
        stage.decline(lottery, winner.user_id.0).await.unwrap();
    }
    let now = stage.now(lottery).await;
    assert_eq!((now.replaced.len(), now.winners.len()), (30, 10));
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    let numbers = |winners: &[LotteryWinner]| winners.iter().map(|winner| winner.n).collect::<Vec<_>>();
    let mut told = stage.push.changes();
    let wait = async {
        while numbers(&stage.push.told(lottery).last().unwrap().winners) != numbers(&now.winners) {
            told.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
    let times = stage.changes(lottery).iter().filter(|change| **change == Redrawn).count();
    assert!((1..=seconds + 3).contains(&times), "{times} events of 30 changes in {seconds} s");
}

/// More than are kept of the ranking at first, so that it is computed again.
#[tokio::test]
async fn a_prize_is_drawn_again_until_nobody_is_left() {
    const ENTRANTS: usize = 105;
    let stage = Stage::new().await;
    let lottery = stage.open(LotteryBody { claim_s: 10, ..minute() }).await;
    _ = enter_all(&stage, lottery, 10..10 + ENTRANTS as u64).await;
    stage.clock.advance_ms(60_000);
    let mut winners = stage.drawn(lottery).await.winners;
    let mut out = Vec::new();
    while let Some(winner) = winners.pop() {
        assert!(winners.is_empty() && !out.contains(&winner.n));
        if out.len() % 20 == 0 {
            stage.clock.advance_ms(9_999);
            let early = stage.redraw(lottery, winner.n).await.unwrap_err();
            assert_eq!(early.code, Code::ClaimOpen);
            stage.clock.advance_ms(1);
        } else {
            stage.clock.advance_ms(10_000);
        }
        winners = stage.redraw(lottery, winner.n).await.unwrap().winners;
        out.push(winner.n);
    }
    assert_eq!(out.len(), ENTRANTS, "everybody had a chance");
    let checked = stage.check(lottery, &[]).await;
    assert_eq!((checked.proof.replaced.len(), checked.proof.winners.len()), (ENTRANTS, 0));
}

#[tokio::test]
async fn a_lottery_that_nobody_entered_is_drawn_too() {
    let stage = Stage::new().await;
    let lottery = stage.open(minute()).await;
    stage.clock.advance_ms(60_000);
    assert_eq!(stage.drawn(lottery).await.winners_total, 0);
    assert_eq!(stage.check(lottery, &[]).await.proof.count, 0);
}
