//! Broadcasts become replays.

use futures::future::join_all;
use idl::event::RoomRole;
use idl::live::{ReplayMark, ReplayMarkKind};
use idl::message::ReadReplayDanmaku;
use idl::{Code, DanmakuId, LotteryId, UserId};

use crate::replay_stage::{OWNER, REPLAY, everything, texts};
use crate::stage::{ROOM, START, Stage};

const SENDER: u64 = 3;
const STRANGER: u64 = 4;
const LEASE_MS: i64 = 60_000;
/// More than a debug build indexes in the moment that a test needs to get in between.
const MANY: u64 = 60_000;

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| _ = room.roles.insert(UserId(OWNER), RoomRole::Owner));
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_in_the_replay() {
    let stage = stage().await;
    let mut said = Vec::new();
    for (user, words) in [(SENDER, "first"), (OWNER, "<second> & \"more\""), (SENDER, "哈哈哈哈")] {
        said.push(stage.post(user, words).await.unwrap());
        stage.clock.advance_ms(200_500);
    }
    let gone = stage.post(SENDER, "taken back").await.unwrap();
    stage.delete(stage.caller(SENDER), gone.id).await.unwrap();
    let mark =
        ReplayMark { kind: ReplayMarkKind::LotteryOpened, at_ms: 7, lottery_id: LotteryId(9), title: "a mug".into() };
    stage.close();
    stage.live.replays.change(REPLAY, |job| job.marks.push(mark.clone()));
    let told = stage.until_shown(1).await;
    assert_eq!((told.revision, told.duration_ms, told.danmaku_count), (1, 601_500, 3));

    let lines = stage.lines(1).await;
    for (line, said) in lines.iter().zip(&said) {
        assert_eq!((line.id, line.sent_at, &line.text), (said.id, said.sent_at, &said.text));
        assert_eq!((line.mode, line.color, line.size), (said.mode, said.color, said.size));
        assert_eq!(line.at_ms, said.sent_at.since_ms(START));
        assert_eq!(line.user_name.as_ref(), Some(&said.sender.name));
    }
    assert_eq!((lines.len(), lines[0].sender_hash), (3, lines[2].sender_hash), "one sender, one hash");
    assert_ne!(lines[0].sender_hash, lines[1].sender_hash);
    let manifest = stage.manifest(1).await;
    assert_eq!(manifest.parts.iter().map(|part| part.segment).collect::<Vec<_>>(), [1, 2]);
    let busy: Vec<usize> = (0..manifest.heat.counts.len()).filter(|at| manifest.heat.counts[*at] > 0).collect();
    assert_eq!((manifest.heat.step_ms, busy), (1_000, vec![0, 200, 401]));
    assert_eq!(manifest.marks, [mark]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_while_it_is_sealed_is_refused_or_in_the_replay() {
    let stage = stage().await;
    // As where what live said of the room is some moments old: to posts it is still open.
    stage.live.replays.of_broadcast(REPLAY, ROOM, START, 1_000);
    let words: Vec<String> = (0..400).map(|n| format!("line {n}")).collect();
    let posts = words.iter().enumerate().map(async |(n, words)| {
        for _ in 0..n / 20 {
            tokio::task::yield_now().await;
        }
        if n == 200 {
            stage.wake();
        }
        stage.post(1 + n as u64 % 90, words).await
    });
    let outcomes = join_all(posts).await;
    stage.until_shown(1).await;
    let after = stage.post(SENDER, "too late").await;
    assert_eq!(after.unwrap_err().code, Code::RoomClosed);
    let mut accepted: Vec<DanmakuId> = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(danmaku) => accepted.push(danmaku.id),
            Err(refusal) => assert_eq!(refusal.code, Code::RoomClosed, "{refusal}"),
        }
    }
    let mut replayed: Vec<DanmakuId> = stage.lines(1).await.iter().map(|line| line.id).collect();
    accepted.sort();
    replayed.sort();
    assert_eq!(replayed, accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_many_has_parts_and_an_empty_one_has_none() {
    let stage = stage().await;
    stage.fill(1_000, 6_001, 0, 10).await;
    stage.fill(20_000, 12_000, 720_000, 1).await;
    stage.fill(40_000, 1, 5 * 360_000 - 1, 0).await;
    stage.fill(40_001, 1, 5 * 360_000, 0).await;
    stage.clock.advance_ms(2_000_000);
    stage.close();
    assert_eq!(stage.until_shown(1).await.danmaku_count, 18_003);
    let lines = stage.lines(1).await;
    assert_eq!((lines[0].id, lines[18_002].id), (DanmakuId(1_000), DanmakuId(40_001)));
    let parts = stage.manifest(1).await.parts;
    let parts: Vec<_> = parts.iter().map(|part| (part.part, part.segment, part.danmaku_count)).collect();
    assert_eq!(parts, [(1, 1, 6_000), (2, 1, 1), (3, 3, 6_000), (4, 3, 6_000), (5, 5, 1), (6, 6, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_in_which_nobody_spoke_is_a_replay() {
    let stage = stage().await;
    stage.clock.advance_ms(3_500);
    stage.close();
    let told = stage.until_shown(1).await;
    assert_eq!((told.duration_ms, told.danmaku_count), (3_500, 0));
    assert_eq!(stage.lines(1).await, []);
    let manifest = stage.manifest(1).await;
    assert_eq!((manifest.parts, manifest.heat.counts), (vec![], vec![0; 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_never_go_back() {
    let stage = stage().await;
    stage.fill(1_000, 1, 9_000, 0).await;
    stage.fill(1_001, 3, 9_500, 0).await;
    stage.fill(1_004, 1, 20_000, 0).await;
    // The clock was set back after the broadcast had begun: later, but by less since its beginning.
    stage.meddle("UPDATE danmaku SET offset_ms = 4000 WHERE id IN (1001, 1002)").await;
    stage.clock.advance_ms(30_000);
    stage.close();
    stage.until_shown(1).await;
    let lines = stage.lines(1).await;
    let times: Vec<(u64, u64)> = lines.iter().map(|line| (line.id.0, line.at_ms)).collect();
    assert_eq!(times, [(1_000, 9_000), (1_001, 9_001), (1_002, 9_002), (1_003, 9_500), (1_004, 20_000)]);
    let sent: Vec<i64> = lines.iter().map(|line| line.sent_at.0 - START.0).collect();
    assert_eq!(sent, [9_000, 9_500, 9_500, 9_500, 20_000], "the time of sending is told as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_taken_out_of_all_files() {
    let stage = stage().await;
    let mut said = Vec::new();
    for words in ["stays", "goes", "goes, too", "stays, too"] {
        said.push(stage.post(SENDER, words).await.unwrap().id);
    }
    stage.close();
    stage.until_shown(1).await;
    let not_here = stage.delete_of_replay(stage.caller(OWNER), DanmakuId(12_345)).await;
    assert_eq!(not_here.unwrap_err().code, Code::NoSuchDanmaku);
    let stranger = stage.delete_of_replay(stage.caller(STRANGER), said[1]).await;
    assert_eq!(stranger.unwrap_err().code, Code::NotAllowed);
    for _ in 0..2 {
        stage.delete_of_replay(stage.caller(OWNER), said[1]).await.unwrap();
    }
    assert_eq!(stage.until_shown(2).await.danmaku_count, 3);
    assert_eq!(texts(&stage.lines(2).await), ["stays", "goes, too", "stays, too"]);
    assert_eq!(stage.versions(), ["v2".to_owned()].into());
    // The room's own deletion is the same.
    stage.delete(stage.caller(OWNER), said[2]).await.unwrap();
    assert_eq!(stage.until_shown(3).await.danmaku_count, 2);
    assert_eq!(texts(&stage.lines(3).await), ["stays", "stays, too"]);
    assert_eq!(stage.versions(), ["v3".to_owned()].into());
    let found = stage.search(everything()).await.unwrap();
    assert_eq!(texts(&found.items), ["stays", "stays, too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_indexed_again_when_live_wants_that_and_not_else() {
    let stage = stage().await;
    stage.post(SENDER, "hello").await.unwrap();
    stage.close();
    stage.until_shown(1).await;
    stage.wake();
    stage.live.replays.change(REPLAY, |job| {
        job.revision = 5;
        job.replay.title = "A new title".to_owned();
    });
    stage.wake();
    assert_eq!(stage.until_shown(2).await.revision, 5);
    assert_eq!(stage.manifest(2).await.replay.title, "A new title");
    assert_eq!((stage.versions(), stage.row("attempt").await), (["v2".to_owned()].into(), Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wake_ups_at_once_make_one_index() {
    let stage = stage().await;
    stage.fill(1_000, 3_000, 0, 10).await;
    stage.clock.advance_ms(40_000);
    stage.close();
    for _ in 0..50 {
        stage.wake();
    }
    stage.until_shown(1).await;
    // Its turn comes after all of these.
    stage.live.replays.change(REPLAY, |job| job.revision = 2);
    stage.wake();
    stage.until_shown(2).await;
    assert_eq!((stage.row("attempt").await, stage.lines(2).await.len()), (Some(2), 3_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_overtaken_shows_nothing_and_leaves_nothing() {
    let stage = stage().await;
    stage.fill(1_000, MANY, 0, 10).await;
    stage.clock.advance_ms(700_000);
    stage.close();
    stage.until_row("an attempt has begun", "attempt", 1).await;
    // As another process would, after this one's lease had run out; then it dies.
    let until = stage.clock.now().0 + LEASE_MS;
    let overtake = format!("UPDATE replay_index SET attempt = 2, leased_until_ms = {until} WHERE version = 0");
    assert_eq!(stage.meddle(&overtake).await, 1, "the first attempt was still at it");
    let dead = format!("{}/v2/danmaku/part_00001.json", stage.prefix());
    stage.objects.put(&dead, "{\"danmaku\":[".into()).await.unwrap();
    let begun = tokio::time::Instant::now();
    for (is_there, what) in [(true, "begin"), (false, "remove what it has stored")] {
        while stage.versions().contains("v1") != is_there {
            assert!(begun.elapsed() < crate::stage::PATIENCE, "the first attempt does not {what}");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    assert_eq!(stage.versions(), ["v2".to_owned()].into());
    stage.wake();
    stage.clock.advance_ms(LEASE_MS + 1);
    stage.wake();
    assert_eq!(stage.until_shown(3).await.danmaku_count, MANY);
    assert!(stage.live.replays.told(REPLAY).iter().all(|told| told.version == 3));
    assert_eq!(stage.versions(), ["v3".to_owned()].into());
    assert_eq!(stage.lines(3).await.len() as u64, MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_respected_until_it_ends_and_a_restart_ends_it() {
    for restarts in [false, true] {
        let stage = stage().await;
        stage.post(SENDER, "hello").await.unwrap();
        let until = stage.clock.now().0 + LEASE_MS;
        let sealed = format!(
            "INSERT INTO replay_index (replay_id, session_id, room_id, changes, attempt, leased_until_ms, version, \
             done_revision, done_changes, danmaku_count, duration_ms, due_ms, tries) \
             VALUES ({REPLAY}, {ROOM}, {ROOM}, 0, 4, {until}, 0, 0, 0, 0, 0, 0, 0)"
        );
        stage.meddle(&sealed).await;
        for version in [1, 4] {
            let left = format!("{}/v{version}/danmaku/part_00001.pb", stage.prefix());
            stage.objects.put(&left, "left".into()).await.unwrap();
        }
        stage.clock.advance_ms(LEASE_MS - 1);
        stage.close();
        let stage = if restarts {
            let stage = stage.restarted().await;
            stage.advance_if_shared(1);
            stage
        } else {
            // Longer than the service takes to look for what is left over.
            tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
            assert_eq!((stage.row("attempt").await, stage.live.replays.told(REPLAY).len()), (Some(4), 0));
            stage.clock.advance_ms(1);
            stage
        };
        stage.until_shown(5).await;
        assert_eq!((stage.versions(), stage.lines(5).await.len()), (["v5".to_owned()].into(), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_deleted_replay() {
    let stage = stage().await;
    stage.post(SENDER, "hello").await.unwrap();
    stage.close();
    stage.until_shown(1).await;
    stage.live.replays.change(REPLAY, |job| job.deleted = true);
    stage.wake();
    let begun = tokio::time::Instant::now();
    while !stage.live.replays.is_wiped(REPLAY) {
        assert!(begun.elapsed() < crate::stage::PATIENCE, "it is not wiped");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(stage.versions().is_empty());
    assert_eq!(stage.search(everything()).await.unwrap_err().code, Code::NoSuchReplay);
    // To posts that come late the broadcast has ended still.
    stage.live.open(ROOM, START);
    assert_eq!(stage.post(SENDER, "too late").await.unwrap_err().code, Code::RoomClosed);
}

#[tokio::test(flavor = "multi_thread")]
async fn danmaku_are_found_by_time_and_text_page_by_page() {
    let stage = stage().await;
    for words in ["Hello", "你好", "100% sure", "say hello", "100 sure", "HELLO again"] {
        stage.post(SENDER, words).await.unwrap();
        stage.clock.advance_ms(1_000);
    }
    stage.close();
    stage.until_shown(1).await;
    let find = async |from_ms, before_ms, text: Option<&str>| {
        let request = ReadReplayDanmaku { from_ms, before_ms, text: text.map(str::to_owned), ..everything() };
        let found = stage.search(request).await.unwrap().items;
        texts(&found).into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(find(0, None, Some("hello")).await, ["Hello", "say hello", "HELLO again"]);
    assert_eq!(find(1, Some(5_000), Some("hello")).await, ["say hello"]);
    assert_eq!(find(0, None, Some("100%")).await, ["100% sure"], "no pattern");
    assert_eq!(find(0, None, Some("好")).await, ["你好"]);
    assert_eq!(find(2_000, Some(4_000), None).await, ["100% sure", "say hello"]);
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let request = ReadReplayDanmaku { cursor, limit: 2, text: Some("hello".to_owned()), ..everything() };
        let page = stage.search(request).await.unwrap();
        pages.push(page.items.len());
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [2, 1]);
}
