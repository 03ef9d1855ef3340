//! Hostile texts: refused, or the same bytes everywhere.

use goligoli_tests::{Account, Answer, Scene, Setup, Watch};
use reqwest::Method;
use serde_json::{Value, json};

/// Taken, and to be given out as they are.
const HARMLESS: &[&str] = &[
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</textarea>&lt;b&gt; &amp; \"quotes\" 'n' `ticks` \\ back\\u0000slash",
    "'; DROP TABLE danmaku; --",
    "{\"text\": \"json\"} ${7*7} {{7*7}} %00 %s %n",
    "data: spoofed event: bye id: 1",
    "😀👨‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿❤️🇨🇳 𝒻𝑜𝓊𝓇 𠮷野家",
    "哈哈哈哈哈哈 قطار الليل הרכבת ﷽ ｆｕｌｌ　ｗｉｄｔｈ",
    "e\u{301} is not é",
    "../../../etc/passwd C:\\",
];

/// Never taken.
const REFUSED: &[&str] = &[
    "",
    "   ",
    "\u{3000}\u{a0}",
    "\u{200d}\u{fe0f}",
    "a\0b",
    "a\nb",
    "a\r\nid: 1-1\r\n\r\nb",
    "a\tb",
    "\u{7}bell",
    "a\u{7f}",
    "a\u{85}b",
    "a\u{2028}b",
    "a\u{2029}b",
    "right\u{202e}tfel",
    "\u{2066}isolated\u{2069}",
    "mark\u{200f}",
    "zero\u{200b}width",
    "\u{feff}bom",
    "soft\u{ad}hyphen",
    "private \u{e000}",
    "no character \u{fffe}",
    "zalgo z\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}",
    "\u{3164}",
];

#[tokio::test]
async fn harmless_texts_are_the_same_everywhere() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    _ = viewer.next("hello").await;
    let longest = "龘".repeat(100);
    let texts: Vec<&str> = HARMLESS.iter().copied().chain([longest.as_str()]).collect();
    for text in &texts {
        let posted = mei.say(&scene.room, &format!(" {text}\u{3000}")).await.expect(201);
        assert_eq!(posted["text"], *text, "in the answer, but for the space around it");
        assert_eq!(viewer.next("danmaku").await.json()["text"], *text, "on the stream");
    }
    let history: Vec<Value> = scene.history(&server).await.iter().map(|danmaku| danmaku["text"].clone()).collect();
    assert_eq!(history, texts, "in the history");
    let answer = server.get(&scene.path("/danmaku")).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff", "no browser may take it for a page");
}

#[tokio::test]
async fn harmful_texts_are_refused_and_leave_nothing() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let mei = Account::register(&server, "mei").await;
    let mut viewer = Watch::guest().open(&server, &scene.room).await;
    let hello = viewer.next("hello").await.id.unwrap();
    let too_long = "x".repeat(101);
    for text in REFUSED.iter().copied().chain([too_long.as_str()]) {
        let answer = mei.say(&scene.room, text).await;
        assert_eq!(answer.status, 422, "{text:?}: {}", answer.text());
        answer.refused(422, "invalid-field");
        assert_eq!(answer.json()["errors"][0]["pointer"], "/text", "{}", answer.text());
    }
    // What is no text at all: half a pair of surrogates, bytes that are not UTF-8.
    let raw: [&[u8]; 5] = [
        br#"{"text":"\ud83d"}"#,
        br#"{"text":"\ude00\ud83d"}"#,
        br#"{"text":"a\ud83dx"}"#,
        b"{\"text\":\"\xff\xfe\"}",
        b"{\"text\":\"\xed\xa0\xbd\"}",
    ];
    for body in raw {
        let request = mei.request(Method::POST, &scene.path("/danmaku")).header("Content-Type", "application/json");
        let answer = Answer::to(request.body(body)).await;
        assert!([400, 422].contains(&answer.status), "{}", answer.text());
        _ = answer.problem();
    }
    // A whole pair is one character.
    let request = mei.request(Method::POST, &scene.path("/danmaku")).header("Content-Type", "application/json");
    let posted = Answer::to(request.body(r#"{"text":"\ud83d\ude00"}"#)).await.expect(201);
    assert_eq!(posted["text"], "😀");
    let next = viewer.next("danmaku").await;
    assert_eq!(next.json()["text"], "😀", "the first that anybody sees after {hello}");
    assert_eq!(scene.history(&server).await.len(), 1);
}

#[tokio::test]
async fn names_and_titles_are_no_less_careful() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    for name in [
        "<script>",
        "a b",
        "a\0b",
        "a\u{202e}b",
        "x",
        "👑king",
        "admin\u{200b}",
        "streаmer",
        "STREAMER",
        &"x".repeat(21),
    ] {
        let body = json!({"name": name, "password": Account::PASSWORD});
        let answer = Answer::to(server.client().post(server.url("/api/v1/users")).json(&body)).await;
        // Look-alikes of a name that is taken are taken, too; all others are no names.
        assert!([409, 422].contains(&answer.status), "{name:?}: {} {}", answer.status, answer.text());
        _ = answer.problem();
    }
    for title in ["", "  ", "a\0b", "a\nb", "right\u{202e}tfel", &"x".repeat(61)] {
        scene.owner.post("/api/v1/rooms", &json!({"title": title})).await.refused(422, "invalid-field");
    }
    let title = "<b>bold</b> & 夜行列车 🚆";
    let room = scene.owner.post("/api/v1/rooms", &json!({"title": title})).await.expect(201);
    assert_eq!(room["title"], title);
    let room = room["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/v1/rooms/{room}")).await.expect(200)["title"], title);
    for mark in ["%", "_", "'", "\\", "%00"] {
        let found = server.client().get(server.url("/api/v1/rooms")).query(&[("search", mark)]);
        let found = Answer::to(found).await;
        assert!(found.status == 200 || found.status == 422, "{mark}: {}", found.text());
        if found.status == 200 {
            assert_eq!(found.json()["items"], json!([]), "{mark} stands for itself, and no title has it");
        }
    }
}
