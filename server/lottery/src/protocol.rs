//! The draw protocol `goligoli-draw/1`: what is hashed, signed, ranked and checked. Pure:
//! no storage, no clock, no randomness of its own. Its documents are those of [`idl::draw`].
//!
//! A lottery's life: [`spec::SpecText::new`] and [`keys::ReceiptKey::open`]; for each entry
//! [`keys::ReceiptKey::receipt`]; at the freeze a [`merkle::PagedTree`] over all entries and
//! [`keys::ReceiptKey::close`]; then [`rank::DrawKey::derive`], a [`rank::Ranking`] over all
//! entries, and [`prizes::Holders`] for who holds what, also after replacements.

pub mod keys;
pub mod merkle;
pub mod messages;
pub mod prizes;
pub mod rank;
pub mod spec;
pub mod verify;
