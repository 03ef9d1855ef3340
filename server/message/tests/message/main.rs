//! The message service through its real client, on a real database; the services that it
//! calls are stand-ins behind their real contracts.

mod announcing;
mod clock;
mod deleting;
mod fakes;
mod imports;
mod instances;
mod keywords;
mod posting;
mod reading;
mod replay_failures;
mod replay_stage;
mod replays;
mod searches;
mod stage;
