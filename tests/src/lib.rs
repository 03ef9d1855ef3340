//! The system from outside: a real `goligoli` process in a data folder of its own, its
//! API and its event streams as any client sees them; or a whole site of them. Of the project's
//! crates it knows the database alone, so that what it reads is what stands on the wire.
//!
//! [`Setup`] says how a server is configured, [`Server`] is one that runs (and may be
//! killed), [`Account`] asks as somebody, [`Viewer`] reads one event stream and
//! [`follow`] reads on over every restart. Nothing sleeps for a fixed time: [`until`]
//! waits for a condition, with a deadline.

#![expect(clippy::missing_panics_doc, reason = "everything here panics: that is how a test fails")]

mod account;
mod answer;
mod backend;
mod binary;
pub mod closed_loop;
mod follower;
pub mod http;
pub mod jaeger;
pub mod lottery;
mod objects;
pub mod poster;
pub mod process;
pub mod proxy;
pub mod replay;
mod scene;
mod server;
mod setup;
mod site;
pub mod sse;
pub mod swarm;
pub mod tcp_table;
pub mod timing;
mod viewer;
mod wait;

pub use account::Account;
pub use answer::Answer;
pub use backend::Backend;
pub use follower::{Followed, follow};
pub use objects::objects;
pub use scene::{Scene, danmaku};
pub use server::{OneByOne, Ran, Server};
pub use setup::{Setup, free_port};
pub use site::PROCESSES;
pub use viewer::{Viewer, Watch};
pub use wait::{DEADLINE, in_time, until};
