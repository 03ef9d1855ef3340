use std::time::Duration;

use common::rpc;
use futures::future::join_all;
use idl::event::RoomRole;
use idl::live::RoomKeyword;
use idl::message::{
    Danmaku, DeleteDanmaku, GetKeywordPost, HasPosted, HistoryFrom, KeywordPost, KeywordPosts, ReadKeywordPosts,
};
use idl::{Code, DanmakuId, LotteryId, Refusal, RoomId, SessionId, UserId};
use tarpc::context::Context;

use crate::stage::{ROOM, START, Stage, page};

pub(crate) const LOTTERY: LotteryId = LotteryId(31);

fn soon() -> Context {
    rpc::within(Duration::from_secs(20))
}

/// Gives a lottery of the room its keyword, for an hour from the beginning.
pub(crate) fn set(stage: &Stage, room: RoomId, lottery: LotteryId, form: &str) {
    let keyword = RoomKeyword { lottery, form: form.to_owned(), until: START.plus_ms(3_600_000) };
    stage.live.change(room, |there| there.keywords.push(keyword));
}

async fn one(stage: &Stage, lottery: LotteryId, danmaku: DanmakuId) -> Result<KeywordPost, Refusal> {
    rpc::answer(stage.message.keyword_post(soon(), GetKeywordPost { lottery, danmaku }).await)
}

pub(crate) async fn read(stage: &Stage, after: Option<String>, limit: u32) -> Result<KeywordPosts, Refusal> {
    let ask = ReadKeywordPosts { lottery: LOTTERY, after, limit };
    rpc::answer(stage.message.keyword_posts(soon(), ask).await)
}

/// All pages after a position, and where they end.
async fn read_on(stage: &Stage, mut after: Option<String>, limit: u32) -> (Vec<KeywordPost>, String) {
    let mut all = Vec::new();
    loop {
        let page = read(stage, after, limit).await.expect("a page");
        assert!(page.items.len() <= limit as usize);
        let is_last = page.items.len() < limit as usize;
        all.extend(page.items);
        if is_last {
            return (all, page.after);
        }
        after = Some(page.after);
    }
}

async fn has_posted(stage: &Stage, room: RoomId, session: u64, user: u64) -> bool {
    let ask = HasPosted { room, session: SessionId(session), user: UserId(user) };
    rpc::answer(stage.message.has_posted(soon(), ask).await).expect("an answer").posted
}

fn as_keyword(danmaku: &Danmaku) -> KeywordPost {
    KeywordPost {
        danmaku: danmaku.id,
        room: danmaku.room_id,
        user: danmaku.sender.id,
        user_name: danmaku.sender.name.clone(),
        role: danmaku.sender.role,
        sent_at: danmaku.sent_at,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_the_keyword_is_marked_and_nothing_else_is() {
    let stage = Stage::new().await;
    let other_room = RoomId(8);
    stage.live.open(other_room, START);
    assert_eq!(stage.post(3, "goli").await.unwrap().lottery_id, None, "no lottery yet");
    set(&stage, ROOM, LOTTERY, "goli");
    set(&stage, ROOM, LotteryId(32), "抽奖");
    set(&stage, other_room, LotteryId(33), "elsewhere");
    stage.live.change(ROOM, |room| room.roles = [(UserId(1), RoomRole::Owner), (UserId(2), RoomRole::Admin)].into());

    for (user, role) in [(1, RoomRole::Owner), (2, RoomRole::Admin), (3, RoomRole::Viewer)] {
        let posted = stage.post(user, " ＧＯＬＩ").await.unwrap();
        assert_eq!(posted.lottery_id, Some(LOTTERY));
        assert_eq!(stage.get(posted.id).await.unwrap(), posted, "and it stays marked");
        let keyword = one(&stage, LOTTERY, posted.id).await.unwrap();
        assert_eq!((&keyword, keyword.role), (&as_keyword(&posted), role));
        assert_eq!(one(&stage, LotteryId(32), posted.id).await.unwrap_err().code, Code::NoSuchDanmaku);
    }
    assert_eq!(stage.post(3, "抽奖").await.unwrap().lottery_id, Some(LotteryId(32)));
    for other in ["goli!", "gol", "elsewhere"] {
        let posted = stage.post(3, other).await.unwrap();
        assert_eq!(posted.lottery_id, None, "{other}");
        assert_eq!(one(&stage, LOTTERY, posted.id).await.unwrap_err().code, Code::NoSuchDanmaku);
    }
    let elsewhere = stage.send(stage.request(3, other_room, "goli", None)).await.unwrap();
    assert_eq!(elsewhere.lottery_id, None);
    assert_eq!(one(&stage, LOTTERY, DanmakuId(999_999)).await.unwrap_err().code, Code::NoSuchDanmaku);

    let marks: Vec<_> = stage.latest().await.into_iter().map(|danmaku| danmaku.lottery_id.map(|id| id.0)).collect();
    let expected = [None, Some(31), Some(31), Some(31), Some(32), None, None, None];
    assert_eq!(marks, expected, "the history shows it");
    assert_eq!(stage.after_kill().await.latest().await, stage.latest().await, "as durable as the danmaku");
    let json = |danmaku: &Danmaku| serde_json::to_value(danmaku).unwrap().get("lottery_id").cloned();
    assert_eq!(json(&stage.latest().await[1]), Some("31".into()));
    assert_eq!(json(&elsewhere), None, "left out, not null");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_belongs_to_the_lottery_that_the_first_belonged_to() {
    let stage = Stage::new().await;
    let before = stage.post_with(3, "goli", "before").await.unwrap();
    set(&stage, ROOM, LOTTERY, "goli");
    let answers = join_all((0..20).map(|_| stage.post_with(3, "goli", "key"))).await;
    let first = answers[0].clone().unwrap();
    assert_eq!(first.lottery_id, Some(LOTTERY));
    assert!(answers.into_iter().all(|answer| answer.as_ref() == Ok(&first)));
    stage.live.change(ROOM, |room| room.keywords.clear());
    set(&stage, ROOM, LotteryId(32), "goli");
    assert_eq!(stage.post_with(3, "goli", "key").await.unwrap(), first);
    assert_eq!(stage.repeat(stage.request(3, ROOM, "goli", Some("key"))).await.unwrap(), first);
    assert_eq!(stage.post_with(3, "goli", "before").await.unwrap(), before, "a repetition is no new danmaku");
    assert_eq!(before.lottery_id, None);
    stage.live.set_away(true);
    assert_eq!(stage.post_with(3, "goli", "key").await.unwrap(), first);
    assert_eq!(read_on(&stage, None, 500).await.0, [as_keyword(&first)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_after_the_end_belongs_to_no_lottery() {
    let stage = Stage::new().await;
    set(&stage, ROOM, LOTTERY, "goli");
    stage.clock.advance_ms(3_600_000 - 1);
    assert_eq!(stage.post(3, "goli").await.unwrap().lottery_id, Some(LOTTERY));
    // What live answers may be older than the moment in which the danmaku is stored.
    stage.clock.advance_ms(1);
    assert_eq!(stage.post(3, "goli").await.unwrap().lottery_id, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_keyword_danmaku_bring_each_once_in_order() {
    let stage = Stage::new().await;
    let (none, start) = read_on(&stage, None, 10).await;
    assert_eq!((none.len(), start.as_str()), (0, "0.0"));
    set(&stage, ROOM, LOTTERY, "goli");
    set(&stage, ROOM, LotteryId(32), "other");
    let mut marked = Vec::new();
    for block in 0..9_u64 {
        let words = ["goli", "GOLI", "other", "nothing"];
        let posts = (0..12).map(|n| stage.post(1 + n % 5, words[(block + n) as usize % words.len()]));
        let posted = join_all(posts).await.into_iter().map(Result::unwrap);
        marked.extend(posted.filter(|danmaku| danmaku.lottery_id == Some(LOTTERY)));
        stage.clock.advance_ms(i64::from(block % 2 == 1)); // many in one millisecond
    }
    marked.sort_by_key(|danmaku| (danmaku.sent_at, danmaku.id));
    assert_eq!(marked.len(), 54);
    // Deleting a line does not undo an entry.
    for danmaku in marked.iter().step_by(3) {
        let delete = DeleteDanmaku { caller: stage.caller(danmaku.sender.id.0), room: ROOM, danmaku: danmaku.id };
        rpc::answer(stage.message.delete(soon(), delete).await).unwrap();
        assert_eq!(one(&stage, LOTTERY, danmaku.id).await.unwrap(), as_keyword(danmaku));
    }
    let expected: Vec<KeywordPost> = marked.iter().map(as_keyword).collect();
    for limit in [1, 7, 18, 53, 54, 55, 500] {
        let (all, end) = read_on(&stage, None, limit).await;
        assert_eq!(all, expected, "in pages of {limit}");
        assert_eq!(read_on(&stage, Some(end.clone()), limit).await, (Vec::new(), end), "the end stays the end");
    }
    assert_eq!(read_on(&stage, Some(start), 7).await.0, expected, "who began before the first misses none");

    let (_, end) = read_on(&stage, None, 500).await;
    let next = stage.post(3, "goli").await.unwrap();
    assert_eq!(read(&stage, Some(end), 500).await.unwrap().items, [as_keyword(&next)]);
    let history = stage.history(page(HistoryFrom::Latest, 200)).await.unwrap().items;
    assert_eq!(history.len(), 9 * 12 + 1 - 18, "the history leaves the deleted ones out");

    for limit in [0, 501, u32::MAX] {
        let refusal = read(&stage, None, limit).await.unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::InvalidField, Some("/limit")));
    }
    for cursor in ["", "1", "1.", "-1.1", "1.1 "] {
        assert_eq!(read(&stage, Some(cursor.to_owned()), 1).await.unwrap_err().code, Code::BadCursor, "{cursor:?}");
    }
}

/// Posts go on while the pages are read: none is missed, none comes twice.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_along_misses_nothing() {
    let stage = Stage::new().await;
    set(&stage, ROOM, LOTTERY, "goli");
    let posting = async {
        let mut posted = Vec::new();
        for _ in 0..20 {
            posted.extend(join_all((0..10).map(|n| stage.post(1 + n, "goli"))).await.into_iter().map(Result::unwrap));
            stage.clock.advance_ms(1);
        }
        posted.sort_by_key(|danmaku| (danmaku.sent_at, danmaku.id));
        posted.iter().map(as_keyword).collect::<Vec<_>>()
    };
    let reading = async {
        let (mut all, mut after) = (Vec::new(), None);
        while all.len() < 200 {
            let page = read(&stage, after, 7).await.unwrap();
            all.extend(page.items);
            after = Some(page.after);
        }
        all
    };
    let reading = tokio::time::timeout(Duration::from_secs(20), reading);
    let (posted, seen) = futures::join!(posting, reading);
    assert_eq!(seen.expect("all come"), posted);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_posted_in_a_broadcast_is_known() {
    let stage = Stage::new().await;
    let begin = async |session| {
        stage.clock.advance_ms(1_000);
        stage.live.change(ROOM, |room| room.session.as_mut().unwrap().id = SessionId(session));
    };
    let other_room = RoomId(8);
    stage.live.open(other_room, START);
    assert!(!has_posted(&stage, ROOM, 7, 3).await, "nobody has");
    stage.post(3, "in the first").await.unwrap();
    stage.post(4, "both in the first").await.unwrap();
    begin(70).await;
    stage.post(4, "and in the second").await.unwrap();
    let gone = stage.post(5, "taken back").await.unwrap();
    stage.delete(stage.caller(5), gone.id).await.unwrap();
    begin(71).await;
    stage.post(6, "in the third").await.unwrap();
    stage.send(stage.request(9, other_room, "in the other room", None)).await.unwrap();

    let mut who = Vec::new();
    for session in [7, 70, 71, 8, 999] {
        for user in 1..10 {
            if has_posted(&stage, ROOM, session, user).await {
                who.push((session, user));
            }
        }
    }
    assert_eq!(who, [(7, 3), (7, 4), (70, 4), (70, 5), (71, 6)], "a deleted one counts");
    assert!(has_posted(&stage, other_room, 8, 9).await);

    // The clock was set back: the third broadcast seems to be at the time of the second.
    let mut tx = stage.other_db().await.begin().await.unwrap();
    let earlier = sqlx::query("UPDATE danmaku SET sent_at_ms = ? WHERE session_id = 71").bind(START.0 + 1_000);
    earlier.execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(has_posted(&stage, ROOM, 71, 6).await && !has_posted(&stage, ROOM, 70, 6).await);
    assert!(!has_posted(&stage, ROOM, 7, 6).await && !has_posted(&stage, ROOM, 71, 4).await);
}
