//! The wall clock is set forth and back: nothing is drawn early, late entries stay late, and
//! nothing is drawn twice.

use std::time::Duration;

use idl::event::{LotteryChange, LotteryPhase};
use idl::{Code, LotteryId};
use tokio::time::sleep;

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
