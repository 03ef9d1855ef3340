//! An event stream that nothing disturbs.

use goligoli_tests::sse::{Event, Item, Parser};
use goligoli_tests::{Account, DEADLINE, Scene, Setup, Viewer, Watch, in_time, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_posted_danmaku_reaches_every_viewer_as_it_was_sent() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let mut viewers = vec![
        Watch::guest().open(&server, &scene.room).await,
        Watch::by(&mei).open(&server, &scene.room).await,
        Watch::by(&scene.owner).open(&server, &scene.room).await,
    ];
    for (viewer, account) in viewers.iter_mut().zip([None, Some(&mei), Some(&scene.owner)]) {
        let welcome = viewer.event().await;
        assert_eq!((welcome.kind.as_str(), welcome.id.as_ref()), ("welcome", None));
        assert_eq!(welcome.json()["resumed"], false);
        assert_eq!(welcome.json()["user_id"], account.map_or(Value::Null, |account| json!(account.id)));
        let hello = viewer.event().await;
        assert_eq!(hello.kind, "hello", "what follows is where the room stands");
        assert_eq!(hello.id.as_deref(), Some(viewer.position()));
        let hello = hello.json();
        assert_eq!(hello["room"]["id"], scene.room);
        assert_eq!(hello["danmaku"], json!([]));
    }
    let body = json!({"text": "  哈哈哈 <b>what</b> a goal \u{1f389} ", "mode": "bottom", "color": "#FFd302", "size": "large"});
    let posted = mei.post(&scene.path("/danmaku"), &body).await;
    let location = posted.headers["location"].to_str().unwrap().to_owned();
    let posted = posted.expect(201);
    assert_eq!(location, scene.path(&format!("/danmaku/{}", posted["id"].as_str().unwrap())));
    assert_eq!(server.get(&location).await.expect(200), posted);
    for viewer in &mut viewers {
        let event = viewer.next("danmaku").await;
        assert!(event.id.is_some());
        let seen = event.json();
        assert_eq!(seen["text"], "哈哈哈 <b>what</b> a goal \u{1f389}");
        assert_eq!(
            (&seen["mode"], &seen["color"], &seen["size"]),
            (&json!("bottom"), &json!("#ffd302"), &json!("large"))
        );
        assert_eq!(seen["sender"], json!({"id": mei.id, "name": "mei", "role": "viewer"}));
        for field in ["id", "session_id", "sender", "text", "mode", "color", "size"] {
            assert_eq!(seen[field], posted[field], "{field} is the same in the answer and on the stream");
        }
    }
    // Who comes later finds it in the hello.
    let hello = Watch::guest().open(&server, &scene.room).await.next("hello").await.json();
    let shown: Vec<&Value> = hello["danmaku"].as_array().unwrap().iter().map(|danmaku| &danmaku["id"]).collect();
    // A hello may be a second old; then the stream itself brings it.
    assert!(shown.is_empty() || shown == [&posted["id"]], "{shown:?}");
    // It was shown, as the answer to the post could not know yet.
    let mut shown = until("it reads as shown live", async || {
        let history = scene.history(&server).await;
        (history[0]["delivery"] == "live").then_some(history)
    })
    .await;
    assert_eq!(posted["delivery"], "stored");
    shown[0]["delivery"] = posted["delivery"].clone();
    assert_eq!(shown, [posted]);
}

#[tokio::test]
async fn what_happens_to_the_room_is_told() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    if viewer.next("hello").await.json()["room"]["session"].is_null() {
        assert_eq!(viewer.next("room").await.json()["change"], "opened");
    }
    scene.rules(json!({"slow_mode_s": 7, "mute_all": false, "guests": true})).await;
    let rules = viewer.next("room").await.json();
    assert_eq!((&rules["change"], &rules["room"]["rules"]["slow_mode_s"]), (&json!("rules"), &json!(7)));
    let patch = scene.owner.request(reqwest::Method::PATCH, &scene.path("")).json(&json!({"title": "新标题"}));
    _ = goligoli_tests::Answer::to(patch).await.expect(200);
    let edited = viewer.next("room").await.json();
    assert_eq!((&edited["change"], &edited["room"]["title"]), (&json!("edited"), &json!("新标题")));
    let close = scene.path(&format!("/sessions/{}/close", scene.session));
    _ = scene.owner.post(&close, &Value::Null).await.expect(200);
    let closed = viewer.next("room").await.json();
    assert_eq!((&closed["change"], &closed["room"]["session"]), (&json!("closed"), &Value::Null));
    let versions = [&rules, &edited, &closed].map(|event| event["room"]["version"].as_u64().unwrap());
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[tokio::test]
async fn nothing_on_the_way_may_buffer_or_change_a_stream() {
    // nginx takes some of these words for itself.
    let server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let mut viewer = Watch::guest().accept_gzip().open(&server, &scene.room).await;
    let header = |viewer: &Viewer, name: &str| {
        viewer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(header(&viewer, "content-type"), "text/event-stream");
    let cache: Vec<String> = header(&viewer, "cache-control").split(',').map(|word| word.trim().to_owned()).collect();
    for word in ["no-cache", "no-transform"] {
        assert!(cache.iter().any(|other| other == word), "{cache:?} has {word}");
    }
    assert_eq!(header(&viewer, "x-accel-buffering"), "no");
    assert_eq!(header(&viewer, "content-encoding"), "");
    assert_eq!(header(&viewer, "content-length"), "");
    // Plain text from the first byte on: the parser would not find a hello in anything else.
    assert!(matches!(viewer.item().await, Some(Item::Retry(1..))), "first, how long to wait before coming back");
    _ = viewer.next("hello").await;
}

#[tokio::test]
async fn a_quiet_stream_repeats_its_position() {
    let server = Setup::new().set("PUSH__HEARTBEAT_MS", "50").start().await;
    let scene = Scene::open(&server).await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    let mut position = viewer.next("hello").await.id.unwrap();
    let mut beats = 0;
    while beats < 3 {
        match viewer.item().await.expect("the stream goes on") {
            Item::Position(id) => {
                assert_eq!(id, position, "nothing happened since");
                beats += 1;
            }
            // A hello may be a second old: what it lacks comes after it.
            Item::Event(Event { id: Some(id), .. }) => (position, beats) = (id, 0),
            Item::Event(event) => assert_eq!(event.kind, "viewers", "nothing else happens in this room"),
            Item::Retry(_) => panic!("once is enough"),
        }
    }
    _ = scene.owner.say(&scene.room, "after the silence").await.expect(201);
    let spoken = viewer.next("danmaku").await.id.unwrap();
    assert_ne!(spoken, position);
    loop {
        // `suppressed` totals may move the position further.
        match viewer.item().await.expect("the stream goes on") {
            Item::Position(id) => break assert_ne!(id, position, "the position moved"),
            Item::Event(_) | Item::Retry(_) => {}
        }
    }
}

#[tokio::test]
async fn max_events_bounds_a_stream() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    for most in 1..=5_u32 {
        let mut viewer = Watch::guest().query(&format!("max_events={most}")).open(&server, &scene.room).await;
        for n in 0..most.saturating_sub(2) {
            _ = scene.owner.say(&scene.room, &format!("line {n} of {most}")).await.expect(201);
        }
        let kinds: Vec<String> = viewer
            .to_end()
            .await
            .into_iter()
            .filter_map(|item| if let Item::Event(event) = item { Some(event.kind) } else { None })
            .collect();
        assert_eq!(kinds.len(), most as usize + 1, "{kinds:?}");
        assert_eq!((kinds[0].as_str(), kinds.last().unwrap().as_str()), ("welcome", "bye"));
    }
    for bad in ["max_events=0", "max_events=-1", "max_events=x", "max_events=99999999"] {
        Watch::guest().query(bad).refused(&server, &scene.room).await.refused(400, "malformed-request");
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_a_stream_until_the_connection_ends() {
    const MOST: usize = 6;
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mut socket = TcpStream::connect(server.address()).await.unwrap();
    let request = format!("GET {}?max_events={MOST} HTTP/1.0\r\n\r\n", scene.path("/events"));
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("event: hello\n") {
        let bytes = in_time(DEADLINE, "the hello", socket.read_buf(&mut answer)).await.unwrap();
        assert!(bytes > 0, "{}", String::from_utf8_lossy(&answer));
    }
    for n in 0..MOST {
        _ = scene.owner.say(&scene.room, &format!("line {n}")).await.expect(201);
    }
    _ = in_time(DEADLINE, "the end", socket.read_to_end(&mut answer)).await.unwrap();

    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.") && head[8..].starts_with(" 200"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/event-stream"), "{head}");
    assert!(!head.contains("transfer-encoding") && body.starts_with("retry: "), "nothing is chunked: {answer}");
    let events: Vec<Event> = Parser::default()
        .feed(body.as_bytes())
        .into_iter()
        .filter_map(|item| if let Item::Event(event) = item { Some(event) } else { None })
        .collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!((&kinds[..2], kinds[MOST]), (&["welcome", "hello"][..], "bye"), "{kinds:?}");
    assert_eq!(kinds.len(), MOST + 1, "{kinds:?}");
    let lines: Vec<String> = events.iter().filter_map(Event::text).collect();
    assert!(!lines.is_empty(), "{kinds:?}");
    assert!(lines.iter().enumerate().all(|(n, line)| *line == format!("line {n}")), "{lines:?}");
}

#[tokio::test]
async fn a_room_that_is_not_there_has_no_stream() {
    let server = Setup::new().start().await;
    Watch::guest().refused(&server, "999").await.refused(404, "no-such-room");
    for bad in ["0", "x", "1e3", "99999999999999999999"] {
        Watch::guest().refused(&server, bad).await.refused(400, "malformed-request");
    }
}

#[tokio::test]
async fn a_room_without_guests_sends_them_away() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let mut guest = Watch::guest().open(&server, &scene.room).await;
    let mut member = Watch::by(&mei).open(&server, &scene.room).await;
    _ = (guest.next("hello").await, member.next("hello").await);
    scene.rules(json!({"slow_mode_s": 0, "mute_all": false, "guests": false})).await;
    let bye = guest.next("bye").await;
    assert_eq!(bye.json(), json!({"reason": "guests_out", "reconnect_in_ms": null}));
    assert_eq!(guest.item_or_error().await.expect("it ends properly"), None);
    Watch::guest().refused(&server, &scene.room).await.refused(401, "not-signed-in");
    // The member stays, and members may come.
    _ = scene.owner.say(&scene.room, "among ourselves").await.expect(201);
    _ = member.through_text("among ourselves").await;
    _ = Watch::by(&mei).open(&server, &scene.room).await.next("hello").await;
    scene.rules(json!({"slow_mode_s": 0, "mute_all": false, "guests": true})).await;
    assert_eq!(member.next("room").await.json()["room"]["rules"]["guests"], true);
    _ = Watch::guest().open(&server, &scene.room).await.next("hello").await;
}
