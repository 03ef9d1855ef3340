//! From an evening to its replay: all that was accepted is in it, in every format.

use std::collections::BTreeSet;

use goligoli_tests::lottery::{Lottery, book};
use goligoli_tests::replay::{Replay, ids, importing, items, segment_lines, xml_lines};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, objects, until};
use idl::Timestamp;
use serde_json::{Value, json};

const MODES: [(&str, &str); 4] = [("scroll", "1"), ("top", "5"), ("bottom", "4"), ("reverse", "6")];
const SIZES: [(&str, &str); 3] = [("small", "18"), ("standard", "25"), ("large", "36")];
const COLORS: [(&str, &str); 3] = [("#ffffff", "16777215"), ("#000000", "0"), ("#ffd302", "16765698")];
const TEXTS: [&str; 5] = ["<b> & \"it's\"", "哈哈哈 🎉", "]]> &amp; \\N{\\an8}", "What a GOAL 100%_", "/n"];

/// An evening that has ended, and its replay.
pub(crate) struct Evening {
    pub(crate) server: Server,
    pub(crate) scene: Scene,
    pub(crate) accounts: Vec<Account>,
    /// The answers to what was posted, by time and id.
    pub(crate) said: Vec<Value>,
    lottery: Lottery,
    pub(crate) replay: Replay,
}

impl Evening {
    /// Several people say everything in every way, and there is a lottery.
    pub(crate) async fn spend() -> Self {
        let server = Setup::new().start().await;
        let scene = Scene::open(&server).await;
        let accounts = Account::seed(&server, 3).await;
        let lottery = Lottery::open(&scene, &book(1)).await;
        let ways = MODES.iter().flat_map(|mode| SIZES.iter().map(move |size| (mode.0, size.0)));
        let ways: Vec<_> = ways.flat_map(|way| COLORS.iter().map(move |color| (way, color.0))).collect();
        let mut said = Vec::new();
        for (n, ((mode, size), color)) in ways.into_iter().enumerate() {
            // None is a part of another.
            let text = format!("no. {n}: {}", TEXTS[n % TEXTS.len()]);
            let body = json!({"text": text, "mode": mode, "size": size, "color": color});
            said.push(accounts[n % accounts.len()].post(&scene.path("/danmaku"), &body).await.expect(201));
        }
        said.push(scene.owner.say(&scene.room, "good night").await.expect(201));
        said.sort_by_key(|one| (millis(&one["sent_at"]), number(&one["id"])));
        _ = lottery.drawn(&server).await;
        let replay = Replay::of(&scene).await;
        _ = replay.ready(&scene.owner).await;
        Self { server, scene, accounts, said, lottery, replay }
    }

    /// The version that is shown.
    pub(crate) async fn version(&self) -> u64 {
        self.scene.owner.get(&self.replay.path("")).await.expect(200)["version"].as_u64().unwrap()
    }
}

fn millis(time: &Value) -> i64 {
    serde_json::from_value::<Timestamp>(time.clone()).unwrap().0
}

fn number(id: &Value) -> u64 {
    id.as_str().unwrap().parse().unwrap()
}

fn code<'a>(of: &Value, codes: &[(&str, &'a str)]) -> &'a str {
    codes.iter().find(|(name, _)| *of == *name).unwrap().1
}

#[tokio::test]
async fn all_that_was_said_is_in_every_format() {
    let Evening { server, scene, said, lottery, replay, .. } = Evening::spend().await;
    let owner = &scene.owner;
    let marks = until("the lottery is on the timeline", async || {
        let manifest = replay.manifest(owner).await;
        (items(&manifest["marks"]).len() == 2).then(|| manifest["marks"].clone())
    })
    .await;
    for (mark, kind) in items(&marks).iter().zip(["lottery_opened", "lottery_drawn"]) {
        assert_eq!(
            (&mark["kind"], &mark["lottery_id"], &mark["title"]),
            (&json!(kind), &json!(lottery.id), &json!("The draw"))
        );
    }
    assert!(marks[1]["at_ms"].as_u64() >= marks[0]["at_ms"].as_u64().map(|at_ms| at_ms + 1_000), "{marks}");

    // The replay itself: listed for everybody, once.
    let listed = server.get(&scene.path("/replays")).await.expect(200);
    let shown = server.get(&replay.path("")).await.expect(200);
    assert_eq!(listed["items"], json!([shown]));
    assert_eq!((&shown["danmaku_count"], &shown["title"]), (&json!(said.len()), &json!("The room")));
    assert_eq!((&shown["origin"], &shown["session_id"]), (&json!("broadcast"), &json!(scene.session)));
    let began_ms = millis(&shown["started_at"]);

    // The parts: each danmaku as it was accepted, in order.
    let danmaku = replay.danmaku(owner).await;
    assert_eq!(danmaku.len(), said.len());
    let mut hashes = std::collections::BTreeMap::new();
    for (of_replay, of_post) in danmaku.iter().zip(&said) {
        for field in ["id", "sent_at", "mode", "color", "size", "text"] {
            assert_eq!(of_replay[field], of_post[field], "{field} of {of_post}");
        }
        assert_eq!(of_replay["at_ms"], millis(&of_post["sent_at"]) - began_ms);
        assert_eq!(of_replay["user_name"], of_post["sender"]["name"]);
        let hash = hashes.entry(of_post["sender"]["id"].to_string()).or_insert(of_replay["sender_hash"].clone());
        assert_eq!(*hash, of_replay["sender_hash"], "a sender has one");
    }
    assert_eq!(hashes.values().map(Value::to_string).collect::<BTreeSet<_>>().len(), 4, "senders have different ones");

    // The manifest: it adds up.
    let manifest = replay.manifest(owner).await;
    assert_eq!(manifest["replay"]["danmaku_count"], said.len());
    assert_eq!(manifest["replay"]["duration_ms"], shown["duration_ms"]);
    assert_eq!(manifest["version"].as_u64(), server.get(&replay.path("")).await.expect(200)["version"].as_u64());
    let mut counts = vec![0; shown["duration_ms"].as_u64().unwrap().div_ceil(1_000) as usize];
    for one in &danmaku {
        counts[one["at_ms"].as_u64().unwrap() as usize / 1_000] += 1;
    }
    assert_eq!(manifest["heat"], json!({"step_ms": 1_000, "counts": counts}));

    // The files: all the same danmaku.
    let document = replay.file(owner, "json").await.json();
    assert_eq!((&document["danmaku"], &document["replay"]), (&json!(danmaku), &manifest["replay"]));
    let xml = replay.file(owner, "xml").await;
    assert_eq!(xml.headers["content-type"], "text/xml; charset=utf-8");
    assert!(xml.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let lines = xml_lines(&xml.text());
    assert_eq!(lines.len(), said.len());
    for (line, one) in lines.iter().zip(&danmaku) {
        let (at_ms, sent_ms) = (one["at_ms"].as_u64().unwrap(), millis(&one["sent_at"]));
        let expected = [
            format!("{}.{:03}00", at_ms / 1_000, at_ms % 1_000),
            code(&one["mode"], &MODES).to_owned(),
            code(&one["size"], &SIZES).to_owned(),
            code(&one["color"], &COLORS).to_owned(),
            (sent_ms / 1_000).to_string(),
            "0".to_owned(),
            one["sender_hash"].as_str().unwrap().to_owned(),
            one["id"].as_str().unwrap().to_owned(),
        ];
        assert_eq!(line.fields, expected);
        assert_eq!((line.sent_ms, line.user.as_deref()), (sent_ms, one["user_name"].as_str()));
        assert_eq!(line.text, one["text"].as_str().unwrap());
    }
    let ass = replay.file(owner, "ass").await.text();
    assert_eq!(ass.lines().filter(|line| line.starts_with("Dialogue: ")).count(), said.len());
    let binary = segment_lines(&replay.file(owner, "pb").await.body);
    assert_eq!(segment_lines(&owner.get(&replay.path("/segments/1")).await.body), binary);
    for (line, xml) in binary.iter().zip(&lines) {
        let fields = [line.mode, line.size, line.color, line.id].map(|number| number.to_string());
        assert_eq!(fields, [1, 2, 3, 7].map(|n| xml.fields[n].clone()));
        assert_eq!(format!("{}.{:03}00", line.at_ms / 1_000, line.at_ms % 1_000), xml.fields[0]);
        assert_eq!(line.text, xml.text);
    }
    assert_eq!(binary.len(), lines.len());
    owner.get(&replay.path("/segments/2")).await.refused(404, "no-such-segment");
    owner.get(&replay.path("/segments/0")).await.refused(404, "no-such-segment");
    owner.get(&replay.path("/parts/2")).await.refused(404, "no-such-segment");
    replay.swept(&server, owner).await;
}

#[tokio::test]
async fn an_exported_file_comes_back_as_the_same_list() {
    let Evening { server, scene, said, replay, .. } = Evening::spend().await;
    let owner = &scene.owner;
    assert_eq!(replay.danmaku(owner).await.len(), said.len());
    let again = replay.comes_back(owner, &scene.room).await;
    let shown = again.ready(owner).await;
    assert_eq!((&shown["origin"], &shown["title"]), (&json!("file"), &json!("The same")));
    assert_eq!(
        replay.file(owner, "ass").await.text().lines().count(),
        again.file(owner, "ass").await.text().lines().count()
    );
    again.swept(&server, owner).await;
    assert!(objects(&server).await.iter().all(|key| !key.starts_with("imports/")), "the file itself is not kept");
}

#[tokio::test]
async fn danmaku_are_found_by_time_and_by_text() {
    let evening = Evening::spend().await;
    let (server, replay) = (&evening.server, &evening.replay);
    let all = replay.danmaku(&evening.scene.owner).await;
    let read = async |query: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = replay.path(&format!("/danmaku?limit=4{query}{cursor}"));
            let page = server.get(&path).await.expect(200);
            assert!(items(&page["items"]).len() <= 4);
            found.extend(items(&page["items"]).iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    assert_eq!(read("").await, all);
    let (from, before) = (all[5]["at_ms"].as_u64().unwrap(), all[30]["at_ms"].as_u64().unwrap());
    let within = |one: &&Value| (from..before).contains(&one["at_ms"].as_u64().unwrap());
    let expected: Vec<Value> = all.iter().filter(within).cloned().collect();
    assert!(expected.len() > 4, "several pages: {from} to {before}");
    assert_eq!(read(&format!("&from_ms={from}&before_ms={before}")).await, expected);
    let with = |text: &str| -> Vec<Value> {
        all.iter().filter(|one| one["text"].as_str().unwrap().to_lowercase().contains(text)).cloned().collect()
    };
    for (asked, text) in [("GoAl", "goal"), ("100%25_", "100%_"), ("%25", "%"), ("_", "_"), ("%E5%93%88", "哈")] {
        let found = read(&format!("&text={asked}")).await;
        assert_eq!(found, with(text), "{asked}");
        assert!(!found.is_empty() && found.len() < all.len(), "{asked}");
    }
    assert_eq!(read("&text=nobody+said+this").await, Vec::<Value>::new());
    let both: Vec<Value> = with("goal").into_iter().filter(|one| within(&one)).collect();
    assert_eq!(read(&format!("&text=goal&from_ms={from}&before_ms={before}")).await, both);
    let long = format!("text={}", "x".repeat(101));
    for bad in ["text=", &long] {
        server.get(&replay.path(&format!("/danmaku?{bad}"))).await.refused(422, "invalid-field");
    }
    for bad in ["limit=0", "limit=501", "from_ms=-1"] {
        server.get(&replay.path(&format!("/danmaku?{bad}"))).await.refused(400, "malformed-request");
    }
}

/// All that people can take away of a short replay, as text.
async fn files(replay: &Replay, account: &Account) -> Vec<String> {
    let whole = ["xml", "ass", "json", "pb"].map(|extension| format!("/danmaku.{extension}"));
    let paths = whole.into_iter().chain(["/segments/1", "/parts/1"].map(str::to_owned));
    let files = paths.map(async |path| account.get(&replay.path(&path)).await);
    futures::future::join_all(files).await.iter().map(Answer::text).collect()
}

#[tokio::test]
async fn what_is_deleted_later_is_gone_from_everything() {
    let evening = Evening::spend().await;
    let (server, scene, replay) = (&evening.server, &evening.scene, &evening.replay);
    let owner = &scene.owner;
    let xml = replay.file(owner, "xml").await.text();
    let imported = Answer::to(importing(owner, &scene.room, "A copy").body(xml)).await.expect(201);
    let copy = Replay::from(&imported["replay"]);
    _ = copy.ready(owner).await;
    let gone = [&evening.said[3], &evening.said[11]];
    let gone_texts = gone.map(|one| one["text"].as_str().unwrap());
    let gone_ids: Vec<&str> = gone.iter().map(|one| one["id"].as_str().unwrap()).collect();
    let rest: Vec<String> = ids(&evening.said).into_iter().filter(|id| !gone_ids.contains(&id.as_str())).collect();
    for replay in [replay, &copy] {
        for file in files(replay, owner).await {
            assert!(gone_texts.iter().all(|text| file.contains(text)), "{gone_texts:?} in {file}");
        }
        let path = |id: &str| replay.path(&format!("/danmaku/{id}"));
        evening.accounts[0].delete(&path(gone_ids[1])).await.refused(403, "not-allowed");
        assert_eq!(owner.delete(&path(gone_ids[0])).await.status, 204);
        assert_eq!(owner.delete(&path(gone_ids[0])).await.status, 204, "again changes nothing");
        owner.delete(&path("900719925474099")).await.refused(404, "no-such-danmaku");
    }
    // In the room's history it is the same danmaku; in the copy it is one of its own.
    assert_eq!(owner.delete(&scene.path(&format!("/danmaku/{}", gone_ids[1]))).await.status, 204);
    assert_eq!(owner.delete(&copy.path(&format!("/danmaku/{}", gone_ids[1]))).await.status, 204);
    for replay in [replay, &copy] {
        until("a version without them is shown", async || (ids(&replay.danmaku(owner).await) == rest).then_some(()))
            .await;
        let shown = owner.get(&replay.path("")).await.expect(200);
        assert_eq!(shown["danmaku_count"], rest.len());
        assert!(shown["version"].as_u64().unwrap() > 1, "a new version");
        for file in files(replay, owner).await {
            assert!(!gone_texts.iter().any(|text| file.contains(text)), "{gone_texts:?} not in {file}");
        }
        let lines = xml_lines(&replay.file(owner, "xml").await.text());
        assert_eq!(lines.iter().map(|line| line.fields[7].clone()).collect::<Vec<_>>(), rest);
        assert_eq!(ids(items(&replay.file(owner, "json").await.json()["danmaku"])), rest);
        let binary = segment_lines(&replay.file(owner, "pb").await.body);
        assert_eq!(binary.iter().map(|line| line.id.to_string()).collect::<Vec<_>>(), rest);
        assert_eq!(replay.file(owner, "ass").await.text().matches("\nDialogue: ").count(), rest.len());
        let searched = owner.get(&replay.path("/danmaku?limit=500")).await.expect(200);
        assert_eq!(ids(items(&searched["items"])), rest);
        replay.swept(server, owner).await;
    }
    assert_eq!(scene.history(server).await.len(), rest.len());
}
