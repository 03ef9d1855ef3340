//! Push from outside: its client publishes, its router streams.

#![expect(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod bench;
mod stores;

mod delivery;
mod ends;
mod faults;
mod lagging;
mod lotteries;
mod rates;
mod resume;
mod several;
mod statistics;
