//! Who may see a replay, what its owner does with it, and what may be kept of it.

use goligoli_tests::replay::{items, list, xml_rows};
use goligoli_tests::{Account, Answer, objects, until};
use reqwest::Method;
use serde_json::{Value, json};

use crate::replay_evening::Evening;

/// Every way to read something of a replay.
const READS: [&str; 9] = [
    "",
    "/manifest",
    "/parts/1",
    "/segments/1",
    "/danmaku",
    "/danmaku.xml",
    "/danmaku.ass",
    "/danmaku.json",
    "/danmaku.pb",
];

#[tokio::test]
async fn a_hidden_replay_is_there_for_its_owner_only() {
    let evening = Evening::spend().await;
    let (server, scene, replay) = (&evening.server, &evening.scene, &evening.replay);
    let (owner, other) = (&scene.owner, &evening.accounts[0]);
    let patch = async |account: &Account, body: Value| {
        Answer::to(account.request(Method::PATCH, &replay.path("")).json(&body)).await
    };
    patch(other, json!({"visibility": "hidden"})).await.refused(403, "not-allowed");
    for bad in
        [json!({"visibility": "secret"}), json!({"title": ""}), json!({"title": "x".repeat(61)}), json!({"id": "7"})]
    {
        patch(owner, bad).await.refused(422, "invalid-field");
    }
    for path in READS {
        assert_eq!(server.get(&replay.path(path)).await.status, 200, "{path}");
    }
    assert_eq!(patch(owner, json!({"visibility": "hidden"})).await.expect(200)["visibility"], "hidden");
    for path in READS {
        server.get(&replay.path(path)).await.refused(404, "no-such-replay");
        other.get(&replay.path(path)).await.refused(404, "no-such-replay");
        let answer = owner.get(&replay.path(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        if let Some(caching) = answer.headers.get("cache-control") {
            assert!(!caching.to_str().unwrap().contains("public"), "{path}: {caching:?}");
        }
    }
    other.delete(&replay.path("")).await.refused(404, "no-such-replay");
    other.post(&replay.path("/index"), &Value::Null).await.refused(404, "no-such-replay");
    patch(other, json!({"visibility": "public"})).await.refused(404, "no-such-replay");
    assert_eq!(server.get(&scene.path("/replays")).await.expect(200)["items"], json!([]));
    assert_eq!(list(other, &scene.room).await, Vec::<Value>::new());
    assert_eq!(list(owner, &scene.room).await.len(), 1);
    _ = patch(owner, json!({"visibility": "public"})).await.expect(200);
    assert_eq!(list(other, &scene.room).await.len(), 1);

    // A room that takes no guests keeps its replays from them as well.
    scene.rules(json!({"guests": false})).await;
    for path in READS {
        server.get(&replay.path(path)).await.refused(401, "not-signed-in");
        let answer = other.get(&replay.path(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        if let Some(caching) = answer.headers.get("cache-control") {
            assert!(!caching.to_str().unwrap().contains("public"), "{path}: {caching:?}");
        }
    }
    server.get(&scene.path("/replays")).await.refused(401, "not-signed-in");
}

#[tokio::test]
async fn the_owner_renames_indexes_again_and_deletes() {
    let evening = Evening::spend().await;
    let (server, scene, replay) = (&evening.server, &evening.scene, &evening.replay);
    let (owner, other) = (&scene.owner, &evening.accounts[0]);
    let rows = async || xml_rows(&replay.file(owner, "xml").await.text()).to_owned();
    let before = rows().await;

    other.post(&replay.path("/index"), &Value::Null).await.refused(403, "not-allowed");
    let version = evening.version().await;
    assert_eq!(owner.post(&replay.path("/index"), &Value::Null).await.expect(202)["id"], replay.id.as_str());
    _ = replay.later(owner, version).await;
    assert_eq!(rows().await, before, "from the same danmaku the same file");
    replay.swept(server, owner).await;

    let rename = owner.request(Method::PATCH, &replay.path("")).json(&json!({"title": "  The best evening "}));
    assert_eq!(Answer::to(rename).await.expect(200)["title"], "The best evening");
    until("the title is in the index", async || {
        (replay.manifest(owner).await["replay"]["title"] == "The best evening").then_some(())
    })
    .await;
    assert_eq!(rows().await, before);

    other.delete(&replay.path("")).await.refused(403, "not-allowed");
    assert_eq!(owner.delete(&replay.path("")).await.status, 204);
    for path in READS {
        owner.get(&replay.path(path)).await.refused(404, "no-such-replay");
    }
    assert_eq!(list(owner, &scene.room).await, Vec::<Value>::new());
    until("its objects are gone", async || objects(server).await.is_empty().then_some(())).await;
    assert_eq!(scene.history(server).await.len(), evening.said.len(), "what was said stays said");
}

#[tokio::test]
async fn what_belongs_to_a_version_may_be_kept_for_ever() {
    let evening = Evening::spend().await;
    let (server, replay) = (&evening.server, &evening.replay);
    let owner = &evening.scene.owner;
    // The marks are in it by then, so that no other version comes between.
    let marked = async || items(&replay.manifest(owner).await["marks"]).len() == 2;
    until("the marks are there", async || marked().await.then_some(())).await;
    let version = evening.version().await;
    let files = READS.iter().filter(|path| !["", "/danmaku"].contains(path));
    let ask = async |path: &str, known: Option<&str>| {
        let mut request = server.client().get(server.url(&replay.path(path)));
        if let Some(known) = known {
            request = request.header("If-None-Match", known);
        }
        Answer::to(request).await
    };
    for path in files.clone() {
        let lasting = ask(&format!("{path}?v={version}"), None).await;
        assert_eq!(lasting.status, 200);
        assert_eq!(lasting.headers["cache-control"], "public, max-age=31536000, s-maxage=60, immutable", "{path}");
        let etag = lasting.headers["etag"].to_str().unwrap();
        for query in ["".to_owned(), format!("?v={}", version + 1)] {
            let current = ask(&format!("{path}{query}"), None).await;
            assert_eq!(current.headers["cache-control"], "public, no-cache", "{path}{query}");
            assert_eq!((current.headers["etag"].to_str().unwrap(), &current.body), (etag, &lasting.body));
        }
        let unchanged = ask(path, Some(etag)).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (304, 0), "{path}");
        assert_eq!(unchanged.headers["etag"], etag);
        assert_eq!(ask(path, Some("\"other\"")).await.status, 200);
    }
    _ = owner.post(&replay.path("/index"), &Value::Null).await.expect(202);
    let later = replay.later(owner, version).await["version"].as_u64().unwrap();
    for path in files {
        let old = format!("\"{version}\"");
        let current = ask(path, Some(&old)).await;
        assert_eq!((current.status, current.headers["etag"].to_str().unwrap()), (200, format!("\"{later}\"").as_str()));
        assert_eq!(ask(&format!("{path}?v={version}"), None).await.headers["cache-control"], "public, no-cache");
    }
}
