//! `goligoli import`: a danmaku file becomes a replay from the command line.

use std::path::Path;

use goligoli_tests::{Account, Ran, Scene, Server, Setup, free_port, until};
use serde_json::Value;

use crate::danmaku_file;

/// Three lines that are danmaku, one that is none, and blanks around a text.
const FILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?><i>
<d p="1.5,1,25,16777215,1700000000,0,a16fe0dd,101">hello</d>
<d p="400,5,36,16765698,1700000400,0,0000beef,102"> 你好 &amp; good night </d>
<d p="2,7,25,16777215,1700000000,0,a16fe0dd,103">[0,0,"1-1",4.5,"scripted"]</d>
<d p="0.25,4,18,255,1700000000,0,a16fe0dd,104">first</d>
</i>"#;

struct Desk<'a> {
    server: &'a Server,
    file: &'a Path,
    room: &'a str,
}

impl Desk<'_> {
    /// Imports as whose token it is; what is in `other` counts more.
    async fn import(&self, token: Option<&str>, other: &[&str]) -> Ran {
        let url = self.server.url("");
        let mut arguments = vec!["import", self.file.to_str().unwrap()];
        for (option, value) in [("--room", self.room), ("--title", "An evening"), ("--server", &url)] {
            if !other.contains(&option) {
                arguments.extend([option, value]);
            }
        }
        arguments.extend(other);
        let environment: Vec<(&str, &str)> = token.map(|token| ("GOLIGOLI_TOKEN", token)).into_iter().collect();
        self.server.operate_with(&arguments, &environment).await
    }
}

/// Fails with this exit code and one line that says why.
fn refused(ran: &Ran, code: i32, says: &str) {
    assert_eq!(ran.code, Some(code), "{} {}", ran.out, ran.err);
    assert_eq!((ran.out.as_str(), ran.err.lines().count()), ("", 1), "{}", ran.err);
    assert!(ran.err.starts_with("goligoli: ") && ran.err.contains(says), "{says}: {}", ran.err);
}

async fn replays(server: &Server, room: &str) -> Vec<Value> {
    let list = server.get(&format!("/api/v1/rooms/{room}/replays")).await.expect(200);
    list["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_file_becomes_a_replay_and_its_export_another_one() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let file = server.data().join("evening.xml");
    std::fs::write(&file, FILE).unwrap();
    let desk = Desk { server: &server, file: &file, room: &scene.room };
    let ran = desk.import(Some(&scene.owner.token), &[]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.lines().count() == 1 && ran.err.starts_with("3 danmaku are replay "), "{}", ran.err);
    assert!(ran.err.contains("skipped 1 (special-mode: 1), changed 1 ("), "{}", ran.err);
    let imported: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&imported["report"]["accepted"], &imported["replay"]["title"]), (&3.into(), &"An evening".into()));

    let exported = exported(&server, &imported).await;
    let shown: String = FILE.lines().filter(|line| !line.contains("scripted")).collect();
    assert_eq!(danmaku_file::lines_of(&exported), danmaku_file::lines_of(&shown));
    let again = server.data().join("again.xml");
    std::fs::write(&again, &exported).unwrap();
    let desk = Desk { file: &again, ..desk };
    let ran = desk.import(Some(&scene.owner.token), &["--title", "The same"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.ends_with("; skipped 0, changed 0\n"), "{}", ran.err);
    let whole = |xml: &str| xml.split("<d ").skip(1).map(str::to_owned).collect::<Vec<String>>();
    let imported = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(whole(&self::exported(&server, &imported).await), whole(&exported));
    assert_eq!(replays(&server, &scene.room).await.len(), 2);
}

/// The XML of a replay, as soon as it can be had.
async fn exported(server: &Server, imported: &Value) -> String {
    let path = format!("/api/v1/replays/{}", imported["replay"]["id"].as_str().unwrap());
    until("it is ready", async || (server.get(&path).await.expect(200)["state"] == "ready").then_some(())).await;
    server.get(&format!("{path}/danmaku.xml")).await.text()
}

#[tokio::test]
async fn a_key_makes_a_repetition_safe() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let file = server.data().join("evening.xml");
    std::fs::write(&file, FILE).unwrap();
    let desk = Desk { server: &server, file: &file, room: &scene.room };
    let import = async |key: &str| desk.import(Some(&scene.owner.token), &["--key", key]).await;
    let ids = async |key: &str| {
        let ran = import(key).await;
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let imported: Value = serde_json::from_str(&ran.out).unwrap();
        (imported["replay"]["id"].clone(), ran.err)
    };
    let (first, said) = ids("evening").await;
    assert!(said.starts_with("3 danmaku are replay "), "{said}");
    let (again, said) = ids("evening").await;
    assert!(again == first && said.starts_with("this was imported before"), "{said}");
    assert_ne!(ids("another").await.0, first);
    let ran = import("with a blank").await;
    assert!(ran.code == Some(2) && ran.err.contains("visible ASCII"), "{}", ran.err);
    assert_eq!(replays(&server, &scene.room).await.len(), 2);
}

#[tokio::test]
async fn what_can_not_be_imported_is_refused_and_leaves_nothing() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let stranger = Account::register(&server, "stranger").await;
    let file = server.data().join("evening.xml");
    std::fs::write(&file, FILE).unwrap();
    let desk = Desk { server: &server, file: &file, room: &scene.room };
    let (owner, nobody) = (Some(scene.owner.token.as_str()), Some("not a token"));
    refused(&desk.import(Some(&stranger.token), &[]).await, 1, "not-allowed");
    refused(&desk.import(nobody, &[]).await, 1, "(");
    refused(&desk.import(owner, &["--room", "4000000"]).await, 1, "no-such-room");
    refused(&desk.import(owner, &["--title", ""]).await, 1, "title");

    refused(&desk.import(None, &[]).await, 2, "GOLIGOLI_TOKEN");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    refused(&desk.import(owner, &["--server", &nowhere]).await, 2, "no server is reached");
    refused(&desk.import(owner, &["--server", "https://127.0.0.1"]).await, 2, "speaks http alone");
    refused(&Desk { file: Path::new("nowhere.xml"), ..desk }.import(owner, &[]).await, 2, "nowhere.xml");
    refused(&Desk { file: server.data(), ..desk }.import(owner, &[]).await, 2, "is a folder");

    // The file breaks off in its third line.
    std::fs::write(&file, &FILE[..FILE.find("你好").unwrap()]).unwrap();
    refused(&desk.import(owner, &[]).await, 1, "line 3");
    // Nobody reads a large file of who may not import; the answer is read all the same.
    let line = r#"<d p="1,1,25,16777215,1700000000,0,a16fe0dd,7">again and again</d>"#;
    std::fs::write(&file, format!("<i>{}</i>", line.repeat(500_000))).unwrap();
    refused(&desk.import(Some(&stranger.token), &[]).await, 1, "not-allowed");
    let few = Setup::new().set("GATEWAY__IMPORT_MAX_BYTES", "1000000").start().await;
    let scene_of_few = Scene::open(&few).await;
    let small = Desk { server: &few, file: &file, room: &scene_of_few.room };
    refused(&small.import(Some(&scene_of_few.owner.token), &[]).await, 1, "too-large");

    for (server, room) in [(&server, &scene.room), (&few, &scene_of_few.room)] {
        assert_eq!(replays(server, room).await, Vec::<Value>::new());
        let imports = server.data().join("data/objects/imports");
        assert_eq!(std::fs::read_dir(imports).into_iter().flatten().count(), 0, "no file is left");
    }
}
