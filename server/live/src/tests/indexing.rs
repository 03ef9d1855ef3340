//! Replays as the service sees them that indexes them.

use idl::live::{ReplayState, Visibility};
use idl::replay::ReplayOrigin;
use idl::{Code, ReplayId, RoomId};

use crate::replay::wake::AT_ONCE;

use super::world::{HOUR_MS, World, eventually, refused};

#[tokio::test]
async fn a_replay_is_due_until_its_latest_revision_is_shown() {
    let world = World::start().await;
    let woken = world.consume();
    let room = world.create(1, "title").await.unwrap().id;
    let id = world.broadcast(room, 90_000).await.1.id;
    woken.wait_for(id, 1).await;
    let job = world.job(id).await.unwrap();
    assert_eq!((job.revision, job.deleted, job.marks.len(), job.replay.duration_ms), (1, false, 0, 90_000));
    assert_eq!(job.prefix, world.replay(None, id).await.unwrap().prefix);
    assert_eq!(world.is_due(id).await, Some(true));
    world.indexed(id, 1, 1).await.unwrap();
    assert_eq!(world.is_due(id).await, Some(false));

    let before = woken.times(id);
    let again = world.index_replay(world.member(1), id).await.unwrap();
    assert_eq!((again.state, again.version), (ReplayState::Ready, 1), "what there is is shown meanwhile");
    woken.wait_for(id, before + 1).await;
    // The wish came while an index was made that does not know of it.
    world.index_replay(world.site_admin(9), id).await.unwrap();
    assert_eq!(world.job(id).await.unwrap().revision, 3);
    world.indexed(id, 2, 2).await.unwrap();
    assert_eq!((world.replay(None, id).await.unwrap().replay.version, world.is_due(id).await), (2, Some(true)));
    world.indexed(id, 3, 3).await.unwrap();
    assert_eq!(world.is_due(id).await, Some(false));
    assert_eq!(world.job(id).await.unwrap().prefix, job.prefix, "it lies where it lay");
}

#[tokio::test]
async fn what_is_due_is_sent_again_by_the_next_process() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let (due, done) = (world.broadcast(room, 5).await.1.id, world.broadcast(room, 5).await.1.id);
    world.indexed(done, 1, 1).await.unwrap();
    let first = world.consume();
    first.wait_for(due, 1).await;
    // Once it was noted when it is to be sent again.
    let is_noted = async || {
        let due: i64 = world.number("SELECT due_ms FROM replay WHERE due_ms IS NOT NULL").await;
        (due > 0).then_some(())
    };
    eventually("a note", is_noted).await;
    let world = world.restart().await;
    let second = world.consume();
    // What is sent at a look is there when what becomes due after it is.
    let probe = world.broadcast(room, 5).await.1.id;
    second.wait_for(probe, 1).await;
    assert_eq!((second.times(due), second.times(done)), (0, 0), "not before its time");
    world.clock.advance_ms(6_000);
    second.wait_for(due, 1).await;
    let probe = world.broadcast(room, 5).await.1.id;
    second.wait_for(probe, 1).await;
    assert_eq!(second.times(done), 0);
}

#[tokio::test]
async fn what_nothing_comes_of_is_sent_again_ever_more_seldom_and_something_new_at_once() {
    let world = World::start().await;
    let woken = world.consume();
    let room = world.create(1, "title").await.unwrap().id;
    let id = world.broadcast(room, 0).await.1.id;
    let noted = async |wakes: i64| {
        let of_it = format!("SELECT wakes FROM replay WHERE id = {id}");
        eventually("a note", async || (world.number(&of_it).await == wakes).then_some(())).await;
    };
    for (sent, pause_ms) in [(1, 5_000), (2, 10_000), (3, 20_000)] {
        woken.wait_for(id, sent).await;
        noted(sent.try_into().unwrap()).await;
        world.clock.advance_ms(pause_ms - 1);
        let probe = world.broadcast(room, 0).await.1.id;
        woken.wait_for(probe, 1).await;
        world.indexed(probe, 1, 1).await.unwrap();
        assert_eq!(woken.times(id), sent);
        world.clock.advance_ms(1);
    }
    woken.wait_for(id, 4).await;
    noted(4).await;
    world.index_replay(world.member(1), id).await.unwrap();
    woken.wait_for(id, 5).await;
    noted(1).await;
}

#[tokio::test]
async fn replays_that_nothing_comes_of_hold_up_no_others() {
    let world = World::start().await;
    let woken = world.consume();
    let (room, other) = (world.create(1, "stuck").await.unwrap().id, world.create(1, "other").await.unwrap().id);
    let stale = world.begin_import(world.member(1), other, "stale").await.unwrap().id;
    // More than are looked at together.
    for _ in 0..2 * AT_ONCE {
        world.broadcast(room, 0).await;
    }
    let deleted = world.broadcast(other, 0).await.1.id;
    world.indexed(deleted, 1, 1).await.unwrap();
    world.delete_replay(world.member(1), deleted).await.unwrap();
    woken.wait_for(deleted, 1).await;
    let last = world.broadcast(other, 0).await.1.id;
    woken.wait_for(last, 1).await;
    world.clock.advance_ms(HOUR_MS.cast_signed());
    eventually("the end of the import", async || world.job(stale).await.unwrap().deleted.then_some(())).await;
    woken.wait_for(stale, 1).await;
}

#[tokio::test]
async fn versions_never_go_back() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let id = world.broadcast(room, 5).await.1.id;
    let versions = [3, 1, 8, 5, 8, 2, 7, 4, 6];
    let told = versions.map(|version| world.indexed(id, version, 1));
    assert!(futures::future::join_all(told).await.iter().all(Result::is_ok));
    let shown = world.replay(None, id).await.unwrap().replay;
    assert_eq!((shown.version, shown.danmaku_count), (8, 8));
    // One that was begun earlier and ends later is of an older revision: it is not shown, and changes nothing.
    world.index_replay(world.member(1), id).await.unwrap();
    world.indexed(id, 9, 2).await.unwrap();
    world.indexed(id, 7, 1).await.unwrap();
    assert_eq!((world.replay(None, id).await.unwrap().replay.version, world.is_due(id).await), (9, Some(false)));
    // One of an older revision whose version is later is shown, but must not be the last.
    world.indexed(id, 10, 1).await.unwrap();
    assert_eq!((world.replay(None, id).await.unwrap().replay.version, world.is_due(id).await), (10, Some(true)));
    refused(world.indexed(id, u64::MAX, 2).await, Code::InvalidField);
    refused(world.indexed(ReplayId(999_999), 1, 1).await, Code::NoSuchReplay);
    refused(world.job(ReplayId(999_999)).await, Code::NoSuchReplay);
}

#[tokio::test]
async fn an_import_is_seen_when_it_has_ended() {
    let world = World::start().await;
    let woken = world.consume();
    let room = world.create(1, "title").await.unwrap().id;
    refused(world.begin_import(world.member(5), room, "file").await, Code::NotAllowed);
    refused(world.begin_import(world.member(1), room, " ").await, Code::InvalidField);
    refused(world.begin_import(world.member(1), RoomId(999_999), "file").await, Code::NoSuchRoom);
    let begun = world.begin_import(world.site_admin(9), room, " file ").await.unwrap();
    let id = begun.id;
    assert_eq!((begun.title.as_str(), begun.state, begun.origin), ("file", ReplayState::Importing, ReplayOrigin::File));
    assert_eq!((begun.session_id, begun.visibility, begun.started_at), (None, Visibility::Public, world.clock.now()));
    for caller in [None, Some(world.member(1)), Some(world.site_admin(9))] {
        refused(world.replay(caller.clone(), id).await, Code::NoSuchReplay);
        assert_eq!(world.replays(caller, room).await.unwrap(), []);
    }
    refused(world.index_replay(world.member(1), id).await, Code::NoSuchReplay);
    refused(world.delete_replay(world.member(5), id).await, Code::NoSuchReplay);
    // Nothing can be shown of it yet.
    world.indexed(id, 1, 1).await.unwrap();
    assert_eq!(world.job(id).await.unwrap().replay.state, ReplayState::Importing);
    // Another one becomes due meanwhile: so the queue was looked after.
    let other = world.broadcast(room, 5).await.1.id;
    woken.wait_for(other, 1).await;
    assert_eq!(woken.times(id), 0);

    refused(world.end_import(id, u64::MAX).await, Code::InvalidField);
    for duration_ms in [5_000, 9_000] {
        let ended = world.end_import(id, duration_ms).await.unwrap();
        assert_eq!((ended.state, ended.duration_ms), (ReplayState::Indexing, 5_000), "the first end counts");
    }
    woken.wait_for(id, 1).await;
    assert_eq!(world.job(id).await.unwrap().revision, 1);
    world.indexed(id, 1, 1).await.unwrap();
    assert_eq!(world.end_import(id, 1).await.unwrap().state, ReplayState::Ready);
    assert_eq!((world.replays(None, room).await.unwrap().len(), world.is_due(id).await), (2, Some(false)));
    refused(world.end_import(other, 1).await, Code::NoSuchReplay);
    refused(world.end_import(ReplayId(999_999), 1).await, Code::NoSuchReplay);
}

#[tokio::test]
async fn an_import_that_does_not_end_is_deleted_after_an_hour() {
    let world = World::start().await;
    let woken = world.consume();
    let room = world.create(1, "title").await.unwrap().id;
    let [stale, given_up, ended] = ["stale", "given up", "ended"].map(|title| (title, world.member(1)));
    let begin = async |(title, caller): (&str, _)| world.begin_import(caller, room, title).await.unwrap().id;
    let (stale, given_up, ended) = (begin(stale).await, begin(given_up).await, begin(ended).await);
    world.delete_replay(world.member(1), given_up).await.unwrap();
    woken.wait_for(given_up, 1).await;
    assert!(world.job(given_up).await.unwrap().deleted);
    refused(world.end_import(given_up, 1).await, Code::NoSuchReplay);
    world.clock.advance_ms(HOUR_MS.cast_signed() - 1);
    world.end_import(ended, 1).await.unwrap();
    woken.wait_for(ended, 1).await;
    assert!(!world.job(stale).await.unwrap().deleted);
    world.clock.advance_ms(1);
    let is_deleted = async || world.job(stale).await.unwrap().deleted.then_some(());
    eventually("the end of the import", is_deleted).await;
    woken.wait_for(stale, 1).await;
    refused(world.end_import(stale, 1).await, Code::NoSuchReplay);
    assert!(!world.job(ended).await.unwrap().deleted);
    world.wiped(stale).await.unwrap();
    assert_eq!(world.is_due(stale).await, None);
}

#[tokio::test]
async fn a_room_has_so_many_imported_replays() {
    let world = World::start().await;
    let (room, other) = (world.create(1, "full").await.unwrap().id, world.create(1, "empty").await.unwrap().id);
    let first = world.begin_import(world.member(1), room, "first").await.unwrap().id;
    world.broadcast(room, 5).await;
    // As if 998 more had been brought. Not through the front: each would be a commit to the disk.
    const COPY: &str = "INSERT INTO replay SELECT id + ?, room_id, session_id, title, state, deleted, hidden, \
         started_at_ms, duration_ms, danmaku_count, version, revision, due_ms, wakes, prefix, traceparent FROM replay WHERE id = ?";
    let mut tx = world.live.core.db.begin().await.unwrap();
    for n in 1..=998_i64 {
        sqlx::query(COPY).bind(1_000_000 + n).bind(first.as_i64()).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let last = world.begin_import(world.member(1), room, "last").await.unwrap().id;
    refused(world.begin_import(world.member(1), room, "one too many").await, Code::LimitReached);
    world.begin_import(world.member(1), other, "elsewhere").await.unwrap();
    world.broadcast(room, 5).await;
    world.delete_replay(world.member(1), last).await.unwrap();
    world.begin_import(world.member(1), room, "in its place").await.unwrap();
}

#[tokio::test]
async fn an_import_is_begun_once_for_a_key_as_long_as_its_replay_is_there() {
    let world = World::start().await;
    let (room, other) = (world.create(1, "room").await.unwrap().id, world.create(1, "other").await.unwrap().id);
    let begin = async |title: &str| world.begin_import_with(world.member(1), room, title, Some("key")).await;
    let first = begin("file").await.unwrap().id;
    let running = begin(" file ").await.unwrap_err();
    assert_eq!((running.code, running.retry_after_ms), (Code::ReplayNotReady, Some(5_000)));
    refused(begin("another").await, Code::KeyReused);
    refused(world.begin_import_with(world.member(1), other, "file", Some("key")).await, Code::KeyReused);
    // It has failed: the key stands for the next try.
    world.give_import_up(first).await.unwrap();
    let second = begin("file").await.unwrap().id;
    assert_ne!(second, first);
    refused(begin("file").await, Code::ReplayNotReady);
    world.end_import(second, 5_000).await.unwrap();
    for _ in 0..2 {
        let again = begin("file").await.unwrap();
        assert_eq!((again.id, again.state), (second, ReplayState::Indexing));
    }
    assert_ne!(world.begin_import(world.member(1), room, "file").await.unwrap().id, second, "without a key");
    // Deleted, and nothing is left of it: a new one.
    world.delete_replay(world.member(1), second).await.unwrap();
    world.wiped(second).await.unwrap();
    let third = begin("file").await.unwrap().id;
    assert_ne!(third, second);
    refused(begin("file").await, Code::ReplayNotReady);
}

#[tokio::test]
async fn an_import_that_failed_is_deleted_whatever_its_state() {
    let world = World::start().await;
    let woken = world.consume();
    let room = world.create(1, "title").await.unwrap().id;
    let (_, broadcast) = world.broadcast(room, 5).await;
    let [importing, ended] = ["importing", "ended"].map(|title| (title, world.member(1)));
    let begin = async |(title, caller): (&str, _)| world.begin_import(caller, room, title).await.unwrap().id;
    let (importing, ended) = (begin(importing).await, begin(ended).await);
    world.end_import(ended, 1).await.unwrap();
    for given_up in [importing, ended] {
        for _ in 0..2 {
            world.give_import_up(given_up).await.unwrap();
        }
        woken.wait_for(given_up, 1).await;
        assert!(world.job(given_up).await.unwrap().deleted);
        refused(world.end_import(given_up, 1).await, Code::NoSuchReplay);
    }
    refused(world.give_import_up(broadcast.id).await, Code::NoSuchReplay);
    refused(world.give_import_up(ReplayId(999_999)).await, Code::NoSuchReplay);
    assert_eq!(world.replays(None, room).await.unwrap().len(), 1);
}
