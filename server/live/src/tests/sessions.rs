//! Broadcasts: opening and closing, at once and again, and what remains of them.

use common::rpc;
use idl::live::{ListSessions, MuteSpan};
use idl::{Code, SessionId};

use super::world::{World, eventually, refused, soon};

#[tokio::test]
async fn of_twenty_opens_one_wins() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    for round in 1..=3 {
        let opens = (0..20).map(|_| world.open(world.member(1), room, None));
        let (won, lost): (Vec<_>, Vec<_>) = futures::future::join_all(opens).await.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 19));
        for other in lost {
            refused(other, Code::RoomOpen);
        }
        let session = won.into_iter().next().unwrap().unwrap();
        let closes = futures::future::join_all((0..20).map(|_| world.close(world.member(1), &session))).await;
        let ended = closes[0].clone().unwrap();
        assert!(ended.closed_at.is_some());
        assert!(closes.into_iter().all(|close| close.unwrap() == ended));
        // One fact for each change, however many asked for it.
        assert_eq!(world.push.wait_for(room, 1 + 2 * round).await.len(), 1 + 2 * round);
    }
}

#[tokio::test]
async fn a_session_is_opened_once_per_key_and_closed_once() {
    let world = World::start().await;
    let (one, two) = (world.create(1, "one").await.unwrap().id, world.create(1, "two").await.unwrap().id);
    let first = world.open(world.member(1), one, Some("k")).await.unwrap();
    assert_eq!(first.title, "one");
    assert_eq!(world.open(world.member(1), one, Some("k")).await.unwrap(), first);
    refused(world.open(world.member(1), two, Some("k")).await, Code::KeyReused);
    refused(world.open(world.member(1), one, Some("other")).await, Code::RoomOpen);
    assert_eq!(world.room(one).await.unwrap().session.unwrap().id, first.id);
    assert_eq!(world.standing(one, 9).await.unwrap().session.unwrap().id, first.id);

    world.clock.advance_ms(1_500);
    let closed = world.close(world.member(1), &first).await.unwrap();
    assert_eq!(closed.closed_at.unwrap().since_ms(first.opened_at), 1_500);
    world.clock.advance_ms(1_000);
    assert_eq!(world.close(world.member(1), &first).await.unwrap(), closed, "the end stays where it was");
    assert_eq!(world.room(one).await.unwrap().session, None);
    assert_eq!(world.standing(one, 9).await.unwrap().session, None);
    assert_eq!(world.open(world.member(1), one, Some("k")).await.unwrap(), closed, "the key's session, as it is now");
    assert_eq!(world.session(one, first.id).await.unwrap(), closed);

    let second = world.open(world.member(1), one, Some("other")).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(world.session(one, second.id).await.unwrap(), second);
    refused(world.session(two, second.id).await, Code::NoSuchSession);
    refused(world.session(one, SessionId(999_999)).await, Code::NoSuchSession);
    assert_eq!(world.close(world.member(1), &first).await.unwrap(), closed);
    assert_eq!(world.room(one).await.unwrap().session.unwrap().id, second.id, "an old close ends no new session");
    let elsewhere = idl::live::Session { room_id: two, ..second.clone() };
    refused(world.close(world.member(1), &elsewhere).await, Code::NoSuchSession);
    let unknown = idl::live::Session { id: SessionId(999_999), ..second };
    refused(world.close(world.member(1), &unknown).await, Code::NoSuchSession);
}

#[tokio::test]
async fn sessions_are_listed_latest_first_with_their_peak() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let mut ids = Vec::new();
    for viewers in [4, 7, 2] {
        let session = world.open(world.member(1), room, None).await.unwrap();
        for now in [viewers, 1] {
            world.push.viewers.lock().unwrap().insert(room, now);
            eventually("the count", async || (world.room(room).await.unwrap().viewers == now).then_some(())).await;
        }
        world.push.viewers.lock().unwrap().clear();
        assert_eq!(world.close(world.member(1), &session).await.unwrap().peak_viewers, viewers);
        assert_eq!(world.room(room).await.unwrap().viewers, 0);
        ids.insert(0, (session.id, viewers));
        world.clock.advance_ms(i64::from(u8::from(viewers == 7))); // two began in the same millisecond
    }
    let page = async |cursor: Option<String>, limit| {
        rpc::answer(world.client.sessions(soon(), ListSessions { room, cursor, limit }).await)
    };
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = page(cursor, 1).await.unwrap();
        seen.extend(page.items.iter().map(|session| (session.id, session.peak_viewers)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
    for garbage in ["", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        refused(page(Some(garbage.to_owned()), 1).await, Code::BadCursor);
    }
    refused(page(None, 0).await, Code::InvalidField);
    let nowhere = ListSessions { room: idl::RoomId(999_999), cursor: None, limit: 1 };
    refused(rpc::answer(world.client.sessions(soon(), nowhere).await), Code::NoSuchRoom);
}

#[tokio::test]
async fn a_mute_for_the_session_ends_with_it() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    refused(world.mute(world.member(1), room, 5, MuteSpan::Session).await, Code::RoomClosed);
    let session = world.open(world.member(1), room, None).await.unwrap();
    let muted = world.mute(world.member(1), room, 5, MuteSpan::Session).await.unwrap();
    assert!(muted.session_only && muted.until.is_none());
    world.live.core.sweep().await.unwrap();
    assert!(world.standing(room, 5).await.unwrap().muted);
    world.close(world.member(1), &session).await.unwrap();
    assert!(!world.standing(room, 5).await.unwrap().muted);
    world.open(world.member(1), room, None).await.unwrap();
    assert!(!world.standing(room, 5).await.unwrap().muted, "nor does it come back with the next one");
    world.live.core.sweep().await.unwrap();
    let left = sqlx::query("SELECT user_id FROM mute").fetch_all(world.live.core.db.reader()).await.unwrap();
    assert!(left.is_empty());
}
