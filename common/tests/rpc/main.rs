//! Calls between processes, over real connections: each node here is what a process would be.

#![expect(clippy::unwrap_used, reason = "what can not be set up fails the test")]

mod calls;
mod faults;
mod lab;
mod trust;
