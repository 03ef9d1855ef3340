//! Admins, mutes, standing, and the matrix of roles.

use common::rpc;
use idl::event::{RoomRole, RoomRules};
use idl::live::{
    CloseSession, EditRoom, ListAdmins, ListMutes, MuteSpan, OpenSession, RotateStreamKey, SetCover, SetRules,
    UnmuteUser,
};
use idl::{Caller, Code, Refusal, RoomId, UserId};

use super::world::{NOBODY, World, refused, soon};

#[tokio::test]
async fn admins_are_named_and_removed_and_not_too_many() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let owner = || world.member(1);
    refused(world.set_admin(owner(), room, 1, true).await, Code::NotAllowed);
    refused(world.set_admin(owner(), room, NOBODY.0, true).await, Code::NoSuchUser);
    for user in 100..150 {
        world.set_admin(owner(), room, user, true).await.unwrap();
        world.set_admin(owner(), room, user, true).await.unwrap();
    }
    refused(world.set_admin(owner(), room, 150, true).await, Code::LimitReached);
    assert_eq!(world.standing(room, 149).await.unwrap().role, RoomRole::Admin);
    world.set_admin(owner(), room, 149, false).await.unwrap();
    world.set_admin(owner(), room, 149, false).await.unwrap();
    assert_eq!(world.standing(room, 149).await.unwrap().role, RoomRole::Viewer, "known at once");
    world.set_admin(owner(), room, 150, true).await.unwrap();
    let admins = rpc::answer(world.client.admins(soon(), ListAdmins { room }).await).unwrap().items;
    assert_eq!(admins.len(), 50);
    assert!(admins.iter().all(|admin| admin.name == format!("user{}", admin.id)));
}

#[tokio::test]
async fn a_mute_holds_from_its_answer_to_its_end() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let standing = async |user| world.standing(room, user).await.unwrap();
    for user in 10..60 {
        assert!(!standing(user).await.muted, "and that is in memory now");
        world.mute(world.member(1), room, user, MuteSpan::Forever).await.unwrap();
        assert!(standing(user).await.muted, "the very next post is refused");
        let unmute = UnmuteUser { caller: world.member(1), room, user: UserId(user) };
        rpc::answer(world.client.unmute(soon(), unmute).await).unwrap();
        assert!(!standing(user).await.muted);
    }
    let muted = world.mute(world.member(1), room, 5, MuteSpan::Hours(2)).await.unwrap();
    assert_eq!(muted.user.name, "user5");
    let end = world.clock.now().plus_ms(2 * 3_600_000);
    assert_eq!((muted.until, standing(5).await.muted_until), (Some(end), Some(end)));
    world.clock.advance_ms(2 * 3_600_000 - 1);
    assert!(standing(5).await.muted);
    world.clock.advance_ms(1);
    assert!(!standing(5).await.muted);
    assert_eq!(standing(5).await.muted_until, None);

    for (user, code) in [(1, Code::NotAllowed), (NOBODY.0, Code::NoSuchUser), (u64::MAX, Code::NoSuchUser)] {
        refused(world.mute(world.member(1), room, user, MuteSpan::Forever).await, code);
    }
    for hours in [0, 721, u32::MAX] {
        refused(world.mute(world.member(1), room, 5, MuteSpan::Hours(hours)).await, Code::InvalidField);
    }
    world.mute(world.member(1), room, 5, MuteSpan::Hours(720)).await.unwrap();
    world.set_admin(world.member(1), room, 5, true).await.unwrap();
    assert!(!standing(5).await.muted, "an admin is not muted");
    refused(world.mute(world.member(1), room, 5, MuteSpan::Forever).await, Code::NotAllowed);
    world.set_admin(world.member(1), room, 5, false).await.unwrap();
    assert!(!standing(5).await.muted, "nor does the old mute come back");
    refused(world.standing(RoomId(999_999), 5).await, Code::NoSuchRoom);
}

/// Standing is asked all the time while mutes come and go: once a mute was answered, no
/// answer that was asked for later may say otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_is_never_overlooked_under_load() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let done = std::sync::atomic::AtomicBool::new(false);
    let asking = async {
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            futures::future::join_all((0..8).map(|_| world.standing(room, 7))).await;
        }
    };
    let muting = async {
        for _ in 0..40 {
            world.mute(world.member(1), room, 7, MuteSpan::Forever).await.unwrap();
            for _ in 0..5 {
                assert!(world.standing(room, 7).await.unwrap().muted);
            }
            let unmute = UnmuteUser { caller: world.member(1), room, user: UserId(7) };
            rpc::answer(world.client.unmute(soon(), unmute).await).unwrap();
            assert!(!world.standing(room, 7).await.unwrap().muted);
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    futures::join!(asking, asking_too(&world, room, &done), muting);
}

async fn asking_too(world: &World, room: RoomId, done: &std::sync::atomic::AtomicBool) {
    while !done.load(std::sync::atomic::Ordering::SeqCst) {
        world.standing(room, 7).await.unwrap();
    }
}

#[tokio::test]
async fn mutes_are_listed_while_they_hold() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    world.open(world.member(1), room, None).await.unwrap();
    for (user, span) in [(10, MuteSpan::Forever), (11, MuteSpan::Hours(1)), (12, MuteSpan::Session)] {
        world.mute(world.member(1), room, user, span).await.unwrap();
    }
    world.clock.advance_ms(5);
    world.mute(world.member(1), room, 9, MuteSpan::Hours(3)).await.unwrap();
    let page = async |cursor: Option<String>, limit| {
        rpc::answer(world.client.mutes(soon(), ListMutes { caller: world.member(1), room, cursor, limit }).await)
    };
    let all = async || {
        let (mut users, mut cursor) = (Vec::new(), None);
        loop {
            let page = page(cursor, 1).await.unwrap();
            users.extend(page.items.iter().map(|mute| mute.user.id.0));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return users;
            }
        }
    };
    assert_eq!(all().await, [9, 12, 11, 10]);
    world.clock.advance_ms(3_600_000);
    assert_eq!(all().await, [9, 12, 10]);
    let session = world.room(room).await.unwrap().session.unwrap();
    let close = CloseSession { caller: world.member(1), room, session: session.id };
    rpc::answer(world.client.close(soon(), close).await).unwrap();
    assert_eq!(all().await, [9, 10]);
    refused(page(Some("garbage".to_owned()), 1).await, Code::BadCursor);
    refused(page(None, 101).await, Code::InvalidField);
}

/// Whether each of the methods that ask for a role lets this caller through.
async fn allowed(world: &World, caller: &Caller, room: RoomId) -> Vec<(&'static str, bool)> {
    let c = || caller.clone();
    let session = world.room(room).await.unwrap().session.unwrap().id;
    let edit = EditRoom { caller: c(), room, title: Some("t".to_owned()), description: None, category: None };
    let rules = SetRules { caller: c(), room, rules: RoomRules::default() };
    // No image: whoever gets this far is told so, and only then.
    let cover = SetCover { caller: c(), room, image: bytes::Bytes::from_static(b"no image") };
    let mutes = ListMutes { caller: c(), room, cursor: None, limit: 1 };
    let unmute = UnmuteUser { caller: c(), room, user: UserId(60) };
    let client = &world.client;
    vec![
        ("edit", passed(rpc::answer(client.edit_room(soon(), edit).await))),
        ("rules", passed(rpc::answer(client.set_rules(soon(), rules).await))),
        ("cover", passed(rpc::answer(client.set_cover(soon(), cover).await))),
        ("set_admin", passed(world.set_admin(c(), room, 50, true).await)),
        ("set_keyword", passed(world.set_keyword(c(), room, 1, "goli").await)),
        ("close", passed(rpc::answer(client.close(soon(), CloseSession { caller: c(), room, session }).await))),
        ("open", passed(rpc::answer(client.open(soon(), OpenSession { caller: c(), room, key: None }).await))),
        ("mute", passed(world.mute(c(), room, 60, MuteSpan::Forever).await)),
        ("mutes", passed(rpc::answer(client.mutes(soon(), mutes).await))),
        ("unmute", passed(rpc::answer(client.unmute(soon(), unmute).await))),
        ("key", passed(rpc::answer(client.rotate_stream_key(soon(), RotateStreamKey { caller: c(), room }).await))),
    ]
}

fn passed<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> bool {
    match answer {
        Ok(_) => true,
        Err(refusal) => match refusal.code {
            Code::UnsupportedMedia | Code::RoomOpen => true,
            Code::NotAllowed => false,
            other => panic!("neither allowed nor refused: {other:?}"),
        },
    }
}

#[tokio::test]
async fn everybody_may_what_their_role_says() {
    const RUN: [&str; 7] = ["edit", "rules", "cover", "set_admin", "set_keyword", "close", "open"];
    const MODERATE: [&str; 3] = ["mute", "mutes", "unmute"];
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    world.set_admin(world.member(1), room, 2, true).await.unwrap();
    world.open(world.member(1), room, None).await.unwrap();
    for (who, caller, run, moderate, key) in [
        ("owner", world.member(1), true, true, true),
        ("room admin", world.member(2), false, true, false),
        ("site admin", world.site_admin(3), true, true, false),
        ("stranger", world.member(4), false, false, false),
    ] {
        let before = (world.room(room).await.unwrap(), world.standing(room, 9).await.unwrap());
        for (method, passed) in allowed(&world, &caller, room).await {
            let expected = match method {
                "key" => key,
                method if RUN.contains(&method) => run,
                method => {
                    assert!(MODERATE.contains(&method));
                    moderate
                }
            };
            assert_eq!(passed, expected, "{who}: {method}");
        }
        if !run {
            let after = (world.room(room).await.unwrap(), world.standing(room, 9).await.unwrap());
            assert_eq!(after, before, "{who} changed nothing");
        }
        world.end_keyword(room, 1).await.unwrap();
    }
}
