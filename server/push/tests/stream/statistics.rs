use std::time::Duration;

use common::rpc::{answer, within};
use http::Request;
use idl::access::SiteRole;
use idl::event::RoomRules;
use idl::push::{RoomActivity, TopBy, TopRooms};
use idl::{Caller, Code, DeviceId, Refusal, RoomId, UserId};
use push::Settings;

use crate::bench::{Bench, ROOM, Viewer, danmaku, path, settings};

crate::stores::on_every_store!(
    the_top_rooms_are_for_the_sites_admins,
    a_room_tells_what_its_viewers_and_its_limiter_did,
    twenty_rooms_are_told_in_one_order,
);

async fn ask(bench: &Bench, role: SiteRole, by: TopBy) -> Result<Vec<RoomActivity>, Refusal> {
    let hour = Duration::from_secs(3_600);
    let token = bench.signer.sign(UserId(1), "mei", role, DeviceId(1), hour).unwrap().0;
    let request = TopRooms { caller: Caller { token }, by };
    answer(bench.push.top_rooms(within(Duration::from_secs(5)), request).await).map(|top| {
        assert_eq!(top.by, by);
        top.items
    })
}

async fn the_top_rooms_are_for_the_sites_admins() {
    let bench = Bench::start(settings()).await;
    assert_eq!(ask(&bench, SiteRole::Member, TopBy::Viewers).await.unwrap_err().code, Code::NotAllowed);
    assert_eq!(ask(&bench, SiteRole::SiteAdmin, TopBy::Viewers).await.unwrap().len(), 1);
    let nobody = TopRooms { caller: Caller { token: "nonsense".to_owned() }, by: TopBy::Viewers };
    let refusal = answer(bench.push.top_rooms(within(Duration::from_secs(5)), nobody).await).unwrap_err();
    assert_eq!(refusal.code, Code::NotSignedIn);
}

async fn a_room_tells_what_its_viewers_and_its_limiter_did() {
    let one = 1.try_into().unwrap();
    let bench = Bench::start(Settings { rate_per_s: one, burst: one, ..settings() }).await;
    let mut viewers = Vec::new();
    for _ in 0..3 {
        let mut viewer = bench.watch("").await;
        viewer.next_of("hello").await;
        viewers.push(viewer);
    }
    bench.publish((1..=5).map(danmaku).collect()).await.unwrap();
    for viewer in &mut viewers {
        viewer.next_of("suppressed").await;
    }
    let room = ask(&bench, SiteRole::SiteAdmin, TopBy::Deliveries).await.unwrap().remove(0);
    assert_eq!((room.room_id, room.title.as_deref(), room.viewers), (ROOM, Some("a room"), 3));
    assert_eq!((room.accepted, room.shown, room.folded, room.suppressed), (5, 1, 0, 4));
    // The danmaku and the totals, each to three viewers.
    assert_eq!((room.deliveries, room.gaps, room.missed), (6, 0, 0));
    assert!(room.window_ms < 60_000);
}

async fn twenty_rooms_are_told_in_one_order() {
    let bench = Bench::start(settings()).await;
    let ids = 1..=30_u64;
    for id in ids.clone() {
        bench.retain_in(RoomId(id), 2, RoomRules::default()).await;
    }
    let mut watching = Vec::new();
    for id in [29, 12, 29] {
        let request = Request::get(path("").replace(&format!("/{ROOM}/"), &format!("/{id}/")));
        let mut viewer = Viewer::of(bench.open(request).await);
        viewer.next_of("hello").await;
        watching.push(viewer);
    }
    let top = ask(&bench, SiteRole::SiteAdmin, TopBy::Viewers).await.unwrap();
    let told: Vec<(u64, u64)> = top.iter().map(|room| (room.room_id.0, room.viewers)).collect();
    let others = ids.filter(|id| ![12, 29].contains(id)).map(|id| (id, 0)).take(18);
    assert_eq!(told, [(29, 2), (12, 1)].into_iter().chain(others).collect::<Vec<_>>());
}
