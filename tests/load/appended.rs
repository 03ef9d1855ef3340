//! What the server says it has appended to a room's feed, and when.

use goligoli_tests::Server;
use serde::Deserialize;

/// An event of the feed, as `goligoli admin feed` prints it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Appended {
    /// Its position.
    pub(crate) id: String,
    /// Its type.
    pub(crate) event: String,
    /// `ordinary` may be sampled out, `guaranteed` may not.
    pub(crate) lane: String,
    /// What it is of: `danmaku:` and its id, say.
    pub(crate) source: String,
    /// The server's clock when it was appended.
    pub(crate) appended_ms: i64,
}

/// The room's feed, oldest first.
pub(crate) async fn feed(server: &Server, room: &str) -> Vec<Appended> {
    let ran = server.operate(&["admin", "feed", room]).await;
    assert!(ran.ok, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// A window of time `t` in which more than `burst` + `rate`·`t` events were appended, and one
/// more: stamps are whole milliseconds.
pub(crate) fn too_full_window(stamps_ms: &[i64], rate: f64, burst: f64) -> Option<String> {
    let windows = (0..stamps_ms.len()).flat_map(|first| (first..stamps_ms.len()).map(move |last| (first, last)));
    let mut too_full = windows.filter_map(|(first, last)| {
        let (events, ms) = (last - first + 1, stamps_ms[last] - stamps_ms[first]);
        let most = burst + rate * ms as f64 / 1e3 + 1.0;
        (events as f64 > most).then(|| format!("{events} events in {ms} ms, from the {first}th on; {most} may pass"))
    });
    too_full.next()
}

#[test]
fn a_window_may_not_hold_too_much() {
    // A burst of ten, then one each 100 ms.
    let mut stamps_ms: Vec<i64> = vec![0; 10];
    stamps_ms.extend((1..50).map(|n| n * 100));
    assert_eq!(too_full_window(&stamps_ms, 10.0, 10.0), None);
    assert!(too_full_window(&stamps_ms, 10.0, 8.0).is_some());
    assert!(too_full_window(&stamps_ms, 9.0, 10.0).is_some());
}
