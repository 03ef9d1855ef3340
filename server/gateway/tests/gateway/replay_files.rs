//! The files of replays: of the version that is shown, also where it changes meanwhile.

use bytes::Bytes;
use idl::replay::layout;
use serde_json::json;

use crate::support::{REPLAY_PREFIX, Site};

/// Every way to a file that each version has.
const FILES: [&str; 7] =
    ["manifest", "parts/1", "segments/1", "danmaku.xml", "danmaku.ass", "danmaku.json", "danmaku.pb"];

/// The replay is of ten minutes and a bit, and all was said in the first six.
async fn store(site: &Site, version: u64) {
    let put = async |name: &str, body: String| {
        let key = format!("{}/{name}", layout::folder(REPLAY_PREFIX, version));
        site.platform.objects.put(&key, Bytes::from(body)).await.unwrap();
    };
    let replay = json!({"id": "41", "room_id": "7", "title": "Night train", "origin": "broadcast",
        "started_at": "2026-09-21T00:00:00.000Z", "duration_ms": 600_001, "danmaku_count": 1});
    let part = json!({"part": 1, "segment": 1, "from_ms": 0, "to_ms": 0, "danmaku_count": 1});
    let heat = json!({"step_ms": 1_000, "counts": []});
    let manifest = json!({"replay": replay, "version": version, "parts": [part], "heat": heat, "marks": []});
    put(layout::MANIFEST, manifest.to_string()).await;
    put(&layout::part(1), format!("part of {version}")).await;
    put(&layout::segment(1), format!("segment of {version}")).await;
    for extension in ["xml", "ass", "json", "pb"] {
        put(&layout::whole(extension), format!("{extension} of {version}")).await;
    }
}

async fn remove(site: &Site, version: u64, name: &str) {
    let key = format!("{}/{name}", layout::folder(REPLAY_PREFIX, version));
    site.platform.objects.delete(&key).await.unwrap();
}

fn path(file: &str) -> String {
    format!("/api/v1/replays/41/{file}")
}

#[tokio::test]
async fn a_version_that_goes_in_this_moment_gives_its_place_to_the_next() {
    let site = Site::start();
    store(&site, 4).await;
    for file in FILES {
        // The third has gone when it is looked for.
        site.behind.show(&[3, 4]);
        let answer = site.get(&path(file)).send().await.status(200);
        assert_eq!((answer.header("etag"), answer.header("cache-control")), ("\"4\"", "public, no-cache"), "{file}");
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains("of 4") || body.contains("\"version\":4"), "{file}: {body}");
        // A version that was asked for is not what is answered: it may not be kept for ever.
        site.behind.show(&[3, 4]);
        let answer = site.get(&path(&format!("{file}?v=3"))).send().await.status(200);
        assert_eq!(answer.header("cache-control"), "public, no-cache", "{file}");
    }
    // A segment in which nothing was said has no object.
    site.behind.show(&[3, 4]);
    let answer = site.get(&path("segments/2")).send().await.status(200);
    assert_eq!((answer.header("etag"), answer.body.len()), ("\"4\"", 0));
}

#[tokio::test]
async fn what_there_is_not_is_told_from_what_is_lost() {
    let site = Site::start();
    store(&site, 3).await;
    assert_eq!(site.get(&path("segments/2")).send().await.status(200).body, b"");
    for file in ["parts/0", "parts/2", "segments/0", "segments/3", "segments/4294967295"] {
        site.get(&path(file)).send().await.problem(404, "no-such-segment");
    }
    remove(&site, 3, &layout::part(1)).await;
    remove(&site, 3, &layout::segment(1)).await;
    for extension in ["xml", "ass", "json", "pb"] {
        remove(&site, 3, &layout::whole(extension)).await;
    }
    for file in FILES {
        let answer = site.get(&path(file)).send().await;
        match file {
            "manifest" => assert_eq!(answer.status, 200),
            _ => _ = answer.problem(500, "internal"),
        }
    }
    remove(&site, 3, layout::MANIFEST).await;
    for file in FILES.into_iter().chain(["parts/2", "segments/2"]) {
        site.get(&path(file)).send().await.problem(500, "internal");
    }
}

#[tokio::test]
async fn caches_between_ask_again_and_those_of_others_keep_nothing() {
    let site = Site::start();
    store(&site, 3).await;
    for file in FILES {
        let caching = async |query: &str, signed_in: bool| {
            let ask = site.get(&path(&format!("{file}{query}")));
            let ask = if signed_in { ask.bearer(21) } else { ask };
            ask.send().await.status(200).header("cache-control").to_owned()
        };
        assert_eq!(caching("?v=3", false).await, "public, max-age=31536000, s-maxage=60, immutable");
        assert_eq!(caching("?v=3", true).await, "private, max-age=31536000, immutable");
        assert_eq!(caching("", false).await, "public, no-cache");
        assert_eq!(caching("?v=2", true).await, "private, no-cache");
        // A cache that asks again is told at once that nothing has changed.
        let unchanged = site.get(&path(&format!("{file}?v=3"))).header("if-none-match", "\"3\"").send().await;
        assert_eq!((unchanged.status.as_u16(), unchanged.body.len()), (304, 0), "{file}");
    }
}
