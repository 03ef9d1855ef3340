//! What this run was asked for, by environment variables.

use std::time::Duration;

/// What many viewers together wait for at most, on a slow machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long memory is watched: `LOAD_SOAK_SECONDS`.
pub(crate) fn soak() -> Duration {
    let asked = std::env::var("LOAD_SOAK_SECONDS").ok().filter(|value| !value.is_empty());
    Duration::from_secs(asked.map_or(90, |seconds| seconds.parse().expect("LOAD_SOAK_SECONDS is a number")))
}

/// Where this test's own dice begin: `LOAD_SEED`, or anywhere; printed, so that they can be
/// had again. The server throws its own.
pub(crate) fn seed() -> u64 {
    let asked = std::env::var("LOAD_SEED").ok().filter(|value| !value.is_empty());
    let seed = asked.map_or_else(rand::random, |seed| seed.parse().expect("LOAD_SEED is a number"));
    println!("LOAD_SEED={seed}");
    seed
}
