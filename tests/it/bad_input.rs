//! Every operation of the API under every kind of bad request: the right refusal, no
//! crash, and nothing changes.

use std::time::Duration;

use goligoli_tests::replay::{Replay, importing};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, in_time, until};
use reqwest::Method;
use serde_json::{Value, json};

/// An operation, as the API's own document has it.
#[derive(Debug)]
struct Operation {
    method: Method,
    path: String,
    needs_log_in: bool,
    media_types: Vec<String>,
    parameters: Vec<String>,
}

/// A danmaku that was brought in a file.
const REPLAYED: &str = "77";

struct World {
    server: Server,
    scene: Scene,
    danmaku: String,
    lottery: String,
    /// It has a danmaku with the id [`REPLAYED`].
    replay: Replay,
    operations: Vec<Operation>,
}

impl World {
    async fn make() -> Self {
        let server = Setup::new().alone().start().await;
        let scene = Scene::open(&server).await;
        let danmaku = scene.owner.say(&scene.room, "something to lose").await.expect(201);
        let danmaku = danmaku["id"].as_str().unwrap().to_owned();
        // What becomes of it is noted a moment after the answer; that is no change of ours.
        let path = scene.path(&format!("/danmaku/{danmaku}"));
        until("it is shown live", async || (server.get(&path).await.expect(200)["delivery"] == "live").then_some(()))
            .await;
        let body = json!({"title": "The draw", "prizes": [{"name": "a book", "count": 1}], "duration_s": 3_600});
        let lottery = scene.owner.post(&scene.path("/lotteries"), &body).await.expect(201);
        let lottery = lottery["id"].as_str().unwrap().to_owned();
        let file = format!("<i><d p=\"1,1,25,255,1700000000,0,a,{REPLAYED}\">something more to lose</d></i>");
        let imported = Answer::to(importing(&scene.owner, &scene.room, "A file").body(file)).await.expect(201);
        let replay = Replay::from(&imported["replay"]);
        _ = replay.ready(&scene.owner).await;
        let document = server.get("/api/v1/openapi.json").await.expect(200);
        let mut operations = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                operations.push(Operation {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    // A stream and the history take a log-in, but guests too.
                    needs_log_in: operation["security"].as_array().is_some_and(|ways| !ways.contains(&json!({}))),
                    media_types: operation["requestBody"]["content"]
                        .as_object()
                        .map(|content| content.keys().cloned().collect())
                        .unwrap_or_default(),
                    parameters: operation["parameters"]
                        .as_array()
                        .map(|all| all.iter().filter(|one| one["in"] == "query").map(name).collect())
                        .unwrap_or_default(),
                });
            }
        }
        assert!(operations.len() > 25, "the document was read: {operations:?}");
        Self { server, scene, danmaku, lottery, replay, operations }
    }

    /// A path with ids that exist, but for the parameter that `bad` gives.
    fn path(&self, template: &str, bad: Option<(&str, &str)>) -> String {
        let owner = &self.scene.owner;
        let id = if template.contains("/devices/") {
            &owner.device
        } else if template.contains("/users/") {
            &owner.id
        } else if template.contains("/lotteries/") {
            &self.lottery
        } else if template.contains("/replays/") {
            &self.replay.id
        } else {
            &self.scene.room
        };
        let is_of_replay = template.contains("/replays/");
        let (danmaku, n) = if is_of_replay { (REPLAYED, "1") } else { (self.danmaku.as_str(), "0") };
        let (session, user) = (self.scene.session.as_str(), owner.id.as_str());
        let good = [("id", id.as_str()), ("danmaku", danmaku), ("session", session), ("user", user), ("n", n)];
        let mut path = template.to_owned();
        if let Some((parameter, bad)) = bad {
            path = path.replace(&format!("{{{parameter}}}"), bad);
        }
        good.iter().fold(path, |path, (parameter, id)| path.replace(&format!("{{{parameter}}}"), id))
    }

    fn anonymous(&self, operation: &Operation, path: &str) -> reqwest::RequestBuilder {
        self.server.client().request(operation.method.clone(), self.server.url(path))
    }

    /// All that anybody could see to have changed.
    async fn state(&self) -> Vec<Value> {
        let mut state = Vec::new();
        for path in ["", "/danmaku", "/admins", "/sessions", "/lotteries", "/replays"] {
            state.push(self.server.get(&self.scene.path(path)).await.expect(200));
        }
        state.push(self.server.get("/api/v1/rooms").await.expect(200));
        for path in ["/api/v1/me".to_owned(), self.scene.path("/mutes")] {
            state.push(self.scene.owner.get(&path).await.expect(200));
        }
        let devices = self.scene.owner.get("/api/v1/me/devices").await.expect(200);
        state.push(json!(devices["items"].as_array().unwrap().len()));
        state.push(json!(self.server.get(&self.scene.path("/cover")).await.status));
        state.push(self.server.get(&self.replay.path("/danmaku")).await.expect(200));
        state
    }
}

fn name(parameter: &Value) -> String {
    parameter["name"].as_str().unwrap().to_owned()
}

/// Sends a bad request; it must be refused with one of these statuses, by a whole problem.
async fn refused(request: reqwest::RequestBuilder, statuses: &[u16], what: &str) {
    let answer = in_time(Duration::from_secs(20), what, Answer::to(request)).await;
    assert!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    _ = answer.problem();
}

#[tokio::test]
async fn nobody_gets_far_without_a_log_in() {
    let world = World::make().await;
    let before = world.state().await;
    for operation in world.operations.iter().filter(|operation| operation.needs_log_in) {
        let path = world.path(&operation.path, None);
        let what = format!("{} {path}", operation.method);
        let body = |request: reqwest::RequestBuilder| match operation.media_types.first() {
            Some(media_type) => request.header("Content-Type", media_type).body("{}"),
            None => request,
        };
        refused(body(world.anonymous(operation, &path)), &[401], &format!("{what}, anonymous")).await;
        let long = "x".repeat(10_000);
        let real = &world.scene.owner.token;
        let forged = format!("{}x", &real[..real.len() - 1]);
        for credentials in [
            "Bearer",
            "Bearer ",
            "Bearer x.y.z",
            "Basic bWVpOm1laQ==",
            &format!("Bearer {long}"),
            &format!("Bearer {forged}"),
        ] {
            let request = body(world.anonymous(operation, &path)).header("Authorization", credentials);
            refused(request, &[401], &format!("{what}, {}", &credentials[..credentials.len().min(20)])).await;
        }
        // A cookie counts only if the page itself sends it.
        if !operation.method.is_safe() {
            let cookie = format!("goligoli_access={real}");
            let request = body(world.anonymous(operation, &path))
                .header("Cookie", cookie)
                .header("Origin", "https://evil.example")
                .header("Sec-Fetch-Site", "cross-site");
            refused(request, &[403], &format!("{what}, from another site")).await;
        }
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn bodies_that_are_none_are_refused() {
    let world = World::make().await;
    let before = world.state().await;
    let deep = "[".repeat(50_000);
    let huge = format!("{{\"text\":\"{}\"}}", "x".repeat(4 << 20));
    let bodies: [(&[u8], &[u16]); 14] = [
        (b"", &[400]),
        (b"{", &[400]),
        (b"{\"a\":}", &[400, 422]),
        (b"nonsense", &[400]),
        (b"\xff\xfe\x00", &[400]),
        (b"{} {}", &[400, 422]),
        (b"null", &[422]),
        (b"[]", &[422]),
        (b"7", &[422]),
        (b"\"text\"", &[422]),
        (b"{\"no_such_field\":1}", &[422]),
        (b"{\"text\":7,\"title\":7,\"name\":7,\"bio\":7,\"current\":7,\"span\":7,\"slow_mode_s\":\"7\",\"refresh_token\":7}", &[422]),
        (deep.as_bytes(), &[400, 422]),
        (huge.as_bytes(), &[413]),
    ];
    let mut tried = 0;
    for operation in world.operations.iter().filter(|one| one.media_types == ["application/json"]) {
        let path = world.path(&operation.path, None);
        let request = || world.scene.owner.request(operation.method.clone(), &path);
        for (body, statuses) in bodies {
            let what =
                format!("{} {path} {:?}", operation.method, String::from_utf8_lossy(&body[..body.len().min(40)]));
            let request = request().header("Content-Type", "application/json").body(body.to_vec());
            refused(request, statuses, &what).await;
            tried += 1;
        }
        for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", ""] {
            let what = format!("{} {path} as {media_type:?}", operation.method);
            refused(request().header("Content-Type", media_type).body("{}"), &[415], &what).await;
        }
        refused(request().body("{}"), &[415], &format!("{} {path} as nothing", operation.method)).await;
    }
    assert!(tried > 100, "{tried}");
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn images_that_are_none_are_refused() {
    let world = World::make().await;
    let before = world.state().await;
    let path = world.scene.path("/cover");
    let put = |media_type: &str, body: Vec<u8>| {
        world.scene.owner.request(Method::PUT, &path).header("Content-Type", media_type).body(body)
    };
    let png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\xff\xff\xff\xff\xff\xff\xff\xff\x08\x06\x00\x00\x00";
    for body in [&b""[..], b"GIF89a", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff\xe0 cut off", png] {
        refused(put("image/png", body.to_vec()), &[415, 422], &String::from_utf8_lossy(body)).await;
    }
    refused(put("image/png", vec![0; (2 << 20) + 1]), &[413], "too large").await;
    for media_type in ["image/svg+xml", "image/gif", "text/html", "application/json"] {
        refused(put(media_type, vec![0; 9]), &[415], media_type).await;
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn ids_and_queries_that_are_none_are_refused() {
    let world = World::make().await;
    let before = world.state().await;
    let bad_ids =
        ["0", "-1", "01", "1.0", "abc", "1e3", "99999999999999999", "%00", "%F0%9F%9A%86", "'%3B--", "1%2F2", "..%2f"];
    let long = &"x".repeat(101);
    let mut tried = 0;
    for operation in &world.operations {
        let what = |bad: &str| format!("{} {} with {bad}", operation.method, operation.path);
        let body = |request: reqwest::RequestBuilder| match operation.media_types.first().map(String::as_str) {
            Some("application/json") => request.json(&good_body(&operation.path)),
            Some(media_type) => request.header("Content-Type", media_type).body(vec![0; 9]),
            None => request,
        };
        let ask = |path: &str| body(world.scene.owner.request(operation.method.clone(), path));
        // What must be in the query.
        let query = if operation.parameters.iter().any(|one| one == "title") { "?title=a+title" } else { "" };
        for parameter in ["id", "danmaku", "session", "user"] {
            if !operation.path.contains(&format!("{{{parameter}}}")) {
                continue;
            }
            for bad in bad_ids {
                let path = world.path(&operation.path, Some((parameter, bad))) + query;
                refused(ask(&path), &[400, 404], &what(bad)).await;
                tried += 1;
            }
            // An id that might be one, but isn't.
            let path = world.path(&operation.path, Some((parameter, "900719925474099"))) + query;
            let answer = Answer::to(ask(&path)).await;
            // Taking away what is not there may be fine.
            let gone = operation.method == Method::DELETE && answer.status == 204;
            if !gone {
                let statuses: &[u16] = if path.ends_with("/cover") { &[404, 422] } else { &[404] };
                assert!(statuses.contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
                _ = answer.problem();
            }
        }
        let path = world.path(&operation.path, None);
        for parameter in &operation.parameters {
            let bad: &[&str] = match parameter.as_str() {
                "limit" | "max_events" => &["0", "-1", "x", "1.5", "", "99999999", "99999999999999999999"],
                "rate" => &["-1", "x", "1.5", "", "1001", "99999999999999999999"],
                "cursor" | "before" | "after" => &["x", "-1.-1", "1.1.1", "%00", "99999999999999999999.1"],
                "owner" | "session" | "sender" => &["x", "0", "-1", "%00"],
                "live" => &["x", "2"],
                // A cover is looked for first.
                "v" if operation.path.ends_with("/cover") => continue,
                "v" | "from_ms" | "before_ms" => &["-1", "x", "1.5", "", "99999999999999999999"],
                "title" => &["", "%20", "%00", "a%0Ab", long],
                "text" => &["", long],
                _ => continue,
            };
            for bad in bad {
                let path = format!("{path}?{parameter}={bad}");
                refused(ask(&path), &[400, 422], &what(&path)).await;
                tried += 1;
            }
        }
    }
    assert!(tried > 200, "{tried}");
    assert_eq!(world.state().await, before);
}

/// A body that would be taken, so that only what else is wrong can be why it isn't.
fn good_body(path: &str) -> Value {
    match path.rsplit('/').next().unwrap() {
        "danmaku" => json!({"text": "a danmaku"}),
        "lotteries" => json!({"title": "Another", "prizes": [{"name": "a pen", "count": 1}], "duration_s": 60}),
        "cancel" => json!({"reason": "the prize broke"}),
        "redraw" => json!({"n": 0}),
        "rules" => json!({"slow_mode_s": 5}),
        "{user}" => json!({"span": "forever"}),
        "{id}" => json!({"title": "another title"}),
        other => panic!("no body for {other}, which has no id in its path"),
    }
}

#[tokio::test]
async fn methods_and_paths_that_are_none_are_refused() {
    let world = World::make().await;
    let before = world.state().await;
    let paths: std::collections::BTreeSet<&str> = world.operations.iter().map(|one| one.path.as_str()).collect();
    for template in paths {
        let known: Vec<&Method> =
            world.operations.iter().filter(|one| one.path == template).map(|one| &one.method).collect();
        let path = world.path(template, None);
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            if known.contains(&&method) {
                continue;
            }
            let answer = Answer::to(world.scene.owner.request(method.clone(), &path)).await;
            assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
            answer.refused(405, "method-not-allowed");
            let allowed = answer.headers.get("allow").map(|value| value.to_str().unwrap()).unwrap_or_default();
            for known in &known {
                assert!(allowed.contains(known.as_str()), "{path} allows {known}: {allowed:?}");
            }
        }
    }
    for path in
        ["/api", "/api/v1", "/api/v1/", "/api/v2/rooms", "/api/v1/rooms/", "/api/v1/no-such", "/api/v1/rooms/1/no-such"]
    {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = Answer::to(world.scene.owner.request(method.clone(), path)).await;
            assert!([404, 405].contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
            _ = answer.problem();
        }
    }
    assert_eq!(world.state().await, before);
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let world = World::make().await;
    let before = world.state().await;
    let paths = ["/api/v1/rooms".to_owned(), world.scene.path("/danmaku"), world.scene.path("/sessions")];
    for path in &paths {
        for key in ["", " ", "a b", "\"unclosed", &"x".repeat(65), "ключ"] {
            let body = if path.ends_with("danmaku") { json!({"text": "a"}) } else { json!({"title": "a"}) };
            let request = world.scene.owner.request(Method::POST, path).header("Idempotency-Key", key.as_bytes());
            refused(request.json(&body), &[400], &format!("{path} under {key:?}")).await;
        }
    }
    let owner = &world.scene.owner;
    let wrong = json!({"name": owner.name, "password": "not this one"});
    let log_in = world.server.client().post(world.server.url("/api/v1/auth/login")).json(&wrong);
    Answer::to(log_in).await.refused(401, "wrong-credentials");
    let again = json!({"name": owner.name, "password": Account::PASSWORD});
    let register = world.server.client().post(world.server.url("/api/v1/users")).json(&again);
    Answer::to(register).await.refused(409, "name-taken");
    assert_eq!(world.state().await, before);
}
