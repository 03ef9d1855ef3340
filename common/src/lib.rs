//! The platform that every service stands on. No product rule lives here.
//!
//! | module | what |
//! |---|---|
//! | [`clock`] | the time, real or a test's own; whoever sets the machine's does not set it |
//! | [`config`], [`dynamic`] | defaults < file < environment, typed, unknown keys refused; what applies without a restart |
//! | [`data_dir`], [`descriptors`] | the data folder: its lock, its free space; open files |
//! | [`db`], [`ids`], [`outbox`], [`idempotency`] | a service's own database, its ids, its outgoing facts, what repeated requests made |
//! | [`cursor`] | positions in lists |
//! | [`objects`], [`queue`] | blobs by key; wake-ups by topic |
//! | [`token`], [`revocation`], [`keys`] | signed access tokens, which of them are void, and what signs |
//! | [`rpc`], [`failure`] | calls between services, and how they fail |
//! | [`http`], [`buckets`] | problems, credentials and headers at the HTTP edge; how often who may ask |
//! | [`lifecycle`], [`health`], [`telemetry`], [`failpoint`] | start, stop, readiness, logs, metrics; where tests kill |
//! | [`native`] | the real servers that tests run against |
//! | [`platform`] | all of that, as one thing to hand to a service |

pub mod buckets;
pub mod clock;
pub mod config;
pub mod cursor;
pub mod data_dir;
pub mod db;
pub mod descriptors;
pub mod discovery;
pub mod dynamic;
pub mod failpoint;
pub mod failure;
pub mod health;
pub mod http;
pub mod idempotency;
pub mod ids;
pub mod keys;
pub mod lifecycle;
pub mod native;
pub mod objects;
pub mod outbox;
pub mod platform;
pub mod queue;
pub mod revocation;
pub mod rpc;
pub mod telemetry;
pub mod token;

pub use clock::Clock;
pub use db::Db;
pub use dynamic::Dynamic;
pub use failure::{Failure, Outcome};
pub use ids::Ids;
pub use lifecycle::Lifecycle;
pub use platform::Platform;
