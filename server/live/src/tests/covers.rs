//! Covers through the client; what becomes of the image itself is tested beside it.

use bytes::Bytes;
use common::rpc;
use idl::live::{Cover, GetCover, Room, SetCover};
use idl::{Code, Refusal, RoomId};
use image::{DynamicImage, ImageFormat};

use super::world::{World, refused, soon};

async fn set(world: &World, room: RoomId, image: Vec<u8>) -> Result<Room, Refusal> {
    let ask = SetCover { caller: world.member(1), room, image: Bytes::from(image) };
    rpc::answer(world.client.set_cover(soon(), ask).await)
}

async fn get(world: &World, room: RoomId) -> Result<Cover, Refusal> {
    rpc::answer(world.client.cover(soon(), GetCover { room }).await)
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::new_luma8(width, height).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn stored(world: &World, room: RoomId) -> Vec<String> {
    let folder = world.dir.path().join(format!("objects/covers/{room}"));
    let files = std::fs::read_dir(folder).map(|files| files.map(|f| f.unwrap().file_name())).into_iter().flatten();
    files.map(|name| name.into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_cover_is_replaced_and_the_old_one_goes() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap();
    assert_eq!(room.cover_url, None);
    refused(get(&world, room.id).await, Code::NoCover);
    refused(get(&world, RoomId(999_999)).await, Code::NoSuchRoom);
    let mut urls = Vec::new();
    for _ in 0..2 {
        let url = set(&world, room.id, png(32, 18)).await.unwrap().cover_url.unwrap();
        let cover = get(&world, room.id).await.unwrap();
        assert_eq!(url, format!("/api/v1/rooms/{}/cover?v={}", room.id, cover.version));
        let image = image::load_from_memory_with_format(&cover.jpeg, ImageFormat::Jpeg).unwrap();
        assert_eq!((image.width(), image.height()), (960, 540));
        assert_eq!(stored(&world, room.id), [format!("{}.jpg", cover.version)], "only this one");
        urls.push(url);
    }
    assert_ne!(urls[0], urls[1]);
    let told = world.push.wait_for(room.id, 3).await;
    assert_eq!(told[2].state.as_ref().unwrap().cover_url.as_ref(), Some(&urls[1]));
}

#[tokio::test]
async fn what_is_no_cover_changes_nothing() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap();
    // Exactly 2 MiB is looked at (a PNG may be followed by anything); one byte more isn't.
    let mut file = png(8, 8);
    file.resize(2 << 20, 0);
    let kept = set(&world, room.id, file.clone()).await.unwrap();
    file.push(0);
    refused(set(&world, room.id, file).await, Code::TooLarge);
    refused(set(&world, room.id, Vec::new()).await, Code::UnsupportedMedia);
    refused(set(&world, room.id, b"just text in cover.jpg".to_vec()).await, Code::UnsupportedMedia);
    let whole = png(64, 64);
    refused(set(&world, room.id, whole[..whole.len() / 2].to_vec()).await, Code::InvalidField);
    // 64 million black pixels in a small file.
    let bomb = png(8_000, 8_000);
    assert!(bomb.len() < 2 << 20);
    let refusal = refused(set(&world, room.id, bomb).await, Code::InvalidField);
    assert!(refusal.detail.contains("megapixels"), "{refusal}");
    assert_eq!(world.room(room.id).await.unwrap(), kept);
    assert_eq!(stored(&world, room.id).len(), 1);
}

#[tokio::test]
async fn covers_set_at_once_leave_one() {
    let world = World::start().await;
    let room = world.create(1, "title").await.unwrap().id;
    let sets = futures::future::join_all((0..8).map(|_| set(&world, room, png(16, 9)))).await;
    // On a slow machine the last in the queue may be sent away; nobody else.
    for refusal in sets.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(refusal.code == Code::Unavailable && refusal.detail.starts_with("too many covers"), "{refusal}");
    }
    assert!(sets.iter().any(Result::is_ok));
    let cover = get(&world, room).await.unwrap();
    assert_eq!(stored(&world, room), [format!("{}.jpg", cover.version)]);
}
