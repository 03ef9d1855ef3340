//! What every HTTP surface of goligoli does alike: problems, credentials, headers.

pub mod admission;
pub mod credentials;
pub mod edge;
mod long_lived;
pub mod problem;
pub mod serve;
mod stall;

pub use long_lived::LongLived;
pub use problem::Problem;
