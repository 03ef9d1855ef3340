//! Lotteries over HTTP: statuses, the entries' stream, the keyword's two answers.

use http::Method;
use idl::draw::Hash;
use idl::{Code, Refusal};

use crate::support::Site;

const ENTER: &str = "/api/v1/lotteries/17/entries/me";

#[tokio::test]
async fn the_first_entry_is_new_and_the_second_is_not() {
    let site = Site::start();
    let enter = || site.ask(Method::PUT, ENTER).bearer(21).send();
    let first = enter().await.status(201).json();
    assert_eq!(first["receipt"]["lottery_id"], "17");
    assert_eq!(enter().await.status(200).json(), first);
    assert!(site.behind.asked()[0].ends_with("lottery: LotteryId(17), danmaku: None }"));
    site.ask(Method::PUT, ENTER).send().await.problem(401, "not-signed-in");
}

#[tokio::test]
async fn entries_come_page_after_page_and_are_kept() {
    let site = Site::start();
    let entries = site.get("/api/v1/lotteries/17/entries").send().await.status(200);
    assert_eq!(entries.body, b"{\"page\":0}\n{\"page\":1}\n{\"page\":2}\n");
    assert_eq!(entries.header("content-type"), "application/x-ndjson");
    assert!(entries.header("cache-control").contains("immutable"));
    let asked = site.behind.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");

    site.behind.refuse(Refusal::new(Code::LotteryOpen, "not yet"));
    let refused = site.get("/api/v1/lotteries/17/entries").send().await;
    refused.problem(409, "lottery-open");
}

#[tokio::test]
async fn a_keyword_danmaku_is_answered_with_its_entry() {
    let site = Site::start();
    let post =
        |text: &str| site.post("/api/v1/rooms/7/danmaku").bearer(21).json(&format!(r#"{{"text":"{text}"}}"#)).send();
    let plain = post("hello").await.status(201).json();
    assert!(plain.get("entry").is_none() && plain.get("lottery_id").is_none(), "{plain}");
    let entered = post("the-keyword").await.status(201).json();
    assert_eq!((&entered["lottery_id"], &entered["entry"]["receipt"]["n"]), (&"17".into(), &0.into()));
    let asked = site.behind.asked().pop().unwrap();
    assert!(asked.starts_with("EnterLottery") && asked.contains("danmaku: Some(DanmakuId(9001))"), "{asked}");

    let refusal = Refusal::new(Code::NotEligible, "the streamer takes no part");
    site.behind.refuse_only("EnterLottery", refusal);
    let refused = post("the-keyword").await.status(201).json();
    assert_eq!(refused["text"], "the-keyword", "the danmaku was accepted all the same");
    let problem = &refused["entry"]["refused"];
    assert_eq!((&problem["code"], &problem["status"]), (&"not-eligible".into(), &403.into()));
}

#[tokio::test]
async fn what_a_host_asks_reaches_the_service() {
    let site = Site::start();
    let ask = |path: &str, body: &str| site.post(path).bearer(21).json(body).send();
    let body = r#"{"title":"t","prizes":[{"name":"p","count":2}],"duration_s":60,"keyword":"go"}"#;
    let opened = ask("/api/v1/rooms/7/lotteries", body).await.status(201);
    assert_eq!(opened.header("location"), "/api/v1/lotteries/17");
    let asked = site.behind.asked().pop().unwrap();
    assert!(asked.contains("count: 2") && asked.contains("duration_s: Some(60)"), "{asked}");
    ask("/api/v1/rooms/7/lotteries", r#"{"title":"t","prizes":[{"name":"p","count":-1}]}"#)
        .await
        .problem(422, "invalid-field");
    ask("/api/v1/rooms/7/lotteries", r#"{"title":"t","prizes":[],"winner":"me"}"#).await.problem(422, "invalid-field");
    ask("/api/v1/lotteries/17/cancel", r#"{"reason":"it broke"}"#).await.status(200);
    ask("/api/v1/lotteries/17/redraw", r#"{"n":3}"#).await.status(200);
    assert!(site.behind.asked().pop().unwrap().ends_with("n: 3 }"));
    let keys = site.get("/api/v1/lotteries/keys").send().await.status(200).json();
    assert_eq!(keys["items"][0]["key"], Hash([6; 32]).to_string());
    site.get("/api/v1/lotteries/17/entries/-1/proof").send().await.problem(400, "malformed-request");
}
