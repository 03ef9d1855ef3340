//! The wall clock is set forth and back, also over a restart: nothing is drawn early, late
//! entries stay late, and nothing is drawn twice.

use std::time::Duration;

use idl::event::{LotteryChange, LotteryPhase, RoomRole};
use idl::lottery::LotteryBody;
use idl::{Code, LotteryId};
use tokio::time::sleep;

use crate::entering::keyword;
use crate::stage::{START, Stage, minute};

const HOUR_MS: i64 = 3_600_000;
const ONCE: [LotteryChange; 3] = [LotteryChange::Opened, LotteryChange::Closed, LotteryChange::Drawn];

/// So long, in real time, that the scheduler has looked several times for what is due; a
/// shorter time would only let a mistake pass.
async fn looks() {
    sleep(Duration::from_millis(400)).await;
}

/// Enters while the clock is wrong; gives the time of the entry, since the beginning.
async fn enter(stage: &Stage, lottery: LotteryId, user: u64) -> i64 {
    let entered = stage.enter(lottery, user).await.unwrap();
    entered.receipt.entered_at_ms.cast_signed() - START.0
}

#[tokio::test]
async fn a_clock_that_is_set_forth_draws_nothing_early() {
    let stage = Stage::new().await;
    let lottery = stage.open(minute()).await;
    stage.clock.advance_ms(10_000);
    stage.clock.step_ms(HOUR_MS);
    assert_eq!(enter(&stage, lottery, 2).await, 10_000, "by the clock that nobody can set");
    looks().await;
    assert_eq!(stage.now(lottery).await.phase, LotteryPhase::Open);
    // Nor does a message draw it that says that it is time.
    stage.queue.publish("lottery.draw", lottery.to_string()).unwrap();
    looks().await;
    stage.clock.advance_ms(1_000);
    assert_eq!(enter(&stage, lottery, 3).await, 11_000);
    stage.clock.step_ms(-HOUR_MS);
    stage.clock.advance_ms(1_000);
    looks().await;
    assert_eq!(enter(&stage, lottery, 4).await, 12_000, "and on it goes");
    stage.clock.advance_ms(48_000);
    let closed = stage.drawn(lottery).await.closed.unwrap();
    assert_eq!((closed.count, closed.closed_at_ms.cast_signed() - START.0), (3, 60_000));
    // What is drawn is drawn, whatever time it seems to be.
    for step_ms in [-HOUR_MS, 2 * HOUR_MS, -HOUR_MS] {
        stage.clock.step_ms(step_ms);
        stage.queue.publish("lottery.draw", lottery.to_string()).unwrap();
        looks().await;
    }
    assert_eq!(stage.changes(lottery), ONCE);
    _ = stage.check(lottery, &[]).await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_lets_nobody_in_late() {
    let stage = Stage::new().await;
    let lottery = stage.open(minute()).await;
    stage.clock.advance_ms(59_000);
    stage.clock.step_ms(-HOUR_MS);
    assert_eq!(enter(&stage, lottery, 2).await, 59_000);
    stage.clock.advance_ms(2_000);
    // Its time is over; the freeze waits until the clock is certain, but takes nobody in.
    assert_eq!(stage.enter(lottery, 3).await.unwrap_err().code, Code::LotteryClosed);
    looks().await;
    assert_eq!(stage.now(lottery).await.phase, LotteryPhase::Open, "it is not frozen by a clock in doubt");
    assert_eq!(stage.cancel(lottery).await.unwrap_err().code, Code::LotteryClosed, "nor called off");
    stage.clock.step_ms(HOUR_MS);
    let closed = stage.drawn(lottery).await.closed.unwrap();
    assert_eq!((closed.count, closed.closed_at_ms.cast_signed() - START.0), (1, 61_000));
    assert_eq!(stage.changes(lottery), ONCE);
    _ = stage.check(lottery, &[]).await;
}

/// message goes by the same clock: when a keyword was posted is known, whenever it comes.
#[tokio::test]
async fn a_keyword_that_was_posted_in_time_counts_also_while_the_clock_is_in_doubt() {
    for step_ms in [HOUR_MS, -HOUR_MS] {
        let stage = Stage::new().await;
        let lottery = stage.open(LotteryBody { keyword: Some("go".to_owned()), ..minute() }).await;
        stage.clock.step_ms(step_ms);
        stage.clock.advance_ms(61_000);
        let [in_time, late] = [(4, 59_999), (5, 60_000)].map(|(user, ms)| keyword(user, ms, RoomRole::Viewer));
        for post in [&in_time, &late] {
            stage.message.post_keyword(lottery, post.clone());
        }
        let entered = stage.enter_by(lottery, 4, Some(in_time.danmaku)).await.unwrap();
        assert_eq!(entered.receipt.entered_at_ms.cast_signed() - START.0, 59_999);
        assert_eq!(stage.enter_by(lottery, 5, Some(late.danmaku)).await.unwrap_err().code, Code::LotteryClosed);
        stage.clock.step_ms(-step_ms);
        assert_eq!(stage.drawn(lottery).await.closed.unwrap().count, 1);
    }
}

#[tokio::test]
async fn nobodys_time_to_claim_ends_by_a_clock_that_was_set() {
    let stage = Stage::new().await;
    let lottery = stage.open(LotteryBody { claim_s: 10, ..minute() }).await;
    for user in 2..5 {
        assert_eq!(enter(&stage, lottery, user).await, 0);
    }
    stage.clock.advance_ms(60_000);
    let winner = stage.drawn(lottery).await.winners[0].n;
    for step_ms in [HOUR_MS, -HOUR_MS] {
        stage.clock.step_ms(step_ms);
        let redrawn = stage.redraw(lottery, winner).await.unwrap_err();
        assert_eq!((redrawn.code, redrawn.retry_after_ms), (Code::Unavailable, Some(60_000)));
        stage.clock.step_ms(-step_ms);
    }
    stage.clock.advance_ms(10_000);
    stage.clock.step_ms(-HOUR_MS);
    assert_eq!(stage.claim(lottery, 2 + winner).await.unwrap_err().code, Code::ClaimExpired);
    assert_eq!(stage.redraw(lottery, winner).await.unwrap_err().code, Code::Unavailable);
    stage.clock.step_ms(HOUR_MS);
    let next = stage.redraw(lottery, winner).await.unwrap().winners[0].n;
    stage.clock.advance_ms(9_999);
    stage.clock.step_ms(HOUR_MS);
    let claimed = stage.claim(lottery, 2 + next).await.unwrap().prize.unwrap();
    assert_eq!(claimed.claimed_at, Some(START.plus_ms(79_999)), "in the last millisecond");
}

#[tokio::test]
async fn a_restart_under_a_wrong_clock_draws_nothing_early_and_lets_nobody_in_late() {
    let stage = Stage::new().await;
    let lottery = stage.open(minute()).await;
    stage.clock.advance_ms(10_000);
    let stage = stage.restarted(|clock| clock.step_ms(HOUR_MS)).await;
    assert_eq!(enter(&stage, lottery, 2).await, 10_000);
    looks().await;
    assert_eq!(stage.now(lottery).await.phase, LotteryPhase::Open, "an hour early");
    // Set back further than it was set forth, while it does not run.
    let stage = stage.restarted(|clock| clock.step_ms(-2 * HOUR_MS)).await;
    stage.clock.advance_ms(49_000);
    assert_eq!(enter(&stage, lottery, 3).await, 59_000);
    stage.clock.advance_ms(1_000);
    assert_eq!(stage.enter(lottery, 4).await.unwrap_err().code, Code::LotteryClosed);
    looks().await;
    assert_eq!(stage.now(lottery).await.phase, LotteryPhase::Open, "it waits for a clock that is certain");
    let stage = stage.restarted(|clock| clock.step_ms(HOUR_MS)).await;
    let closed = stage.drawn(lottery).await.closed.unwrap();
    assert_eq!((closed.count, closed.closed_at_ms.cast_signed() - START.0), (2, 60_000));
    assert_eq!(stage.changes(lottery), ONCE);
    _ = stage.check(lottery, &[]).await;
}
