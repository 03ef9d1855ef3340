//! Push under load: what the project promises for rooms where far more is said than anybody
//! can read. Every test starts a server of its own and takes the machine for itself, so they
//! run one after the other, in release:
//!
//! `cargo build --release -p goligoli`, then
//! `cargo test --release -p goligoli-tests --features load --test load -- --test-threads=1`
//!
//! `LOAD_SEED` repeats when people speak in `fairness` and when the server is killed in `kills`,
//! nothing else: the other tests throw no dice, and the server throws its own.
//!
//! Times are compared with times of the same run, never with a number of another machine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod appended;
mod asked;
mod bad_readers;
mod fairness;
mod flood;
mod goodbye;
mod guaranteed;
mod kills;
mod limiter;
mod lotteries;
mod sockets;
mod storm;
