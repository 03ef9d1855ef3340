//! The service through its client, on a real database, with its neighbours played.

mod clock;
mod covers;
mod keywords;
mod people;
mod rooms;
mod sessions;
mod telling;
mod world;
