//! One binary: its command line, its configuration, and the wiring of its services. The
//! only crate that knows every service.

pub mod cli;
pub mod config;
pub mod demo;
mod doctor;
mod fresh_keys;
mod import;
mod migrate;
mod moving;
pub mod operator;
mod peers;
pub mod platform;
mod reload;
mod restored;
mod shared_config;
mod stopped;
pub mod topology;
mod verify_draw;
pub mod wiring;

pub use config::Config;
pub use topology::{Service, Services};
pub use wiring::{App, Process};
