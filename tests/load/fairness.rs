//! A bot that posts without end does not take the places of people who say one thing each.

use std::time::Duration;

use goligoli_tests::{Account, Scene, Server, Setup, Watch, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::asked::seed;
use crate::flood::{all_created, begin, flood};

const PEOPLE: usize = 50;
/// Of those who say one line each within one second, so many are seen by all. All of them
/// can be: a quarter of the burst, 25, is for who was not shown recently, and 50 tokens come
/// meanwhile. Two are left to what the machine does.
const AT_LEAST_SEEN: usize = 48;
const BOT_LINES_PER_S: f64 = 200.0;
/// The people speak in these seconds of the bot's life: as it begins, when it has long
/// emptied the bucket, and the same people once more.
const SECONDS: [u64; 3] = [0, 3, 6];

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_does_not_crowd_people_out() {
    let mut rng = StdRng::seed_from_u64(seed());
    // The project's own rate and burst.
    let server = Setup::new().unset("PUSH__RATE_PER_S").unset("PUSH__BURST").start().await;
    let scene = Scene::open(&server).await;
    let mut people = Account::seed(&server, PEOPLE + 1).await;
    let bot = people.pop().unwrap();
    let mut witness = Watch::guest().open(&server, &scene.room).await;
    _ = witness.next("hello").await;

    let flood = begin(flood(&server, &scene.room, std::slice::from_ref(&bot), BOT_LINES_PER_S));
    let began = Instant::now();
    let mut said: Vec<Vec<String>> = Vec::new();
    for second in SECONDS {
        let mut speaking = JoinSet::new();
        for person in &people {
            let at = began + Duration::from_secs(second) + Duration::from_millis(rng.random_range(0..1_000));
            let (person, room) = (person.clone(), scene.room.clone());
            speaking.spawn(async move {
                sleep_until(at).await;
                let posted = person.say(&room, &format!("{} in second {second}", person.name)).await.expect(201);
                posted["id"].as_str().unwrap().to_owned()
            });
        }
        said.push(speaking.join_all().await);
    }
    let (bots_lines, span) = (all_created(&flood.stop()), began.elapsed());
    assert!(bots_lines as f64 >= BOT_LINES_PER_S / 2.0 * span.as_secs_f64(), "a bot that hardly posts proves nothing");

    // What the senders are told is what a viewer saw.
    let told = deliveries(&server, &scene).await;
    _ = scene.owner.say(&scene.room, "good night").await.expect(201);
    let mut seen: Vec<String> = witness
        .through_text("good night")
        .await
        .iter()
        .filter(|event| event.kind == "danmaku")
        .map(|event| event.json()["id"].as_str().unwrap().to_owned())
        .collect();
    _ = seen.pop();
    let mut live: Vec<String> = told
        .iter()
        .filter(|line| line["delivery"] == "live")
        .map(|line| line["id"].as_str().unwrap().to_owned())
        .collect();
    seen.sort_unstable();
    live.sort_unstable();
    assert_eq!(seen, live);

    let shown = said.iter().map(|ids| ids.iter().filter(|id| live.binary_search(id).is_ok()).count());
    let shown: Vec<usize> = shown.collect();
    let of_bot = told.iter().filter(|line| line["sender"]["id"] == bot.id.as_str());
    let bots_shown = of_bot.filter(|line| line["delivery"] == "live").count();
    println!(
        "of {PEOPLE} people {shown:?} were shown in seconds {SECONDS:?}; of a bot's {bots_lines} lines {bots_shown}"
    );
    assert!(shown.iter().all(|people| *people >= AT_LEAST_SEEN), "the bot crowded people out");
    assert!(bots_shown > 0, "tokens that nobody else wants are the bot's");
}

/// All that was said, once it is known of all what became of it.
async fn deliveries(server: &Server, scene: &Scene) -> Vec<Value> {
    until("it is noted of every line what became of it", async || {
        let told = scene.history(server).await;
        told.iter().all(|line| line["delivery"] != "stored").then_some(told)
    })
    .await
}
