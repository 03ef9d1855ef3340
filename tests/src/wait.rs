//! Waiting for something to become true, never for time to pass.

use std::future::Future;
use std::time::{Duration, Instant};

/// What a test waits for at most: far longer than anything takes, so that a slow machine
/// does not fail a test and a broken server still ends it.
pub const DEADLINE: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Asks again and again until there is an answer; panics with `what` at the deadline.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < DEADLINE, "{what}: not after {DEADLINE:?}");
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// The future's answer; panics with `what` if it takes longer than `most`.
pub async fn in_time<T>(most: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(most, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what}: not after {most:?}"),
    }
}
