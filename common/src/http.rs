//! What every HTTP surface of goligoli does alike: problems, credentials, headers.

pub mod credentials;
pub mod edge;
pub mod problem;
pub mod serve;

pub use problem::Problem;
