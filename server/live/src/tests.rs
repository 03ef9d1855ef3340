//! The service through its client, on a real database, with its neighbours played.

mod clock;
mod covers;
mod indexing;
mod keywords;
mod marks;
mod people;
mod replays;
mod rooms;
mod sessions;
mod telling;
mod world;
