//! Who may open, enter and call off lotteries, and what they may be. What is refused
//! changes nothing.

use goligoli_tests::lottery::{Lottery, book, receipt, with};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, Watch, until};
use idl::draw::Cancelled;
use lottery::protocol::keys::is_signed;
use lottery::protocol::messages;
use lottery::protocol::spec::SpecText;
use reqwest::Method;
use serde_json::{Value, json};

/// All that anybody could see of the room's lotteries.
async fn state(server: &Server, scene: &Scene) -> Value {
    server.get(&scene.path("/lotteries")).await.expect(200)
}

async fn open_with_key(scene: &Scene, body: &Value, key: &str) -> Answer {
    let request = scene.owner.request(Method::POST, &scene.path("/lotteries"));
    Answer::to(request.header("Idempotency-Key", key).json(body)).await
}

async fn close_the_broadcast(scene: &Scene) {
    let close = scene.path(&format!("/sessions/{}/close", scene.session));
    _ = scene.owner.post(&close, &Value::Null).await.expect(200);
}

/// What a keyword danmaku was answered: the receipt, or the code of the refusal.
fn entry(answer: &Answer) -> Result<Value, String> {
    let entry = answer.expect(201)["entry"].clone();
    match entry["refused"]["code"].as_str() {
        Some(code) => Err(code.to_owned()),
        None => Ok(entry["receipt"].clone()),
    }
}

#[tokio::test]
async fn what_makes_no_lottery_is_refused_with_its_field() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let _open = Lottery::open(&scene, &book(3_600)).await;
    let before = state(&server, &scene).await;
    let prizes = |prizes: Value| json!({"prizes": prizes});
    let book_of = |count: Value| json!({"name": "a book", "count": count});
    let bad = [
        (json!({"duration_s": null, "draw_at": "2001-01-01T00:00:00Z"}), "/draw_at"),
        (json!({"duration_s": 0}), "/duration_s"),
        (json!({"duration_s": 604_801}), "/duration_s"),
        (json!({"duration_s": null}), "/duration_s"),
        (json!({"draw_at": "2099-01-01T00:00:00Z"}), "/duration_s"),
        (json!({"title": ""}), "/title"),
        (json!({"title": "字".repeat(61)}), "/title"),
        (json!({"title": "two\nlines"}), "/title"),
        (json!({"keyword": "字".repeat(21)}), "/keyword"),
        (json!({"claim_s": 2_592_001}), "/claim_s"),
        (prizes(json!([])), "/prizes"),
        (prizes(json!(vec![book_of(json!(1)); 11])), "/prizes"),
        (prizes(json!([book_of(json!(600)), book_of(json!(401))])), "/prizes"),
        (prizes(json!([book_of(json!(1)), book_of(json!(0))])), "/prizes/1/count"),
        (prizes(json!([book_of(json!(1_001))])), "/prizes/0/count"),
        (prizes(json!([{"name": "字".repeat(61), "count": 1}])), "/prizes/0/name"),
    ];
    for (fields, pointer) in bad {
        let refused = scene.owner.post(&scene.path("/lotteries"), &with(book(60), fields.clone())).await;
        refused.refused(422, "invalid-field");
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{fields}");
    }
    // What the body does not know, and what is of another type.
    for fields in [
        json!({"beacon": {"chain_hash": "00", "round": 1}}),
        json!({"weight": "level"}),
        json!({"seed": "0".repeat(64)}),
        json!({"duration_s": "60"}),
        json!({"duration_s": -1}),
        prizes(json!([book_of(json!(1.5))])),
        prizes(json!([{"name": "a book", "count": 1, "for": "me"}])),
    ] {
        let refused = scene.owner.post(&scene.path("/lotteries"), &with(book(60), fields.clone())).await;
        assert!([400, 422].contains(&refused.status), "{fields}: {}", refused.text());
        _ = refused.problem();
    }
    assert_eq!(state(&server, &scene).await, before);
}

#[tokio::test]
async fn opening_is_for_the_owner_of_a_room_that_is_live() {
    let server = Setup::new().set("LOTTERY__OPEN_PER_ROOM", "5").start().await;
    let scene = Scene::open(&server).await;
    let [mei, keeper] = <[Account; 2]>::try_from(Account::seed(&server, 2).await).unwrap();
    assert_eq!(scene.owner.put(&scene.path(&format!("/admins/{}", keeper.id)), &Value::Null).await.status, 204);
    let path = scene.path("/lotteries");
    for account in [&mei, &keeper] {
        account.post(&path, &book(60)).await.refused(403, "not-allowed");
    }
    let anonymous = Answer::to(server.client().post(server.url(&path)).json(&book(60))).await;
    anonymous.refused(401, "not-signed-in");
    scene.owner.post("/api/v1/rooms/999999/lotteries", &book(60)).await.refused(404, "no-such-room");
    scene.owner.post(&path, &with(book(60), json!({"test": true}))).await.refused(409, "room-open");
    assert_eq!(state(&server, &scene).await["items"], json!([]));

    // Two with one keyword, however it is written; then as many as a room may have.
    let first = Lottery::open(&scene, &with(book(60), json!({"keyword": "Go!"}))).await;
    for same in ["Go!", " gO! ", "Ｇｏ！"] {
        let again = with(book(60), json!({"keyword": same}));
        scene.owner.post(&path, &again).await.refused(409, "keyword-taken");
    }
    for _ in 1..5 {
        _ = Lottery::open(&scene, &book(60)).await;
    }
    let full = state(&server, &scene).await;
    scene.owner.post(&path, &book(60)).await.refused(409, "limit-reached");
    let other = with(book(60), json!({"keyword": "other"}));
    scene.owner.post(&path, &other).await.refused(409, "limit-reached");
    assert_eq!(state(&server, &scene).await, full);
    // One that is called off makes room, and its keyword is free soon.
    _ = scene.owner.post(&first.path("/cancel"), &json!({"reason": "a mistake"})).await.expect(200);
    _ = Lottery::open(&scene, &other).await;
    let last = state(&server, &scene).await["items"][0]["id"].as_str().unwrap().to_owned();
    _ = scene.owner.post(&format!("/api/v1/lotteries/{last}/cancel"), &json!({"reason": "x"})).await.expect(200);
    until("the keyword is free again", async || {
        let again = scene.owner.post(&path, &with(book(60), json!({"keyword": "go!"}))).await;
        (again.status == 201).then_some(())
    })
    .await;
    close_the_broadcast(&scene).await;
    scene.owner.post(&path, &book(60)).await.refused(409, "room-closed");
}

#[tokio::test]
async fn the_same_key_opens_one_lottery() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    let bodies = [book(60), with(book(60), json!({"keyword": "冲冲冲"}))];
    for (key, body) in ["plain", "with-a-keyword"].iter().zip(&bodies) {
        let first = open_with_key(&scene, body, key).await.expect(201);
        for _ in 0..2 {
            assert_eq!(open_with_key(&scene, body, key).await.expect(201), first);
        }
        let other = with(body.clone(), json!({"title": "Another"}));
        open_with_key(&scene, &other, key).await.refused(422, "idempotency-key-reused");
        // Its keyword is still its own.
        let mei = Account::register(&server, &format!("mei-{}", &key[..4])).await;
        if body["keyword"].is_string() {
            assert_eq!(entry(&mei.say(&scene.room, "冲冲冲").await).unwrap()["lottery_id"], first["id"]);
        }
    }
    assert_eq!(state(&server, &scene).await["items"].as_array().unwrap().len(), 2);
    _ = scene.owner.say(&scene.room, "that is all").await.expect(201);
    let told = viewer.through_text("that is all").await;
    let opened = told.iter().filter(|event| event.kind == "lottery" && event.json()["change"] == "opened").count();
    assert_eq!(opened, 2, "each is announced once");
}

#[tokio::test]
async fn hosts_the_muted_and_who_never_posted_stay_out() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let [mei, rin, keeper, muted] = <[Account; 4]>::try_from(Account::seed(&server, 4).await).unwrap();
    assert_eq!(scene.owner.put(&scene.path(&format!("/admins/{}", keeper.id)), &Value::Null).await.status, 204);
    let mute = scene.path(&format!("/mutes/{}", muted.id));
    _ = scene.owner.put(&mute, &json!({"span": "forever"})).await.expect(200);
    let lottery = Lottery::open(&scene, &with(book(60), json!({"posted": true}))).await;
    assert_eq!(lottery.answer["posted_in"], scene.session.as_str());
    let before = lottery.now(&server).await;
    for host in [&scene.owner, &keeper] {
        _ = host.say(&scene.room, "good luck").await.expect(201);
        lottery.enter(host).await.refused(403, "not-eligible");
    }
    lottery.enter(&muted).await.refused(403, "muted");
    lottery.enter(&mei).await.refused(403, "not-eligible");
    Answer::to(server.client().put(server.url(&lottery.path("/entries/me")))).await.refused(401, "not-signed-in");
    let to = |id: &str| Answer::to(mei.request(Method::PUT, &format!("/api/v1/lotteries/{id}/entries/me")));
    to("999999").await.refused(404, "no-such-lottery");
    for malformed in ["0", "-1", "one", "9007199254740992"] {
        to(malformed).await.refused(400, "malformed-request");
    }
    for account in [&mei, &scene.owner] {
        account.get(&lottery.path("/entries/me")).await.refused(404, "no-such-entry");
    }
    mei.post(&lottery.path("/entries/me/claim"), &Value::Null).await.refused(404, "no-such-entry");
    assert_eq!(lottery.now(&server).await, before, "nothing changed");
    // What kept them out passes.
    for account in [&mei, &rin] {
        _ = account.say(&scene.room, "hello").await.expect(201);
        assert_eq!(lottery.enter(account).await.status, 201);
    }
    assert_eq!(scene.owner.delete(&mute).await.status, 204);
    _ = muted.say(&scene.room, "thank you").await.expect(201);
    assert_eq!(lottery.enter(&muted).await.status, 201);
    assert_eq!(lottery.now(&server).await["entrants"], 3);
}

#[tokio::test]
async fn a_keyword_danmaku_is_the_entry() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, 5).await;
    let [mei, rin, ann, bob, late] = <[Account; 5]>::try_from(accounts).unwrap();
    let mute = scene.path(&format!("/mutes/{}", bob.id));
    let lottery = Lottery::open(&scene, &with(book(4), json!({"keyword": "Go 冲冲冲"}))).await;
    lottery.enter(&mei).await.refused(403, "keyword-needed");
    assert_eq!(mei.say(&scene.room, "Go 冲冲").await.expect(201)["entry"], Value::Null, "not the keyword");

    let first = mei.try_say(&scene.room, "Go 冲冲冲", "key").await.unwrap();
    let receipt_of_mei = entry(&first).unwrap();
    assert_eq!((&receipt_of_mei["n"], &receipt_of_mei["user_id"]), (&json!(0), &json!(mei.id)));
    let again = mei.try_say(&scene.room, "Go 冲冲冲", "key").await.unwrap();
    assert_eq!(again.expect(201), first.expect(201), "danmaku and entry are one action, also repeated");
    assert_eq!(entry(&mei.say(&scene.room, "Go 冲冲冲").await).unwrap(), receipt_of_mei, "said twice, in once");
    let clicked = lottery.enter(&mei).await;
    assert_eq!((clicked.status, receipt(&clicked)), (200, receipt_of_mei.clone()));
    let receipt_of_rin = entry(&rin.say(&scene.room, " ｇＯ 冲冲冲 ").await).unwrap();
    assert_eq!(receipt_of_rin["n"], 1, "the same after NFKC, trimming and lower-casing");
    assert_eq!(entry(&scene.owner.say(&scene.room, "Go 冲冲冲").await), Err("not-eligible".to_owned()));
    _ = scene.owner.put(&mute, &json!({"span": "forever"})).await.expect(200);
    bob.say(&scene.room, "Go 冲冲冲").await.refused(403, "muted");
    let receipt_of_ann = entry(&ann.say(&scene.room, "go 冲冲冲").await).unwrap();

    let drawn = lottery.drawn(&server).await;
    assert_eq!(late.say(&scene.room, "Go 冲冲冲").await.expect(201)["entry"], Value::Null, "its time is over");
    late.get(&lottery.path("/entries/me")).await.refused(404, "no-such-entry");
    assert_eq!(lottery.spec()["conditions"], json!([{"keyword": "Go 冲冲冲"}]));
    let receipts = [receipt_of_mei, receipt_of_rin, receipt_of_ann];
    lottery.audit(&server, &drawn["opened"], &drawn["closed"], &receipts).await;
    assert_eq!(drawn["closed"]["count"], 3);
}

#[tokio::test]
async fn what_is_called_off_stays_so_for_everybody_to_see() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let lottery = Lottery::open(&scene, &book(2)).await;
    let drawn = Lottery::open(&scene, &book(1)).await;
    assert_eq!(lottery.enter(&mei).await.status, 201);
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    let cancel = lottery.path("/cancel");
    mei.post(&cancel, &json!({"reason": "mine"})).await.refused(403, "not-allowed");
    for bad in [json!({"reason": ""}), json!({"reason": "字".repeat(201)}), json!({}), json!({"reason": "a\nb"})] {
        scene.owner.post(&cancel, &bad).await.refused(422, "invalid-field");
    }
    assert_eq!(lottery.now(&server).await["phase"], "open");
    let cancelled = scene.owner.post(&cancel, &json!({"reason": "the prize broke"})).await.expect(200);
    assert_eq!(
        (&cancelled["phase"], &cancelled["cancelled"]["reason"]),
        (&json!("cancelled"), &json!("the prize broke"))
    );
    let again = scene.owner.post(&cancel, &json!({"reason": "something else"})).await.expect(200);
    assert_eq!(again, cancelled, "a second time changes nothing");
    let record: Cancelled = serde_json::from_value(cancelled["cancelled"].clone()).unwrap();
    let spec = SpecText::parse(cancelled["opened"]["spec"].as_str().unwrap()).unwrap();
    let message = messages::cancelled(spec.hash(), record.at_ms);
    assert!(is_signed(&spec.spec().receipt_key, &message, &record.signature));

    lottery.enter(&scene.owner).await.refused(403, "not-eligible");
    let rin = Account::register(&server, "rin").await;
    lottery.enter(&rin).await.refused(409, "lottery-cancelled");
    let mine = mei.get(&lottery.path("/entries/me")).await.expect(200);
    assert_eq!((&mine["result"], &mine["prize"]), (&json!("cancelled"), &Value::Null));
    // Its time comes and goes, and the other one's with it.
    drop(drawn.drawn(&server).await);
    scene.owner.post(&drawn.path("/cancel"), &json!({"reason": "no"})).await.refused(409, "lottery-closed");
    let last = Lottery::open(&scene, &book(2)).await;
    assert!(last.draw_at_ms() > lottery.draw_at_ms());
    let seen = viewer.through(|event| !last.told([event]).iter().all(|(change, _)| change != "drawn")).await;
    // How many have entered may be told after the greeting.
    let changes = lottery.told(&seen).into_iter().map(|(change, _)| change).filter(|change| change != "entered");
    assert_eq!(changes.collect::<Vec<_>>(), ["cancelled"], "and not drawn when its time came");
    assert_eq!(lottery.now(&server).await, cancelled);
    for path in ["/proof", "/entries", "/winners", "/entries/0/proof"] {
        server.get(&lottery.path(path)).await.refused(409, "lottery-cancelled");
    }
    mei.post(&lottery.path("/entries/me/claim"), &Value::Null).await.refused(409, "lottery-cancelled");
}

#[tokio::test]
async fn a_rehearsal_is_for_a_room_that_is_not_live() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    close_the_broadcast(&scene).await;
    let test = |fields: Value| with(with(book(2), json!({"test": true})), fields);
    let path = scene.path("/lotteries");
    scene.owner.post(&path, &test(json!({"keyword": "go"}))).await.refused(422, "invalid-field");
    scene.owner.post(&path, &test(json!({"posted": true}))).await.refused(422, "invalid-field");
    let lottery = Lottery::open(&scene, &test(json!({}))).await;
    assert_eq!(lottery.answer["test"], true);
    let receipts = [receipt(&lottery.enter(&scene.owner).await)];
    let drawn = lottery.drawn(&server).await;
    assert_eq!((&drawn["test"], &drawn["winners"][0]["user_id"]), (&json!(true), &json!(scene.owner.id)));
    lottery.audit(&server, &drawn["opened"], &drawn["closed"], &receipts).await;
}
