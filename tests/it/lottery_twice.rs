//! One request to open a lottery that comes several times at once, as from a client that did not wait
//! for the answer: it opens one.

use goligoli_tests::http::{self, Connection};
use goligoli_tests::lottery::{Lottery, book, with};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, Watch, until};
use reqwest::Method;
use serde_json::{Value, json};

const ROUNDS: usize = 8;
/// Connections on which the same request comes in each round.
const AT_ONCE: usize = 4;

/// What the request is answered with: the lottery, or a refusal that says to try again.
type Told = Result<Value, Value>;

/// Sends one request on several connections at the same moment; gives all answers.
async fn at_once(server: &Server, request: &[u8]) -> Vec<Told> {
    let mut connections = Vec::new();
    for _ in 0..AT_ONCE {
        connections.push(Connection::to(server.address()).await.unwrap());
    }
    let asked = connections.iter_mut().map(|connection| connection.ask(request));
    let answers = futures::future::join_all(asked).await;
    answers.into_iter().map(|answer| told(answer.unwrap())).collect()
}

fn told((status, body): (u16, Vec<u8>)) -> Told {
    let body: Value = serde_json::from_slice(&body).unwrap();
    match status {
        201 => Ok(body),
        // The other one has the keyword and is not done yet.
        409 => {
            assert_eq!(body["code"], "keyword-taken");
            assert!(body["retry_after_ms"].is_u64(), "it may be tried again: {body}");
            Err(body)
        }
        503 => Err(body),
        _ => panic!("{status}: {body}"),
    }
}

/// Opens a lottery by one request that comes several times at once, and is repeated by those
/// who were told to try again. Holds that all of them have the same lottery.
async fn open_twice(server: &Server, scene: &Scene, body: &Value, key: &str) -> Lottery {
    let bearer = format!("Bearer {}", scene.owner.token);
    let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", key), ("Content-Type", "application/json")];
    let request = http::post(&scene.path("/lotteries"), &headers, &body.to_string());
    let mut lotteries = Vec::new();
    for first in at_once(server, &request).await {
        lotteries.push(match first {
            Ok(lottery) => lottery,
            Err(_) => {
                let mut connection = Connection::to(server.address()).await.unwrap();
                until("the other one is done", async || told(connection.ask(&request).await.unwrap()).ok()).await
            }
        });
    }
    assert!(lotteries.iter().all(|lottery| *lottery == lotteries[0]), "{lotteries:?}");
    Lottery::from(lotteries.swap_remove(0))
}

/// The ids of the room's lotteries, latest first.
async fn ids(server: &Server, scene: &Scene) -> Vec<String> {
    let all = server.get(&scene.path("/lotteries")).await.expect(200);
    let ids = all["items"].as_array().unwrap().iter().map(|lottery| lottery["id"].as_str().unwrap().to_owned());
    ids.collect()
}

/// Opens one lottery after the other, each by a request that comes several times; `holds` says what
/// must be true of each.
async fn rounds(body_of: impl Fn(usize) -> Value, holds: impl AsyncFn(&Server, &Scene, &Value, &Lottery)) {
    let server = Setup::new().set("LOTTERY__OPEN_PER_ROOM", "10").start().await;
    let scene = Scene::open(&server).await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    let mut opened = Vec::new();
    for round in 0..ROUNDS {
        let body = body_of(round);
        let lottery = open_twice(&server, &scene, &body, &format!("key-{round}")).await;
        opened.insert(0, lottery.id.clone());
        assert_eq!(ids(&server, &scene).await, opened, "one lottery of each round");
        holds(&server, &scene, &body, &lottery).await;
    }
    _ = scene.owner.say(&scene.room, "that is all").await.expect(201);
    let told = viewer.through_text("that is all").await;
    let announced = told.iter().filter(|event| event.kind == "lottery" && event.json()["change"] == "opened");
    let mut announced: Vec<String> =
        announced.map(|event| event.json()["lottery_id"].as_str().unwrap().to_owned()).collect();
    announced.reverse();
    assert_eq!(announced, opened, "each is announced once");
}

#[tokio::test]
async fn a_request_that_comes_twice_at_once_opens_one_lottery() {
    rounds(|round| with(book(600), json!({"title": format!("Draw {round}")})), async |_, _, _, _| {}).await;
}

#[tokio::test]
async fn a_request_with_a_keyword_that_comes_twice_at_once_opens_one_lottery_and_the_keyword_is_its_own() {
    let keyword = |round: usize| format!("冲 {round}");
    rounds(
        |round| with(book(600), json!({"keyword": keyword(round)})),
        async |server, scene, body, lottery| {
            let keyword = body["keyword"].as_str().unwrap();
            let name = format!("viewer-{}", keyword.trim_start_matches("冲 "));
            let said = Account::register(server, &name).await.say(&scene.room, keyword).await.expect(201);
            let receipt = &said["entry"]["receipt"];
            assert_eq!((&receipt["lottery_id"], &receipt["n"]), (&json!(lottery.id), &json!(0)), "{said}");
            let other = scene.owner.request(Method::POST, &scene.path("/lotteries"));
            Answer::to(other.header("Idempotency-Key", "another").json(body)).await.refused(409, "keyword-taken");
        },
    )
    .await;
}
