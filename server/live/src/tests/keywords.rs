//! Keywords of lotteries: who has which, from when, until when.

use common::rpc;
use idl::danmaku::keyword_form;
use idl::live::SetKeyword;
use idl::{Code, LotteryId, RoomId};

use super::world::{HOUR_MS, World, refused, soon};

/// What a viewer's danmaku are compared with: lotteries and forms.
async fn keywords(world: &World, room: RoomId) -> Vec<(u64, String)> {
    let standing = world.standing(room, 9).await.unwrap();
    standing.keywords.into_iter().map(|keyword| (keyword.lottery.0, keyword.form)).collect()
}

fn are(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(lottery, form)| (*lottery, (*form).to_owned())).collect()
}

#[tokio::test]
async fn a_keyword_holds_from_its_answer_to_its_end() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let version = async || world.live.core.find_room(room).await.unwrap().version();
    let before = version().await;
    for lottery in 10..60 {
        assert_eq!(keywords(&world, room).await, [], "and that is in memory now");
        world.set_keyword(world.member(1), room, lottery, " ＧｏＬｉ ").await.unwrap();
        assert_eq!(keywords(&world, room).await, are(&[(lottery, "goli")]), "the very next post is marked");
        world.end_keyword(room, lottery).await.unwrap();
        world.end_keyword(room, lottery).await.unwrap();
    }
    world.set_keyword(world.member(1), room, 5, "goli").await.unwrap();
    let standing = world.standing(room, 9).await.unwrap();
    let until = world.clock.now().plus_ms(HOUR_MS);
    assert_eq!(standing.keywords[0].until, until);
    world.clock.advance_ms(HOUR_MS.cast_signed() - 1);
    assert_eq!(keywords(&world, room).await, are(&[(5, "goli")]));
    world.clock.advance_ms(1);
    assert_eq!(keywords(&world, room).await, []);
    assert_eq!((version().await, world.push.sources(room).len()), (before, 1), "viewers are told of none of this");
}

#[tokio::test]
async fn an_open_lottery_has_its_keyword_alone() {
    let world = World::start().await;
    let (room, other_room) = (world.create(1, "one").await.unwrap().id, world.create(1, "two").await.unwrap().id);
    let set = async |lottery, keyword| world.set_keyword(world.member(1), room, lottery, keyword).await;
    set(1, "GoliGoli").await.unwrap();
    for taken in ["GoliGoli", " goligoli\u{3000}", "ＧＯＬＩＧＯＬＩ"] {
        let refusal = refused(set(2, taken).await, Code::KeywordTaken);
        assert_eq!(refusal.detail, "lottery 1 of this room has this keyword");
    }
    set(1, "goligoli").await.unwrap();
    set(1, "something else").await.unwrap();
    assert_eq!(keywords(&world, room).await, are(&[(1, "goligoli")]), "the same lottery again changes nothing");
    set(2, "抽奖").await.unwrap();
    world.set_keyword(world.member(1), other_room, 3, "goligoli").await.unwrap();
    assert_eq!(keywords(&world, room).await, are(&[(1, "goligoli"), (2, "抽奖")]));
    assert_eq!(keywords(&world, other_room).await, are(&[(3, "goligoli")]), "rooms have their own");

    world.end_keyword(other_room, 1).await.unwrap();
    refused(set(4, "goligoli").await, Code::KeywordTaken);
    world.end_keyword(room, 1).await.unwrap();
    set(4, "goligoli").await.unwrap();
    assert_eq!(keywords(&world, room).await, are(&[(2, "抽奖"), (4, "goligoli")]), "who ends it, gives it free");
    world.clock.advance_ms(HOUR_MS.cast_signed());
    set(5, "goligoli").await.unwrap();
    assert_eq!(keywords(&world, room).await, are(&[(5, "goligoli")]), "so does its time");
}

#[tokio::test]
async fn one_of_many_at_once_gets_the_keyword() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let set = |lottery| world.set_keyword(world.member(1), room, lottery, if lottery % 2 == 0 { "a" } else { "A " });
    let answers = futures::future::join_all((1..=20).map(set)).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        refused(answer, Code::KeywordTaken);
    }
    assert_eq!(keywords(&world, room).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_keyword_is_refused_and_too_many_are() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let set = async |lottery, keyword: &str| world.set_keyword(world.member(1), room, lottery, keyword).await;
    for keyword in ["", " \u{3000}", "a\nb", "a\u{202E}b", &"字".repeat(21)] {
        let refusal = refused(set(1, keyword).await, Code::InvalidField);
        assert_eq!(refusal.pointer.as_deref(), Some("/keyword"));
    }
    refused(world.set_keyword(world.member(1), RoomId(999_999), 1, "a").await, Code::NoSuchRoom);
    refused(world.end_keyword(RoomId(999_999), 1).await, Code::NoSuchRoom);
    for until in [world.clock.now(), idl::Timestamp(0)] {
        let (caller, keyword) = (world.member(1), "too late".to_owned());
        let late = SetKeyword { caller, room, lottery: LotteryId(1), keyword, until };
        rpc::answer(world.client.set_keyword(soon(), late).await).unwrap();
    }
    assert_eq!(keywords(&world, room).await, []);

    let longest = "\u{fdfa}".repeat(20);
    set(1, &longest).await.unwrap();
    assert_eq!(keywords(&world, room).await, are(&[(1, &keyword_form(&longest))]), "whole, though 360 characters");
    for lottery in 2..=50 {
        set(lottery, &format!("keyword {lottery}")).await.unwrap();
    }
    refused(set(51, "one more").await, Code::LimitReached);
    refused(set(51, "keyword 50").await, Code::KeywordTaken);
    set(50, "one more").await.unwrap();
    world.clock.advance_ms(HOUR_MS.cast_signed());
    set(51, "one more").await.unwrap();
}

#[tokio::test]
async fn keywords_outlive_the_process_and_are_swept_after_their_time() {
    let world = World::start().await;
    let (room, other_room) = (world.create(1, "one").await.unwrap().id, world.create(1, "two").await.unwrap().id);
    world.set_keyword(world.member(1), room, 1, "one").await.unwrap();
    world.clock.advance_ms(1);
    world.set_keyword(world.member(1), other_room, 2, "two").await.unwrap();
    world.clock.advance_ms(-1);
    let world = world.restart().await;
    assert_eq!(keywords(&world, room).await, are(&[(1, "one")]));

    let left = async || {
        world.live.core.sweep().await.unwrap();
        let all = "SELECT lottery_id FROM room_keyword";
        sqlx::query_scalar::<_, i64>(all).fetch_all(world.live.core.db.reader()).await.unwrap()
    };
    world.clock.advance_ms(HOUR_MS.cast_signed() - 1);
    assert_eq!(left().await, [1, 2]);
    world.clock.advance_ms(1);
    assert_eq!(left().await, [2]);
    assert_eq!(keywords(&world, other_room).await, are(&[(2, "two")]));
}
