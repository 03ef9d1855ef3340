//! `kill -9` at every point of a lottery's life at which something could be done twice, or
//! be lost: afterwards there is one result, one set of signatures, and every entry that was
//! acknowledged is in it, once.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use goligoli_tests::lottery::{Lottery, book, receipt, with};
use goligoli_tests::{Account, Answer, DEADLINE, Followed, Scene, Server, Setup, Watch, follow, in_time, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const LAST: &str = "the last word";
/// Repeats the random moments: `LOTTERY_SEED`.
const SEED: &str = "LOTTERY_SEED";

/// Sees all that the room's stream shows, over every restart, until [`LAST`].
async fn witness(server: &Server, scene: &Scene) -> JoinSet<Followed> {
    let (began, begun) = oneshot::channel();
    let url = server.url(&scene.path("/events"));
    let mut witness = JoinSet::new();
    witness.spawn(follow(url, began, |event| event.text().as_deref() == Some(LAST)));
    in_time(DEADLINE, "the witness sees the room", begun).await.unwrap();
    witness
}

/// Holds that a lottery ended as it must: `receipts` are those of all who were told that
/// they are in, and `seen` is what the stream showed over all restarts.
async fn ended_well(server: &Server, lottery: &Lottery, receipts: &[Value], seen: &Followed) {
    let drawn = lottery.drawn(server).await;
    let told = lottery.told(&seen.events);
    let changes: Vec<&str> = told.iter().map(|(change, _)| change.as_str()).collect();
    let once = |change: &str| {
        let all: Vec<&Value> = told.iter().filter(|(of, _)| of == change).map(|(_, event)| event).collect();
        assert_eq!(all.len(), 1, "`{change}` of lottery {}: {changes:?}", lottery.id);
        all[0].clone()
    };
    let (opened, closed, result) = (once("opened"), once("closed"), once("drawn"));
    let steps: Vec<&str> = changes.iter().copied().filter(|change| *change != "entered").collect();
    assert_eq!(steps[..3], ["opened", "closed", "drawn"]);
    let (opened, closed) = (&opened["lottery"]["opened"], &closed["lottery"]["closed"]);
    assert_eq!((opened, opened), (&lottery.answer["opened"], &drawn["opened"]));
    assert_eq!(*closed, drawn["closed"], "signed once, also if that was before the kill");
    let proof = lottery.proof(server).await;
    for (field, of_proof) in [("root", "root"), ("closed_at_ms", "closed_at_ms"), ("signature", "closed_signature")] {
        assert_eq!(closed[field], proof[of_proof]);
    }
    let numbers = |winners: &Value| -> Vec<Value> {
        winners.as_array().unwrap().iter().map(|winner| winner["n"].clone()).collect()
    };
    if proof["replaced"] == json!([]) {
        assert_eq!(numbers(&result["winners"]), numbers(&proof["winners"]));
    }
    let entries = lottery.entries(server).await;
    let users: BTreeSet<&str> = entries.iter().map(|entry| entry["user_id"].as_str().unwrap()).collect();
    assert_eq!(users.len(), entries.len(), "every user once");
    for receipt in receipts {
        let n = usize::try_from(receipt["n"].as_u64().unwrap()).unwrap();
        for field in ["n", "user_id", "entered_at_ms", "weight"] {
            assert_eq!(entries[n][field], receipt[field], "acknowledged, so in, and as it was acknowledged");
        }
    }
    lottery.audit(server, opened, closed, receipts).await;
}

/// Says the last word, once all are drawn, and gives what was seen.
async fn good_night(server: &Server, scene: &Scene, lotteries: &[&Lottery], witness: JoinSet<Followed>) -> Followed {
    for lottery in lotteries {
        _ = lottery.drawn(server).await;
    }
    // A result reaches the stream a moment after it can be read.
    until("all results are in the stream", async || {
        let hello = Watch::guest().open(server, &scene.room).await.next("hello").await.json();
        let is_told = |lottery: &&Lottery| {
            let mut states = hello["lotteries"].as_array().unwrap().iter();
            states.any(|state| state["id"] == lottery.id.as_str() && state["phase"] == "drawn")
        };
        lotteries.iter().all(is_told).then_some(())
    })
    .await;
    _ = scene.owner.say(&scene.room, LAST).await.expect(201);
    in_time(DEADLINE, "the witness hears the last word", witness.join_all()).await.remove(0)
}

async fn after_a_kill_at(point: &str) {
    let mut server = Setup::new().dies_at(Some(point)).start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 5).await;
    let witness = witness(&server, &scene).await;
    let lottery = Lottery::open(&scene, &with(book(2), json!({"prizes": [{"name": "a mug", "count": 2}]}))).await;
    let mut receipts = Vec::new();
    for account in &accounts {
        receipts.push(receipt(&lottery.enter(account).await));
    }
    server.died().await;
    server.reconfigure(|setup| setup.dies_at(None));
    server.start_again().await;
    let seen = good_night(&server, &scene, &[&lottery], witness).await;
    assert!(seen.streams > 1, "the witness came back");
    ended_well(&server, &lottery, &receipts, &seen).await;
    println!("{point}: one result");
}

#[tokio::test]
async fn a_kill_at_any_step_of_a_draw_leaves_one_result() {
    let points = [
        "lottery.before-freeze",
        "lottery.after-freeze",
        "lottery.after-closed",
        "lottery.before-decision",
        "lottery.after-decision",
        "lottery.after-announcement",
    ];
    // Two at a time: the machine has other things to do.
    for points in points.chunks(2) {
        _ = join_all(points.iter().map(|point| after_a_kill_at(point))).await;
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_batch_of_entries_loses_and_doubles_nobody() {
    // However many come at once: there are more than three batches.
    let setup = Setup::new().set("LOTTERY__BATCH_ENTRIES", "10");
    let mut server = setup.dies_at(Some("lottery.entry-batch:3")).start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 60).await;
    let witness = witness(&server, &scene).await;
    let lottery = Lottery::open(&scene, &book(4)).await;
    let mut entering = JoinSet::new();
    for account in accounts {
        let lottery = lottery.clone();
        entering.spawn(async move { lottery.insist(&account).await });
    }
    server.died().await;
    server.reconfigure(|setup| setup.dies_at(None));
    server.start_again().await;
    // Who came too late would be `None`: the server was away for a moment only.
    let receipts: Vec<Value> = entering.join_all().await.into_iter().flatten().collect();
    assert!(!receipts.is_empty());
    let seen = good_night(&server, &scene, &[&lottery], witness).await;
    ended_well(&server, &lottery, &receipts, &seen).await;
    assert_eq!(lottery.entries(&server).await.len(), receipts.len(), "and nobody else");
}

#[tokio::test]
async fn a_kill_while_a_prize_is_settled_leaves_it_settled_once_or_not_at_all() {
    let mut server = Setup::new().dies_at(Some("lottery.settling")).start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 3).await;
    let witness = witness(&server, &scene).await;
    let lottery = Lottery::open(&scene, &with(book(1), json!({"claim_s": 600}))).await;
    let mut receipts = Vec::new();
    for account in &accounts {
        receipts.push(receipt(&lottery.enter(account).await));
    }
    let drawn = lottery.drawn(&server).await;
    let winner = &drawn["winners"][0]["user_id"];
    let winner = accounts.iter().find(|account| *winner == account.id.as_str()).unwrap();
    let decline = lottery.path("/entries/me/decline");
    let request = winner.request(reqwest::Method::POST, &decline);
    assert!(goligoli_tests::Answer::attempt(request).await.is_err(), "nobody answers");
    server.died().await;
    server.reconfigure(|setup| setup.dies_at(None));
    server.start_again().await;
    assert_eq!(lottery.now(&server).await, drawn, "nothing was done");
    let declined = winner.post(&decline, &Value::Null).await.expect(200);
    assert_eq!(declined["result"], "replaced");
    let seen = good_night(&server, &scene, &[&lottery], witness).await;
    ended_well(&server, &lottery, &receipts, &seen).await;
    assert_eq!(lottery.proof(&server).await["replaced"].as_array().unwrap().len(), 1);
}

/// Lotteries that are open at once; their draws lie apart, so that kills meet all of their steps.
const AT_ONCE: u64 = 4;
const ROUNDS: usize = 4;
const KILLS_OF_A_ROUND: usize = 5;
const LIFE_MS: std::ops::Range<u64> = 20..900;

#[tokio::test]
async fn kills_at_random_moments_leave_one_result_of_each_lottery() {
    let seed: u64 = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("{} kills; {SEED}={seed} repeats their moments", ROUNDS * KILLS_OF_A_ROUND);
    let mut rng = StdRng::seed_from_u64(seed);
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 30).await;
    let witness = witness(&server, &scene).await;
    let (mut lotteries, mut confirmed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut entering = JoinSet::new();
        for seconds in 1..=AT_ONCE {
            let at = lotteries.len();
            let lottery = Lottery::open(&scene, &book(seconds)).await;
            lotteries.push(lottery.clone());
            let accounts = accounts.clone();
            // One after the other, so that it takes the lottery's whole life.
            entering.spawn(async move {
                let mut receipts = Vec::new();
                for account in &accounts {
                    receipts.extend(lottery.insist(account).await);
                }
                (at, receipts)
            });
        }
        for _ in 0..KILLS_OF_A_ROUND {
            tokio::time::sleep(Duration::from_millis(rng.random_range(LIFE_MS))).await;
            server.kill9().await;
            server.start_again().await;
        }
        confirmed.extend(entering.join_all().await);
        for lottery in &lotteries {
            _ = lottery.drawn(&server).await;
        }
    }
    let all: Vec<&Lottery> = lotteries.iter().collect();
    let seen = good_night(&server, &scene, &all, witness).await;
    assert!(seen.streams > ROUNDS * KILLS_OF_A_ROUND / 2, "the witness hardly noticed: {}", seen.streams);
    assert!(confirmed.iter().any(|(_, receipts)| !receipts.is_empty()));
    for (at, receipts) in &confirmed {
        ended_well(&server, &lotteries[*at], receipts, &seen).await;
    }
}

/// Without them these tests would wait in vain, or test nothing.
#[tokio::test]
async fn the_binary_under_test_has_failpoints() {
    let ran = Setup::new().prepare().operate(&["--version"]).await;
    assert!(ran.out.contains("(with failpoints)"), "build it with --features goligoli/failpoints: {}", ran.out);
}

#[tokio::test]
async fn a_keyword_is_free_again_if_its_lottery_was_never_stored() {
    let mut server = Setup::new().dies_at(Some("lottery.keyword-set")).start().await;
    let scene = Scene::open(&server).await;
    let body = with(book(600), json!({"keyword": "go"}));
    let request = scene.owner.request(Method::POST, &scene.path("/lotteries")).json(&body);
    assert!(Answer::attempt(request).await.is_err(), "nobody is left to answer");
    server.died().await;
    server.reconfigure(|setup| setup.dies_at(None));
    server.start_again().await;
    scene.owner.post(&scene.path("/lotteries"), &body).await.refused(409, "keyword-taken");
    let opened = until("the keyword is free", async || {
        let opened = scene.owner.post(&scene.path("/lotteries"), &body).await;
        (opened.status == 201).then_some(opened)
    });
    let lottery = Lottery::from(opened.await.json());
    // It is this one's now.
    let rin = Account::register(&server, "rin").await;
    assert_eq!(rin.say(&scene.room, "GO").await.expect(201)["entry"]["receipt"]["lottery_id"], lottery.id.as_str());
}
