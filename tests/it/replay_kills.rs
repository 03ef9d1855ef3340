//! `kill -9` while a replay is made: afterwards it is there by itself, whole, once, and the
//! object store holds nothing else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use goligoli_tests::replay::{Replay, Reply, Talker, ids, importing, items, list, rows, talk, xml_lines};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, objects, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

/// Repeats the random moments.
const SEED: &str = "REPLAY_SEED";

/// Holds that the replay is there as it must be, and nothing besides.
async fn is_whole(server: &Server, scene: &Scene, replay: &Replay, said: &BTreeSet<String>) {
    let shown = replay.ready(&scene.owner).await;
    let listed = list(&scene.owner, &scene.room).await;
    let of_session = listed.iter().filter(|one| one["session_id"] == scene.session.as_str());
    assert_eq!(of_session.count(), 1, "once");
    assert_eq!(shown["danmaku_count"], said.len());
    let danmaku = replay.danmaku(&scene.owner).await;
    let by_time: Vec<(u64, u64)> = danmaku
        .iter()
        .map(|one| (one["at_ms"].as_u64().unwrap(), one["id"].as_str().unwrap().parse().unwrap()))
        .collect();
    assert!(by_time.is_sorted_by(|a, b| a < b));
    assert_eq!(danmaku.len(), said.len());
    assert_eq!(ids(&danmaku).into_iter().collect::<BTreeSet<_>>(), *said, "all that was acknowledged, once");
    let lines = xml_lines(&replay.file(&scene.owner, "xml").await.text());
    assert_eq!(lines.into_iter().map(|line| line.fields[7].clone()).collect::<Vec<_>>(), ids(&danmaku));
    replay.swept(server, &scene.owner).await;
    let known: Vec<String> = listed.iter().map(|one| format!("/{}-", one["id"].as_str().unwrap())).collect();
    let is_known = |key: &String| known.iter().any(|of_one| key.contains(of_one));
    assert!(objects(server).await.iter().all(is_known), "{:?}", objects(server).await);
}

/// Whether the process, which is dead, was just making an index of the replay.
async fn died_at_work(server: &Server, replay: &Replay) -> bool {
    let db = server.db("message").await;
    let leased = sqlx::query_scalar("SELECT COUNT(*) FROM replay_index WHERE replay_id = ? AND leased_until_ms > 0");
    let leased: i64 = leased.bind(replay.id.parse::<i64>().unwrap()).fetch_one(db.reader()).await.unwrap();
    db.close().await;
    leased == 1
}

/// The dice of a test, which a number repeats.
fn dice(kills: usize) -> StdRng {
    let seed: u64 = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("{kills} kills; {SEED}={seed} repeats their moments");
    StdRng::seed_from_u64(seed)
}

async fn after_a_kill_at(point: &str) {
    let mut server = Setup::new().dies_at(Some(point)).start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 2).await;
    let said = talk(&server, &scene.room, &accounts, 20).await;
    let close = scene.path(&format!("/sessions/{}/close", scene.session));
    // It may be dead before it can answer.
    _ = Answer::attempt(scene.owner.request(reqwest::Method::POST, &close)).await;
    server.died().await;
    server.reconfigure(|setup| setup.dies_at(None));
    server.start_again().await;
    let listed = until("the replay is listed", async || list(&scene.owner, &scene.room).await.pop()).await;
    is_whole(&server, &scene, &Replay::from(&listed), &said).await;
    println!("{point}: whole");
}

#[tokio::test]
async fn a_kill_at_any_step_leaves_a_whole_replay() {
    let points = [
        "replay.sealed",
        "replay.claimed",
        "replay.part-stored",
        "replay.part-stored:2",
        "replay.before-manifest",
        "replay.before-flip",
        "replay.flipped",
        "replay.told",
        "replay.swept",
    ];
    for point in points {
        after_a_kill_at(point).await;
    }
}

const TALKERS: usize = 32;
const KILLS: usize = 20;
/// Where a machine is so uneven that few of those meet an index, there are more.
const MOST_KILLS: usize = 4 * KILLS;

#[tokio::test]
async fn kills_at_random_moments_of_a_first_index_leave_a_whole_replay() {
    /// Of one part: the first index of a short evening.
    const LINES_OF_EACH: usize = 60;
    let mut rng = dice(KILLS);
    let mut server = Setup::new().alone().start().await;
    let mut scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, TALKERS).await;
    let (mut takes, mut met) = (Duration::ZERO, 0);
    let mut kill = 0;
    while kill <= KILLS || (met < KILLS / 2 && kill <= MOST_KILLS) {
        if kill > 0 {
            let opened = scene.owner.post(&scene.path("/sessions"), &Value::Null).await.expect(201);
            opened["id"].as_str().unwrap().clone_into(&mut scene.session);
        }
        let mut said = BTreeSet::new();
        let mut owner = Talker::connect(server.address(), &scene.owner, &scene.room).await;
        let first = until("the broadcast is on", async || match owner.say("good evening").await {
            Reply::Accepted(id) => Some(id),
            Reply::Closed | Reply::Unknown => None,
        });
        said.insert(first.await);
        said.append(&mut talk(&server, &scene.room, &accounts, LINES_OF_EACH).await);
        let closed = Instant::now();
        let replay = Replay::of(&scene).await;
        if kill == 0 {
            // How long it takes on this machine.
            _ = replay.ready(&scene.owner).await;
            takes = closed.elapsed();
        } else {
            tokio::time::sleep(rng.random_range(Duration::ZERO..takes)).await;
            server.kill9().await;
            met += usize::from(died_at_work(&server, &replay).await);
            server.start_again().await;
        }
        is_whole(&server, &scene, &replay, &said).await;
        kill += 1;
    }
    println!("a first index takes {takes:?}; {met} of {} kills met one", kill - 1);
    assert!(met >= KILLS / 2, "hardly any kill met an index that was being made: {met}");
}

#[tokio::test]
async fn kills_at_random_moments_leave_a_whole_replay() {
    /// More than three parts.
    const LINES_OF_EACH: usize = 625;
    const ROUNDS: usize = 4;
    let mut rng = dice(KILLS);
    let mut server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, TALKERS).await;
    let said = talk(&server, &scene.room, &accounts, LINES_OF_EACH).await;
    assert_eq!(said.len(), TALKERS * LINES_OF_EACH);

    // How long it takes on this machine: a second time, when nothing else is going on.
    let replay = Replay::of(&scene).await;
    _ = replay.ready(&scene.owner).await;
    replay.swept(&server, &scene.owner).await;
    let index = async || {
        let before = scene.owner.post(&replay.path("/index"), &Value::Null).await.expect(202)["version"].as_u64();
        before.unwrap()
    };
    let began = Instant::now();
    let before = index().await;
    let first = replay.later(&scene.owner, before).await["version"].as_u64().unwrap();
    let takes = began.elapsed();

    let (mut attempts, mut met, mut kills) = (first, 0, 0);
    while kills < KILLS || (met < KILLS / 2 && kills < MOST_KILLS) {
        let mut before = 0;
        for _ in 0..KILLS / ROUNDS {
            // Some kills come after the end: there is always something to do for the next one.
            before = index().await;
            tokio::time::sleep(rng.random_range(Duration::ZERO..takes)).await;
            server.kill9().await;
            met += usize::from(died_at_work(&server, &replay).await);
            kills += 1;
            server.start_again().await;
        }
        attempts = replay.later(&scene.owner, before).await["version"].as_u64().unwrap();
        is_whole(&server, &scene, &replay, &said).await;
    }
    println!("indexing takes {takes:?}; {} attempts; {met} of {kills} kills met one", attempts - first);
    assert!(met >= KILLS / 2, "hardly any kill met an index that was being made: {met}");
    assert!(attempts - first >= (met + 1) as u64, "each that was met is a try of its own");
}

/// A file of so many danmaku.
fn file(lines: usize) -> String {
    let line = |n| format!("<d p=\"{n}.00000,1,25,16777215,1700000000,0,0000000a,{}\">line {n}</d>\n", n + 1);
    let lines: String = (0..lines).map(line).collect();
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><i>\n{lines}</i>\n")
}

/// An import is given up after an hour.
const MORE_THAN_AN_HOUR_MS: i64 = 3_700_000;

#[tokio::test]
async fn a_kill_while_a_file_is_imported_leaves_nothing() {
    for point in ["replay.import-portion", "replay.import-portion:3", "replay.import-stored"] {
        let mut server = Setup::new().dies_at(Some(point)).start().await;
        let scene = Scene::open(&server).await;
        let import = || importing(&scene.owner, &scene.room, "From elsewhere").body(file(5_000));
        assert!(Answer::attempt(import()).await.is_err(), "nobody is left to answer");
        server.died().await;
        assert!(rows(&server, "message", "imported_danmaku").await > 0, "it died in the middle");
        server.reconfigure(|setup| setup.dies_at(None));
        server.start_again().await;
        assert_eq!(list(&scene.owner, &scene.room).await, Vec::<Value>::new());
        assert_eq!(objects(&server).await, BTreeSet::new());

        // Once more, as whoever got no answer would.
        let imported = Answer::to(import()).await.expect(201);
        let replay = Replay::from(&imported["replay"]);
        assert_eq!(replay.ready(&scene.owner).await["danmaku_count"], 5_000);
        assert_eq!(list(&scene.owner, &scene.room).await.len(), 1);
        replay.swept(&server, &scene.owner).await;

        // What the first one left is of no use to anybody, and goes.
        assert!(server.terminate().await.success());
        crate::clock::tell(&server, MORE_THAN_AN_HOUR_MS);
        server.start_again().await;
        until("nothing is left of the first", async || {
            (rows(&server, "message", "imported_danmaku").await == 5_000).then_some(())
        })
        .await;
        // No log-in is that old.
        let owner = Account::log_in(&server, &scene.owner.name, Account::PASSWORD).await;
        assert_eq!(items(&replay.manifest(&owner).await["parts"]).len(), 14, "six minutes each");
        assert_eq!(replay.danmaku(&owner).await.len(), 5_000);
        println!("{point}: nothing");
    }
}
