//! Replays as people see them: who may see which, and who may change them.

use common::rpc;
use idl::event::RoomRules;
use idl::live::{EditRoom, ListReplays, Replay, ReplayState, ReplayText, SetRules, Visibility};
use idl::replay::ReplayOrigin;
use idl::{Caller, Code, ReplayId, RoomId};

use super::world::{NOON, World, refused, soon};

fn titled(title: &str) -> ReplayText {
    ReplayText { title: Some(title.to_owned()), visibility: None }
}

fn seen_by(visibility: Visibility) -> ReplayText {
    ReplayText { title: None, visibility: Some(visibility) }
}

async fn take_no_guests(world: &World, room: RoomId) {
    let rules = RoomRules { guests: false, ..RoomRules::default() };
    let set = SetRules { caller: world.member(1), room, rules };
    rpc::answer(world.client.set_rules(soon(), set).await).unwrap();
}

fn ids(replays: &[Replay]) -> Vec<ReplayId> {
    replays.iter().map(|replay| replay.id).collect()
}

#[tokio::test]
async fn a_broadcast_that_ends_has_a_replay() {
    let world = World::start().await;
    let room = world.create(1, "Night train").await.unwrap().id;
    let session = world.open(world.member(1), room, None).await.unwrap();
    let edit = EditRoom {
        caller: world.member(1),
        room,
        title: Some("Day train".to_owned()),
        description: None,
        category: None,
    };
    rpc::answer(world.client.edit_room(soon(), edit).await).unwrap();
    assert_eq!(world.replays(None, room).await.unwrap(), []);
    world.clock.advance_ms(90_000);
    // However many end it.
    let closes = (0..10).map(|_| world.close(world.member(1), &session));
    assert!(futures::future::join_all(closes).await.iter().all(Result::is_ok));
    let [replay] = world.replays(None, room).await.unwrap().try_into().unwrap();
    let expected = Replay {
        id: replay.id,
        room_id: room,
        session_id: Some(session.id),
        title: "Night train".to_owned(),
        origin: ReplayOrigin::Broadcast,
        state: ReplayState::Indexing,
        visibility: Visibility::Public,
        started_at: NOON,
        duration_ms: 90_000,
        danmaku_count: 0,
        version: 0,
    };
    assert_eq!(replay, expected);
    let located = world.replay(None, replay.id).await.unwrap();
    assert_eq!(located.replay, replay);
    let begins = format!("replays/{room}/2027/01/{}-", replay.id);
    let secret = located.prefix.strip_prefix(&begins).unwrap();
    assert!(secret.len() == 16 && secret.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{secret}");

    world.indexed(replay.id, 7, 1).await.unwrap();
    let ready = Replay { state: ReplayState::Ready, duration_ms: 60_000, danmaku_count: 7, version: 7, ..expected };
    assert_eq!(world.replay(None, replay.id).await.unwrap().replay, ready);
    assert_eq!(world.replays(None, room).await.unwrap(), [ready]);
}

#[tokio::test]
async fn replays_are_listed_latest_first() {
    let world = World::start().await;
    let (room, other) = (world.create(1, "one").await.unwrap().id, world.create(1, "two").await.unwrap().id);
    let mut expected = Vec::new();
    for ms in [1_000, 0, 0, 5] {
        expected.insert(0, world.broadcast(room, ms).await.1.id);
    }
    let elsewhere = world.broadcast(other, 0).await.1.id;
    let import = world.begin_import(world.member(1), room, "file").await.unwrap().id;
    world.end_import(import, 1).await.unwrap();
    expected.insert(0, import);
    assert_eq!(ids(&world.replays(None, room).await.unwrap()), expected);
    assert_eq!(ids(&world.replays(None, other).await.unwrap()), [elsewhere]);
    let ask = async |room, cursor: Option<&str>, limit| {
        let ask = ListReplays { caller: None, room, cursor: cursor.map(str::to_owned), limit };
        rpc::answer(world.client.replays(soon(), ask).await)
    };
    let cursor = ask(room, None, 1).await.unwrap().next_cursor.unwrap();
    refused(ask(other, Some(&cursor), 1).await, Code::BadCursor);
    refused(ask(room, Some("x"), 1).await, Code::BadCursor);
    refused(ask(room, None, 0).await, Code::InvalidField);
    refused(ask(room, None, 101).await, Code::InvalidField);
    refused(ask(RoomId(999_999), None, 1).await, Code::NoSuchRoom);
}

#[tokio::test]
async fn a_hidden_replay_is_seen_by_who_runs_the_room() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    world.set_admin(world.member(1), room, 2, true).await.unwrap();
    let (public, hidden) = (world.broadcast(room, 5).await.1.id, world.broadcast(room, 5).await.1.id);
    let edited = world.edit_replay(world.member(1), hidden, seen_by(Visibility::Hidden)).await.unwrap();
    assert_eq!((edited.id, edited.visibility), (hidden, Visibility::Hidden));
    let expired = Caller { token: "no token".to_owned() };
    for other in [None, Some(expired.clone()), Some(world.member(5)), Some(world.member(2))] {
        assert_eq!(ids(&world.replays(other.clone(), room).await.unwrap()), [public]);
        assert!(world.replay(other.clone(), public).await.is_ok());
        refused(world.replay(other.clone(), hidden).await, Code::NoSuchReplay);
    }
    for runs in [world.member(1), world.site_admin(9)] {
        assert_eq!(ids(&world.replays(Some(runs.clone()), room).await.unwrap()), [hidden, public]);
        assert_eq!(world.replay(Some(runs), hidden).await.unwrap().replay, edited);
    }
    // Who may not see it learns nothing from trying to change it, either.
    for other in [world.member(5), world.member(2)] {
        refused(world.edit_replay(other.clone(), hidden, titled("x")).await, Code::NoSuchReplay);
        refused(world.index_replay(other.clone(), hidden).await, Code::NoSuchReplay);
        refused(world.delete_replay(other.clone(), hidden).await, Code::NoSuchReplay);
        refused(world.edit_replay(other.clone(), public, titled("x")).await, Code::NotAllowed);
        refused(world.index_replay(other.clone(), public).await, Code::NotAllowed);
        refused(world.delete_replay(other, public).await, Code::NotAllowed);
    }
    refused(world.delete_replay(expired, public).await, Code::NotSignedIn);
    world.edit_replay(world.site_admin(9), hidden, seen_by(Visibility::Public)).await.unwrap();
    assert_eq!(ids(&world.replays(None, room).await.unwrap()), [hidden, public]);
}

#[tokio::test]
async fn a_room_that_takes_no_guests_shows_them_no_replays() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let (public, hidden) = (world.broadcast(room, 5).await.1.id, world.broadcast(room, 5).await.1.id);
    world.edit_replay(world.member(1), hidden, seen_by(Visibility::Hidden)).await.unwrap();
    take_no_guests(&world, room).await;
    for guest in [None, Some(Caller { token: "no token".to_owned() })] {
        refused(world.replays(guest.clone(), room).await, Code::NotSignedIn);
        refused(world.replay(guest.clone(), public).await, Code::NotSignedIn);
        refused(world.replay(guest, hidden).await, Code::NoSuchReplay);
    }
    assert_eq!(ids(&world.replays(Some(world.member(5)), room).await.unwrap()), [public]);
    assert!(world.replay(Some(world.member(5)), public).await.is_ok());
}

#[tokio::test]
async fn an_edit_changes_what_it_names() {
    let world = World::start().await;
    let room = world.create(1, "before").await.unwrap().id;
    let replay = world.broadcast(room, 5).await.1;
    let edit = async |body| world.edit_replay(world.member(1), replay.id, body).await;
    let revision = async || world.job(replay.id).await.unwrap().revision;
    assert_eq!(edit(ReplayText::default()).await.unwrap(), replay);
    let renamed = edit(titled("  Night train 夜行列车 ")).await.unwrap();
    assert_eq!(renamed, Replay { title: "Night train 夜行列车".to_owned(), ..replay.clone() });
    assert_eq!(revision().await, 2, "the title is in the files, too");
    assert_eq!(edit(titled("Night train 夜行列车")).await.unwrap(), renamed);
    let hidden = edit(seen_by(Visibility::Hidden)).await.unwrap();
    assert_eq!(hidden, Replay { visibility: Visibility::Hidden, ..renamed });
    assert_eq!(revision().await, 2, "nothing that an index shows has changed since");
    for bad in [titled(""), titled(&"字".repeat(61)), titled("a\nb"), seen_by(Visibility::Unknown)] {
        let pointer = refused(edit(bad).await, Code::InvalidField).pointer.unwrap();
        assert!(["/title", "/visibility"].contains(&pointer.as_str()));
    }
    let both = ReplayText { title: Some("refused".to_owned()), visibility: Some(Visibility::Unknown) };
    refused(edit(both).await, Code::InvalidField);
    assert_eq!(world.replay(Some(world.member(1)), replay.id).await.unwrap().replay, hidden);
    let nowhere = ReplayId(999_999);
    refused(world.edit_replay(world.member(1), nowhere, titled("x")).await, Code::NoSuchReplay);
    refused(world.index_replay(world.member(1), nowhere).await, Code::NoSuchReplay);
    refused(world.delete_replay(world.member(1), nowhere).await, Code::NoSuchReplay);
    refused(world.replay(None, nowhere).await, Code::NoSuchReplay);
}

#[tokio::test]
async fn a_deleted_replay_is_gone_at_once_and_its_row_when_nothing_else_is_left() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let woken = world.consume();
    let (stays, goes) = (world.broadcast(room, 5).await.1.id, world.broadcast(room, 5).await.1.id);
    woken.wait_for(goes, 1).await;
    world.indexed(goes, 1, 1).await.unwrap();
    refused(world.wiped(goes).await, Code::NotAllowed);
    assert!(world.replay(None, goes).await.is_ok());
    let woken_before = woken.times(goes);
    for _ in 0..2 {
        world.delete_replay(world.member(1), goes).await.unwrap();
        for caller in [None, Some(world.member(1)), Some(world.site_admin(9))] {
            refused(world.replay(caller.clone(), goes).await, Code::NoSuchReplay);
            assert_eq!(ids(&world.replays(caller, room).await.unwrap()), [stays]);
        }
    }
    refused(world.delete_replay(world.member(5), goes).await, Code::NoSuchReplay);
    refused(world.edit_replay(world.member(1), goes, titled("x")).await, Code::NoSuchReplay);
    refused(world.index_replay(world.member(1), goes).await, Code::NoSuchReplay);
    woken.wait_for(goes, woken_before + 1).await;
    let job = world.job(goes).await.unwrap();
    assert!(job.deleted && !job.prefix.is_empty());
    // An index that was being made changes nothing about it.
    world.indexed(goes, 2, job.revision).await.unwrap();
    refused(world.replay(None, goes).await, Code::NoSuchReplay);
    assert_eq!((world.is_due(goes).await, world.is_due(stays).await), (Some(true), Some(true)));
    for _ in 0..2 {
        world.wiped(goes).await.unwrap();
        assert_eq!(world.is_due(goes).await, None);
    }
    refused(world.job(goes).await, Code::NoSuchReplay);
    refused(world.delete_replay(world.member(1), goes).await, Code::NoSuchReplay);
    refused(world.indexed(goes, 3, 9).await, Code::NoSuchReplay);
    assert_eq!(ids(&world.replays(None, room).await.unwrap()), [stays]);
}
