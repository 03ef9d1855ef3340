use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::rpc;
use futures::future::join_all;
use idl::message::{Danmaku, Delivery, GetDanmaku, HistoryFrom, ReadHistory};
use idl::{Caller, Code, DanmakuId, RoomId, SessionId, UserId};

use crate::stage::{ROOM, START, Stage, page};

/// Posts `n` danmaku, by threes accounts, many in one millisecond, in two broadcasts.
async fn filled(stage: &Stage, n: u64) -> Vec<Danmaku> {
    let mut posted = Vec::new();
    for block in 0..n.div_ceil(10) {
        if block == 3 {
            stage.live.change(ROOM, |room| {
                if let Some(session) = room.session.as_mut() {
                    session.id = SessionId(70);
                }
            });
        }
        let size = 10.min(n - block * 10);
        posted.extend(join_all((0..size).map(|n| stage.post(1 + n % 3, "line"))).await.into_iter().map(Result::unwrap));
        stage.clock.advance_ms(i64::from(block % 2 == 1));
    }
    posted.sort_by_key(|d| (d.sent_at, d.id));
    posted
}

async fn back(stage: &Stage, request: &ReadHistory) -> Vec<Danmaku> {
    let mut all = Vec::new();
    let mut request = ReadHistory { from: HistoryFrom::Latest, ..request.clone() };
    loop {
        let page = stage.history(request.clone()).await.expect("a page");
        assert!(page.items.len() <= request.limit as usize);
        assert!(page.items.is_sorted_by_key(|d| (d.sent_at, d.id)));
        all.splice(0..0, page.items);
        match page.before_cursor {
            Some(cursor) => request.from = HistoryFrom::Before(cursor),
            None => return all,
        }
    }
}

/// Forward pages show what is older than this where several instances write.
fn settle(stage: &Stage) {
    stage.advance_if_shared(2_001);
}

async fn on(stage: &Stage, request: &ReadHistory) -> Vec<Danmaku> {
    settle(stage);
    let mut all: Vec<Danmaku> = Vec::new();
    let mut request = ReadHistory { from: HistoryFrom::After("0.0".into()), ..request.clone() };
    loop {
        let page = stage.history(request.clone()).await.expect("a page");
        assert_eq!(page.before_cursor.is_some(), !all.is_empty(), "older ones are there from the second page on");
        if page.items.is_empty() {
            assert_eq!(request.from, HistoryFrom::After(page.after_cursor.expect("always")), "the end stays the end");
            return all;
        }
        all.extend(page.items);
        request.from = HistoryFrom::After(page.after_cursor.expect("always"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_either_way_meets_each_once() {
    let stage = Stage::new().await;
    let posted = filled(&stage, 57).await;
    assert!(posted.windows(2).filter(|w| w[0].sent_at == w[1].sent_at).count() > 40, "most share their time");
    let same = posted.iter().filter(|d| d.session_id == SessionId(70)).count();
    assert!((1..57).contains(&same));
    for limit in [1, 2, 3, 7, 56, 57, 58, 200] {
        let all = page(HistoryFrom::Latest, limit);
        let of_session = ReadHistory { session: Some(SessionId(70)), ..all.clone() };
        let of_sender = ReadHistory { sender: Some(UserId(2)), ..all.clone() };
        let of_both = ReadHistory { sender: Some(UserId(2)), ..of_session.clone() };
        for request in [all, of_session, of_sender, of_both] {
            let expected: Vec<Danmaku> = posted
                .iter()
                .filter(|d| request.session.is_none_or(|s| s == d.session_id))
                .filter(|d| request.sender.is_none_or(|u| u == d.sender.id))
                .cloned()
                .collect();
            assert_eq!(back(&stage, &request).await, expected, "{request:?}");
            assert_eq!(on(&stage, &request).await, expected, "{request:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_follows_while_others_post_misses_none() {
    let stage = Stage::new().await;
    let done = AtomicBool::new(false);
    let posting = async {
        let mut posted = Vec::new();
        for round in 0..60 {
            posted.extend(join_all((1..=25).map(|n| stage.post(n, "line"))).await.into_iter().map(|d| d.unwrap().id));
            stage.clock.advance_ms(i64::from(round % 3 == 0));
        }
        settle(&stage);
        done.store(true, Ordering::SeqCst);
        posted
    };
    let following = async {
        let mut met = Vec::new();
        let mut from = "0.0".to_owned();
        loop {
            let last_round = done.load(Ordering::SeqCst);
            let page = stage.history(page(HistoryFrom::After(from), 40)).await.unwrap();
            let empty = page.items.is_empty();
            met.extend(page.items.into_iter().map(|d| d.id));
            from = page.after_cursor.unwrap();
            if empty && last_round {
                return met;
            }
        }
    };
    let (posted, met) = tokio::join!(posting, following);
    assert_eq!(met.len(), 1_500, "each once");
    assert_eq!(met.into_iter().collect::<HashSet<DanmakuId>>(), posted.into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_room_has_a_place_to_go_on_from() {
    let stage = Stage::new().await;
    let empty = stage.history(page(HistoryFrom::Latest, 10)).await.unwrap();
    assert_eq!((empty.items.len(), empty.before_cursor), (0, None));
    let first = stage.post(3, "first").await.unwrap();
    settle(&stage);
    let after = stage.history(page(HistoryFrom::After(empty.after_cursor.unwrap()), 10)).await.unwrap();
    assert_eq!(after.items, std::slice::from_ref(&first));

    // Before the very first there is nothing, and what comes after that is the first.
    let at_first = HistoryFrom::Before(format!("{}.{}", first.sent_at.0, first.id));
    let before = stage.history(page(at_first, 10)).await.unwrap();
    assert_eq!((before.items.len(), before.before_cursor), (0, None));
    let again = stage.history(page(HistoryFrom::After(before.after_cursor.unwrap()), 10)).await.unwrap();
    assert_eq!(again.items, std::slice::from_ref(&first));

    // After the last there is nothing, and what comes before that is the last.
    let at_last = HistoryFrom::After(format!("{}.{}", first.sent_at.0, first.id));
    let end = stage.history(page(at_last, 10)).await.unwrap();
    assert!(end.items.is_empty());
    let again = stage.history(page(HistoryFrom::Before(end.before_cursor.unwrap()), 10)).await.unwrap();
    assert_eq!(again.items, [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_ones_and_other_rooms_are_left_out() {
    let stage = Stage::new().await;
    let other_room = RoomId(8);
    stage.live.open(other_room, START);
    let kept = stage.post(3, "kept").await.unwrap();
    let gone = stage.post(3, "gone").await.unwrap();
    let elsewhere = stage.send(stage.request(3, other_room, "elsewhere", None)).await.unwrap();
    stage.delete(stage.caller(3), gone.id).await.unwrap();
    assert_eq!(stage.latest().await, std::slice::from_ref(&kept));
    assert_eq!(on(&stage, &page(HistoryFrom::Latest, 1)).await, std::slice::from_ref(&kept));
    assert_eq!(stage.get(kept.id).await.unwrap(), kept);
    for id in [gone.id, elsewhere.id, DanmakuId(999_999)] {
        assert_eq!(stage.get(id).await.unwrap_err().code, Code::NoSuchDanmaku);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_todays_rules_refuse_is_still_read() {
    let stage = Stage::new().await;
    let posted = stage.post_with(3, "allowed once", "key").await.unwrap();
    let mut tx = stage.other_db().await.begin().await.unwrap();
    sqlx::query("UPDATE danmaku SET text = '  two\nlines' WHERE id = ?")
        .bind(posted.id.as_i64())
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stage.get(posted.id).await.unwrap().text.as_str(), "  two\nlines");
    assert_eq!(stage.latest().await[0].text.as_str(), "  two\nlines");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_without_guests_shows_them_nothing() {
    let stage = Stage::new().await;
    let posted = stage.post(3, "among us").await.unwrap();
    let read = async |caller: Option<Caller>| {
        let one = GetDanmaku { caller: caller.clone(), room: ROOM, danmaku: posted.id };
        let one = rpc::answer(stage.message.danmaku(rpc::within(Duration::from_secs(20)), one).await);
        let one = one.map(|danmaku| Danmaku { delivery: Delivery::Stored, ..danmaku });
        let all = stage.history(ReadHistory { caller, ..page(HistoryFrom::Latest, 10) }).await;
        (one.map_err(|refusal| refusal.code), all.map(|page| page.items).map_err(|refusal| refusal.code))
    };
    let forged = Caller { token: "nonsense".into() };
    let shown = (Ok(posted.clone()), Ok(vec![posted.clone()]));
    for caller in [None, Some(forged.clone()), Some(stage.caller(4))] {
        assert_eq!(read(caller).await, shown, "guests may watch");
    }
    stage.live.change(ROOM, |room| room.rules.guests = false);
    for caller in [None, Some(forged)] {
        assert_eq!(read(caller).await, (Err(Code::NotSignedIn), Err(Code::NotSignedIn)));
    }
    assert_eq!(read(Some(stage.caller(4))).await, shown);
    // Whether it takes guests can't be known: better none than all.
    stage.live.set_away(true);
    assert_eq!(read(None).await, (Err(Code::Unavailable), Err(Code::Unavailable)));
    assert_eq!(read(Some(stage.caller(4))).await, shown, "live is not needed for members");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_page_is_refused() {
    let stage = Stage::new().await;
    stage.post(3, "something").await.unwrap();
    for limit in [0, 201, u32::MAX] {
        let refusal = stage.history(page(HistoryFrom::Latest, limit)).await.unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::InvalidField, Some("/limit")));
    }
    for cursor in [
        "",
        "0",
        "1.",
        ".1",
        "-1.1",
        "1.-1",
        "01.1",
        "1.1.1",
        "1.1 ",
        "99999999999999999999.1",
        "1.9223372036854775808",
    ] {
        for from in [HistoryFrom::Before(cursor.into()), HistoryFrom::After(cursor.into())] {
            assert_eq!(stage.history(page(from, 10)).await.unwrap_err().code, Code::BadCursor, "{cursor:?}");
        }
    }
    let far = format!("{}.{}", i64::MAX, i64::MAX);
    assert!(stage.history(page(HistoryFrom::After(far.clone()), 10)).await.unwrap().items.is_empty());
    assert_eq!(stage.history(page(HistoryFrom::Before(far), 10)).await.unwrap().items.len(), 1);
    let of_nobody = ReadHistory { sender: Some(UserId(1_000)), ..page(HistoryFrom::Latest, 10) };
    assert_eq!(stage.history(of_nobody).await.unwrap_err().code, Code::NoSuchUser);
    let nowhere = ReadHistory { room: RoomId(99), ..page(HistoryFrom::Latest, 10) };
    assert_eq!(stage.history(nowhere.clone()).await.unwrap_err().code, Code::NoSuchRoom);
    let nowhere = ReadHistory { caller: Some(stage.caller(4)), ..nowhere };
    assert_eq!(stage.history(nowhere).await.unwrap_err().code, Code::NoSuchRoom);
}
