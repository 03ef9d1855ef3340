//! The lottery service through its real client, on a real database; the services that it
//! calls are stand-ins behind their real contracts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod clock;
mod drawing;
mod entering;
mod fakes;
mod keys;
mod keyword;
mod marks;
mod stage;
