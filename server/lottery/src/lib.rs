//! Owns: lotteries, entries, draws, proofs.

pub mod protocol;
