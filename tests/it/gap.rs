//! Positions that a room no longer has, or never had.

use goligoli_tests::sse::Event;
use goligoli_tests::{Scene, Server, Setup, Viewer, Watch};

const KEPT: usize = 50;

/// A room that has seen more than it keeps: the position before all of it, and all of it
/// as somebody saw who was there.
async fn long_evening(server: &Server, scene: &Scene) -> (String, Vec<Event>) {
    let mut witness = Watch::guest().open(server, &scene.room).await;
    let begin = witness.next("hello").await.id.unwrap();
    for n in 0..KEPT * 2 {
        _ = scene.owner.say(&scene.room, &format!("line {n}")).await.expect(201);
    }
    _ = scene.owner.say(&scene.room, "good night").await.expect(201);
    let seen = witness.through_text("good night").await;
    (begin, seen.into_iter().filter(|event| event.id.is_some()).collect())
}

/// `welcome`, `gap`, `hello`: the last two.
async fn gap_and_hello(viewer: &mut Viewer) -> (Event, Event) {
    let welcome = viewer.event().await;
    assert_eq!((welcome.kind.as_str(), &welcome.json()["resumed"]), ("welcome", &false.into()));
    let (gap, hello) = (viewer.event().await, viewer.event().await);
    assert_eq!((gap.kind.as_str(), gap.id.as_ref(), hello.kind.as_str()), ("gap", None, "hello"));
    assert!(gap.json()["retry_after_ms"].is_u64(), "{}", gap.data);
    (gap, hello)
}

#[tokio::test]
async fn an_expired_position_gives_one_exact_gap() {
    let server = Setup::new().set("PUSH__KEEP_EVENTS", &KEPT.to_string()).start().await;
    let scene = Scene::open(&server).await;
    let (begin, all) = long_evening(&server, &scene).await;
    let by_header = Watch::guest().after(&begin);
    let by_query = Watch::guest().query(&format!("last_event_id={begin}"));
    for watch in [by_header, by_query] {
        let mut late = watch.open(&server, &scene.room).await;
        let (gap, hello) = gap_and_hello(&mut late).await;
        let missed = usize::try_from(gap.json()["n"].as_u64().expect("an exact number")).unwrap();
        // What is not missed comes, from the position that the hello gives.
        assert_eq!(all[missed - 1].id, hello.id, "the stream goes on from the hello's id");
        let rest = late.through_text("good night").await;
        let rest: Vec<Event> = rest.into_iter().filter(|event| event.id.is_some()).collect();
        assert_eq!(rest, all[missed..], "{missed} were missed, all others come, once and in order");
        // Totals may have followed the last word and pushed one more out.
        assert!((KEPT - 1..=KEPT).contains(&rest.len()), "{} were left", rest.len());
    }
    // The history has what was missed, at or after the gap's first cursor.
    let mut late = Watch::guest().after(&all[10].id.clone().unwrap()).open(&server, &scene.room).await;
    let (gap, _) = gap_and_hello(&mut late).await;
    if let Some(from) = gap.json()["from"].as_str() {
        let path = scene.path(&format!("/danmaku?limit=200&after={from}"));
        let page = server.get(&path).await.expect(200);
        let texts: Vec<&str> =
            page["items"].as_array().unwrap().iter().map(|danmaku| danmaku["text"].as_str().unwrap()).collect();
        for missed in all[11..].iter().filter_map(Event::text) {
            assert!(texts.contains(&missed.as_str()), "{missed} is missing from the history after {from}");
        }
    }
    // Who missed nothing has no gap.
    let (before_last, last) = (&all[all.len() - 2], all.last().unwrap());
    let mut here = Watch::guest().after(before_last.id.as_ref().unwrap()).open(&server, &scene.room).await;
    assert_eq!(here.event().await.json()["resumed"], true);
    assert_eq!(&here.event().await, last);
}

#[tokio::test]
async fn the_same_gap_after_kill_9() {
    let mut server = Setup::new().set("PUSH__KEEP_EVENTS", &KEPT.to_string()).start().await;
    let scene = Scene::open(&server).await;
    let (begin, all) = long_evening(&server, &scene).await;
    server.kill9().await;
    server.start_again().await;
    let mut late = Watch::guest().after(&begin).open(&server, &scene.room).await;
    let (gap, hello) = gap_and_hello(&mut late).await;
    let missed = usize::try_from(gap.json()["n"].as_u64().expect("an exact number")).unwrap();
    assert_eq!(all[missed - 1].id, hello.id);
    let rest = late.through_text("good night").await;
    let rest: Vec<Event> = rest.into_iter().filter(|event| event.id.is_some()).collect();
    assert_eq!(rest, all[missed..]);
}

#[tokio::test]
async fn a_foreign_position_gives_a_gap_of_unknown_size() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mut witness = Watch::guest().open(&server, &scene.room).await;
    let begin = witness.next("hello").await.id.unwrap();
    let (epoch, number) = begin.split_once('-').unwrap();
    let number: u64 = number.parse().unwrap();
    let mut foreign: Vec<String> =
        ["garbage", "1-1", "-", "99999999999999999999999-1", "1", "1-2-3", "<b>", "%00"].map(str::to_owned).to_vec();
    // A later position of ours than there is: from a feed that was lost.
    foreign.push(format!("{epoch}-{}", number + 1_000));
    for id in &foreign {
        let mut viewer = Watch::guest().after(id).open(&server, &scene.room).await;
        let (gap, hello) = gap_and_hello(&mut viewer).await;
        assert!(gap.json()["n"].is_null(), "{id}: {}", gap.data);
        assert_eq!(hello.json()["room"]["id"], scene.room, "{id}");
        let text = format!("after {}", foreign.iter().position(|other| other == id).unwrap());
        _ = scene.owner.say(&scene.room, &text).await.expect(201);
        _ = viewer.through_text(&text).await;
    }
    // An empty id is what a client sends that never got one: no gap.
    let mut fresh = Watch::guest().after("").open(&server, &scene.room).await;
    _ = fresh.event().await;
    assert_eq!(fresh.event().await.kind, "hello");
}
