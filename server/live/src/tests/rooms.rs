//! Rooms: text, keys, limits, lists, rules, stream keys, and who may change them.

use common::rpc;
use idl::event::RoomRules;
use idl::live::{CreateRoom, EditRoom, ListRooms, Room, RoomText, RotateStreamKey, SetRules};
use idl::{Caller, Code, RoomId, UserId};
use sha2::Digest as _;
use sqlx::Row as _;

use super::world::{World, refused, soon};
use crate::SlowMode;

#[tokio::test]
async fn hostile_titles_survive_or_are_refused() {
    let world = World::start().await;
    let kept = ["<script>alert(1)</script>", "哈哈 👨‍👩‍👧‍👦 𠮷野家", "' OR 1=1; --"];
    for (owner, title) in (1..).zip(kept) {
        let room = world.create(owner, &format!("  {title} ")).await.unwrap();
        assert_eq!(room.title, title);
        assert_eq!(world.room(room.id).await.unwrap(), room);
    }
    for title in ["", " ", "a\0b", "a\u{202E}b", "a\nb", &"字".repeat(61)] {
        let refusal = refused(world.create(9, title).await, Code::InvalidField);
        assert_eq!(refusal.pointer.as_deref(), Some("/title"));
    }
    assert!(world.titles(&ListRooms { owner: Some(UserId(9)), ..ListRooms::default() }).await.is_empty());
}

#[tokio::test]
async fn a_room_is_made_once_per_key_and_at_most_five_times() {
    let world = World::start().await;
    let first = world.create_with(1, "one", Some("k")).await.unwrap();
    let again = world.create_with(1, " one ", Some("k")).await.unwrap();
    assert_eq!(again, first, "the same request, but for its blanks");
    refused(world.create_with(1, "two", Some("k")).await, Code::KeyReused);
    assert_ne!(world.create_with(2, "one", Some("k")).await.unwrap().id, first.id, "keys are an account's own");
    world.create_with(1, "two", Some(&"k".repeat(64))).await.unwrap();
    for title in ["three", "four", "five"] {
        world.create(1, title).await.unwrap();
    }
    refused(world.create(1, "six").await, Code::LimitReached);
    refused(world.create_with(1, "six", Some("six")).await, Code::LimitReached);
    assert_eq!(world.create_with(1, "one", Some("k")).await.unwrap().id, first.id, "the key comes before the limit");
    assert_eq!(world.titles(&ListRooms { owner: Some(UserId(1)), ..ListRooms::default() }).await.len(), 5);
}

#[tokio::test]
async fn the_limit_holds_for_rooms_made_at_once() {
    let world = World::start().await;
    let made = futures::future::join_all((0..20).map(|n| world.create(1, if n % 2 == 0 { "a" } else { "b" }))).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 5);
    let same = futures::future::join_all((0..10).map(|_| world.create_with(2, "same", Some("k")))).await;
    let ids: std::collections::HashSet<_> = same.into_iter().map(|room| room.unwrap().id).collect();
    assert_eq!(ids.len(), 1, "one key, one room");
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let world = World::start().await;
    let first = world.create_with(1, "one", Some("k")).await.unwrap();
    let kept = async || {
        let count = sqlx::query("SELECT COUNT(*) FROM idempotency").fetch_one(world.live.core.db.reader()).await;
        count.unwrap().get::<i64, _>(0)
    };
    world.clock.advance_ms(24 * 60 * 60 * 1_000 - 1);
    world.live.core.sweep().await.unwrap();
    assert_eq!(kept().await, 1);
    refused(world.create_with(1, "two", Some("k")).await, Code::KeyReused);
    world.clock.advance_ms(1);
    let second = world.create_with(1, "two", Some("k")).await.unwrap();
    assert_ne!(second.id, first.id);
    world.clock.advance_ms(24 * 60 * 60 * 1_000);
    world.live.core.sweep().await.unwrap();
    assert_eq!(kept().await, 0);
}

fn edit(caller: Caller, room: RoomId) -> EditRoom {
    EditRoom { caller, room, title: None, description: None, category: None }
}

#[tokio::test]
async fn editing_changes_what_is_given_only() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap();
    let ask = EditRoom {
        description: Some(" first\r\n\r\n<b>second</b> ".to_owned()),
        category: Some("Games".to_owned()),
        ..edit(world.member(1), room.id)
    };
    let edited = rpc::answer(world.client.edit_room(soon(), ask).await).unwrap();
    let expected = Room { description: "first\n\n<b>second</b>".to_owned(), category: "Games".to_owned(), ..room };
    assert_eq!(edited, expected);
    for (ask, pointer) in [
        (EditRoom { title: Some(" ".to_owned()), ..edit(world.member(1), expected.id) }, "/title"),
        (EditRoom { description: Some("a\0".to_owned()), ..edit(world.member(1), expected.id) }, "/description"),
        (EditRoom { category: Some("c".repeat(21)), ..edit(world.member(1), expected.id) }, "/category"),
    ] {
        let refusal = refused(rpc::answer(world.client.edit_room(soon(), ask).await), Code::InvalidField);
        assert_eq!(refusal.pointer.as_deref(), Some(pointer));
    }
    let none = rpc::answer(world.client.edit_room(soon(), edit(world.member(1), RoomId(999_999))).await);
    refused(none, Code::NoSuchRoom);
    assert_eq!(world.room(expected.id).await.unwrap(), expected);
}

#[tokio::test]
async fn rules_have_bounds() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap();
    assert_eq!(room.rules, RoomRules::default());
    let slow = |slow_mode_s| RoomRules { slow_mode_s, mute_all: true, guests: false, ..RoomRules::default() };
    let rate = |rate: u32| RoomRules { danmaku_per_s: rate.try_into().ok(), ..RoomRules::default() };
    let (too_slow, too_many) = (Some("/slow_mode_s"), Some("/danmaku_per_s"));
    let cases = [
        (slow(120), None),
        (slow(121), too_slow),
        (slow(0), None),
        (slow(u32::MAX), too_slow),
        (slow(7), None),
        (rate(1), None),
        (rate(1_001), too_many),
        (rate(1_000), None),
        (rate(u32::MAX), too_many),
        (RoomRules::default(), None),
    ];
    let mut now = room.rules;
    for (rules, wrong) in cases {
        let ask = SetRules { caller: world.member(1), room: room.id, rules: rules.clone() };
        let answer = rpc::answer(world.client.set_rules(soon(), ask).await);
        match wrong {
            None => {
                assert_eq!(answer.unwrap().rules, rules);
                assert_eq!(world.standing(room.id, 5).await.unwrap().rules, rules, "known at once");
                now = rules;
            }
            Some(wrong) => assert_eq!(refused(answer, Code::InvalidField).pointer.as_deref(), Some(wrong)),
        }
        assert_eq!(world.room(room.id).await.unwrap().rules, now);
    }
}

#[tokio::test]
async fn lists_are_paged_searched_and_in_order() {
    let world = World::start().await;
    for (owner, title) in [(1, "100% Rust"), (2, "100 Rust"), (1, "chess"), (2, "Chess_2"), (3, "夜行列车")] {
        world.create(owner, title).await.unwrap();
    }
    let titles = async |list: ListRooms| world.titles(&list).await;
    let all = || ListRooms::default();
    assert_eq!(titles(all()).await, ["夜行列车", "Chess_2", "chess", "100 Rust", "100% Rust"]);
    assert_eq!(titles(ListRooms { owner: Some(UserId(1)), ..all() }).await, ["chess", "100% Rust"]);
    let search = async |text: &str| titles(ListRooms { search: Some(text.to_owned()), ..all() }).await;
    assert_eq!(search("0%").await, ["100% Rust"]);
    assert_eq!(search(" s_2 ").await, ["Chess_2"]);
    assert_eq!(search("列车").await, ["夜行列车"]);
    assert_eq!(search("user3").await, ["夜行列车"]);
    assert_eq!(search(" ").await.len(), 5);
    assert!(search("'; DROP TABLE room; --").await.is_empty());

    let page = async |ask: ListRooms| rpc::answer(world.client.rooms(soon(), ask).await);
    for limit in [0, 101, u32::MAX] {
        let refusal = refused(page(ListRooms { limit, ..all() }).await, Code::InvalidField);
        assert_eq!(refusal.pointer.as_deref(), Some("/limit"));
    }
    let long = ListRooms { search: Some("x".repeat(61)), limit: 9, ..all() };
    assert_eq!(refused(page(long).await, Code::InvalidField).pointer.as_deref(), Some("/search"));
    let next = page(ListRooms { limit: 2, ..all() }).await.unwrap().next_cursor.unwrap();
    for garbage in ["", "0", "!!", "AAAA", &next[1..], &format!("{next}="), &"A".repeat(10_000), "\0", "字"] {
        refused(page(ListRooms { cursor: Some(garbage.to_owned()), limit: 2, ..all() }).await, Code::BadCursor);
    }
    for other in [ListRooms { live: true, ..all() }, ListRooms { owner: Some(UserId(1)), ..all() }] {
        refused(page(ListRooms { cursor: Some(next.clone()), limit: 2, ..other }).await, Code::BadCursor);
    }
}

#[tokio::test]
async fn live_rooms_are_listed_by_viewers() {
    let world = World::start().await;
    let mut rooms = Vec::new();
    for (title, viewers) in [("a", 3), ("b", 9), ("c", 3), ("d", 0), ("closed", 99)] {
        let room = world.create(rooms.len() as u64 + 1, title).await.unwrap();
        world.push.viewers.lock().unwrap().insert(room.id, viewers);
        if title != "closed" {
            world.open(world.site_admin(500), room.id, None).await.unwrap();
        }
        rooms.push(room.id);
    }
    world.live.core.count_viewers().await.unwrap();
    let live = ListRooms { live: true, ..ListRooms::default() };
    assert_eq!(world.titles(&live).await, ["b", "c", "a", "d"]);
    assert_eq!(world.room(rooms[1]).await.unwrap().viewers, 9);
    assert_eq!(world.room(rooms[4]).await.unwrap().viewers, 0);
    let found = ListRooms { live: true, search: Some("user3".to_owned()), ..ListRooms::default() };
    assert_eq!(world.titles(&found).await, ["c"]);
}

#[tokio::test]
async fn a_stream_key_is_kept_as_a_hash_and_rotates() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap();
    let rotate = async |caller: Caller| {
        let ask = RotateStreamKey { caller, room: room.id };
        rpc::answer(world.client.rotate_stream_key(soon(), ask).await)
    };
    let stored = async || {
        let row = sqlx::query("SELECT stream_key_hash FROM room").fetch_one(world.live.core.db.reader()).await;
        row.unwrap().get::<Option<String>, _>(0)
    };
    assert_eq!(stored().await, None);
    let first = rotate(world.member(1)).await.unwrap();
    let second = rotate(world.member(1)).await.unwrap();
    assert_ne!(first.stream_key, second.stream_key);
    assert!(!format!("{second:?}").contains("gl_live_"), "it does not print");
    let secret = second.stream_key.0.strip_prefix("gl_live_").unwrap();
    assert_eq!(secret.len(), 43);
    assert_eq!(stored().await, Some(hex::encode(sha2::Sha256::digest(&second.stream_key.0))));
    refused(rotate(world.site_admin(2)).await, Code::NotAllowed);
}

#[tokio::test]
async fn nobody_acts_with_a_bad_or_old_token() {
    let world = World::start().await;
    let create = async |caller: Caller| {
        let text = RoomText { title: "t".to_owned(), ..RoomText::default() };
        rpc::answer(world.client.create_room(soon(), CreateRoom { caller, text, key: None }).await)
    };
    refused(create(Caller { token: String::new() }).await, Code::NotSignedIn);
    let caller = world.member(1);
    world.clock.advance_ms(401 * 24 * 60 * 60 * 1_000);
    refused(create(caller).await, Code::NotSignedIn);
}

#[tokio::test]
async fn a_room_without_slow_mode_has_the_sites() {
    let world = World::start().await;
    let (free, slow) = (world.create(1, "free").await.unwrap(), world.create(1, "slow").await.unwrap());
    let rules = RoomRules { slow_mode_s: 7, ..RoomRules::default() };
    let ask = SetRules { caller: world.member(1), room: slow.id, rules };
    rpc::answer(world.client.set_rules(soon(), ask).await).unwrap();
    let in_force = async |room| world.standing(room, 5).await.unwrap().rules.slow_mode_s;
    assert_eq!((in_force(free.id).await, in_force(slow.id).await), (0, 7));
    world.slow_mode.set(3.try_into().unwrap());
    assert_eq!((in_force(free.id).await, in_force(slow.id).await), (3, 7), "at once");
    assert_eq!(world.room(free.id).await.unwrap().rules.slow_mode_s, 0, "the owner has set none");
    assert!(SlowMode::try_from(121).is_err());
}
