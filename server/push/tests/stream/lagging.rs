//! A node that is behind the others: what it has not heard yet is not lost.

use std::net::SocketAddr;
use std::time::Duration;

use push::Settings;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::bench::{Bench, Viewer, settings};
use crate::stores::{feeds, on_redis};

/// A way to the shared Redis that can be held: bytes wait until it is let go.
struct Way {
    settings: Settings,
    is_held: watch::Sender<bool>,
    _passing: JoinSet<()>,
}

impl Way {
    async fn new() -> Self {
        let feeds = feeds();
        let (start, address) = feeds.rsplit_once('@').map_or(("redis:/", &feeds["redis://".len()..]), |both| both);
        let split = if feeds.contains('@') { "@" } else { "/" };
        let at = address.find(['/', '?']).unwrap();
        let (server, rest) = (address[..at].to_owned(), &address[at..]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near: SocketAddr = listener.local_addr().unwrap();
        let (is_held, held) = watch::channel(false);
        let settings = Settings { feeds: format!("{start}{split}{near}{rest}").as_str().into(), ..settings() };
        let mut passing = JoinSet::new();
        passing.spawn(pass(listener, server, held));
        Self { settings, is_held, _passing: passing }
    }
}

async fn pass(listener: TcpListener, server: String, held: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let far = TcpStream::connect(&server).await.unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        connections.spawn(copy(near_in, far_out, held.clone()));
        connections.spawn(copy(far_in, near_out, held.clone()));
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut held: watch::Receiver<bool>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut piece = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        if held.wait_for(|held| !held).await.is_err() || to.write_all(&piece[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn who_has_seen_more_than_the_node_goes_on_there_without_a_gap() {
    on_redis(async {
        let way = Way::new().await;
        let (one, two) = (Bench::start(settings()).await, Bench::start(way.settings.clone()).await);
        let mut viewer = one.watch("").await;
        let mut there = two.watch("").await;
        one.say(1..=3).await;
        viewer.numbers_until(3).await;
        there.numbers_until(3).await;
        way.is_held.send_replace(true);
        one.say(4..=8).await;
        viewer.numbers_until(7).await;
        let seen = viewer.next_of("danmaku").await.id.unwrap();
        let (mut viewer, ()) = tokio::join!(two.watch(&seen), async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            way.is_held.send_replace(false);
        });
        assert_eq!(viewer.next_of("welcome").await.data["resumed"], true);
        one.say([9]).await;
        assert_eq!(viewer.numbers_until(9).await, [9], "nothing twice");
        assert_eq!(there.numbers_until(9).await, [4, 5, 6, 7, 8, 9]);
        // What is in no feed is a gap, once that is known.
        let (epoch, seq) = seen.split_once('-').unwrap();
        let never = format!("{epoch}-{}", seq.parse::<u64>().unwrap() + 1_000);
        let mut viewer = two.watch(&never).await;
        assert_eq!(viewer.next_of("welcome").await.data["resumed"], false);
        assert_eq!(viewer.next().await.unwrap().event, "gap");
    })
    .await;
}

#[tokio::test]
async fn who_has_seen_more_than_a_node_can_learn_is_asked_to_come_back() {
    on_redis(async {
        let way = Way::new().await;
        let (one, two) = (Bench::start(settings()).await, Bench::start(way.settings.clone()).await);
        let mut viewer = one.watch("").await;
        let at = two.watch("").await.next_of("hello").await.id.unwrap();
        way.is_held.send_replace(true);
        one.say(1..=3).await;
        viewer.numbers_until(2).await;
        let seen = viewer.next_of("danmaku").await.id.unwrap();
        let mut refused: Viewer = two.watch(&seen).await;
        assert_eq!(refused.next().await, None, "neither a welcome nor a gap");
        assert_eq!(two.watch(&at).await.next_of("welcome").await.data["resumed"], true, "others are served");
    })
    .await;
}
