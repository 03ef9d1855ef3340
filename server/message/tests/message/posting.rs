use std::num::NonZeroUsize;
use std::time::Duration;

use common::rpc;
use futures::future::join_all;
use idl::access::SiteRole;
use idl::event::{RoomRole, Sender};
use idl::message::{HistoryFrom, PostDanmaku};
use idl::{Caller, Code, RoomId, SessionId, Timestamp, UserId};

use crate::stage::{ROOM, START, Stage, body, page, settings};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let stage = Stage::new().await;
    stage.clock.advance_ms(1_500);
    let one = stage.post(3, "first").await.unwrap();
    assert_eq!(
        (one.room_id, one.session_id, one.sent_at, one.offset_ms),
        (ROOM, SessionId(7), Timestamp(START.0 + 1_500), 1_500)
    );
    assert_eq!(one.sender, Sender { id: UserId(3), name: "user3".into(), role: RoomRole::Viewer });
    let mut acknowledged =
        join_all((0..150).map(|n| stage.send(stage.request(1 + n % 9, ROOM, "more", Some(&n.to_string()))))).await;
    acknowledged.push(Ok(one));
    let mut acknowledged: Vec<_> = acknowledged.into_iter().map(Result::unwrap).collect();
    acknowledged.sort_by_key(|d| (d.sent_at, d.id));
    let survivor = stage.after_kill().await;
    assert_eq!(survivor.latest().await, acknowledged);
    let (again, first) =
        (survivor.post_with(6, "more", "5").await.unwrap(), stage.post_with(6, "more", "5").await.unwrap());
    assert_eq!(again, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_repetitions_at_once_are_one_danmaku() {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| room.rules.slow_mode_s = 30);
    let answers = join_all((0..50).map(|_| stage.post_with(3, "once", "key"))).await;
    let first = answers[0].clone().unwrap();
    assert!(answers.into_iter().all(|answer| answer.as_ref() == Ok(&first)));
    assert_eq!(stage.latest().await, [first]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_account_room_and_body() {
    let stage = Stage::new().await;
    let other_room = RoomId(8);
    stage.live.open(other_room, START);
    let first = stage.post_with(3, "one", "key").await.unwrap();
    let refusal = stage.post_with(3, "two", "key").await.unwrap_err();
    assert_eq!(refusal.code, Code::KeyReused);
    let mut smaller = stage.request(3, ROOM, "one", Some("key"));
    smaller.body.size = idl::danmaku::Size::Small;
    assert_eq!(stage.send(smaller).await.unwrap_err().code, Code::KeyReused);
    assert_ne!(stage.post_with(4, "one", "key").await.unwrap().id, first.id);
    let elsewhere = stage.send(stage.request(3, other_room, "one", Some("key"))).await.unwrap();
    assert_ne!(elsewhere.id, first.id);
    assert_eq!(stage.post_with(3, "one", "key").await.unwrap(), first);
    assert_eq!(stage.latest().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_gets_the_first_answer_whatever_the_room_is_now() {
    let stage = Stage::new().await;
    let first = stage.post_with(3, "one", "key").await.unwrap();
    let is_repeated = async |why: &str, code: Code| {
        assert_eq!(stage.post_with(3, "one", "key").await.as_ref(), Ok(&first), "{why}");
        assert_eq!(stage.post_with(3, "one", "other-key").await.unwrap_err().code, code, "{why}");
        assert_eq!(stage.post(3, "one").await.unwrap_err().code, code, "{why}");
    };
    stage.live.change(ROOM, |room| room.rules.slow_mode_s = 60);
    is_repeated("slow mode", Code::SlowMode).await;
    stage.live.change(ROOM, |room| room.mutes = [(UserId(3), None)].into());
    is_repeated("muted", Code::Muted).await;
    stage.live.change(ROOM, |room| room.session = None);
    is_repeated("closed", Code::RoomClosed).await;
    stage.live.set_away(true);
    is_repeated("live is away", Code::Unavailable).await;
    stage.delete(stage.caller(3), first.id).await.unwrap();
    is_repeated("deleted", Code::Unavailable).await;
    stage.clock.advance_ms(24 * 3_600_000 - 1);
    is_repeated("almost a day later", Code::Unavailable).await;
    stage.clock.advance_ms(1);
    assert_eq!(stage.post_with(3, "one", "key").await.unwrap_err().code, Code::Unavailable, "a day later");

    stage.live.set_away(false);
    stage.live.open(ROOM, stage.clock.now());
    stage.live.change(ROOM, |room| room.mutes.clear());
    let second = stage.post_with(3, "another body", "key").await.unwrap();
    assert_eq!(stage.post_with(3, "another body", "key").await.unwrap(), second);
    assert_eq!(stage.latest().await, [second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_can_be_asked_for_alone() {
    let stage = Stage::new().await;
    let again = |user, room, words: &str, key: Option<&str>| stage.repeat(stage.request(user, room, words, key));
    assert_eq!(again(3, ROOM, "one", Some("key")).await.unwrap_err().code, Code::NoSuchDanmaku);
    let first = stage.post_with(3, "one", "key").await.unwrap();
    stage.live.set_away(true);
    assert_eq!(again(3, ROOM, "one", Some("key")).await.unwrap(), first);
    assert_eq!(again(3, ROOM, "two", Some("key")).await.unwrap_err().code, Code::KeyReused);
    for (user, room, key) in
        [(4, ROOM, Some("key")), (3, RoomId(8), Some("key")), (3, ROOM, Some("k")), (3, ROOM, None)]
    {
        assert_eq!(again(user, room, "one", key).await.unwrap_err().code, Code::NoSuchDanmaku, "{user} {room} {key:?}");
    }
    stage.delete(stage.caller(3), first.id).await.unwrap();
    assert_eq!(again(3, ROOM, "one", Some("key")).await.unwrap(), first);
    stage.clock.advance_ms(24 * 3_600_000);
    assert_eq!(again(3, ROOM, "one", Some("key")).await.unwrap_err().code, Code::NoSuchDanmaku, "a day later");
    let caller = Caller { token: "nonsense".into() };
    let forged = PostDanmaku { caller, ..stage.request(3, ROOM, "one", Some("key")) };
    assert_eq!(stage.repeat(forged).await.unwrap_err().code, Code::NotSignedIn);
    stage.live.set_away(false);
    assert!(stage.latest().await.is_empty(), "nothing was stored by asking");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_mode_lets_one_of_twenty_in() {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| {
        room.rules.slow_mode_s = 10;
        room.roles.insert(UserId(1), RoomRole::Owner);
    });
    let answers = join_all((0..20).map(|_| stage.post(3, "me first"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for refusal in answers.into_iter().filter_map(Result::err) {
        assert_eq!((refusal.code, refusal.retry_after_ms), (Code::SlowMode, Some(10_000)));
    }
    stage.clock.advance_ms(4_001);
    assert_eq!(stage.post(3, "again").await.unwrap_err().retry_after_ms, Some(5_999));
    stage.post(4, "somebody else").await.unwrap();
    stage.clock.advance_ms(5_998);
    assert_eq!(stage.post(3, "again").await.unwrap_err().retry_after_ms, Some(1));
    stage.clock.advance_ms(1);
    let taken_back = stage.post(3, "again").await.unwrap();
    stage.delete(stage.caller(3), taken_back.id).await.unwrap();
    assert_eq!(stage.post(3, "and again").await.unwrap_err().code, Code::SlowMode, "who takes one back has posted");

    assert!(join_all((0..5).map(|_| stage.post(1, "the owner"))).await.iter().all(Result::is_ok));
    let site_admin = |_| {
        let caller = stage.caller_as(2, SiteRole::SiteAdmin);
        stage.send(PostDanmaku { caller, room: ROOM, body: body("the site's admin"), key: None })
    };
    let answers = join_all((0..5).map(site_admin)).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().sender.role == RoomRole::Admin));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_post_is_told_why_and_leaves_nothing() {
    let stage = Stage::new().await;
    let until = Timestamp(START.0 + 99);
    stage.live.change(ROOM, |room| {
        room.mutes.insert(UserId(3), Some(until));
        room.rules.mute_all = true;
    });
    let refusal = stage.post(3, "hm").await.unwrap_err();
    assert_eq!((refusal.code, refusal.until), (Code::Muted, Some(until)));
    assert_eq!(stage.post(4, "hm").await.unwrap_err().code, Code::Muted);
    stage.live.change(ROOM, |room| room.session = None);
    assert_eq!(stage.post(4, "hm").await.unwrap_err().code, Code::RoomClosed);
    let refusal = stage.send(stage.request(4, RoomId(99), "hm", None)).await.unwrap_err();
    assert_eq!(refusal.code, Code::NoSuchRoom);
    stage.live.open(ROOM, START);
    stage.live.change(ROOM, |room| room.rules.mute_all = false);
    for token in ["", "nonsense", &stage.caller(4).token[1..]] {
        let caller = Caller { token: token.to_owned() };
        let refusal = stage.send(PostDanmaku { caller, ..stage.request(4, ROOM, "hm", None) }).await.unwrap_err();
        assert_eq!(refusal.code, Code::NotSignedIn, "{token:?}");
    }
    assert!(stage.latest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_come_back_as_they_were() {
    let stage = Stage::new().await;
    let texts = [
        "'); DROP TABLE danmaku; --",
        "<script>alert(1)</script>",
        "\\u0000 %s %n {} ? $1 :name",
        "\"quoted\\\" data: id: 1",
        "👨‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 𠮷野家 ❤️",
        "مرحبا שלום",
        "NULL",
        "{\\an8}\\N[0,0]",
        &"字".repeat(100),
    ];
    for (n, text) in texts.iter().enumerate() {
        let posted = stage.post_with(3, text, &n.to_string()).await.unwrap();
        assert_eq!(posted.text.as_str(), *text);
        assert_eq!(stage.get(posted.id).await.unwrap(), posted);
    }
    let kept = stage.after_kill().await.latest().await;
    assert_eq!(kept.iter().map(|d| d.text.as_str()).collect::<Vec<_>>(), texts);
    stage.until("all are announced", |push| push.taken(ROOM).len() == texts.len()).await;
    for (publication, text) in stage.push.taken(ROOM).iter().zip(&texts) {
        assert!(!publication.data.contains(['\n', '\r']), "one line: {}", publication.data);
        let event: idl::event::DanmakuEvent = serde_json::from_str(&publication.data).unwrap();
        assert_eq!(event.text.as_str(), *text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_undoes_nothing() {
    let stage = Stage::new().await;
    let in_the_way = stage.in_the_way().await;
    let soon = rpc::within(Duration::from_millis(500));
    let gone = rpc::answer(stage.message.post(soon, stage.request(3, ROOM, "bye", None)).await);
    assert_eq!(gone.unwrap_err().code, Code::Unavailable);
    _ = in_the_way.rollback().await;
    // Batches are stored in order: once this one is answered, the one before is decided.
    stage.post(4, "after it").await.unwrap();
    let texts: Vec<_> = stage.latest().await.iter().map(|d| d.text.to_string()).collect();
    assert_eq!(texts, ["bye", "after it"]);
}

/// The other connection holds the lock for longer than SQLite waits for it (2 s): the
/// batch fails and is run again, whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_meets_a_lock_is_run_again() {
    let stage = Stage::new().await;
    let in_the_way = stage.in_the_way().await;
    let release = async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        _ = in_the_way.rollback().await;
    };
    let posts = join_all((1..=10).map(|n| stage.post_with(n, "patience", "key")));
    let (answers, ()) = tokio::join!(posts, release);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(stage.latest().await.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once() {
    let one = NonZeroUsize::MIN;
    let stage = Stage::with(message::Settings { waiting_posts: one, batch_posts: one, ..settings() }).await;
    let in_the_way = stage.in_the_way().await;
    let mut first = Box::pin(stage.post(1, "quick"));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut first).await;
    assert!(early.is_err(), "the writer has it, and waits");
    let mut posts: Vec<_> = (2..=10).map(|n| Box::pin(stage.post(n, "quick"))).collect();
    // One is in the writer's hands, one waits, all others are refused without waiting.
    for _ in 0..8 {
        let (answer, _, rest) = futures::future::select_all(posts).await;
        let refusal = answer.unwrap_err();
        assert_eq!((refusal.code, refusal.retry_after_ms), (Code::Unavailable, Some(1_000)));
        posts = rest;
    }
    _ = in_the_way.rollback().await;
    assert!(first.await.is_ok() && join_all(posts).await.iter().all(Result::is_ok));
    assert_eq!(stage.latest().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_never_go_back() {
    let stage = Stage::new().await;
    let first = stage.post(3, "one").await.unwrap();
    stage.clock.advance_ms(-30_000);
    let second = stage.post(3, "two").await.unwrap();
    let stage = stage.restarted().await;
    let third = stage.post(3, "three").await.unwrap();
    assert_eq!((second.sent_at, third.sent_at), (first.sent_at, first.sent_at));
    assert!(first.id < second.id && second.id < third.id);
    assert_eq!(stage.latest().await, [first.clone(), second, third]);
    stage.advance_if_shared(40_000);
    let from = HistoryFrom::After(format!("{}.{}", first.sent_at.0, first.id));
    assert_eq!(stage.history(page(from, 200)).await.unwrap().items.len(), 2);
}
