//! The user service through its client, on a real database in a temporary folder.

#![expect(clippy::unwrap_used, reason = "what a test does not expect ends it")]

mod accounts;
mod devices;
mod operator;
mod passwords;
mod refresh;
mod stand;
