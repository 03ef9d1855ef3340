//! The object store is away: replays wait for it, and nothing else does.

use std::time::{Duration, Instant};

use goligoli_tests::replay::{Replay, list};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::evening::{HEALED, LONG};
use crate::stack::{is_short, stack};

const AWAY: Duration = Duration::from_secs(5);
/// A read from the store is given up after 3 s.
const REFUSED: Duration = Duration::from_millis(4_500);

/// Says something in the room, and ends its broadcast.
async fn broadcast(scene: &Scene, session: &str) {
    _ = scene.owner.say(&scene.room, "that was all").await.expect(201);
    _ = scene.owner.post(&scene.path(&format!("/sessions/{session}/close")), &Value::Null).await.expect(200);
}

async fn is_away(server: &Server, owner: Account, what: &str, leave: &str, back: &str) {
    let scene = Scene::of(owner, server).await;
    broadcast(&scene, &scene.session).await;
    let ready = async || {
        let listed = list(&scene.owner, &scene.room).await;
        listed.into_iter().filter(|replay| replay["state"] == "ready").collect::<Vec<_>>()
    };
    let old = until("the first replay is ready", async || ready().await.pop()).await;
    let file = Replay::from(&old).path("/danmaku.xml");
    let ask = async || Answer::attempt(scene.owner.request(Method::GET, &file)).await;

    stack(leave, "versitygw").await;
    let asked = Instant::now();
    ask().await.unwrap().refused(503, "unavailable");
    assert!(asked.elapsed() < REFUSED, "refused only after {:?}", asked.elapsed());
    let next = scene.owner.post(&scene.path("/sessions"), &json!(null)).await.expect(201);
    broadcast(&scene, next["id"].as_str().unwrap()).await;
    sleep(AWAY).await;
    assert_eq!(ready().await.len(), 1, "nothing is ready that is not stored");

    stack(back, "versitygw").await;
    let since = Instant::now();
    until("the file is served again", async || ask().await.ok().filter(|answer| answer.status == 200)).await;
    let served = since.elapsed();
    until("the second replay is ready", async || (ready().await.len() == 2).then_some(())).await;
    let made = since.elapsed();
    println!("versitygw {what}: files after {:.1} s, replays after {:.1} s", served.as_secs_f64(), made.as_secs_f64());
    assert!(served < HEALED && made < LONG, "{what}: {served:?} {made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends servers that others may need: make faults"]
async fn replays_wait_for_the_object_store() {
    let server = Setup::new().start().await;
    is_away(&server, Account::register(&server, "mei").await, "killed", "kill", "start").await;
    if !is_short() {
        is_away(&server, Account::register(&server, "rin").await, "hung", "stop", "cont").await;
    }
}
