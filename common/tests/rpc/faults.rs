//! Instances that die, are suspended, or come back.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::rpc::within;
use tarpc::client::RpcError;

use crate::lab::{Node, Wire, announce, at, client, nowhere, settings, soon, until};

#[tokio::test]
async fn an_instance_that_is_suspended_keeps_nobody_beyond_the_deadline() {
    let settings = settings();
    let node = Node::start("a", &settings).await;
    let wire = Wire::to(&node.running.address).await;
    let client = client(&at(&wire.address), &settings);
    client.who(soon(), 0).await.unwrap();
    wire.pause(true);
    let paused = Instant::now();
    let mut worst = Duration::ZERO;
    while paused.elapsed() < Duration::from_secs(6) {
        let started = Instant::now();
        let call = client.who(within(Duration::from_millis(300)), 0).await;
        assert!(call.is_err(), "{call:?}");
        worst = worst.max(started.elapsed());
    }
    assert!(worst < Duration::from_millis(400), "{worst:?}");
    let refused = client.who(soon(), 0).await;
    assert!(matches!(refused, Err(RpcError::Server(_))), "by now it is known that nobody answers: {refused:?}");
    wire.pause(false);
    let woken = Instant::now();
    until("it is called again", || async { client.who(soon(), 0).await.is_ok() }).await;
    assert!(woken.elapsed() < Duration::from_secs(4), "{:?}", woken.elapsed());
}

#[tokio::test]
async fn while_one_is_suspended_the_other_answers() {
    let (discovery, settings) = (nowhere(), settings());
    let (frozen, well) = (Node::start("frozen", &settings).await, Node::start("well", &settings).await);
    let wire = Wire::to(&frozen.running.address).await;
    let _announced = (
        announce(&discovery, "frozen", &wire.address).await,
        announce(&discovery, "well", &well.running.address).await,
    );
    let client = client(&discovery, &settings);
    until("both are called", || async {
        client.who(soon(), 0).await.unwrap();
        [&frozen, &well].iter().all(|node| node.worker.done.load(Ordering::SeqCst) > 0)
    })
    .await;
    wire.pause(true);
    let paused = Instant::now();
    let (mut failed, mut answered) = (0, 0);
    while paused.elapsed() < Duration::from_secs(5) {
        match client.who(within(Duration::from_millis(300)), 0).await {
            Ok(name) => {
                assert_eq!(name, "well");
                answered += 1;
            }
            Err(_) => failed += 1,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(failed <= 5 && answered > 200, "{failed} failed, {answered} were answered");
    wire.pause(false);
    let before = frozen.worker.done.load(Ordering::SeqCst);
    until("it takes part again", || async {
        client.who(soon(), 0).await.unwrap();
        frozen.worker.done.load(Ordering::SeqCst) > before
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_comes_back_is_found_there_or_elsewhere() {
    let (discovery, mut settings) = (nowhere(), settings());
    let node = Node::start("first", &settings).await.announced(&discovery).await;
    let address = node.running.address.clone();
    let client = client(&discovery, &settings);
    assert_eq!(client.who(soon(), 0).await.unwrap(), "first");
    node.kill().await;
    assert!(client.who(within(Duration::from_secs(1)), 0).await.is_err());

    settings.listen = address;
    let same = Node::start("same", &settings).await.announced(&discovery).await;
    until("it is found at the same address", || async { client.who(soon(), 0).await.is_ok_and(|name| name == "same") })
        .await;
    same.kill().await;
    settings.listen = "127.0.0.1:0".to_owned();
    let _other = Node::start("other", &settings).await.announced(&discovery).await;
    until("it is found at another one", || async { client.who(soon(), 0).await.is_ok_and(|name| name == "other") })
        .await;
}

#[tokio::test]
async fn what_was_sent_to_a_node_that_dies_is_sent_again_only_if_it_may_be() {
    let (discovery, settings) = (nowhere(), settings());
    let dying = Node::start("dying", &settings).await.announced(&discovery).await;
    let client = client(&discovery, &settings);
    client.who(soon(), 0).await.unwrap();
    let call = |idempotent: bool| {
        let client = client.clone();
        crate::lab::spawn(async move {
            if idempotent { client.who(soon(), 3_000).await } else { client.once(soon(), 3_000).await }
        })
    };
    let (again, once) = (call(true), call(false));
    until("both are in hand", || async { dying.running.in_flight() == 2 }).await;
    let heir = Node::start("heir", &settings).await.announced(&discovery).await;
    until("the heir is called", || async { client.who(soon(), 0).await.unwrap() == "heir" }).await;
    dying.kill().await;
    assert_eq!(again.await.unwrap().unwrap(), "heir");
    let once = once.await.unwrap();
    assert!(matches!(once, Err(RpcError::Shutdown | RpcError::Channel(_))), "{once:?}");
    drop(heir);
}

#[tokio::test]
async fn who_is_in_the_registry_again_gets_all_its_connections_again() {
    let (discovery, settings) = (nowhere(), settings());
    let node = Node::start("a", &settings).await;
    let wire = Wire::to(&node.running.address).await;
    let announced = announce(&discovery, "a", &wire.address).await;
    let client = client(&discovery, &settings);
    client.who(soon(), 0).await.unwrap();
    until("both connections are up", || async { wire.up() == 2 }).await;
    announced.revoke().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    wire.cut_one();
    // Nobody dials it any more, and the other connection is kept.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(wire.up(), 1);
    let _announced = announce(&discovery, "a", &wire.address).await;
    until("both connections are up again", || async { wire.up() == 2 }).await;
    client.who(soon(), 0).await.unwrap();
}
