//! A bot that posts without end does not take the places of people who say one thing each.

use std::time::Duration;

use goligoli_tests::{Account, Scene, Server, Setup, Watch, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

const PEOPLE: usize = 50;
/// Of those who say one line each within one second, so many are seen by all.
const AT_LEAST_SEEN: usize = 45;
const BOT_LINES_PER_S: u32 = 200;
/// The people speak in these seconds of the bot's life: as it begins, when it has long
/// emptied the bucket, and the same people once more.
const SECONDS: [u64; 3] = [0, 3, 6];

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_does_not_crowd_people_out() {
    let seed = rand::random();
    println!("seed {seed}");
    // The project's own rate and burst.
    let server = Setup::new().unset("PUSH__RATE_PER_S").unset("PUSH__BURST").start().await;
    let scene = Scene::open(&server).await;
    let mut people = Account::seed(&server, PEOPLE + 1).await;
    let bot = people.pop().unwrap();
    let mut witness = Watch::guest().open(&server, &scene.room).await;
    _ = witness.next("hello").await;

    let begin = Instant::now();
    let flood = tokio::spawn(flood(bot.clone(), scene.room.clone(), Duration::from_secs(SECONDS[2] + 1)));
    let mut rng = StdRng::seed_from_u64(seed);
    let mut said: Vec<Vec<String>> = Vec::new();
    for second in SECONDS {
        let mut speaking = JoinSet::new();
        for person in &people {
            let at = begin + Duration::from_secs(second) + Duration::from_millis(rng.random_range(0..1_000));
            let (person, room) = (person.clone(), scene.room.clone());
            speaking.spawn(async move {
                sleep_until(at).await;
                let posted = person.say(&room, &format!("{} in second {second}", person.name)).await.expect(201);
                posted["id"].as_str().unwrap().to_owned()
            });
        }
        said.push(speaking.join_all().await);
    }
    let bots_lines = flood.await.unwrap();
    assert!(bots_lines as u64 >= u64::from(BOT_LINES_PER_S) * SECONDS[2] / 2, "a bot that hardly posts proves nothing");

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

/// Posts at a steady pace, whatever becomes of the posts; returns how many were accepted.
async fn flood(bot: Account, room: String, span: Duration) -> usize {
    let end = Instant::now() + span;
    let mut pace = interval(Duration::from_secs(1) / BOT_LINES_PER_S);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut posting = JoinSet::new();
    for n in 0.. {
        pace.tick().await;
        if Instant::now() >= end {
            break;
        }
        let (bot, room) = (bot.clone(), room.clone());
        posting.spawn(async move { bot.say(&room, &format!("buy now {n}")).await.status == 201 });
    }
    posting.join_all().await.into_iter().filter(|accepted| *accepted).count()
}

/// All that was said, once it is known of all what became of it.
async fn deliveries(server: &Server, scene: &Scene) -> Vec<Value> {
    until("it is noted of every line what became of it", async || {
        let told = scene.history(server).await;
        told.iter().all(|line| line["delivery"] != "stored").then_some(told)
    })
    .await
}
