//! What every HTTP surface of goligoli does alike: problems, credentials, headers.

pub mod admission;
pub mod credentials;
pub mod edge;
pub mod problem;
pub mod serve;
mod stall;

pub use problem::Problem;
