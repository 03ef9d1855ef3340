//! What becomes of prizes after the draw: claimed, declined, drawn again.

use goligoli_tests::lottery::{Lottery, book, receipt, with};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, Watch, until};
use serde_json::{Value, json};

/// Lets everybody enter; gives the receipts.
async fn enter_all(lottery: &Lottery, accounts: &[Account]) -> Vec<Value> {
    let mut receipts = Vec::new();
    for account in accounts {
        receipts.push(receipt(&lottery.enter(account).await));
    }
    receipts
}

/// Those who hold a prize now, with their entries' numbers.
async fn holders<'a>(server: &Server, lottery: &Lottery, accounts: &'a [Account]) -> Vec<(u64, &'a Account)> {
    let winners = server.get(&lottery.path("/winners")).await.expect(200);
    let holder = |winner: &Value| {
        let account = accounts.iter().find(|account| winner["user_id"] == account.id.as_str());
        (winner["n"].as_u64().unwrap(), account.unwrap())
    };
    winners["items"].as_array().unwrap().iter().map(holder).collect()
}

async fn settle(lottery: &Lottery, account: &Account, deed: &str) -> Answer {
    account.post(&lottery.path(&format!("/entries/me/{deed}")), &Value::Null).await
}

async fn redraw(lottery: &Lottery, host: &Account, n: u64) -> Answer {
    host.post(&lottery.path("/redraw"), &json!({"n": n})).await
}

#[tokio::test]
async fn winners_claim_or_decline_and_nobody_is_hurried() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 4).await;
    let mugs = json!({"prizes": [{"name": "a mug", "count": 2}], "claim_s": 600});
    let lottery = Lottery::open(&scene, &with(book(2), mugs)).await;
    let receipts = enter_all(&lottery, &accounts).await;
    settle(&lottery, &accounts[0], "claim").await.refused(409, "lottery-open");
    redraw(&lottery, &scene.owner, 0).await.refused(409, "lottery-open");
    let drawn = lottery.drawn(&server).await;
    let first = holders(&server, &lottery, &accounts).await;
    let [(a_n, a), (b_n, b)] = first[..] else { panic!("two prizes: {first:?}") };
    let loser = accounts.iter().find(|account| account.id != a.id && account.id != b.id).unwrap();

    let mine = a.get(&lottery.path("/entries/me")).await.expect(200);
    assert_eq!((&mine["prize"]["name"], &mine["prize"]["claimed_at"]), (&json!("a mug"), &Value::Null));
    assert!(mine["prize"]["claim_by"].is_string());
    let claimed = settle(&lottery, a, "claim").await.expect(200);
    assert!(claimed["prize"]["claimed_at"].is_string(), "{claimed}");
    assert_eq!(settle(&lottery, a, "claim").await.expect(200), claimed, "a second time changes nothing");
    settle(&lottery, a, "decline").await.refused(409, "prize-claimed");
    redraw(&lottery, &scene.owner, a_n).await.refused(409, "prize-claimed");
    settle(&lottery, loser, "claim").await.refused(409, "no-prize");
    settle(&lottery, loser, "decline").await.refused(409, "no-prize");
    redraw(&lottery, b, b_n).await.refused(403, "not-allowed");
    let early = redraw(&lottery, &scene.owner, b_n).await;
    early.refused(409, "claim-open");
    assert!(early.json()["until"].is_string(), "{}", early.text());
    redraw(&lottery, &scene.owner, 4).await.refused(409, "no-prize");
    scene.owner.post(&lottery.path("/redraw"), &json!({"n": -1})).await.refused(422, "invalid-field");
    assert_eq!(lottery.now(&server).await["replaced"], json!([]));

    // Who does not want it makes room for the next, once.
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    for _ in 0..2 {
        let declined = settle(&lottery, b, "decline").await.expect(200);
        assert_eq!((&declined["result"], &declined["prize"]), (&json!("replaced"), &Value::Null));
    }
    let told = viewer.next("lottery").await.json();
    let now = lottery.now(&server).await;
    assert_eq!((&told["change"], &told["winners"]), (&json!("redrawn"), &now["winners"]));
    let replaced = now["replaced"].as_array().unwrap();
    assert_eq!((replaced.len(), &replaced[0]["n"], &replaced[0]["reason"]), (1, &json!(b_n), &json!("declined")));
    let second = holders(&server, &lottery, &accounts).await;
    assert!(second.len() == 2 && second[0].0 == a_n && second[1].0 != b_n, "{second:?}");
    settle(&lottery, b, "claim").await.refused(409, "no-prize");
    // After a restart it is all the same.
    let proof = lottery.proof(&server).await;
    assert_eq!(proof["replaced"], now["replaced"]);
    server.kill9().await;
    server.start_again().await;
    assert_eq!(lottery.proof(&server).await, proof);
    lottery.audit(&server, &drawn["opened"], &drawn["closed"], &receipts).await;
}

#[tokio::test]
async fn who_does_not_claim_in_time_is_replaced_until_nobody_is_left() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 3).await;
    let lottery = Lottery::open(&scene, &with(book(1), json!({"claim_s": 1}))).await;
    let receipts = enter_all(&lottery, &accounts).await;
    let drawn = lottery.drawn(&server).await;
    let mut out = Vec::new();
    while let [(n, holder)] = holders(&server, &lottery, &accounts).await[..] {
        assert!(!out.contains(&n), "nobody gets it twice: {out:?}, {n}");
        let in_time = until("the time for claiming is over", async || {
            let redrawn = redraw(&lottery, &scene.owner, n).await;
            (redrawn.status == 200).then_some(redrawn)
        });
        let now = in_time.await.expect(200);
        out.push(n);
        assert_eq!(now["replaced"].as_array().unwrap().len(), out.len());
        assert_eq!(redraw(&lottery, &scene.owner, n).await.expect(200)["replaced"], now["replaced"], "once");
        settle(&lottery, holder, "claim").await.refused(409, "no-prize");
    }
    assert_eq!(out.len(), accounts.len(), "everybody had a chance");
    let now = lottery.now(&server).await;
    assert_eq!((&now["winners"], &now["winners_total"]), (&json!([]), &json!(0)));
    let proof = lottery.proof(&server).await;
    let records = proof["replaced"].as_array().unwrap();
    let mut since_ms = drawn["closed"]["closed_at_ms"].as_u64().unwrap();
    for (record, n) in records.iter().zip(&out) {
        let at_ms = record["at_ms"].as_u64().unwrap();
        assert_eq!((&record["n"], &record["reason"]), (&json!(n), &json!("unclaimed")));
        assert!(at_ms >= since_ms + 1_000, "each had its second: {proof}");
        since_ms = at_ms;
    }
    lottery.audit(&server, &drawn["opened"], &drawn["closed"], &receipts).await;
}

#[tokio::test]
async fn too_late_is_too_late_but_the_prize_stays_until_it_is_drawn_again() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let lottery = Lottery::open(&scene, &with(book(1), json!({"claim_s": 1}))).await;
    let receipts = enter_all(&lottery, std::slice::from_ref(&mei)).await;
    let drawn = lottery.drawn(&server).await;
    let closed_at_ms = drawn["closed"]["closed_at_ms"].as_u64().unwrap();
    let later = Lottery::open(&scene, &book(1)).await;
    let told = later.drawn(&server).await;
    assert!(told["closed"]["closed_at_ms"].as_u64().unwrap() > closed_at_ms + 1_000, "a second has passed");
    settle(&lottery, &mei, "claim").await.refused(403, "claim-expired");
    let mine = mei.get(&lottery.path("/entries/me")).await.expect(200);
    assert_eq!((&mine["result"], &mine["prize"]["claimed_at"]), (&json!("won"), &Value::Null));
    // It may still be declined: by then nobody else can get it.
    _ = settle(&lottery, &mei, "decline").await.expect(200);
    lottery.audit(&server, &drawn["opened"], &drawn["closed"], &receipts).await;
}
