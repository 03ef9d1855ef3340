//! Real danmaku files become replays, over the API and from the command line: nothing is
//! different in these but what the report counts, and what they export comes back.

use std::collections::BTreeMap;
use std::path::Path;

use goligoli_tests::replay::{Replay, importing};
use goligoli_tests::{Answer, Scene, Server, Setup};
use idl::Timestamp;
use serde_json::{Value, json};

use crate::danmaku_file::{self, Line, Look, real_files};

/// A danmaku of a replay but for its id, as the file has it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    at_ms: u64,
    look: Look,
    sent_ms: i64,
    sender: u32,
}

impl Shown {
    fn of(danmaku: &Value) -> Self {
        let Timestamp(sent_ms) = serde_json::from_value(danmaku["sent_at"].clone()).unwrap();
        assert_eq!(danmaku["user_name"], Value::Null, "such a file has no names");
        Self {
            at_ms: danmaku["at_ms"].as_u64().unwrap(),
            look: Look::of(danmaku),
            sent_ms,
            sender: u32::from_str_radix(danmaku["sender_hash"].as_str().unwrap(), 16).unwrap(),
        }
    }

    fn in_file(line: &Line) -> Self {
        let sender = u32::from_str_radix(&line.sender, 16).unwrap();
        Self { at_ms: line.at_ms, look: line.look.clone(), sent_ms: line.sent_ms, sender }
    }
}

/// Imports from the command line.
async fn by_command(server: &Server, scene: &Scene, file: &Path) -> Value {
    let (file, url) = (file.to_str().unwrap(), server.url(""));
    let arguments = ["import", file, "--room", &scene.room, "--title", "A file", "--server", &url];
    let ran = server.operate_with(&arguments, &[("GOLIGOLI_TOKEN", &scene.owner.token)]).await;
    assert!(ran.ok, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

/// Holds that the import has all lines of the file, and that its report counts all that is different.
async fn is_the_file(imported: &Value, lines: &[Line], scene: &Scene) {
    let blanks = lines.iter().filter(|line| line.has_blanks).count();
    let numbers = lines.iter().filter(|line| line.id.is_none()).count();
    let changed = [("trimmed", blanks), ("id", numbers)].into_iter().filter(|(_, count)| *count > 0);
    let changed: BTreeMap<&str, usize> = changed.collect();
    assert_eq!(imported["report"], json!({"accepted": lines.len(), "skipped": {}, "changed": changed}));

    let replay = Replay::from(&imported["replay"]);
    assert_eq!(replay.ready(&scene.owner).await["danmaku_count"], lines.len());
    let danmaku = replay.danmaku(&scene.owner).await;
    let id = |one: &Value| one["id"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(danmaku.is_sorted_by_key(|one| (one["at_ms"].as_u64(), id(one))));
    let mut by_id: BTreeMap<u64, Shown> = danmaku.iter().map(|one| (id(one), Shown::of(one))).collect();
    assert_eq!(by_id.len(), lines.len(), "ids are not used twice");
    let mut others = Vec::new();
    for line in lines {
        match line.id {
            Some(id) => assert_eq!(by_id.remove(&id), Some(Shown::in_file(line))),
            None => others.push(Shown::in_file(line)),
        }
    }
    assert_eq!(by_id.into_values().collect::<Vec<_>>(), others, "new ids ascend as the file's lines do");
}

#[tokio::test]
async fn real_files_are_imported_and_their_exports_are_the_same() {
    for file in real_files("the import of real files") {
        let server = Setup::new().start().await;
        let scene = Scene::open(&server).await;
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = danmaku_file::read(&text);

        let by_api = Answer::to(importing(&scene.owner, &scene.room, "A file").body(text)).await.expect(201);
        is_the_file(&by_api, &lines, &scene).await;
        _ = Replay::from(&by_api["replay"]).comes_back(&scene.owner, &scene.room).await;

        let by_command = by_command(&server, &scene, &file).await;
        is_the_file(&by_command, &lines, &scene).await;
        let replay = Replay::from(&by_command["replay"]);
        let exported = server.data().join("exported.xml");
        std::fs::write(&exported, replay.file(&scene.owner, "xml").await.body).unwrap();
        let again = self::by_command(&server, &scene, &exported).await;
        replay.is_the_same_as(&again, &scene.owner).await;
    }
}
