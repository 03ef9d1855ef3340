//! Danmaku files on their way in: how many, how long, and what is left when one fails.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use idl::{Code, Refusal};
use tokio::time::Instant;

use crate::support::{Ask, Site};

const PATIENCE: Duration = Duration::from_secs(20);

fn import<'a>(site: &'a Site, body: impl Into<Body>) -> Ask<'a> {
    let ask = site.post("/api/v1/rooms/7/replays?title=An+evening").bearer(21);
    ask.header("content-type", "text/xml").body(body)
}

/// A body of which a few bytes come every now and then, and that has no end.
fn endless(bytes: usize) -> Body {
    let piece = Bytes::from(vec![b' '; bytes]);
    Body::from_stream(futures::stream::repeat(piece).then(|piece| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::io::Result::Ok(piece)
    }))
}

/// The files that lie in the object store, or are being written.
fn files(site: &Site) -> BTreeSet<String> {
    let entries = std::fs::read_dir(site.platform.data_dir.join("objects/imports")).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Holds that live was told that the import failed, and that no file is left.
async fn was_given_up(site: &Site) {
    until("no file is left", || files(site).is_empty()).await;
    let asked = site.behind.asked();
    assert_eq!(asked.last().unwrap(), "GiveImportUp { replay: ReplayId(41) }", "{asked:?}");
    assert!(asked.iter().all(|request| !request.contains("DeleteReplay")), "{asked:?}");
}

#[tokio::test]
async fn a_file_is_brought_in_the_name_of_who_began_and_with_the_key() {
    let site = Site::start();
    let imported = import(&site, "<i></i>").header("idempotency-key", "\"evening-1\"").send().await.status(201);
    assert_eq!(imported.header("location"), "/api/v1/replays/41");
    let asked = site.behind.asked();
    assert!(asked[0].starts_with("BeginImport {") && asked[0].contains("evening-1"), "{asked:?}");
    assert_eq!(asked[1..], ["ImportReplay { replay: ReplayId(41) }"], "nobody's token is needed any more");
    import(&site, "<i></i>").header("idempotency-key", "a key").send().await.problem(400, "malformed-request");
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_token_holds() {
    let site = Site::start();
    let clock = site.platform.clock.clone();
    let pieces = futures::stream::iter(["<i>", "</i>"]).map(move |piece| {
        clock.advance_ms(20 * 60 * 1_000);
        std::io::Result::Ok(piece)
    });
    import(&site, Body::from_stream(pieces)).send().await.status(201);
    import(&site, endless(8_192)).send().await.problem(413, "too-large");
    was_given_up(&site).await;
}

#[tokio::test]
async fn nothing_is_left_of_a_file_that_is_not_imported() {
    let site = Site::start();
    for refusal in [
        Refusal::new(Code::BadFile, "line 2: no"),
        Refusal::new(Code::Unavailable, "the answer is lost"),
        Refusal::new(Code::NotSignedIn, "the token has expired"),
    ] {
        site.behind.refuse_only("ImportReplay", refusal.clone());
        let status = import(&site, "<i></i>").send().await.status;
        assert!(status.is_client_error() || status.is_server_error(), "{status}");
        was_given_up(&site).await;
    }
    // Nor if it can't be said that it failed.
    site.behind.refuse_only("GiveImportUp", Refusal::new(Code::Unavailable, "live is away"));
    import(&site, "<i></i>").send().await;
    was_given_up(&site).await;
}

#[tokio::test]
async fn a_file_takes_so_long_at_most() {
    let site = Site::start_with("import_within_s = 1");
    let begun = Instant::now();
    let late = import(&site, endless(1)).send().await.problem(400, "malformed-request");
    assert!(late.json()["detail"].as_str().unwrap().contains("1 s"), "{}", late.json());
    assert!(begun.elapsed() >= Duration::from_secs(1));
    was_given_up(&site).await;
}

#[tokio::test]
async fn a_file_does_not_hold_a_stop_up() {
    let site = Site::start();
    let stop = async {
        until("it has begun", || !files(&site).is_empty()).await;
        site.platform.lifecycle.soft().cancel();
    };
    let stopped = tokio::time::timeout(PATIENCE, async { tokio::join!(import(&site, endless(1)).send(), stop).0 });
    stopped.await.unwrap().problem(503, "unavailable");
    was_given_up(&site).await;
}

#[tokio::test]
async fn only_so_many_files_come_at_once() {
    let site = Site::start_with("imports_at_once = 2");
    let others = async {
        until("two have begun", || files(&site).len() == 2).await;
        let full = import(&site, "<i></i>").send().await.problem(503, "unavailable");
        assert_eq!(full.header("retry-after"), "10");
        let begun = site.behind.asked().iter().filter(|request| request.starts_with("BeginImport")).count();
        assert_eq!(begun, 2, "nothing is begun for who has no place");
    };
    {
        let two = async { tokio::join!(import(&site, endless(1_024)).send(), import(&site, endless(1_024)).send()) };
        tokio::select! {
            _ = two => unreachable!("they have no end"),
            () = others => {}
        }
    }
    // Their clients have gone; the uploads end as files that are too large.
    until("their places are free", || files(&site).is_empty()).await;
    let begun = Instant::now();
    while import(&site, "<i></i>").send().await.status != 201 {
        assert!(begun.elapsed() < PATIENCE, "a place is free again");
    }
}
