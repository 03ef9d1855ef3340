use futures::future::join_all;
use idl::access::SiteRole;
use idl::event::{EventType, ModerationEvent, RoomRole};
use idl::push::Lane;
use idl::{Code, DanmakuId, UserId};

use crate::stage::{ROOM, Stage};

const SENDER: u64 = 3;
const OWNER: u64 = 1;
const ADMIN: u64 = 2;
const STRANGER: u64 = 4;
const SITE_ADMIN: u64 = 5;

async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| {
        room.roles.insert(UserId(OWNER), RoomRole::Owner);
        room.roles.insert(UserId(ADMIN), RoomRole::Admin);
    });
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_time_decide() {
    const MINUTES_2: i64 = 120_000;
    for (who, later_ms, expected) in [
        (SENDER, 0, Ok(())),
        (SENDER, MINUTES_2, Ok(())),
        (SENDER, MINUTES_2 + 1, Err(Code::RecallExpired)),
        (STRANGER, 0, Err(Code::NotAllowed)),
        (STRANGER, MINUTES_2 + 1, Err(Code::NotAllowed)),
        (OWNER, MINUTES_2 + 1, Ok(())),
        (ADMIN, MINUTES_2 + 1, Ok(())),
        (SITE_ADMIN, MINUTES_2 + 1, Ok(())),
    ] {
        let stage = stage().await;
        let danmaku = stage.post(SENDER, "oops").await.unwrap();
        stage.clock.advance_ms(later_ms);
        stage.live.change(ROOM, |room| room.session = None);
        let role = if who == SITE_ADMIN { SiteRole::SiteAdmin } else { SiteRole::Member };
        let outcome = stage.delete(stage.caller_as(who, role), danmaku.id).await;
        assert_eq!(outcome.map(|_| ()).map_err(|r| r.code), expected, "{who} after {later_ms} ms");
        assert_eq!(stage.latest().await.is_empty(), expected.is_ok(), "{who} after {later_ms} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_again_is_fine_and_said_once() {
    let stage = stage().await;
    let danmaku = stage.post(SENDER, "oops").await.unwrap();
    let answers = join_all((0..20).map(|n| {
        let who = if n % 2 == 0 { SENDER } else { OWNER };
        stage.delete(stage.caller(who), danmaku.id)
    }))
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    stage.clock.advance_ms(600_000);
    stage.delete(stage.caller(SENDER), danmaku.id).await.unwrap();
    let stranger = stage.delete(stage.caller(STRANGER), danmaku.id).await;
    assert_eq!(stranger.unwrap_err().code, Code::NotAllowed);

    // What comes later in the same outbox shows that nothing of it came before.
    let later = stage.post(OWNER, "the owner").await.unwrap();
    let last = format!("danmaku:{}", later.id);
    stage.until("the owner's is announced", |push| push.taken(ROOM).iter().any(|p| p.source == last)).await;
    let taken = stage.push.taken(ROOM);
    let deletions: Vec<_> = taken.iter().filter(|p| p.event == EventType::Moderation).collect();
    let [deletion] = deletions[..] else { panic!("{deletions:?}") };
    assert_eq!(deletion.source, format!("deletion:{}", danmaku.id));
    assert_eq!((deletion.lane, &deletion.tombstones), (Lane::Guaranteed, &vec![format!("danmaku:{}", danmaku.id)]));
    let event: ModerationEvent = serde_json::from_str(&deletion.data).unwrap();
    assert_eq!(event, ModerationEvent { deleted: vec![danmaku.id], muted: None });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_outlasts_push() {
    let stage = stage().await;
    let danmaku = stage.post(SENDER, "oops").await.unwrap();
    stage.push.set_away(true);
    stage.delete(stage.caller(SENDER), danmaku.id).await.unwrap();
    assert!(stage.get(danmaku.id).await.is_err(), "it does not wait for push");
    let calls = stage.push.calls();
    stage.until("push was tried", |push| push.calls() > calls).await;
    stage.push.heal();
    let stage = stage.restarted().await;
    let source = format!("deletion:{}", danmaku.id);
    stage.until("the deletion arrives", |push| push.taken(ROOM).iter().any(|p| p.source == source)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_deleted() {
    let stage = stage().await;
    let refusal = stage.delete(stage.caller_as(SITE_ADMIN, SiteRole::SiteAdmin), DanmakuId(12_345)).await.unwrap_err();
    assert_eq!(refusal.code, Code::NoSuchDanmaku);
}
