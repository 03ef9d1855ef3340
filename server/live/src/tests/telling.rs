//! What viewers are told: every change once, in order, whatever push and the process do.

use std::sync::atomic::Ordering;

use common::rpc;
use idl::RoomId;
use idl::UserId;
use idl::event::{EventType, ModerationEvent, Mute, RoomChange, RoomEvent, RoomRules};
use idl::live::{EditRoom, MuteSpan, SetRules, UnmuteUser};
use idl::push::{Lane, Publication};

use super::world::{PushPlayer, World, eventually, soon};

async fn retitle(world: &World, room: RoomId, title: &str) {
    let caller = world.member(1);
    let edit = EditRoom { caller, room, title: Some(title.to_owned()), description: None, category: None };
    rpc::answer(world.client.edit_room(soon(), edit).await).unwrap();
}

fn room_event(publication: &Publication) -> RoomEvent {
    assert_eq!((publication.event, publication.lane), (EventType::Room, Lane::Guaranteed));
    assert!(!publication.data.contains('\n'));
    let event: RoomEvent = serde_json::from_str(&publication.data).unwrap();
    assert_eq!(publication.state.as_ref(), Some(&event.room));
    assert_eq!(publication.source, format!("room:{}:{}", event.room.id, event.room.version));
    event
}

#[tokio::test]
async fn every_change_is_told_once_with_the_state_after_it() {
    let world = World::start().await;
    let room = world.create(1, "<b>one</b>").await.unwrap().id;
    assert_eq!(world.push.sources(room), [format!("room:{room}:1")], "push knows it when the answer comes");
    retitle(&world, room, "two").await;
    retitle(&world, room, "two").await;
    let rules = RoomRules { slow_mode_s: 3, ..RoomRules::default() };
    for _ in 0..2 {
        let set = SetRules { caller: world.member(1), room, rules: rules.clone() };
        rpc::answer(world.client.set_rules(soon(), set).await).unwrap();
    }
    let session = world.open(world.member(1), room, None).await.unwrap();
    world.close(world.member(1), &session).await.unwrap();
    let told = world.push.wait_for(room, 5).await;
    let events: Vec<_> = told.iter().map(room_event).collect();
    let changes: Vec<_> = events.iter().map(|e| (e.change, e.room.version)).collect();
    use RoomChange::{Closed, Created, Edited, Opened, Rules};
    assert_eq!(changes, [(Created, 1), (Edited, 2), (Rules, 3), (Opened, 4), (Closed, 5)]);
    assert_eq!((events[0].room.title.as_str(), events[1].room.title.as_str()), ("<b>one</b>", "two"));
    assert_eq!(events[2].room.rules, rules);
    assert_eq!(events[3].room.session.unwrap().id, session.id);
    assert_eq!(events[4].room.session, None);
}

#[tokio::test]
async fn mutes_are_told() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let until = world.mute(world.member(1), room, 5, MuteSpan::Hours(1)).await.unwrap().until.unwrap();
    for _ in 0..2 {
        let unmute = UnmuteUser { caller: world.member(1), room, user: UserId(5) };
        rpc::answer(world.client.unmute(soon(), unmute).await).unwrap();
    }
    world.mute(world.member(1), room, 6, MuteSpan::Forever).await.unwrap();
    world.set_admin(world.member(1), room, 6, true).await.unwrap();
    let told = world.push.wait_for(room, 5).await;
    let mutes: Vec<Mute> = told[1..]
        .iter()
        .map(|p| {
            assert_eq!((p.event, p.lane, p.state.is_none()), (EventType::Moderation, Lane::Guaranteed, true));
            serde_json::from_str::<ModerationEvent>(&p.data).unwrap().muted.unwrap()
        })
        .collect();
    let mute = |user, muted, until_ms| Mute { user_id: UserId(user), muted, until_ms };
    let expected = [mute(5, true, Some(until.0)), mute(5, false, None), mute(6, true, None), mute(6, false, None)];
    assert_eq!(mutes, expected);
}

#[tokio::test]
async fn what_push_does_not_take_is_told_later_also_after_a_restart() {
    let world = World::start().await;
    let room = world.create(1, "1").await.unwrap().id;
    world.push.away.store(true, Ordering::SeqCst);
    retitle(&world, room, "2").await;
    // An unknown push keeps nobody from making a room; it is told of it later.
    let later = world.create(1, "later").await.unwrap().id;
    retitle(&world, room, "3").await;
    let world = world.restart().await;
    retitle(&world, room, "4").await;
    assert_eq!(world.push.sources(room), [format!("room:{room}:1")]);
    world.push.away.store(false, Ordering::SeqCst);
    let told = world.push.wait_for(room, 4).await;
    assert_eq!(told.iter().map(|p| room_event(p).room.version).collect::<Vec<_>>(), [1, 2, 3, 4]);
    world.push.wait_for(later, 1).await;
    let outbox_is_empty = async || {
        let rows = sqlx::query("SELECT id FROM outbox").fetch_all(world.live.core.db.reader()).await.unwrap();
        rows.is_empty().then_some(())
    };
    eventually("an empty outbox", outbox_is_empty).await;
}

#[tokio::test]
async fn a_lost_answer_repeats_the_same_source() {
    let world = World::start().await;
    let room = world.create(1, "1").await.unwrap().id;
    world.push.mute.store(true, Ordering::SeqCst);
    retitle(&world, room, "2").await;
    let times = |push: &PushPlayer| push.told.lock().unwrap().iter().filter(|(r, _)| *r == room).count();
    eventually("a repetition", async || (times(&world.push) >= 3).then_some(())).await;
    world.push.mute.store(false, Ordering::SeqCst);
    retitle(&world, room, "3").await;
    world.push.wait_for(room, 3).await;
    let expected: Vec<_> = (1..=3).map(|version| format!("room:{room}:{version}")).collect();
    assert_eq!(world.push.sources(room), expected, "a repetition has the source of the first try");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_are_told_in_the_order_of_their_versions() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    // While push is away the facts gather, and only their places say in which order.
    world.push.away.store(true, Ordering::SeqCst);
    let titles: Vec<String> = (0..300).map(|n| format!("title {n}")).collect();
    futures::future::join_all(titles.iter().map(|title| retitle(&world, room, title))).await;
    world.push.away.store(false, Ordering::SeqCst);
    let told = world.push.wait_for(room, 301).await;
    let versions: Vec<_> = told.iter().map(|p| room_event(p).room.version).collect();
    assert_eq!(versions, (1..=301).collect::<Vec<_>>());
}

#[tokio::test]
async fn states_of_live_rooms_are_retained_again_and_again() {
    let world = World::start().await;
    let (open, closed) = (world.create(1, "open").await.unwrap().id, world.create(1, "closed").await.unwrap().id);
    let session = world.open(world.member(1), open, None).await.unwrap();
    world.push.retained.lock().unwrap().clear();
    let twice = async || (world.push.retained.lock().unwrap().len() >= 2).then_some(());
    eventually("two rounds", twice).await;
    let world = world.restart().await;
    world.push.retained.lock().unwrap().clear();
    let again = async || (!world.push.retained.lock().unwrap().is_empty()).then_some(());
    eventually("a round after the restart", again).await;
    let retained = world.push.retained.lock().unwrap().clone();
    assert!(retained.iter().all(|state| state.id == open && state.id != closed));
    assert_eq!(retained[0].session.unwrap().id, session.id);
    assert_eq!(retained[0].version, 2);
}

#[test]
fn the_migration_has_the_platform_s_tables() {
    let migration = include_str!("../../migrations/0001_init.sql");
    assert!(migration.contains(common::Ids::TABLE));
    assert!(migration.contains(common::outbox::Outbox::TABLE));
}
