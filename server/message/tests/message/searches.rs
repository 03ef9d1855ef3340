//! A search looks through a long replay in parts, and leaves the database to others.

use std::sync::atomic::{AtomicUsize, Ordering};

use idl::message::{HistoryFrom, ReadReplayDanmaku};
use idl::replay::ReplayDanmaku;
use idl::{Code, RoomId};

use crate::replay_stage::{everything, texts};
use crate::stage::{PATIENCE, ROOM, START, Stage, page};

/// What one page of a search looks through at most.
const AT_ONCE: u64 = 50_000;

/// A replay with so many danmaku, one a millisecond: `line 0`, `line 1` and so on.
async fn replay_of(count: u64) -> Stage {
    let stage = Stage::new().await;
    stage.fill(1_000_000, count, 0, 1).await;
    stage.clock.advance_ms(count.cast_signed());
    stage.close();
    stage
}

fn with(text: &str) -> ReadReplayDanmaku {
    ReadReplayDanmaku { text: Some(text.to_owned()), ..everything() }
}

/// All that is found, and how many danmaku each page had.
async fn found(stage: &Stage, mut search: ReadReplayDanmaku) -> (Vec<ReplayDanmaku>, Vec<usize>) {
    let (mut found, mut pages) = (Vec::new(), Vec::new());
    loop {
        let page = stage.search(search.clone()).await.expect("a page");
        pages.push(page.items.len());
        found.extend(page.items);
        search.cursor = page.next_cursor;
        if search.cursor.is_none() {
            return (found, pages);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_through_a_part_and_the_pages_through_all() {
    let stage = replay_of(2 * AT_ONCE + 1).await;
    assert_eq!(found(&stage, with("nowhere")).await, (vec![], vec![0, 0, 0]));
    let (last, pages) = found(&stage, with("LINE 100000")).await;
    assert_eq!((texts(&last), pages), (vec!["line 100000"], vec![0, 0, 1]));
    // At the end of a part, and at the beginning of the next one.
    assert_eq!(found(&stage, with("line 49999")).await.1, [1, 0, 0]);
    assert_eq!(found(&stage, with("line 50000")).await.1, [0, 1, 0]);
    // More of them in a part than fit on a page.
    let (many, pages) = found(&stage, ReadReplayDanmaku { limit: 400, ..with("999") }).await;
    let expected: Vec<String> =
        (0..=2 * AT_ONCE).map(|n| format!("line {n}")).filter(|text| text.contains("999")).collect();
    assert_eq!(texts(&many), expected);
    assert!(pages.len() <= 5 && pages.iter().all(|items| *items <= 400), "{pages:?}");
    // Those that were deleted count as looked at, and are not found.
    let gone = format!("UPDATE danmaku SET deleted_at_ms = 1 WHERE id = {}", 1_000_000 + AT_ONCE - 1);
    stage.meddle(&gone).await;
    assert_eq!(found(&stage, with("line 49999")).await, (vec![], vec![0, 0, 0]));
    // A range of time is searched alone.
    let range = ReadReplayDanmaku { from_ms: 70_000, before_ms: Some(80_000), ..with("line 7") };
    let (in_range, pages) = found(&stage, ReadReplayDanmaku { limit: 500, ..range }).await;
    assert_eq!((in_range.len(), pages.len()), (10_000, 20));
    let exactly = ReadReplayDanmaku { from_ms: 1, before_ms: Some(1 + AT_ONCE), ..with("nowhere") };
    assert_eq!(found(&stage, exactly).await.1, [0], "a part is all there is");
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_leave_the_history_of_other_rooms_answering() {
    let count = if std::env::var_os("TEST_DB_URL").is_some() { 200_000 } else { 1_000_000 };
    let stage = replay_of(count).await;
    let (other, searched) = (RoomId(ROOM.0 + 1), AtomicUsize::new(0));
    stage.live.open(other, START);
    let searches = (0..64).map(|_| async {
        let mut search = with("nowhere");
        loop {
            match stage.search(search.clone()).await {
                Ok(page) => search.cursor = page.next_cursor,
                Err(refusal) => assert_eq!((refusal.code, refusal.retry_after_ms), (Code::Unavailable, Some(1_000))),
            }
            searched.fetch_add(1, Ordering::Relaxed);
        }
    });
    let reads = async {
        let begun = tokio::time::Instant::now();
        let mut answers = 0;
        while searched.load(Ordering::Relaxed) < 100 {
            assert!(begun.elapsed() < PATIENCE, "no search is answered");
            let request = idl::message::ReadHistory { room: other, ..page(HistoryFrom::Latest, 50) };
            stage.history(request).await.expect("the history answers, whoever searches");
            answers += 1;
        }
        answers
    };
    tokio::select! {
        _ = futures::future::join_all(searches) => unreachable!("nobody ends them"),
        answers = reads => assert!(answers > 20, "{answers} answers beside 100 of searches"),
    }
}
