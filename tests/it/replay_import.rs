//! Files that are none, or too much, or somebody else's: each is refused with the line and the
//! reason, or its lines are skipped and counted; and nothing is left of what was refused.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use goligoli_tests::process::peak_resident_bytes;
use goligoli_tests::replay::{Replay, importing, list, rows, xml_lines};
use goligoli_tests::{Account, Answer, Scene, Server, Setup, in_time, objects, until};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Holds that nothing is there of any import.
async fn nothing_is_left(server: &Server, scene: &Scene, what: &str) {
    assert_eq!(list(&scene.owner, &scene.room).await, Vec::<Value>::new(), "{what}");
    until("what was stored is removed", async || {
        let is_gone = objects(server).await.is_empty()
            && rows(server, "message", "imported_danmaku").await == 0
            && rows(server, "live", "replay").await == 0;
        is_gone.then_some(())
    })
    .await;
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn a_file_that_is_not_well_formed_is_refused_with_the_line() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let line = "<d p=\"1.0,1,25,255,1700000000,0,a,1\">hm</d>\n";
    // More than a portion, so that some of it is stored before the end is seen.
    let many: String = (0..5_000).map(|n| format!("<d p=\"{n},1,25,255,0,0,a,{}\">hm</d>\n", n + 1)).collect();
    let deep = format!("<i>\n{}{}</i>", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let long = format!("<i>\n<d p=\"1.0,1,25,255\">{}</d></i>", "x".repeat(3 << 20));
    let gbk = [&b"<?xml version=\"1.0\" encoding=\"GBK\"?><i>\n<d p=\"1,1,25,255\">"[..], b"\xb9\xfe\xb9\xfe</d></i>"]
        .concat();
    let bad_utf_8 = [b"<i>\n".as_slice(), line.as_bytes(), b"<d p=\"1,1,25,255\">\xff\xfe\x80</d></i>"].concat();
    let files: [(&str, Vec<u8>, &str, &str); 17] = [
        ("an element that does not end", format!("<i>\n{line}<d p=\"1,1,25,255\">a</b>\n</i>").into(), "line 3: ", ""),
        ("cut between lines", format!("<i>\n{line}").into(), "line 3: ", "ends before"),
        ("cut in a tag", format!("<i>\n{line}<d p=\"1,1,").into(), "line 3: ", ""),
        ("cut in a text", format!("<i>\n{line}<d p=\"1,1,25,255\">a").into(), "line 3: ", "ends before"),
        ("cut after thousands", format!("<i>\n{many}").into(), "line 5002: ", "ends before"),
        ("wrong after thousands", format!("<i>\n{many}<d></i>").into(), "line 5002: ", ""),
        ("nested", deep.into(), "line 2: ", "nested"),
        ("one endless text", long.into(), "line 2: ", ""),
        ("two roots", format!("<i>\n{line}</i>\n<i></i>").into(), "line 4: ", "second"),
        ("another root", b"<html>\n</html>".to_vec(), "line 1: ", "not <i>"),
        ("UTF-16", utf_16(&format!("\u{feff}<i>\n{line}</i>")), "line ", "UTF-16"),
        (
            "UTF-16 that says so",
            utf_16(&format!("\u{feff}<?xml version=\"1.0\" encoding=\"UTF-16\"?><i>\n{line}</i>")),
            "line ",
            "UTF-16",
        ),
        ("GBK", gbk, "line 1: ", "GBK"),
        ("bytes that are no text", bad_utf_8, "line 3: ", ""),
        ("no XML", b"once upon a time\n".to_vec(), "line ", "<i>"),
        ("JSON", b"{\"danmaku\":[]}".to_vec(), "line 1: ", "<i>"),
        ("nothing", Vec::new(), "line 1: ", "<i>"),
    ];
    for (what, file, line, reason) in files {
        let answer = Answer::to(importing(&scene.owner, &scene.room, "A file").body(file)).await;
        answer.refused(422, "bad-file");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(line) && detail.contains(reason), "{what}: {detail}");
        assert!(detail.len() < 300, "{what}: {detail}");
        nothing_is_left(&server, &scene, what).await;
    }
}

#[tokio::test]
async fn lines_that_cannot_be_shown_are_skipped_and_counted() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let bomb: String = (1..=9).map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10))).collect();
    let mut file = format!("<?xml version=\"1.0\"?><!DOCTYPE i [<!ENTITY l0 \"lol\">{bomb}]><i>\n");
    for (p, text) in [
        // Accepted; the second and third are changed.
        ("1.5,5,36,16711680,1700000000,0,a,9007199254740991", "  as it is "),
        ("-3,1,25,255,1700000000,0,a,9007199254740992", "before the beginning, and a large id"),
        ("2,2,64,4294967295,-1,0,a,99999999999999999999", "an old mode, size and color"),
        // Skipped.
        ("3,1,25,255,0,0,a,1", "&l9;"),
        ("3,0,25,255,0,0,a,2", "mode 0"),
        ("3,10,25,255,0,0,a,3", "mode 10"),
        ("3,-1,25,255,0,0,a,4", "mode -1"),
        ("3,7,25,255,0,2,a,5", "[0,0,\"1-1\",4.5,\"positioned\"]"),
        ("3,8,25,255,0,2,a,6", "code"),
        ("1e300,1,25,255,0,0,a,7", "never"),
        ("99999999999,1,25,255,0,0,a,8", "never"),
        ("NaN,1,25,255,0,0,a,9", "when?"),
        ("x,y,z", "what?"),
        ("3,1,25,255,0,0,a,10", " "),
        ("3,1,25,255,0,0,a,11", &"x".repeat(101)),
        ("3,1,25,255,0,0,a,12", "a\u{202e}b"),
    ] {
        writeln!(file, "<d p=\"{p}\">{text}</d>").unwrap();
    }
    file.push_str("<gift ts=\"1\" user=\"a\" giftname=\"b\" giftcount=\"1\"/></i>");
    let imported = Answer::to(importing(&scene.owner, &scene.room, "Skipped").body(file)).await.expect(201);
    let expected = json!({
        "unknown-mode": 3,
        "special-mode": 2,
        "bad-parameters": 2,
        "far-time": 2,
        "empty-text": 1,
        "long-text": 1,
        "bad-text": 2,
        "paid": 1,
    });
    assert_eq!((&imported["report"]["accepted"], &imported["report"]["skipped"]), (&json!(3), &expected));
    let changed: BTreeSet<&str> =
        imported["report"]["changed"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(changed.len(), 7, "{changed:?}");
    assert_eq!(imported["report"]["changed"]["id"], 2);
    let replay = Replay::from(&imported["replay"]);
    assert_eq!(replay.ready(&scene.owner).await["danmaku_count"], 3);
    let lines = xml_lines(&replay.file(&scene.owner, "xml").await.text());
    let shown: Vec<_> = lines.iter().map(|line| (line.fields[..4].join(","), line.text.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("0.00000,1,25,255".to_owned(), "before the beginning, and a large id"),
            ("1.50000,5,36,16711680".to_owned(), "as it is"),
            ("2.00000,1,36,16777215".to_owned(), "an old mode, size and color"),
        ]
    );
    assert_eq!(lines[1].fields[7], "9007199254740991");
    assert!(lines.iter().all(|line| line.fields[7].parse::<u64>().unwrap() < 1 << 53));
}

#[tokio::test]
async fn a_file_with_nothing_in_it_is_an_empty_replay() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let request = scene.owner.request(Method::POST, &scene.path("/replays?title=Silence"));
    let request = request.header("Content-Type", "text/xml; charset=utf-8");
    let imported = Answer::to(request.body("<i></i>")).await.expect(201);
    let replay = Replay::from(&imported["replay"]);
    let shown = replay.ready(&scene.owner).await;
    assert_eq!((&shown["danmaku_count"], &shown["duration_ms"]), (&json!(0), &json!(0)));
    assert_eq!(xml_lines(&replay.file(&scene.owner, "xml").await.text()), []);
    let segment = server.get(&replay.path("/segments/1")).await;
    assert_eq!((segment.status, segment.body.len()), (200, 0));
    replay.swept(&server, &scene.owner).await;
}

#[tokio::test]
async fn only_the_owner_brings_files_and_says_what_they_are() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let other = Account::register(&server, "other").await;
    let file = "<i><d p=\"1,1,25,255\">hm</d></i>";
    Answer::to(importing(&other, &scene.room, "Mine").body(file)).await.refused(403, "not-allowed");
    Answer::to(importing(&scene.owner, "900719925474099", "Nowhere").body(file)).await.refused(404, "no-such-room");
    let path = scene.path("/replays?title=Mine");
    let anonymous = server.client().post(server.url(&path)).header("Content-Type", "text/xml").body(file);
    Answer::to(anonymous).await.refused(401, "not-signed-in");
    for media_type in [None, Some("application/json"), Some("text/plain"), Some("multipart/form-data; boundary=x")] {
        let mut request = scene.owner.request(Method::POST, &path).body(file);
        if let Some(media_type) = media_type {
            request = request.header("Content-Type", media_type);
        }
        Answer::to(request).await.refused(415, "unsupported-media-type");
    }
    let untitled = scene.owner.request(Method::POST, &scene.path("/replays")).header("Content-Type", "text/xml");
    Answer::to(untitled.body(file)).await.refused(400, "malformed-request");
    for title in ["", "  ", &"x".repeat(61), "a\nb"] {
        Answer::to(importing(&scene.owner, &scene.room, title).body(file)).await.refused(422, "invalid-field");
    }
    nothing_is_left(&server, &scene, "refused").await;
}

/// An upload by hand: what is sent, when, and whether it ends.
struct Upload(TcpStream);

impl Upload {
    async fn begin(server: &Server, scene: &Scene, length: &str) -> Self {
        let mut socket = TcpStream::connect(server.address()).await.unwrap();
        let (path, token) = (scene.path("/replays?title=By+hand"), &scene.owner.token);
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Type: text/xml\r\n\
             Connection: close\r\n{length}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        Self(socket)
    }

    /// Sends a piece of a body without a length; `false` if the server takes no more.
    async fn chunk(&mut self, piece: &[u8]) -> bool {
        let head = format!("{:x}\r\n", piece.len());
        let sent = async {
            self.0.write_all(head.as_bytes()).await?;
            self.0.write_all(piece).await?;
            self.0.write_all(b"\r\n").await
        };
        sent.await.is_ok()
    }

    /// The answer: its status, and all of it as text.
    async fn answer(mut self) -> (String, String) {
        let mut answer = Vec::new();
        // Whoever sends what nobody reads may be cut off, behind the answer.
        _ = in_time(Duration::from_secs(280), "an answer", self.0.read_to_end(&mut answer)).await;
        let answer = String::from_utf8(answer).unwrap();
        (answer.get(9..12).unwrap_or_default().to_owned(), answer)
    }
}

const CHUNKED: &str = "Transfer-Encoding: chunked";
const MOST_BYTES: usize = 100_000;

#[tokio::test]
async fn a_file_that_is_too_large_is_refused() {
    let server = Setup::new().set("GATEWAY__IMPORT_MAX_BYTES", &MOST_BYTES.to_string()).start().await;
    let scene = Scene::open(&server).await;
    let file = |bytes: usize| format!("<i><!--{}--></i>", "x".repeat(bytes - 14));
    let (status, answer) = Upload::begin(&server, &scene, "Content-Length: 2147483648").await.answer().await;
    assert!(status == "413" && answer.contains("too-large"), "before anything was sent: {answer}");
    let mut upload = Upload::begin(&server, &scene, CHUNKED).await;
    let file_bytes = file(MOST_BYTES + 1);
    for piece in file_bytes.as_bytes().chunks(10_000) {
        _ = upload.chunk(piece).await;
    }
    let (status, answer) = upload.answer().await;
    assert!(status == "413" && answer.contains("too-large"), "{answer}");
    nothing_is_left(&server, &scene, "too large").await;
    _ = Answer::to(importing(&scene.owner, &scene.room, "Just right").body(file(MOST_BYTES))).await.expect(201);
}

#[tokio::test]
async fn an_upload_without_an_end_is_cut_at_the_limit() {
    const MEGABYTES: usize = 32;
    let server = Setup::new().alone().set("GATEWAY__IMPORT_MAX_BYTES", &(MEGABYTES << 20).to_string()).start().await;
    let scene = Scene::open(&server).await;
    let small = "<i><d p=\"1,1,25,255\">hm</d></i>";
    let replay = Answer::to(importing(&scene.owner, &scene.room, "Small").body(small)).await.expect(201);
    let before = peak_resident_bytes(server.pid());
    let mut upload = Upload::begin(&server, &scene, CHUNKED).await;
    let (piece, mut taken) = (megabyte(0), 0);
    while taken < 2_048 && upload.chunk(piece.as_bytes()).await {
        taken += 1;
    }
    // Some of it lies in the buffers of both sockets.
    assert!((MEGABYTES - 1..MEGABYTES + 32).contains(&taken), "{taken} MB of 2 GB were taken");
    let (status, answer) = upload.answer().await;
    assert!(status == "413" && answer.contains("too-large"), "{answer}");
    let grown = peak_resident_bytes(server.pid()) - before;
    assert!(grown < 16 << 20, "memory grew by {grown} bytes");
    Replay::from(&replay["replay"]).ready(&scene.owner).await;
    _ = scene.owner.delete(&Replay::from(&replay["replay"]).path("")).await;
    nothing_is_left(&server, &scene, "endless").await;
}

#[tokio::test]
async fn a_file_with_too_many_danmaku_is_refused() {
    let server = Setup::new().set("MESSAGE__IMPORT_MAX_DANMAKU", "1000").start().await;
    let scene = Scene::open(&server).await;
    let file = |count: usize| format!("<i>{}</i>", "<d p=\"1,1,25,255\">hm</d>".repeat(count));
    // Much more than what waits between the file and the database.
    let answer = Answer::to(importing(&scene.owner, &scene.room, "Many").body(file(200_000))).await;
    answer.refused(413, "too-large");
    nothing_is_left(&server, &scene, "too many danmaku").await;
    let most = Answer::to(importing(&scene.owner, &scene.room, "Most").body(file(1_000))).await.expect(201);
    assert_eq!(most["report"]["accepted"], 1_000);
}

#[tokio::test]
async fn a_repeated_import_is_one_replay() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let import = async |title: &str, file: &str| {
        let request = importing(&scene.owner, &scene.room, title).header("Idempotency-Key", "evening");
        Answer::to(request.body(file.to_owned())).await
    };
    let (file, broken) = ("<i><d p=\"1,1,25,255\">hm</d></i>", "<i>\n<d");
    import("By hand", broken).await.refused(422, "bad-file");
    // The one that failed does not count. This one does not end for now.
    let mut upload = Upload::begin(&server, &scene, &format!("{CHUNKED}\r\nIdempotency-Key: evening")).await;
    assert!(upload.chunk(file.as_bytes()).await);
    until("it has begun", async || (rows(&server, "live", "replay").await == 1).then_some(())).await;
    let running = import("By hand", file).await;
    assert_eq!(running.headers["retry-after"], "5");
    running.refused(409, "replay-not-ready");
    import("Another", file).await.refused(422, "idempotency-key-reused");
    upload.0.write_all(b"0\r\n\r\n").await.unwrap();
    let (status, answer) = upload.answer().await;
    assert_eq!(status, "201", "{answer}");
    let again = import("By hand", file).await.expect(201);
    assert!(again["report"].is_null() && again["replay"]["title"] == "By hand", "{again}");
    assert!(answer.contains(&format!("\"id\":{}", again["replay"]["id"])), "{answer}");
    assert_eq!(list(&scene.owner, &scene.room).await.len(), 1);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let line = "<d p=\"1,1,25,255\">hm</d>";
    for (what, length) in [("with a length", "Content-Length: 10000000"), ("in chunks", CHUNKED)] {
        let mut upload = Upload::begin(&server, &scene, length).await;
        // More than waits in memory before the object store has some of it.
        let piece = format!("<i>{}", line.repeat(250_000));
        if length == CHUNKED {
            assert!(upload.chunk(piece.as_bytes()).await);
        } else {
            upload.0.write_all(piece.as_bytes()).await.unwrap();
        }
        until("it has begun", async || {
            objects(&server).await.iter().any(|key| key.starts_with("imports/")).then_some(())
        })
        .await;
        drop(upload);
        nothing_is_left(&server, &scene, what).await;
    }
}

#[tokio::test]
async fn who_hangs_up_before_the_answer_gets_the_whole_replay_or_none() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let lines: String = (0..3_000).map(|n| format!("<d p=\"{n},1,25,255,0,0,a,{}\">hm</d>\n", n + 1)).collect();
    let file = format!("<i>\n{lines}</i>");
    for wait_ms in [0, 1, 2, 5, 10, 20, 50, 100] {
        let mut upload = Upload::begin(&server, &scene, &format!("Content-Length: {}", file.len())).await;
        upload.0.write_all(file.as_bytes()).await.unwrap();
        // Nothing that could be waited for tells where in its work the server is.
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        drop(upload);
        until("it is all there or nothing is", async || {
            let listed = list(&scene.owner, &scene.room).await;
            let is_whole = listed.iter().all(|one| one["state"] == "ready" && one["danmaku_count"] == 3_000);
            let is_settled = rows(&server, "live", "replay").await == listed.len() as i64
                && rows(&server, "message", "imported_danmaku").await == 3_000 * listed.len() as i64
                && objects(&server).await.iter().all(|key| !key.starts_with("imports/"));
            (is_whole && is_settled).then_some(())
        })
        .await;
    }
}

/// Two hundred of them are a file of 200 MB.
fn megabyte(n: usize) -> String {
    let mut piece = String::with_capacity(1 << 20);
    for line in 0..50 {
        writeln!(piece, "<d p=\"{n},1,25,255,0,0,a,{}\">line {line} of {n}</d>", n * 50 + line + 1).unwrap();
    }
    while piece.len() < 1 << 20 {
        writeln!(piece, "<d p=\"{n},8,25,255,0,2,a,0\">{}</d>", "code(); ".repeat(2_000)).unwrap();
    }
    piece
}

#[tokio::test]
async fn memory_does_not_grow_with_the_file() {
    const MEGABYTES: usize = 200;
    let server = Setup::new().alone().start().await;
    let scene = Scene::open(&server).await;
    let import = async |megabytes: usize| {
        let mut upload = Upload::begin(&server, &scene, CHUNKED).await;
        assert!(upload.chunk(b"<i>\n").await);
        for n in 0..megabytes {
            assert!(upload.chunk(megabyte(n).as_bytes()).await, "it is taken");
        }
        assert!(upload.chunk(b"</i>").await);
        upload.0.write_all(b"0\r\n\r\n").await.unwrap();
        let (status, answer) = upload.answer().await;
        assert_eq!(status, "201", "{answer}");
        assert!(answer.contains(&format!("\"accepted\":{}", 50 * megabytes)), "{answer}");
        peak_resident_bytes(server.pid())
    };
    let small = import(5).await;
    let large = import(MEGABYTES).await;
    let grown = large.saturating_sub(small);
    println!("peak memory: {} MB after 5 MB, {} MB more after {MEGABYTES} MB", small >> 20, grown >> 20);
    assert!(grown < 40 << 20, "memory grew by {grown} bytes");
}
