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

/// Holds that in every window of time `t` at most `burst` + `rate`·`t` events were appended,
/// and one more: stamps are whole milliseconds.
pub(crate) fn assert_every_window(stamps_ms: &[i64], rate: f64, burst: f64) {
    for (first, begin) in stamps_ms.iter().enumerate() {
        for (last, end) in stamps_ms.iter().enumerate().skip(first) {
            let (events, ms) = (last - first + 1, end - begin);
            let most = burst + rate * ms as f64 / 1e3 + 1.0;
            assert!(events as f64 <= most, "{events} events passed in {ms} ms, from the {first}th on");
        }
    }
}

#[test]
fn no_window_may_hold_too_much() {
    // A burst of ten, then one each 100 ms.
    let mut stamps: Vec<i64> = vec![0; 10];
    stamps.extend((1..50).map(|n| n * 100));
    assert_every_window(&stamps, 10.0, 10.0);
    let crowded =
        |rate: f64, burst: f64| std::panic::catch_unwind(|| assert_every_window(&stamps, rate, burst)).is_err();
    assert!(crowded(10.0, 8.0) && crowded(9.0, 10.0));
}
