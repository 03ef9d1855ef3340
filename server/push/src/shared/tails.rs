//! Once a second: does everybody have the latest of every room? Messages get lost; so do
//! connections, and sometimes what Redis had.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use common::health::Health;
use idl::RoomId;
use tokio::time::Instant;

use super::Shared;
use super::wire::{Keys, Place, tag};
use crate::room::Room;
use crate::rooms::Rooms;

const EVERY: Duration = Duration::from_secs(1);
/// So many rooms are asked for in one round trip.
const AT_ONCE: usize = 1_000;

/// Looks, for ever; whoever is behind is woken to read.
pub(super) async fn check(shared: Shared, rooms: Rooms, health: Health) {
    let (mut was_up, mut lag) = (true, Lag::default());
    lag.tell();
    loop {
        // A connection for news that is new may have missed something before.
        _ = tokio::time::timeout(EVERY, shared.subscriptions.renewed()).await;
        let checked = check_once(&shared, &rooms.in_use(), &mut lag).await;
        lag.tell();
        let is_up = checked.is_ok();
        metrics::gauge!("goligoli_push_feeds_up").set(f64::from(u8::from(is_up)));
        // Not a reason to send viewers elsewhere: it is away for all processes, and theirs stay.
        health.degrade("feeds", checked.as_ref().err().map(|error| format!("Redis is away: {error:#}")));
        match checked {
            Err(error) if was_up => {
                tracing::error!(error = %format!("{error:#}"), "Redis is away: nothing is shown live until it is back");
            }
            Ok(()) if !was_up => tracing::info!("Redis is back"),
            _ => {}
        }
        was_up = is_up;
    }
}

async fn check_once(shared: &Shared, rooms: &[Arc<Room>], lag: &mut Lag) -> anyhow::Result<()> {
    lag.keep(rooms);
    if rooms.is_empty() {
        return shared.link.command(&redis::cmd("PING")).await;
    }
    for rooms in rooms.chunks(AT_ONCE) {
        let mut ask = redis::pipe();
        for room in rooms {
            ask.cmd("HMGET").arg(Keys::of(&shared.link, room.id).head).arg("tag").arg("rev");
        }
        let tails: Vec<(Option<String>, Option<u64>)> = shared.link.pipeline(&ask).await?;
        for (room, (found, rev)) in rooms.iter().zip(tails) {
            let place = room.feed().place();
            lag.look(room.id, &place, rev.unwrap_or(0));
            // What was heard since it was asked is read once more, in vain.
            if found.unwrap_or_default() != tag(place.at.tag) {
                room.fall_behind();
            }
        }
    }
    Ok(())
}

/// How far copies of feeds are behind what Redis has of them, by what each look found: of
/// rooms that have not come to it since. Rooms that are not in use are forgotten.
#[derive(Debug, Default)]
struct Lag(HashMap<RoomId, Behind>);

#[derive(Debug)]
struct Behind {
    epoch: u64,
    rev: u64,
    since: Instant,
}

impl Lag {
    fn keep(&mut self, rooms: &[Arc<Room>]) {
        if !self.0.is_empty() {
            let in_use: HashSet<RoomId> = rooms.iter().map(|room| room.id).collect();
            self.0.retain(|room, _| in_use.contains(room));
        }
    }

    /// A copy is at `place`, and Redis has the change `rev`.
    fn look(&mut self, room: RoomId, place: &Place, rev: u64) {
        // In another epoch it was read anew.
        if self.0.get(&room).is_some_and(|behind| behind.epoch != place.epoch || behind.rev <= place.at.rev) {
            self.0.remove(&room);
        }
        if place.at.rev < rev {
            self.0.entry(room).or_insert_with(|| Behind { epoch: place.epoch, rev, since: Instant::now() });
        }
    }

    /// Of the copy that is furthest behind.
    fn ms(&self) -> u64 {
        let most = self.0.values().map(|behind| behind.since.elapsed()).max().unwrap_or_default();
        u64::try_from(most.as_millis()).unwrap_or(u64::MAX)
    }

    fn tell(&self) {
        metrics::gauge!("goligoli_push_feed_lag_ms").set(self.ms() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Revision;

    #[tokio::test(start_paused = true)]
    async fn a_copy_lags_until_it_has_what_was_found_first() {
        let (mut lag, room) = (Lag::default(), RoomId(7));
        let at = |epoch, rev| Place { epoch, at: Revision { rev, tag: rev }, first: 1, last: rev };
        lag.look(room, &at(1, 10), 10);
        tokio::time::advance(EVERY).await;
        lag.look(room, &at(1, 10), 11);
        tokio::time::advance(EVERY).await;
        assert_eq!(lag.ms(), 1_000);
        lag.look(room, &at(1, 10), 15);
        tokio::time::advance(EVERY).await;
        assert_eq!(lag.ms(), 2_000, "since the first that it has not");
        lag.look(room, &at(1, 12), 18);
        assert_eq!(lag.ms(), 0, "a busy room is always a little behind");
        tokio::time::advance(EVERY).await;
        lag.look(room, &at(2, 1), 1);
        assert_eq!(lag.ms(), 0, "it was read anew");
        lag.look(room, &at(2, 1), 2);
        tokio::time::advance(EVERY).await;
        lag.keep(&[]);
        assert_eq!(lag.ms(), 0, "nobody uses it");
    }
}
