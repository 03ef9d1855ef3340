//! Named points at which a test may kill the process, as `kill -9` would at just that
//! moment. Only builds with the feature `failpoints` have them.

/// The environment variable that names the point: `lottery.after-freeze`, or with a number
/// behind it (`lottery.entry-batch:3`) the time that it is reached for the third time.
pub const VARIABLE: &str = "FAILPOINT";

/// The process is at this point.
#[cfg(feature = "failpoints")]
pub fn reached(point: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static CHOSEN: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let chosen = std::env::var(VARIABLE).ok()?;
        Some(match chosen.split_once(':') {
            Some((point, time)) => (point.to_owned(), time.parse().unwrap_or(1)),
            None => (chosen, 1),
        })
    });
    static TIMES: AtomicU64 = AtomicU64::new(0);
    if let Some((chosen, time)) = &*CHOSEN
        && chosen == point
        && TIMES.fetch_add(1, Ordering::SeqCst) + 1 == *time
    {
        // Nothing is run at the end, and no other thread goes on.
        _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// The process is at this point.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn reached(_point: &str) {}

/// Whether this build has them.
#[must_use]
pub const fn are_built_in() -> bool {
    cfg!(feature = "failpoints")
}
