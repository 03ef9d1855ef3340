//! What the timelines of replays show of lotteries.

use idl::LotteryId;
use idl::event::LotteryChange::{Cancelled, Closed, Drawn, Opened};
use idl::live::MarkReplay;
use idl::live::ReplayMarkKind::{self, LotteryCancelled, LotteryDrawn, LotteryOpened};
use idl::lottery::LotteryBody;

use crate::stage::{ROOM, START, Stage, minute};

/// What was marked of a lottery, and how many milliseconds after the test began that was.
fn marks_of(marks: &[MarkReplay], lottery: LotteryId) -> Vec<(ReplayMarkKind, u64)> {
    let of_it = marks.iter().filter(|mark| mark.lottery == lottery);
    of_it.map(|mark| (mark.kind, mark.at.since_ms(START))).collect()
}

#[tokio::test]
async fn what_happens_is_marked_once_and_rehearsals_are_not() {
    let stage = Stage::new().await;
    let drawn = stage.open(minute()).await;
    stage.clock.advance_ms(1_000);
    let cancelled = stage.open(LotteryBody { title: "Called off".to_owned(), ..minute() }).await;
    stage.live.set_off_air(true);
    let rehearsal = stage.open(LotteryBody { test: true, ..minute() }).await;
    let rehearsal_of_nothing = stage.open(LotteryBody { test: true, ..minute() }).await;
    stage.live.set_off_air(false);
    stage.clock.advance_ms(1_000);
    stage.cancel(cancelled).await.unwrap();
    stage.cancel(cancelled).await.unwrap();
    stage.cancel(rehearsal_of_nothing).await.unwrap();
    stage.enter(drawn, 10).await.unwrap();
    stage.clock.advance_ms(60_000);
    stage.drawn(drawn).await;
    stage.drawn(rehearsal).await;
    // What is handed on last comes after all that a mistake would mark.
    let last = stage.open(minute()).await;
    stage.live.until_marked(last, LotteryOpened).await;
    let marks = stage.live.marks();
    assert_eq!(marks.len(), 5, "{marks:?}");
    assert_eq!(marks_of(&marks, drawn), [(LotteryOpened, 0), (LotteryDrawn, 62_000)]);
    assert_eq!(marks_of(&marks, cancelled), [(LotteryOpened, 1_000), (LotteryCancelled, 2_000)]);
    assert_eq!(marks_of(&marks, last), [(LotteryOpened, 62_000)]);
    assert!(marks.iter().all(|mark| mark.room == ROOM));
    let title = |lottery| marks.iter().find(|mark| mark.lottery == lottery).map(|mark| mark.title.as_str());
    assert_eq!((title(drawn), title(cancelled)), (Some("The draw"), Some("Called off")));
}

#[tokio::test]
async fn no_viewer_waits_while_nothing_can_be_marked() {
    let stage = Stage::new().await;
    stage.live.lose_answers(true);
    let drawn = stage.open(minute()).await;
    let cancelled = stage.open(minute()).await;
    stage.cancel(cancelled).await.unwrap();
    stage.clock.advance_ms(60_000);
    stage.drawn(drawn).await;
    stage.until_told(cancelled, Cancelled).await;
    assert_eq!(stage.changes(drawn), [Opened, Closed, Drawn]);
    // Only the first one is tried, so that they keep their order.
    let tried = stage.live.marks();
    assert!(tried.iter().all(|mark| (mark.lottery, mark.kind) == (drawn, LotteryOpened)), "{tried:?}");
    stage.live.lose_answers(false);
    stage.live.until_marked(drawn, LotteryDrawn).await;
    let mut marks = stage.live.marks();
    marks.dedup_by_key(|mark| (mark.lottery, mark.kind));
    let order: Vec<_> = marks.iter().map(|mark| (mark.lottery, mark.kind)).collect();
    let (a, b) = (drawn, cancelled);
    assert_eq!(order, [(a, LotteryOpened), (b, LotteryOpened), (b, LotteryCancelled), (a, LotteryDrawn)]);
}
