//! What timelines show: in broadcasts that are on, in those that have ended, and in none.

use idl::live::ReplayMarkKind::{LotteryCancelled, LotteryDrawn, LotteryOpened, Unknown};
use idl::live::{MarkReplay, ReplayMarkKind};
use idl::{Code, LotteryId, ReplayId};

use super::world::{NOON, World, refused};

/// Kind, moment and lottery of a replay's marks.
async fn marks(world: &World, replay: ReplayId) -> Vec<(ReplayMarkKind, u64, u64)> {
    let marks = world.job(replay).await.unwrap().marks;
    assert!(marks.iter().all(|mark| mark.title == format!("lottery {}", mark.lottery_id)));
    marks.into_iter().map(|mark| (mark.kind, mark.at_ms, mark.lottery_id.0)).collect()
}

#[tokio::test]
async fn what_happens_while_a_broadcast_is_on_is_on_its_replay() {
    let world = World::start().await;
    let (room, other) = (world.create(1, "one").await.unwrap().id, world.create(1, "two").await.unwrap().id);
    let at = |ms| NOON.plus_ms(ms);
    world.mark(room, 1, LotteryOpened, at(0)).await.unwrap();
    world.clock.advance_ms(1_000);
    let elsewhere = world.open(world.member(1), other, None).await.unwrap();
    let session = world.open(world.member(1), room, None).await.unwrap();
    world.mark(room, 2, LotteryDrawn, at(9_200)).await.unwrap();
    world.mark(room, 2, LotteryOpened, at(1_000)).await.unwrap();
    world.mark(room, 3, LotteryOpened, at(9_000)).await.unwrap();
    // Before it began, whenever that is told.
    world.mark(room, 4, LotteryOpened, at(999)).await.unwrap();
    for moment in [9_500, 9_600] {
        world.mark(room, 3, LotteryCancelled, at(moment)).await.unwrap();
    }
    world.clock.advance_ms(10_000);
    world.close(world.member(1), &session).await.unwrap();
    world.close(world.member(1), &elsewhere).await.unwrap();
    let [replay] = world.replays(None, room).await.unwrap().try_into().unwrap();
    let mut expected =
        vec![(LotteryOpened, 0, 2), (LotteryOpened, 8_000, 3), (LotteryDrawn, 8_200, 2), (LotteryCancelled, 8_500, 3)];
    assert_eq!(marks(&world, replay.id).await, expected);
    assert_eq!(world.job(replay.id).await.unwrap().revision, 1, "the first index shows them all");
    let [elsewhere] = world.replays(None, other).await.unwrap().try_into().unwrap();
    assert_eq!(marks(&world, elsewhere.id).await, []);

    // After the index was made: in its last millisecond, and a millisecond later.
    world.indexed(replay.id, 1, 1).await.unwrap();
    world.mark(room, 5, LotteryOpened, at(11_001)).await.unwrap();
    world.mark(room, 3, LotteryCancelled, at(10_000)).await.unwrap();
    assert_eq!((marks(&world, replay.id).await, world.is_due(replay.id).await), (expected.clone(), Some(false)));
    world.mark(room, 5, LotteryOpened, at(11_000)).await.unwrap();
    expected.push((LotteryOpened, 10_000, 5));
    assert_eq!((marks(&world, replay.id).await, world.is_due(replay.id).await), (expected.clone(), Some(true)));
    assert_eq!(world.job(replay.id).await.unwrap().revision, 2);
    world.indexed(replay.id, 2, 2).await.unwrap();
    assert_eq!(world.is_due(replay.id).await, Some(false));

    // The next broadcast has its own, also if it began in the millisecond in which this one ended.
    let next = world.open(world.member(1), room, None).await.unwrap();
    world.mark(room, 6, LotteryDrawn, at(11_000)).await.unwrap();
    world.close(world.member(1), &next).await.unwrap();
    let replays = world.replays(None, room).await.unwrap();
    let next = replays.iter().find(|replay| replay.session_id == Some(next.id)).unwrap();
    assert_eq!(marks(&world, next.id).await, [(LotteryDrawn, 0, 6)]);
    assert_eq!((marks(&world, replay.id).await, world.is_due(replay.id).await), (expected, Some(false)));
    let import = world.begin_import(world.member(1), room, "file").await.unwrap();
    assert_eq!(marks(&world, import.id).await, []);
}

#[tokio::test]
async fn what_can_be_on_no_replay_is_not_kept() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let kept = async || -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM replay_mark").fetch_one(world.live.core.db.reader()).await.unwrap()
    };
    let (_, replay) = world.broadcast(room, 5_000).await;
    world.mark(room, 1, LotteryOpened, NOON.plus_ms(1_000)).await.unwrap();
    assert_eq!(kept().await, 1);
    let bad = |kind, title: &str| MarkReplay {
        room,
        kind,
        at: NOON.plus_ms(1_000),
        lottery: LotteryId(2),
        title: title.to_owned(),
    };
    for bad in [bad(Unknown, "title"), bad(LotteryOpened, ""), bad(LotteryOpened, &"字".repeat(61))] {
        let answer = common::rpc::answer(world.client.mark_replay(super::world::soon(), bad).await);
        refused(answer, Code::InvalidField);
    }
    refused(world.mark(idl::RoomId(999_999), 1, LotteryOpened, NOON).await, Code::NoSuchRoom);
    world.delete_replay(world.member(1), replay.id).await.unwrap();
    world.mark(room, 2, LotteryOpened, NOON.plus_ms(1_000)).await.unwrap();
    assert_eq!(kept().await, 1);
    world.wiped(replay.id).await.unwrap();
    world.mark(room, 3, LotteryOpened, NOON.plus_ms(1_000)).await.unwrap();
    assert_eq!(kept().await, 0, "they go with the replay");
}

#[tokio::test]
async fn a_broadcast_has_so_many_marks() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let session = world.open(world.member(1), room, None).await.unwrap();
    // Not through the front: each would be a commit to the disk.
    const INSERT: &str = "INSERT INTO replay_mark (session_id, lottery_id, kind, at_ms, title) VALUES (?, ?, 1, ?, ?)";
    let mut tx = world.live.core.db.begin().await.unwrap();
    for n in 1..=999_i64 {
        let insert = sqlx::query(INSERT).bind(session.id.as_i64()).bind(n).bind(NOON.0).bind(format!("lottery {n}"));
        insert.execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    for lottery in [1_000, 1_001, 1_000] {
        world.mark(room, lottery, LotteryOpened, NOON).await.unwrap();
    }
    world.close(world.member(1), &session).await.unwrap();
    let [replay] = world.replays(None, room).await.unwrap().try_into().unwrap();
    world.indexed(replay.id, 1, 1).await.unwrap();
    world.mark(room, 1_002, LotteryDrawn, NOON).await.unwrap();
    let marks = marks(&world, replay.id).await;
    assert_eq!((marks.len(), marks.last()), (1_000, Some(&(LotteryOpened, 0, 1_000))));
    assert_eq!(world.is_due(replay.id).await, Some(false));
}
