//! The draw protocol `goligoli-draw/1`: what is hashed, signed, ranked and checked. Pure:
//! no storage, no clock, no randomness of its own. Its documents are those of [`idl::draw`].

pub mod merkle;
