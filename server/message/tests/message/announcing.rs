use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use futures::future::join_all;
use idl::event::{DanmakuEvent, EventType, RoomRole};
use idl::message::{Delivery, HistoryFrom};
use idl::push::{Lane, Publication};
use idl::{RoomId, UserId};

use crate::stage::{ROOM, START, Stage, page, settings};

const OTHER: RoomId = RoomId(8);

fn texts(publications: &[Publication]) -> Vec<String> {
    let text = |p: &Publication| serde_json::from_str::<DanmakuEvent>(&p.data).expect("a danmaku").text.to_string();
    publications.iter().map(text).collect()
}

fn undelivered() -> u64 {
    let metrics = common::telemetry::metrics().render();
    let line = metrics.lines().find_map(|line| line.strip_prefix("goligoli_danmaku_undelivered_total "));
    line.map_or(0, |n| n.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn danmaku_are_announced_in_order_one_call_per_room_at_a_time() {
    let stage = Stage::new().await;
    stage.live.open(OTHER, START);
    for round in 0..20 {
        join_all((1..=5).flat_map(|n| {
            let text = format!("{round} {n}");
            [ROOM, OTHER].map(|room| stage.send(stage.request(n, room, &text, None)))
        }))
        .await;
    }
    stage.until("all arrive", |push| push.taken(ROOM).len() + push.taken(OTHER).len() == 200).await;
    let history = stage.latest().await;
    let in_order: Vec<String> = history.iter().map(|d| d.text.to_string()).collect();
    assert_eq!(texts(&stage.push.taken(ROOM)), in_order);
    assert_eq!(stage.push.taken(OTHER).len(), 100);
    assert!(!stage.push.overlapped());
}

#[tokio::test(flavor = "multi_thread")]
async fn danmaku_gather_while_push_would_not_write_them() {
    let stage = Stage::new().await;
    stage.push.writes_only_every_ms(84);
    let began = Instant::now();
    for n in 0..40 {
        stage.post(3, &n.to_string()).await.unwrap();
    }
    stage.until("all arrive", |push| push.taken(ROOM).len() == 40).await;
    let most = 2 + began.elapsed().as_millis() / 80;
    assert!((stage.push.calls() as u128) <= most, "{} calls, at most {most}", stage.push.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_says_all_there_is_to_show() {
    let stage = Stage::new().await;
    let first = stage.post(3, "first").await.unwrap();
    stage.until("it arrives", |push| !push.taken(ROOM).is_empty()).await;
    let taken = stage.push.taken(ROOM);
    assert_eq!(taken[0].source, format!("danmaku:{}", first.id));
    assert_eq!((taken[0].event, taken[0].lane, taken[0].sender), (EventType::Danmaku, Lane::Ordinary, Some(UserId(3))));
    assert_eq!(taken[0].at_ms, first.sent_at.0);
    let event: DanmakuEvent = serde_json::from_str(&taken[0].data).unwrap();
    let expected = DanmakuEvent {
        id: first.id,
        session_id: first.session_id,
        sender: first.sender,
        text: first.text,
        mode: first.mode,
        color: first.color,
        size: first.size,
        sent_at_ms: first.sent_at.0,
        count: 1,
    };
    assert_eq!(event, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_hangs_costs_the_poster_nothing() {
    common::telemetry::metrics();
    let stage = Stage::new().await;
    stage.push.hang(ROOM);
    let began = Instant::now();
    for n in 0..200 {
        stage.post(3, &n.to_string()).await.unwrap();
    }
    // Waiting for push's deadline each time would take 50 s, besides storing them.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    let history = stage.latest().await;
    assert_eq!(history.len(), 200);
    assert!(stage.push.taken(ROOM).is_empty());
    stage.push.heal();
    let before = undelivered();
    stage.post(3, "last").await.unwrap();
    stage.until("it goes on", |push| texts(&push.taken(ROOM)).contains(&"last".to_owned())).await;
    assert!(undelivered() > 0 && undelivered() >= before, "what was lost is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_hangs_delays_no_other() {
    let stage = Stage::new().await;
    stage.live.open(OTHER, START);
    stage.push.hang(ROOM);
    for n in 0..50 {
        stage.post(3, &n.to_string()).await.unwrap();
        stage.send(stage.request(3, OTHER, &n.to_string(), None)).await.unwrap();
    }
    stage.until("the other room's arrive", |push| push.taken(OTHER).len() == 50).await;
    assert!(stage.push.taken(ROOM).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_may_have_only_so_much_waiting() {
    common::telemetry::metrics();
    let two = NonZeroUsize::new(2).unwrap();
    let stage = Stage::with(message::Settings { waiting_announcements_per_room: two, ..settings() }).await;
    stage.push.hang(ROOM);
    stage.post(3, "hangs").await.unwrap();
    stage.until("push is called", |push| push.calls() == 1).await;
    let before = undelivered();
    // One call of at most 250 ms is under way; ten posts come meanwhile and two may wait.
    join_all((1..=10).map(|n| stage.post(n, "waits"))).await;
    stage.push.heal();
    stage.post(3, "last").await.unwrap();
    stage.until("it goes on", |push| !push.taken(ROOM).is_empty()).await;
    assert!(stage.push.taken(ROOM).len() < 11 && undelivered() > before);
    assert_eq!(stage.latest().await.len(), 12, "history has all");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moderators_say_outlasts_push() {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| {
        room.roles.insert(UserId(1), RoomRole::Owner);
        room.roles.insert(UserId(2), RoomRole::Admin);
    });
    stage.push.set_away(true);
    stage.post(3, "a viewer").await.unwrap();
    stage.post(1, "the owner").await.unwrap();
    stage.post(2, "an admin").await.unwrap();
    stage.until("push was tried both ways", |push| push.calls() >= 3).await;
    stage.push.heal();
    stage.until("they arrive", |push| push.taken(ROOM).len() == 2).await;
    let taken = stage.push.taken(ROOM);
    assert_eq!(texts(&taken), ["the owner", "an admin"]);
    assert!(taken.iter().all(|p| p.lane == Lane::Guaranteed));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admins_bot_does_not_fill_the_guaranteed_lane() {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| room.roles = [(UserId(2), RoomRole::Admin)].into());
    join_all((0..200).map(|_| stage.post(2, "spam"))).await.into_iter().for_each(|d| drop(d.unwrap()));
    stage.until("all arrive", |push| push.taken(ROOM).len() == 200).await;
    let guaranteed = stage.push.taken(ROOM).iter().filter(|p| p.lane == Lane::Guaranteed).count();
    assert!((20..200).contains(&guaranteed), "{guaranteed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_announces_what_was_stored() {
    let stage = Stage::new().await;
    join_all((1..=300).map(|n| stage.post(n, "line"))).await.into_iter().for_each(|d| drop(d.unwrap()));
    stage.lifecycle.stop(Duration::from_secs(10)).await;
    assert_eq!(stage.push.taken(ROOM).len(), 300);
    assert_eq!(stage.post(3, "late").await.unwrap_err().code, idl::Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_reads_what_became_of_a_danmaku() {
    let stage = Stage::new().await;
    stage.live.change(ROOM, |room| room.roles = [(UserId(1), RoomRole::Owner)].into());
    let shown = stage.post_with(3, "shown", "key").await.unwrap();
    assert_eq!(shown.delivery, Delivery::Stored, "nobody knows yet");
    stage.until_it_is(shown.id, Delivery::Live).await;
    assert_eq!(stage.post_with(3, "shown", "key").await.unwrap(), shown, "the first answer");

    stage.push.set_samples(true);
    let sampled = stage.post(3, "sampled").await.unwrap();
    let owners = stage.post(1, "the owner's").await.unwrap();
    stage.until_it_is(sampled.id, Delivery::Sampled).await;
    stage.until_it_is(owners.id, Delivery::Live).await;

    stage.push.set_samples(false);
    stage.push.hang(ROOM);
    let lost = stage.post(3, "lost").await.unwrap();
    stage.until("push is called", |push| push.calls() == 4).await;
    stage.push.heal();
    let last = stage.post(3, "last").await.unwrap();
    stage.until_it_is(last.id, Delivery::Live).await;
    stage.until_it_is(lost.id, Delivery::Stored).await;
    // It is kept, and still there when all posts are read at once.
    let within = common::rpc::within(Duration::from_secs(20));
    let all = stage.message.history(within, page(HistoryFrom::Latest, 10)).await.unwrap().unwrap().items;
    let deliveries: Vec<_> = all.iter().map(|danmaku| danmaku.delivery).collect();
    assert_eq!(deliveries, [Delivery::Live, Delivery::Sampled, Delivery::Live, Delivery::Stored, Delivery::Live]);
}
