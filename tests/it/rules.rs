//! Who may do what in a room, over HTTP.

use goligoli_tests::{Account, Answer, Scene, Setup, Watch, until};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn slow_mode_holds_for_viewers_alone() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let (mei, rin) = (Account::register(&server, "mei").await, Account::register(&server, "rin").await);
    let admin = Account::register(&server, "keeper").await;
    assert_eq!(scene.owner.put(&scene.path(&format!("/admins/{}", admin.id)), &Value::Null).await.status, 204);
    scene.rules(json!({"slow_mode_s": 120})).await;
    let first = mei.try_say(&scene.room, "one", "key").await.unwrap().expect(201);
    let second = mei.say(&scene.room, "two").await;
    second.refused(429, "slow-mode");
    let wait_ms = second.json()["retry_after_ms"].as_u64().unwrap();
    assert!((60_000..=120_000).contains(&wait_ms), "{wait_ms}");
    let wait_s: u64 = second.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert_eq!(wait_s, wait_ms.div_ceil(1_000));
    // The answer to a repeated request is not slowed down.
    assert_eq!(mei.try_say(&scene.room, "one", "key").await.unwrap().expect(201), first);
    // Everybody has their own pace, and those who keep order have none.
    _ = rin.say(&scene.room, "me too").await.expect(201);
    for keeper in [&admin, &scene.owner] {
        for text in ["a", "b"] {
            _ = keeper.say(&scene.room, text).await.expect(201);
        }
    }
    scene.rules(json!({"slow_mode_s": 0})).await;
    _ = mei.say(&scene.room, "two").await.expect(201);
    assert_eq!(scene.history(&server).await.len(), 7, "what was refused is not stored");
}

#[tokio::test]
async fn who_is_muted_is_quiet_until_it_is_lifted() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let (mei, rin) = (Account::register(&server, "mei").await, Account::register(&server, "rin").await);
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    let mute = scene.path(&format!("/mutes/{}", mei.id));
    rin.put(&mute, &json!({"span": "forever"})).await.refused(403, "not-allowed");
    mei.get(&scene.path("/mutes")).await.refused(403, "not-allowed");
    for span in [json!("forever"), json!({"hours": 2}), json!("session")] {
        let muted = scene.owner.put(&mute, &json!({"span": span})).await.expect(200);
        assert_eq!(muted["user"]["id"], mei.id);
        let told = viewer.next("moderation").await.json();
        assert_eq!(told["muted"]["user_id"], mei.id);
        assert_eq!(told["muted"]["muted"], true);
        let refused = mei.say(&scene.room, "let me speak").await;
        refused.refused(403, "muted");
        assert_eq!(refused.json()["until"], muted["until"], "when it ends, if it does");
        _ = rin.say(&scene.room, "I may").await.expect(201);
        let list = scene.owner.get(&scene.path("/mutes")).await.expect(200);
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    }
    assert_eq!(scene.owner.delete(&mute).await.status, 204);
    assert_eq!(viewer.next("moderation").await.json()["muted"]["muted"], false);
    _ = mei.say(&scene.room, "thank you").await.expect(201);
    // The streamer can't be muted, and nobody who isn't there.
    let owner = scene.path(&format!("/mutes/{}", scene.owner.id));
    let refused = scene.owner.put(&owner, &json!({"span": "forever"})).await;
    assert!((400..500).contains(&refused.status), "{}", refused.text());
    _ = refused.problem();
    let nobody = scene.path("/mutes/999999");
    scene.owner.put(&nobody, &json!({"span": "forever"})).await.refused(404, "no-such-user");
    for bad in [json!({"span": {"hours": 0}}), json!({"span": {"hours": 721}}), json!({"span": "sometimes"}), json!({})]
    {
        scene.owner.put(&mute, &bad).await.refused(422, "invalid-field");
    }
}

#[tokio::test]
async fn a_mute_for_the_broadcast_ends_with_it() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let mute = scene.path(&format!("/mutes/{}", mei.id));
    _ = scene.owner.put(&mute, &json!({"span": "session"})).await.expect(200);
    mei.say(&scene.room, "hm").await.refused(403, "muted");
    let close = scene.path(&format!("/sessions/{}/close", scene.session));
    _ = scene.owner.post(&close, &Value::Null).await.expect(200);
    mei.say(&scene.room, "hm").await.refused(409, "room-closed");
    scene.owner.put(&mute, &json!({"span": "session"})).await.refused(409, "room-closed");
    _ = scene.owner.post(&scene.path("/sessions"), &Value::Null).await.expect(201);
    until("the room is open again for all", async || {
        (mei.say(&scene.room, "hello again").await.status == 201).then_some(())
    })
    .await;
}

#[tokio::test]
async fn mute_all_leaves_the_floor_to_the_streamer() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let (mei, admin) = (Account::register(&server, "mei").await, Account::register(&server, "keeper").await);
    assert_eq!(scene.owner.put(&scene.path(&format!("/admins/{}", admin.id)), &Value::Null).await.status, 204);
    scene.rules(json!({"mute_all": true})).await;
    mei.say(&scene.room, "hm").await.refused(403, "muted");
    _ = admin.say(&scene.room, "quiet please").await.expect(201);
    _ = scene.owner.say(&scene.room, "listen").await.expect(201);
    scene.rules(json!({"mute_all": false})).await;
    _ = mei.say(&scene.room, "hm").await.expect(201);
    for bad in [json!({"slow_mode_s": 121}), json!({"slow_mode_s": -1}), json!({"mute_all": 1}), json!({"more": true})]
    {
        scene.owner.put(&scene.path("/rules"), &bad).await.refused(422, "invalid-field");
    }
}

#[tokio::test]
async fn a_room_sets_how_many_danmaku_its_stream_shows() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    assert_eq!(viewer.next("hello").await.json()["room"]["rules"]["danmaku_per_s"], Value::Null);
    for rate in [json!(1), json!(1_000), json!(5), Value::Null, json!(7)] {
        scene.rules(json!({"danmaku_per_s": rate})).await;
        let told = viewer.next("room").await.json();
        assert_eq!((&told["change"], &told["room"]["rules"]["danmaku_per_s"]), (&json!("rules"), &rate));
    }
    let before = server.get(&scene.path("")).await.expect(200);
    for bad in [json!(0), json!(1_001), json!(-1), json!("x"), json!(1.5), json!("5"), json!([5]), json!({})] {
        let refused = scene.owner.put(&scene.path("/rules"), &json!({"danmaku_per_s": bad, "guests": false})).await;
        refused.refused(422, "invalid-field");
        assert_eq!(refused.json()["errors"][0]["pointer"], "/danmaku_per_s", "{bad}");
    }
    assert_eq!(server.get(&scene.path("")).await.expect(200), before, "nothing changed");
    assert_eq!(before["rules"]["danmaku_per_s"], 7);
}

#[tokio::test]
async fn a_broadcast_is_opened_once_and_closed_for_good() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let close = scene.path(&format!("/sessions/{}/close", scene.session));
    scene.owner.post(&scene.path("/sessions"), &Value::Null).await.refused(409, "room-open");
    mei.post(&close, &Value::Null).await.refused(403, "not-allowed");
    let closed = scene.owner.post(&close, &Value::Null).await.expect(200);
    assert!(closed["closed_at"].is_string(), "{closed}");
    assert_eq!(scene.owner.post(&close, &Value::Null).await.expect(200), closed, "closing again changes nothing");
    for somebody in [&mei, &scene.owner] {
        somebody.say(&scene.room, "anybody?").await.refused(409, "room-closed");
    }
    mei.post(&scene.path("/sessions"), &Value::Null).await.refused(403, "not-allowed");
    let missing = scene.path("/sessions/999999/close");
    scene.owner.post(&missing, &Value::Null).await.refused(404, "no-such-session");
    // The same key opens one broadcast, however often it is sent.
    let open = async || {
        let request =
            scene.owner.request(Method::POST, &scene.path("/sessions")).header("Idempotency-Key", "evening-2");
        Answer::to(request).await.expect(201)
    };
    let opened = open().await;
    assert_ne!(opened["id"], scene.session);
    assert_eq!(open().await["id"], opened["id"]);
    let sessions = server.get(&scene.path("/sessions")).await.expect(200);
    let ids: Vec<&Value> = sessions["items"].as_array().unwrap().iter().map(|session| &session["id"]).collect();
    assert_eq!(ids, [&opened["id"], &json!(scene.session)], "latest first");
}

#[tokio::test]
async fn a_room_is_its_owners() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let (mei, admin) = (Account::register(&server, "mei").await, Account::register(&server, "keeper").await);
    assert_eq!(scene.owner.put(&scene.path(&format!("/admins/{}", admin.id)), &Value::Null).await.status, 204);
    let before = server.get(&scene.path("")).await.expect(200);
    for somebody in [&mei, &admin] {
        somebody.put(&scene.path("/rules"), &json!({"mute_all": true})).await.refused(403, "not-allowed");
        let patch = somebody.request(Method::PATCH, &scene.path("")).json(&json!({"title": "mine"}));
        Answer::to(patch).await.refused(403, "not-allowed");
        somebody.post(&scene.path("/stream-key"), &Value::Null).await.refused(403, "not-allowed");
        let admins = scene.path(&format!("/admins/{}", mei.id));
        somebody.put(&admins, &Value::Null).await.refused(403, "not-allowed");
        somebody.delete(&scene.path(&format!("/admins/{}", admin.id))).await.refused(403, "not-allowed");
    }
    assert_eq!(server.get(&scene.path("")).await.expect(200), before, "nothing changed");
    // What an admin may: keep order.
    _ = admin.put(&scene.path(&format!("/mutes/{}", mei.id)), &json!({"span": {"hours": 1}})).await.expect(200);
    let admins = server.get(&scene.path("/admins")).await.expect(200);
    assert_eq!(admins["items"], json!([{"id": admin.id, "name": admin.name}]));
    // Until it is none any more.
    assert_eq!(scene.owner.delete(&scene.path(&format!("/admins/{}", admin.id))).await.status, 204);
    admin.delete(&scene.path(&format!("/mutes/{}", mei.id))).await.refused(403, "not-allowed");
}
