//! What every HTTP surface of goligoli does alike: problems, credentials, headers.

pub mod admission;
mod chunk;
pub mod credentials;
mod crew;
pub mod edge;
mod long_lived;
pub mod problem;
pub mod serve;
mod stall;

pub use chunk::Ready;
pub use crew::{Crews, Filled, Script, Taken};
pub use long_lived::LongLived;
pub use problem::Problem;
