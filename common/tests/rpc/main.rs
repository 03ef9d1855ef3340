//! Calls between processes, over real connections: each node here is what a process would be.

mod calls;
mod faults;
mod lab;
mod trust;
