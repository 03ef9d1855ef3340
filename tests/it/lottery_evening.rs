//! A lottery from its opening to a result that anyone can check.

use std::time::{Duration, Instant};

use goligoli_tests::lottery::{Lottery, book, receipt, with};
use goligoli_tests::sse::Event;
use goligoli_tests::{Account, Scene, Server, Setup, Viewer, Watch};
use idl::draw::{Entry, InclusionProof};
use lottery::protocol::merkle;
use serde_json::{Value, json};
use tokio::time::interval;

const ENTRANTS: usize = 7;

/// A stream, from its `hello` on, which comes too.
async fn watching(server: &Server, scene: &Scene) -> (Viewer, Value) {
    let mut viewer = Watch::guest().open(server, &scene.room).await;
    let hello = viewer.next("hello").await.json();
    (viewer, hello)
}

fn is_change(event: &Event, change: &str) -> bool {
    event.kind == "lottery" && event.json()["change"] == change
}

#[tokio::test]
async fn from_the_opening_to_a_result_that_anyone_can_check() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, ENTRANTS + 1).await;
    let (late, entrants) = accounts.split_last().unwrap();
    let (mut early, hello) = watching(&server, &scene).await;
    assert_eq!(hello["lotteries"], json!([]));

    let prizes = json!([{"name": "a keyboard", "count": 1}, {"name": "a mug", "count": 2}]);
    let lottery = Lottery::open(&scene, &with(book(4), json!({"prizes": prizes, "claim_s": 600}))).await;
    assert_eq!((&lottery.answer["phase"], &lottery.answer["test"]), (&json!("open"), &json!(false)));
    let mut seen = early.through(|event| is_change(event, "opened")).await;
    // Who comes later sees it as it is, with the promise.
    let (_, hello) = watching(&server, &scene).await;
    assert_eq!(hello["lotteries"][0]["id"], lottery.id.as_str());
    assert_eq!(hello["lotteries"][0]["opened"], lottery.answer["opened"]);

    let mut receipts = Vec::new();
    for (n, account) in entrants.iter().enumerate() {
        let entered = lottery.enter(account).await;
        assert_eq!(entered.status, 201, "{}", entered.text());
        receipts.push(receipt(&entered));
        assert_eq!((&receipts[n]["n"], &receipts[n]["user_id"]), (&json!(n), &json!(account.id)));
        let again = lottery.enter(account).await;
        assert_eq!((again.status, receipt(&again)), (200, receipts[n].clone()), "once, however often");
        let mine = account.get(&lottery.path("/entries/me")).await.expect(200);
        assert_eq!((&mine["receipt"], &mine["result"]), (&receipts[n], &json!("pending")));
    }
    assert_eq!(lottery.now(&server).await["entrants"], ENTRANTS);
    for path in ["/entries", "/proof", "/winners", "/entries/0/proof"] {
        server.get(&lottery.path(path)).await.refused(409, "lottery-open");
    }

    seen.extend(early.through(|event| is_change(event, "drawn")).await);
    let told = lottery.told(&seen);
    let changes: Vec<&str> = told.iter().map(|(change, _)| change.as_str()).filter(|c| *c != "entered").collect();
    assert_eq!(changes, ["opened", "closed", "drawn"], "the root is known before the seed is");
    assert!(told.iter().all(|(_, event)| event["winners"].is_null() || event["change"] == "drawn"));
    let saved = |change: &str| told.iter().find(|(of, _)| of == change).unwrap().1["lottery"][change].clone();
    let (opened, closed) = (saved("opened"), saved("closed"));
    assert_eq!((&opened, &closed["count"]), (&lottery.answer["opened"], &json!(ENTRANTS)));

    let drawn = lottery.now(&server).await;
    assert_eq!((&drawn["phase"], &drawn["opened"], &drawn["closed"]), (&json!("drawn"), &opened, &closed));
    assert_eq!((&drawn["winners"], &drawn["winners_total"]), (&told.last().unwrap().1["winners"], &json!(3)));
    let (_, hello) = watching(&server, &scene).await;
    assert_eq!(hello["lotteries"][0]["closed"], closed, "also for who comes now");
    what_became_of_each(&server, &lottery, &drawn, entrants, &receipts).await;
    every_entry_lies_under_the_root(&server, &lottery, &closed, &receipts).await;

    lottery.enter(late).await.refused(409, "lottery-closed");
    late.get(&lottery.path("/entries/me")).await.refused(404, "no-such-entry");
    let again = lottery.enter(&entrants[0]).await;
    assert_eq!((again.status, receipt(&again)), (200, receipts[0].clone()), "who is in may lose a receipt");
    let keys = server.get("/api/v1/lotteries/keys").await.expect(200);
    assert_eq!(keys["items"][0]["key"], lottery.spec()["receipt_key"]);
    the_offline_command_agrees(&server, &lottery, &opened, &closed, &receipts).await;
}

/// Winners, one's own entry and the list of one's own all say the same.
async fn what_became_of_each(
    server: &Server,
    lottery: &Lottery,
    drawn: &Value,
    entrants: &[Account],
    receipts: &[Value],
) {
    let listed = server.get(&lottery.path("/winners?limit=2")).await.expect(200);
    let cursor = listed["next_cursor"].as_str().unwrap();
    let rest = server.get(&lottery.path(&format!("/winners?limit=2&cursor={cursor}"))).await.expect(200);
    let winners = [listed["items"].as_array().unwrap().clone(), rest["items"].as_array().unwrap().clone()].concat();
    assert_eq!((&json!(winners), &rest["next_cursor"]), (&drawn["winners"], &Value::Null));
    let prizes: Vec<&Value> = winners.iter().map(|winner| &winner["prize"]).collect();
    assert_eq!(prizes, [0, 1, 1], "the first in the ranking get the first prize");
    for (n, account) in entrants.iter().enumerate() {
        let mine = account.get(&lottery.path("/entries/me")).await.expect(200);
        let won = winners.iter().find(|winner| winner["n"] == n);
        assert_eq!(mine["result"], if won.is_some() { "won" } else { "lost" });
        assert_eq!(mine["prize"]["prize"], won.map_or(Value::Null, |winner| winner["prize"].clone()));
        assert!(won.is_none_or(|w| w["user_id"] == account.id.as_str() && w["name"] == account.name.as_str()));
        assert_eq!(mine["receipt"], receipts[n]);
        let all = account.get("/api/v1/me/lotteries").await.expect(200);
        assert_eq!((&all["items"], &all["next_cursor"]), (&json!([mine]), &Value::Null));
    }
}

/// Each receipt is a line of the entries, and each line's path leads to the root.
async fn every_entry_lies_under_the_root(server: &Server, lottery: &Lottery, closed: &Value, receipts: &[Value]) {
    let entries = lottery.entries(server).await;
    assert_eq!(entries.len(), receipts.len());
    for (n, (line, receipt)) in entries.iter().zip(receipts).enumerate() {
        for field in ["n", "user_id", "entered_at_ms", "weight"] {
            assert_eq!(line[field], receipt[field]);
        }
        let entry: Entry = serde_json::from_value(line.clone()).unwrap();
        let proof = server.get(&lottery.path(&format!("/entries/{n}/proof"))).await.expect(200);
        let proof: InclusionProof = serde_json::from_value(proof).unwrap();
        assert_eq!((proof.n, proof.count, proof.leaf), (n as u64, receipts.len() as u64, merkle::leaf(&entry)));
        let root = merkle::root_from_path(merkle::leaf(&entry), proof.n, proof.count, &proof.path).unwrap();
        assert_eq!((json!(root), json!(proof.root)), (closed["root"].clone(), closed["root"].clone()));
    }
    let none = lottery.path(&format!("/entries/{}/proof", receipts.len()));
    server.get(&none).await.refused(404, "no-such-entry");
}

/// With what was saved, without it, and with something that was tampered with.
async fn the_offline_command_agrees(
    server: &Server,
    lottery: &Lottery,
    opened: &Value,
    closed: &Value,
    receipts: &[Value],
) {
    let alone = lottery.documents(server).await.verify(server).await;
    assert_eq!(alone.code, Some(3), "consistent in itself is not enough: {}{}", alone.out, alone.err);
    lottery.audit(server, opened, closed, receipts).await;
    let tampered = async |name: &str, from: &str, to: &str| {
        let documents = lottery.documents(server).await;
        let text = std::fs::read_to_string(documents.file(name)).unwrap();
        assert!(text.contains(from), "{name} has {from}");
        std::fs::write(documents.file(name), text.replacen(from, to, 1)).unwrap();
        let ran = documents.verify(server).await;
        (ran.code, ran.err)
    };
    let (code, error) = tampered("entries", "\"weight\":1}", "\"weight\":2}").await;
    assert_eq!(code, Some(1), "{error}");
    let (code, error) = tampered("proof", "\"prize\":0", "\"prize\":1").await;
    assert_eq!(code, Some(1), "{error}");
    let (code, error) = tampered("proof", "\"seed\":\"", "\"seed\":\"x").await;
    assert_eq!(code, Some(2), "{error}");
    // A receipt of an entry that was made up, and an announcement of another lottery.
    let mut documents = lottery.documents(server).await;
    documents.add("receipt", &with(receipts[0].clone(), json!({"n": 1})));
    assert_eq!(documents.verify(server).await.code, Some(1));
    let mut documents = lottery.documents(server).await;
    documents.add("closed", &with(closed.clone(), json!({"count": ENTRANTS - 1})));
    assert_eq!(documents.verify(server).await.code, Some(1));
}

/// Many join; viewers are told how many, once a second, not of each.
#[tokio::test]
async fn a_flood_of_entrants_is_told_as_a_count() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 200).await;
    let (mut viewer, _) = watching(&server, &scene).await;
    let lottery = Lottery::open(&scene, &book(8)).await;
    let entering = Instant::now();
    // Two seconds and more.
    let mut pace = interval(Duration::from_millis(10));
    for account in &accounts {
        pace.tick().await;
        assert_eq!(lottery.enter(account).await.status, 201);
    }
    let seen = viewer.through(|event| is_change(event, "drawn")).await;
    let counts: Vec<u64> = lottery
        .told(&seen)
        .iter()
        .filter(|(change, _)| change == "entered")
        .map(|(_, told)| {
            assert!(told["lottery"].is_null(), "only the number: {told}");
            told["entrants"].as_u64().unwrap()
        })
        .collect();
    let most = entering.elapsed().as_secs() + 2;
    assert!(counts.len() > 1 && counts.len() as u64 <= most, "{counts:?}: at most once a second");
    assert!(counts.is_sorted() && *counts.last().unwrap() <= 200, "{counts:?}");
}
