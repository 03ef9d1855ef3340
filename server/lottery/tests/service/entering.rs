//! Entries: who gets one, and what it holds.

use std::collections::BTreeSet;
use std::time::Duration;

use common::rpc;
use futures::future::join_all;
use idl::draw::Receipt;
use idl::event::RoomRole;
use idl::lottery::{EnterLottery, LotteryBody};
use idl::message::KeywordPost;
use idl::{Code, DanmakuId, LotteryId, Timestamp, UserId};
use lottery::protocol::keys::is_receipt_signed;
use lottery::protocol::spec::SpecText;

use crate::stage::{HOST, ROOM, START, Stage, minute};

/// A keyword danmaku that was posted so long after the beginning.
pub(crate) fn keyword(user: u64, ms: i64, role: RoomRole) -> KeywordPost {
    KeywordPost {
        danmaku: DanmakuId(user + 1_000),
        room: ROOM,
        user: UserId(user),
        user_name: format!("user{user}"),
        role,
        sent_at: Timestamp(START.0 + ms),
    }
}

async fn with_keyword(stage: &Stage) -> LotteryId {
    stage.open(LotteryBody { keyword: Some("go".to_owned()), ..minute() }).await
}

#[tokio::test]
async fn many_at_once_get_numbers_without_holes_and_each_account_one() {
    let stage = Stage::new().await;
    let lottery = stage.open(minute()).await;
    // Everybody three times, in between one another: several batches.
    let tries = (0..600).map(|n| stage.enter(lottery, 10 + n % 200));
    let entered: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(entered.iter().filter(|entered| entered.is_new).count(), 200);
    for (n, one) in entered.iter().enumerate() {
        assert_eq!(one.receipt, entered[n % 200].receipt, "the same account gets the same receipt");
    }
    let numbers: BTreeSet<u64> = entered.iter().map(|entered| entered.receipt.n).collect();
    assert_eq!(numbers, (0..200).collect());
    let spec = SpecText::parse(&stage.now(lottery).await.opened.spec).unwrap();
    let receipts: Vec<Receipt> = entered.into_iter().take(200).map(|entered| entered.receipt).collect();
    for receipt in &receipts {
        assert!(is_receipt_signed(&spec.spec().receipt_key, receipt));
        assert_eq!((receipt.lottery_id, receipt.weight), (lottery, 1));
    }
    let tampered = Receipt { n: receipts[0].n + 1, ..receipts[0].clone() };
    assert!(!is_receipt_signed(&spec.spec().receipt_key, &tampered));
    stage.clock.advance_ms(60_000);
    _ = stage.drawn(lottery).await;
    assert_eq!(stage.check(lottery, &receipts).await.receipts, 200);
}

/// The same accounts at two instances at once, while the lottery is being closed: each has one
/// entry, in whatever instance, and the numbers have no holes.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_give_numbers_without_holes_up_to_the_freeze() {
    let stage = Stage::new().await;
    let second = stage.second().await;
    let lottery = stage.open(minute()).await;
    let at_second = |user| {
        let request = EnterLottery { caller: stage.caller(user), lottery, danmaku: None };
        let second = &second;
        async move { rpc::answer(second.enter(rpc::within(Duration::from_secs(20)), request).await) }
    };
    let both = |users: std::ops::Range<u64>| {
        let first = join_all(users.clone().map(|user| stage.enter(lottery, user)));
        let second = join_all(users.map(at_second));
        futures::future::join(first, second)
    };
    let (here, there) = both(10..310).await;
    let mut receipts = Vec::new();
    for (here, there) in here.into_iter().zip(there) {
        let (here, there) = (here.unwrap(), there.unwrap());
        assert_eq!(here.receipt, there.receipt);
        assert!(here.is_new != there.is_new, "one of the two made it");
        receipts.push(here.receipt);
    }
    let late = async {
        stage.clock.advance_ms(60_000);
        both(400..500).await
    };
    let (late_here, late_there) = late.await;
    for entered in late_here.into_iter().chain(late_there) {
        match entered {
            Ok(entered) => receipts.push(entered.receipt),
            Err(refusal) => assert_eq!(refusal.code, Code::LotteryClosed),
        }
    }
    _ = stage.drawn(lottery).await;
    let numbers: Vec<u64> = stage.entries(lottery).await.iter().map(|entry| entry.n).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    stage.check(lottery, &receipts).await;
}

#[tokio::test]
async fn eligibility_is_judged_at_the_entry() {
    let stage = Stage::new().await;
    let lottery = stage.open(LotteryBody { posted: true, ..minute() }).await;
    let code = async |user| stage.enter(lottery, user).await.map(|_| ()).map_err(|refusal| refusal.code);
    assert_eq!(code(HOST).await, Err(Code::NotEligible));
    assert_eq!(code(5).await, Err(Code::NotEligible), "who never posted");
    assert_eq!(stage.enter(LotteryId(99), 5).await.unwrap_err().code, Code::NoSuchLottery);
    stage.message.post(UserId(5));
    assert_eq!(code(5).await, Ok(()));
    assert_eq!(stage.now(lottery).await.entrants, 1);
    stage.clock.advance_ms(59_999);
    stage.message.post(UserId(6));
    stage.message.post(UserId(7));
    assert_eq!(code(6).await, Ok(()), "in the last millisecond");
    stage.clock.advance_ms(1);
    assert_eq!(code(7).await, Err(Code::LotteryClosed));
    let drawn = stage.drawn(lottery).await;
    assert_eq!((drawn.entrants, code(7).await), (2, Err(Code::LotteryClosed)));
    assert_eq!(code(6).await, Ok(()), "who is in gets the receipt again");
}

#[tokio::test]
async fn a_keyword_is_the_entry_of_who_posted_it_when_it_was_posted() {
    let stage = Stage::new().await;
    let lottery = with_keyword(&stage).await;
    let enter = async |user, danmaku| stage.enter_by(lottery, user, danmaku).await.map_err(|refusal| refusal.code);
    assert_eq!(enter(5, None).await.unwrap_err(), Code::KeywordNeeded);
    assert_eq!(enter(5, Some(DanmakuId(3))).await.unwrap_err(), Code::NoSuchDanmaku);
    stage.message.post_keyword(lottery, keyword(5, 1_000, RoomRole::Viewer));
    assert_eq!(enter(6, Some(DanmakuId(1_005))).await.unwrap_err(), Code::NotAllowed, "somebody else's");
    stage.clock.advance_ms(3_000);
    let entered = enter(5, Some(DanmakuId(1_005))).await.unwrap();
    assert_eq!(entered.receipt.entered_at_ms.cast_signed(), START.0 + 1_000);
}

#[tokio::test]
async fn a_keyword_whose_entry_never_came_is_found() {
    let stage = Stage::new().await;
    let lottery = with_keyword(&stage).await;
    // The process that took these died before it entered them.
    stage.message.post_keyword(lottery, keyword(5, 1_000, RoomRole::Viewer));
    stage.message.post_keyword(lottery, keyword(6, 1_001, RoomRole::Admin));
    let found = async {
        while stage.now(lottery).await.entrants == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.expect("it is looked for while the lottery is open");
    // And these at the last moment; one of them too late.
    stage.message.post_keyword(lottery, keyword(7, 59_999, RoomRole::Viewer));
    stage.message.post_keyword(lottery, keyword(8, 60_000, RoomRole::Viewer));
    stage.clock.advance_ms(60_000);
    _ = stage.drawn(lottery).await;
    let entries = stage.entries(lottery).await;
    let told: Vec<(u64, i64)> =
        entries.iter().map(|entry| (entry.user_id.0, entry.entered_at_ms.cast_signed() - START.0)).collect();
    assert_eq!(told, [(5, 1_000), (7, 59_999)]);
    _ = stage.check(lottery, &[]).await;
}

#[tokio::test]
async fn a_keyword_that_was_refused_is_not_an_entry_later() {
    let stage = Stage::new().await;
    let body = LotteryBody { keyword: Some("go".to_owned()), posted: true, ..minute() };
    let lottery = stage.open(body).await;
    for user in [5, 6] {
        stage.message.post_keyword(lottery, keyword(user, 1_000, RoomRole::Viewer));
    }
    stage.message.post(UserId(5));
    let refused = stage.enter_by(lottery, 6, Some(DanmakuId(1_006))).await.unwrap_err();
    assert_eq!(refused.code, Code::NotEligible, "who posted in another broadcast only");
    stage.clock.advance_ms(60_000);
    _ = stage.drawn(lottery).await;
    let entries = stage.entries(lottery).await;
    assert_eq!(entries.iter().map(|entry| entry.user_id.0).collect::<Vec<_>>(), [5]);
}

#[tokio::test]
async fn the_freeze_comes_also_if_keywords_cannot_be_read() {
    let stage = Stage::new().await;
    let lottery = with_keyword(&stage).await;
    stage.message.post_keyword(lottery, keyword(5, 10, RoomRole::Viewer));
    _ = stage.enter_by(lottery, 5, Some(DanmakuId(1_005))).await.unwrap();
    stage.message.hang();
    stage.clock.advance_ms(60_000);
    assert_eq!(stage.drawn(lottery).await.winners[0].user_id, UserId(5));
    _ = stage.check(lottery, &[]).await;
}
