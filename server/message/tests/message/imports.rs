//! Danmaku files become replays, all of a file or nothing.

use std::collections::HashSet;
use std::num::NonZeroU64;

use idl::event::RoomRole;
use idl::live::ReplayState;
use idl::message::ImportReplay;
use idl::{Code, DanmakuId, ReplayId, Timestamp, UserId};
use message::Settings;

use crate::replay_stage::{LOOK_EVERY, OWNER, REPLAY, everything, texts};
use crate::stage::{PATIENCE, ROOM, START, Stage, settings};

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| _ = room.roles.insert(UserId(OWNER), RoomRole::Owner));
    stage
}

fn file(lines: &[&str]) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><i>\n{}\n</i>", lines.join("\n"))
}

/// Danmaku of files that are stored.
async fn stored(stage: &Stage) -> i64 {
    stage.number("SELECT COUNT(*) FROM imported_danmaku").await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_replay_in_the_order_of_its_times() {
    let stage = stage().await;
    let lines = [
        r#"<d p="700.5,1,25,16777215,1700000700,0,a16fe0dd,7">late</d>"#,
        r#"<d p="1.25,5,36,16765698,1700000001,0,beef,9">early &amp; large</d>"#,
        r#"<d p="1.25,4,18,255,1700000002,0,a16fe0dd,8">as early, smaller number</d>"#,
        r#"<d p="3,8,25,16777215,1700000003,0,beef,10">scripted</d>"#,
        r#"<d p="-4,1,25,16777215,1700000004,0,beef,11">before the start</d>"#,
    ];
    let imported = stage.import(&file(&lines)).await.unwrap();
    assert_eq!(imported.replay.state, ReplayState::Indexing);
    let report = imported.report.unwrap();
    let skipped: u64 = report.skipped.values().sum();
    let changed: u64 = report.changed.values().sum();
    assert_eq!((report.accepted, skipped, changed), (4, 1, 1), "{report:?}");
    stage.wake();
    let told = stage.until_shown(1).await;
    assert_eq!((told.duration_ms, told.danmaku_count), (710_500, 4));
    let shown = stage.lines(1).await;
    assert_eq!(texts(&shown), ["before the start", "as early, smaller number", "early & large", "late"]);
    let times: Vec<(u64, u64)> = shown.iter().map(|line| (line.at_ms, line.id.0)).collect();
    assert_eq!(times, [(0, 11), (1_250, 8), (1_250, 9), (700_500, 7)]);
    assert_eq!(shown[3].sent_at, Timestamp(1_700_000_700_000));
    assert_eq!(shown[3].sender_hash, shown[1].sender_hash, "as the file has it");
    assert_eq!(shown[3].sender_hash.to_string(), "a16fe0dd");
    let segments: Vec<u64> = stage.manifest(1).await.parts.iter().map(|part| part.segment).collect();
    assert_eq!(segments, [1, 2]);
    assert_eq!(stage.search(everything()).await.unwrap().items, shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_danmaku_has_an_id_of_its_own() {
    let stage = stage().await;
    let lines = [
        r#"<d p="1,1,25,16777215,1700000000,0,beef,123">has it</d>"#,
        r#"<d p="2,1,25,16777215,1700000000,0,beef,123">the same</d>"#,
        r#"<d p="3,1,25,16777215,1700000000,0,beef">none</d>"#,
        r#"<d p="4,1,25,16777215,1700000000,0,beef,9007199254740992">too large</d>"#,
        r#"<d p="5,1,25,16777215,1700000000,0,beef,9007199254740991">the largest</d>"#,
    ];
    let imported = stage.import(&file(&lines)).await.unwrap();
    assert_eq!(imported.report.unwrap().accepted, 5);
    stage.wake();
    stage.until_shown(1).await;
    let shown = stage.lines(1).await;
    assert_eq!(texts(&shown), ["has it", "the same", "none", "too large", "the largest"]);
    let ids: HashSet<DanmakuId> = shown.iter().map(|line| line.id).collect();
    assert_eq!(ids.len(), 5);
    assert_eq!((shown[0].id, shown[4].id), (DanmakuId(123), DanmakuId(9_007_199_254_740_991)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_danmaku_is_a_replay_without_danmaku() {
    let stage = stage().await;
    assert_eq!(stage.import("<i></i>").await.unwrap().report.unwrap().accepted, 0);
    stage.wake();
    let told = stage.until_shown(1).await;
    assert_eq!((told.duration_ms, told.danmaku_count, stage.lines(1).await), (0, 0, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_file_that_breaks_off() {
    let stage = stage().await;
    let line = r#"<d p="1,1,25,16777215,1700000000,0,beef,0">again</d>"#;
    // More than one portion is stored by then.
    let broken = format!("<i>\n{}<d p=\"1,1,", format!("{line}\n").repeat(5_000));
    let refusal = stage.import(&broken).await.unwrap_err();
    assert_eq!(refusal.code, Code::BadFile);
    assert!(refusal.detail.contains("line 5002"), "{}", refusal.detail);
    is_gone(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_that_died_had_stored_is_not_in_the_replay() {
    let stage = stage().await;
    let left = format!(
        "INSERT INTO imported_danmaku (replay_id, at_ms, id, sent_at_ms, sender_hash, text, mode, color, size) \
         VALUES ({REPLAY}, 5, 123, {}, 7, 'left', 0, 0, 1), ({REPLAY}, 6, 124, {}, 7, 'left', 0, 0, 1)",
        START.0, START.0
    );
    assert_eq!(stage.meddle(&left).await, 2);
    stage.import(&file(&[r#"<d p="1,1,25,16777215,1700000000,0,beef,123">new</d>"#])).await.unwrap();
    stage.wake();
    stage.until_shown(1).await;
    assert_eq!(texts(&stage.lines(1).await), ["new"]);
}

/// So many lines, each later than the one before and with an id of its own.
fn many(count: usize) -> String {
    (1..=count).map(|n| format!("<d p=\"{n},1,25,16777215,1700000000,0,beef,{n}\">again</d>\n")).collect()
}

/// Holds that nothing is left of the import that failed.
async fn is_gone(stage: &Stage) {
    assert!(stage.live.replays.job(REPLAY).is_some_and(|job| job.deleted));
    stage.wake();
    let begun = tokio::time::Instant::now();
    while !stage.live.replays.is_wiped(REPLAY) {
        assert!(begun.elapsed() < PATIENCE, "it is not wiped");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert_eq!((stored(stage).await, stage.versions().len(), stage.row("attempt").await), (0, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_too_many_danmaku_is_refused_also_when_much_more_of_it_comes() {
    let stage = Stage::with(Settings { import_max_danmaku: NonZeroU64::new(3_000).unwrap(), ..settings() }).await;
    // More than all that waits between the file and the database.
    let refusal = stage.import(&format!("<i>\n{}</i>", many(60_000))).await.unwrap_err();
    assert_eq!((refusal.code, refusal.detail.contains("more than 3000")), (Code::TooLarge, true), "{}", refusal.detail);
    is_gone(&stage).await;
    assert_eq!(stage.import(&format!("<i>\n{}</i>", many(3_000))).await.unwrap().report.unwrap().accepted, 3_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_when_the_database_fails() {
    let stage = stage().await;
    let when = match stage.db_url.as_str() {
        "sqlite:" => "WHEN NEW.id > 3000 BEGIN SELECT RAISE(ABORT, 'the disk is broken'); END",
        _ => "FOR EACH ROW IF NEW.id > 3000 THEN SIGNAL SQLSTATE '45000'; END IF",
    };
    stage.meddle(&format!("CREATE TRIGGER fail BEFORE INSERT ON imported_danmaku {when}")).await;
    assert_eq!(stage.import(&format!("<i>\n{}</i>", many(60_000))).await.unwrap_err().code, Code::Internal);
    is_gone(&stage).await;
    stage.meddle("DROP TRIGGER fail").await;
    assert_eq!(stage.import(&format!("<i>\n{}</i>", many(60_000))).await.unwrap().report.unwrap().accepted, 60_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_two_files_are_read_at_once_and_all_are_read() {
    let stage = stage().await;
    let file = format!("<i>\n{}</i>", many(2_000));
    let replays: Vec<ReplayId> = (100..108).map(ReplayId).collect();
    for &replay in &replays {
        stage.live.replays.of_file(replay, ROOM, START);
        stage.objects.put(&ImportReplay { replay }.object(), file.clone().into()).await.unwrap();
    }
    // Which replays have some of their danmaku, but not all.
    let half = "SELECT COUNT(*) FROM (SELECT 1 FROM imported_danmaku GROUP BY replay_id HAVING COUNT(*) < 2000) half";
    let imports = replays.iter().map(|&replay| stage.import_begun(replay));
    let mut imports = std::pin::pin!(futures::future::join_all(imports));
    let (mut most, mut looks) = (0, 0);
    let imported = loop {
        tokio::select! {
            imported = &mut imports => break imported,
            count = stage.number(half) => (most, looks) = (most.max(count.unwrap()), looks + 1),
        }
    };
    assert!(imported.iter().all(Result::is_ok), "{imported:?}");
    assert!(looks > 0 && most <= 2, "{most} at once, seen in {looks} looks");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_no_file_stays_as_it_is() {
    let stage = stage().await;
    let line = [r#"<d p="1,1,25,16777215,1700000000,0,beef,123">new</d>"#];
    stage.import(&file(&line)).await.unwrap();
    // Once more, as a call whose answer was lost might be.
    assert_eq!(stage.import_begun(REPLAY).await.unwrap_err().code, Code::NoSuchReplay);
    stage.wake();
    assert_eq!(stage.until_shown(1).await.danmaku_count, 1);
    assert!(!stage.live.replays.job(REPLAY).unwrap().deleted);
    // Somebody deleted it while the file was on its way.
    let other = ReplayId(99);
    stage.live.replays.of_file(other, ROOM, START);
    stage.live.replays.change(other, |job| job.deleted = true);
    let object = ImportReplay { replay: other }.object();
    stage.objects.put(&object, file(&line).into()).await.unwrap();
    assert_eq!(stage.import_begun(other).await.unwrap_err().code, Code::NoSuchReplay);
    assert_eq!((stage.objects.get(&object).await.unwrap(), stored(&stage).await), (None, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_live_loses_no_import() {
    let stage = stage().await;
    stage.live.replays.lose_ends(2);
    let line = [r#"<d p="1,1,25,16777215,1700000000,0,beef,123">new</d>"#];
    assert_eq!(stage.import(&file(&line)).await.unwrap().replay.state, ReplayState::Indexing);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_live_holds_for_ended_is_whole_or_gone() {
    let line = [r#"<d p="1,1,25,16777215,1700000000,0,beef,123">new</d>"#];
    let stage = stage().await;
    stage.live.replays.lose_ends(usize::MAX);
    assert_eq!(stage.import(&file(&line)).await.unwrap_err().code, Code::Unavailable);
    is_gone(&stage).await;
    // Live can't be told that it failed, either: then it has not.
    stage.live.replays.keep_imports();
    assert_eq!(stage.import(&file(&line)).await.unwrap_err().code, Code::Unavailable);
    stage.wake();
    assert_eq!(stage.until_shown(1).await.danmaku_count, 1);
    assert_eq!(texts(&stage.lines(1).await), ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nobody_imported_goes_with_its_replay() {
    let stage = stage().await;
    stage.live.replays.of_file(REPLAY, ROOM, START);
    let object = ImportReplay { replay: REPLAY }.object();
    stage.objects.put(&object, file(&[]).into()).await.unwrap();
    stage.live.replays.change(REPLAY, |job| job.deleted = true);
    is_gone(&stage).await;
    assert_eq!(stage.objects.get(&object).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_ends_when_the_process_stops() {
    let stage = stage().await;
    let file = format!("<i>\n{}</i>", many(200_000));
    stage.live.replays.of_file(REPLAY, ROOM, START);
    stage.objects.put(&ImportReplay { replay: REPLAY }.object(), file.into()).await.unwrap();
    let stop = async {
        let begun = tokio::time::Instant::now();
        while stored(&stage).await == 0 {
            assert!(begun.elapsed() < PATIENCE, "nothing is stored");
        }
        stage.lifecycle.soft().cancel();
    };
    let (imported, ()) = tokio::join!(stage.import_begun(REPLAY), stop);
    assert_eq!(imported.unwrap_err().code, Code::Unavailable);
    assert!(stage.live.replays.job(REPLAY).unwrap().deleted && stored(&stage).await < 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn danmaku_of_a_file_are_deleted_one_by_one_and_with_the_replay() {
    let stage = stage().await;
    let lines = [
        r#"<d p="1,1,25,16777215,1700000000,0,beef,123">goes</d>"#,
        r#"<d p="2,1,25,16777215,1700000000,0,beef,124">stays</d>"#,
    ];
    stage.import(&file(&lines)).await.unwrap();
    stage.wake();
    stage.until_shown(1).await;
    for _ in 0..2 {
        stage.delete_of_replay(stage.caller(OWNER), DanmakuId(123)).await.unwrap();
    }
    assert_eq!(stage.until_shown(2).await.danmaku_count, 1);
    assert_eq!((texts(&stage.lines(2).await), stage.versions()), (vec!["stays"], ["v2".to_owned()].into()));
    stage.live.replays.change(REPLAY, |job| job.deleted = true);
    stage.wake();
    let begun = tokio::time::Instant::now();
    while !stage.live.replays.is_wiped(REPLAY) {
        assert!(begun.elapsed() < PATIENCE, "it is not wiped");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!((stored(&stage).await, stage.versions().len(), stage.row("attempt").await), (0, 0, None));
}
