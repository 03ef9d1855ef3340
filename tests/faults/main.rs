//! What breaks, and what must hold while it does: a whole site on the real servers, with people
//! who watch, speak and enter lotteries all the time.
//!
//! Needs the native stack, whose servers are ended here (`NATIVE_DIR` says whose), and
//! `TOPOLOGY=apart`. `FAULTS=short` leaves out what waits long; `FAULTS_SEED` repeats the dice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod evening;
mod instances;
mod network;
mod nodes;
mod objects;
mod queue;
mod rolling;
mod servers;
mod settings;
mod stack;
