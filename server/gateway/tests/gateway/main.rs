//! The gateway from outside, with fakes behind it.

#![expect(clippy::unwrap_used, reason = "what is unexpected in a test fails it")]

mod auth;
mod imports;
mod limits;
mod lotteries;
mod openapi;
mod page;
mod rejections;
mod replay_files;
mod rest;
mod support;
