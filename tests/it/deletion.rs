//! What was deleted never comes back.

use goligoli_tests::sse::Item;
use goligoli_tests::{Account, Scene, Setup, Watch};
use serde_json::json;

#[tokio::test]
async fn a_deleted_danmaku_is_taken_away_and_never_comes_back() {
    let mut server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let (mei, rin) = (Account::register(&server, "mei").await, Account::register(&server, "rin").await);
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    let begin = viewer.next("hello").await.id.unwrap();
    let mut posted = Vec::new();
    for text in ["first", "a regrettable word", "third"] {
        posted.push(mei.say(&scene.room, text).await.expect(201)["id"].as_str().unwrap().to_owned());
    }
    _ = viewer.through_text("third").await;
    let path = scene.path(&format!("/danmaku/{}", posted[1]));
    rin.delete(&path).await.refused(403, "not-allowed");
    assert_eq!(mei.delete(&path).await.status, 204);
    let moderation = viewer.next("moderation").await.json();
    assert_eq!((&moderation["deleted"], &moderation["muted"]), (&json!([posted[1]]), &json!(null)));
    server.get(&path).await.refused(404, "no-such-danmaku");
    assert_eq!(mei.delete(&path).await.status, 204, "deleting it again changes nothing");
    _ = scene.owner.say(&scene.room, "let us go on").await.expect(201);
    let seen = viewer.through_text("let us go on").await;
    assert!(seen.iter().all(|event| event.kind != "moderation"), "it is told once");

    for when in ["at once", "after kill -9", "after a restart"] {
        let texts: Vec<_> = scene.history(&server).await.iter().map(|danmaku| danmaku["text"].clone()).collect();
        assert_eq!(texts, ["first", "third", "let us go on"], "{when}");
        // Who comes back gets the position of what is gone, but not its text.
        let mut late = Watch::guest().after(&begin).open(&server, &scene.room).await;
        let mut positions = 0;
        let mut texts = Vec::new();
        while texts.last().map(String::as_str) != Some("let us go on") {
            match late.item().await.expect("the stream goes on") {
                Item::Position(_) => positions += 1,
                Item::Retry(_) => {}
                Item::Event(event) => {
                    assert!(!event.data.contains("regrettable"), "{when}: {}", event.data);
                    texts.extend(event.text());
                }
            }
        }
        assert_eq!(texts, ["first", "third", "let us go on"], "{when}");
        assert_eq!(positions, 1, "{when}: its place in the order stays");
        let hello = Watch::guest().open(&server, &scene.room).await.next("hello").await;
        assert!(!hello.data.contains("regrettable"), "{when}: {}", hello.data);
        match when {
            "at once" => {
                server.kill9().await;
                server.start_again().await;
            }
            _ => server.restart().await,
        }
    }
}

#[tokio::test]
async fn owner_and_admins_delete_anybodys() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let (mei, admin) = (Account::register(&server, "mei").await, Account::register(&server, "keeper").await);
    let say = async || {
        let posted = mei.say(&scene.room, "hm").await.expect(201);
        scene.path(&format!("/danmaku/{}", posted["id"].as_str().unwrap()))
    };
    assert_eq!(scene.owner.delete(&say().await).await.status, 204);
    let path = say().await;
    admin.delete(&path).await.refused(403, "not-allowed");
    let name = scene.path(&format!("/admins/{}", admin.id));
    assert_eq!(scene.owner.put(&name, &json!(null)).await.status, 204);
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(scene.history(&server).await.len(), 0);
}
