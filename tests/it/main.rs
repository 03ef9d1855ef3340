//! End-to-end tests: each file is a subject, each test starts servers of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod bad_input;
mod clock;
mod danmaku_file;
mod deletion;
mod demo;
mod durability;
mod feed;
mod gap;
mod import;
mod limiter;
mod lottery_evening;
mod lottery_held;
mod lottery_keyword;
mod lottery_kills;
mod lottery_prizes;
mod lottery_race;
mod lottery_rules;
mod lottery_twice;
mod metrics;
mod moved;
mod operator;
mod real_files;
mod reload;
mod replay_closing;
mod replay_evening;
mod replay_import;
mod replay_kills;
mod replay_owner;
mod restart;
mod restored;
mod revocation;
mod rpc;
mod rules;
mod split;
mod statistics;
mod stream;
mod texts;
mod traces;
