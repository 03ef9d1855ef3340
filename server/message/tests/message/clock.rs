//! The machine's clock is set forth and back: danmaku get the time that they are posted at.

use idl::live::RoomKeyword;
use idl::message::Danmaku;
use idl::{LotteryId, Timestamp};

use crate::stage::{ROOM, START, Stage};

const HOUR_MS: i64 = 3_600_000;
const LOTTERY: LotteryId = LotteryId(31);

fn at(ms: i64) -> Timestamp {
    Timestamp(START.0 + ms)
}

#[tokio::test(flavor = "multi_thread")]
async fn times_follow_no_clock_that_is_set() {
    for step_ms in [HOUR_MS, -HOUR_MS] {
        let stage = Stage::new().await;
        let mut posted = vec![stage.post(3, "right").await.unwrap()];
        stage.clock.step_ms(step_ms);
        stage.clock.advance_ms(1_000);
        posted.push(stage.post(3, "wrong").await.unwrap());
        let stage = stage.restarted().await;
        stage.clock.advance_ms(1_000);
        posted.push(stage.post(3, "still wrong").await.unwrap());
        stage.clock.step_ms(-step_ms);
        stage.clock.advance_ms(1_000);
        posted.push(stage.post(3, "right again").await.unwrap());
        let times: Vec<Timestamp> = posted.iter().map(|danmaku| danmaku.sent_at).collect();
        assert_eq!(times, [at(0), at(1_000), at(2_000), at(3_000)], "set by {step_ms} ms");
        assert_eq!(stage.latest().await, posted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_counts_until_its_end_by_a_clock_that_is_right() {
    for step_ms in [HOUR_MS, -HOUR_MS] {
        let stage = Stage::new().await;
        let keyword = RoomKeyword { lottery: LOTTERY, form: "goli".to_owned(), until: at(60_000) };
        stage.live.change(ROOM, |there| there.keywords.push(keyword));
        stage.clock.advance_ms(10_000);
        stage.clock.step_ms(step_ms);
        let marked = async |pause_ms| {
            stage.clock.advance_ms(pause_ms);
            stage.post(3, "goli").await.unwrap().lottery_id
        };
        assert_eq!(marked(0).await, Some(LOTTERY), "set by {step_ms} ms");
        assert_eq!(marked(49_999).await, Some(LOTTERY));
        assert_eq!(marked(1).await, None);
        stage.clock.step_ms(-step_ms);
        assert_eq!(marked(1).await, None);
    }
}

/// It was an hour ahead all the time, and is put right for good.
#[tokio::test(flavor = "multi_thread")]
async fn danmaku_do_not_wait_for_a_time_that_was_wrong() {
    let stage = Stage::new().await;
    let first = stage.post(3, "an hour ahead").await.unwrap();
    stage.clock.step_ms(-HOUR_MS);
    let second = stage.post(3, "not believed").await.unwrap();
    stage.clock.advance_ms(600_000);
    let mut later: Vec<Danmaku> = Vec::new();
    for _ in 0..3 {
        later.push(stage.post(3, "believed").await.unwrap());
        stage.clock.advance_ms(1_000);
    }
    assert_eq!((first.sent_at, second.sent_at), (at(0), at(0)));
    let times: Vec<i64> = later.iter().map(|danmaku| danmaku.sent_at.0 - START.0 + HOUR_MS).collect();
    assert_eq!(times, [600_000, 601_000, 602_000]);
    later.extend([first, second]);
    assert_eq!(stage.latest().await, later, "the wrong ones come last, until it is later than they are");
}
