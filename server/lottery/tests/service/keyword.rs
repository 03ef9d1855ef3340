//! A keyword belongs to a lottery that is there, or to none.

use std::time::Duration;

use idl::Code;
use idl::event::LotteryPhase;
use idl::lottery::LotteryBody;

use crate::stage::{Stage, minute};

fn with_keyword(keyword: &str) -> LotteryBody {
    LotteryBody { keyword: Some(keyword.to_owned()), ..minute() }
}

async fn until_keywords_are(stage: &Stage, expected: &[&str]) {
    let wait = async {
        while stage.live.keywords() != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| {
        panic!("{:?} are set, not {expected:?}", stage.live.keywords());
    });
}

#[tokio::test]
async fn a_keyword_whose_lottery_was_never_stored_is_freed_and_no_other() {
    let stage = Stage::new().await;
    let lottery = stage.open(with_keyword("stays")).await;
    stage.live.lose_answers(true);
    assert_eq!(stage.try_open(with_keyword("goes")).await.unwrap_err().code, Code::Unavailable);
    assert_eq!(stage.live.keywords().len(), 2, "it may have been set, and was");
    stage.live.lose_answers(false);
    assert_eq!(stage.try_open(with_keyword("goes")).await.unwrap_err().code, Code::KeywordTaken);
    stage.clock.advance_ms(11_000);
    until_keywords_are(&stage, &["stays"]).await;
    let second = stage.open(with_keyword("goes")).await;
    assert_eq!(stage.live.keywords().len(), 2);
    for lottery in [lottery, second] {
        assert_eq!(stage.now(lottery).await.phase, LotteryPhase::Open);
    }
}

#[tokio::test]
async fn a_keyword_is_freed_at_once_if_it_is_known_that_the_lottery_was_not_stored() {
    let stage = Stage::new().await;
    for _ in 0..5 {
        _ = stage.open(minute()).await;
    }
    assert_eq!(stage.try_open(with_keyword("go")).await.unwrap_err().code, Code::LimitReached);
    assert_eq!(stage.live.keywords(), Vec::<String>::new());
}
