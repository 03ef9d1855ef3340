//! Two instances of the service on one database.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use idl::event::RoomRole;
use idl::message::HistoryFrom;
use idl::{Code, DanmakuId, UserId};
use sqlx::Connection as _;

use crate::keywords;
use crate::replay_stage::OWNER;
use crate::stage::{ROOM, Stage, page};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_danmaku_whichever_instance_it_comes_to() {
    let stage = Stage::new().await;
    let Some(other) = stage.another().await else { return };
    for round in 0..5 {
        let key = format!("key{round}");
        let here = join_all((1..=20).map(|user| stage.post_with(user, "hello", &key)));
        let there = join_all((1..=20).map(|user| other.post_with(user, "hello", &key)));
        let (here, there) = futures::join!(here, there);
        for (here, there) in here.into_iter().zip(there) {
            assert_eq!(here.expect("it is accepted").id, there.expect("it is accepted").id);
        }
    }
    assert_eq!(stage.latest().await.len(), 100);
    let reused = other.post_with(1, "something else", "key0").await.expect_err("the key is used");
    assert_eq!(reused.code, Code::KeyReused);
}

/// Posts go on at both while the broadcast is sealed: what was accepted is in the replay.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_before_the_seal_is_in_the_replay() {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| _ = room.roles.insert(UserId(OWNER), RoomRole::Owner));
    let Some(other) = stage.another().await else { return };
    let ended = AtomicBool::new(false);
    let posting = |at: &'_ Stage, user: u64| {
        let request = at.request(user, ROOM, "hello", None);
        let (message, ended) = (at.message.clone(), &ended);
        async move {
            let mut accepted: Vec<DanmakuId> = Vec::new();
            while !ended.load(Ordering::Relaxed) {
                let within = common::rpc::within(crate::stage::PATIENCE);
                match common::rpc::answer(message.post(within, request.clone()).await) {
                    Ok(danmaku) => accepted.push(danmaku.id),
                    Err(refusal) if refusal.code == Code::RoomClosed => break,
                    Err(refusal) => panic!("{refusal:?}"),
                }
            }
            accepted
        }
    };
    let here = join_all((1..=8).map(|user| posting(&stage, user)));
    let there = join_all((11..=18).map(|user| posting(&other, user)));
    let sealing = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        // The live service that both ask still says that the room is open.
        stage.live.replays.of_broadcast(crate::replay_stage::REPLAY, ROOM, crate::stage::START, 1_000);
        stage.wake();
        stage.until_shown(1).await;
        ended.store(true, Ordering::Relaxed);
    };
    let (here, there, ()) = futures::join!(here, there, sealing);
    let mut accepted: Vec<DanmakuId> = here.into_iter().chain(there).flatten().collect();
    let mut shown: Vec<DanmakuId> = stage.lines(1).await.iter().map(|line| line.id).collect();
    accepted.sort_unstable();
    shown.sort_unstable();
    assert!(accepted.len() > 16);
    assert_eq!(shown, accepted);
}

/// A reader that goes on from page to page misses nothing that either instance stores.
#[tokio::test(flavor = "multi_thread")]
async fn forward_pages_miss_nothing_of_either_instance() {
    let stage = Stage::new().await;
    let Some(other) = stage.another().await else { return };
    let (mut read, mut after) = (Vec::new(), stage.history(page(HistoryFrom::Latest, 50)).await.unwrap().after_cursor);
    let mut next = async || {
        let from = HistoryFrom::After(after.clone().unwrap());
        let found = stage.history(page(from, 50)).await.unwrap();
        read.extend(found.items.into_iter().map(|danmaku| danmaku.id));
        after = found.after_cursor;
    };
    let mut stored = Vec::new();
    for _ in 0..20 {
        let (here, there) = futures::join!(stage.post(3, "here"), other.post(4, "there"));
        stored.extend([here.unwrap().id, there.unwrap().id]);
        next().await;
        stage.clock.advance_ms(100);
    }
    stage.clock.advance_ms(3_000);
    next().await;
    read.sort_unstable();
    stored.sort_unstable();
    assert_eq!(read, stored);
}

/// A batch is held while the other instance commits one of a later time: who has read that
/// one finds the held one too.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyword_danmaku_that_is_committed_late_is_found() {
    let stage = Stage::new().await;
    let Some(other) = stage.another().await else { return };
    keywords::set(&stage, ROOM, keywords::LOTTERY, "goli");
    let mut holder = sqlx::AnyConnection::connect(&format!("{}_message", stage.db_url)).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("SELECT * FROM post_key FOR UPDATE").execute(&mut *held).await.unwrap();
    let mut late = tokio::task::JoinSet::new();
    {
        let request = other.request(4, ROOM, "goli", Some("held"));
        let message = other.message.clone();
        let within = common::rpc::within(crate::stage::PATIENCE);
        late.spawn(async move { common::rpc::answer(message.post(within, request).await) });
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    stage.clock.advance_ms(400);
    let first = stage.post(3, "goli").await.unwrap();
    let page = keywords::read(&stage, None, 10).await.unwrap();
    assert_eq!(page.items.iter().map(|post| post.danmaku).collect::<Vec<_>>(), [first.id]);
    held.rollback().await.unwrap();
    let late = late.join_next().await.unwrap().unwrap().unwrap();
    assert!(late.sent_at < first.sent_at, "it was held");
    let next = keywords::read(&stage, page.settled, 10).await.unwrap();
    assert_eq!(next.items.iter().map(|post| post.danmaku).collect::<Vec<_>>(), [late.id, first.id]);
    stage.clock.advance_ms(3_000);
    let last = keywords::read(&stage, next.settled, 10).await.unwrap();
    let settled = keywords::read(&stage, last.settled, 10).await.unwrap();
    assert!(settled.items.is_empty(), "what is settled is not read for ever");
}

/// A batch that waited for so long that readers may have passed its time gets a later one.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_held_for_long_gets_another_time() {
    let stage = Stage::new().await;
    if stage.db_url == "sqlite:" {
        return;
    }
    let mut holder = sqlx::AnyConnection::connect(&format!("{}_message", stage.db_url)).await.unwrap();
    let mut held = holder.begin().await.unwrap();
    sqlx::query("SELECT * FROM post_key FOR UPDATE").execute(&mut *held).await.unwrap();
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        stage.clock.advance_ms(3_000);
        tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
        held.rollback().await.unwrap();
    };
    let (late, ()) = futures::join!(stage.post_with(4, "hello", "held"), release);
    assert_eq!(late.unwrap().sent_at, stage.clock.now());
}
