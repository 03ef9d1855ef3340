//! Once a second: does everybody have the latest of every room? Messages get lost; so do
//! connections, and sometimes what Redis had.

use std::sync::Arc;
use std::time::Duration;

use common::health::Health;

use super::Shared;
use super::wire::{Keys, tag};
use crate::room::Room;
use crate::rooms::Rooms;

const EVERY: Duration = Duration::from_secs(1);
/// So many rooms are asked for in one round trip.
const AT_ONCE: usize = 1_000;

/// Looks, for ever; whoever is behind is woken to read.
pub(super) async fn check(shared: Shared, rooms: Rooms, health: Health) {
    let mut was_up = true;
    loop {
        // A connection for news that is new may have missed something before.
        _ = tokio::time::timeout(EVERY, shared.subscriptions.renewed()).await;
        let checked = check_once(&shared, &rooms.in_use()).await;
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

async fn check_once(shared: &Shared, rooms: &[Arc<Room>]) -> anyhow::Result<()> {
    if rooms.is_empty() {
        return shared.link.command(&redis::cmd("PING")).await;
    }
    for rooms in rooms.chunks(AT_ONCE) {
        let mut ask = redis::pipe();
        for room in rooms {
            ask.cmd("HGET").arg(Keys::of(&shared.link, room.id).head).arg("tag");
        }
        let tags: Vec<Option<String>> = shared.link.pipeline(&ask).await?;
        for (room, found) in rooms.iter().zip(tags) {
            // What was heard since it was asked is read once more, in vain.
            if found.unwrap_or_default() != tag(room.feed().place().at.tag) {
                room.fall_behind();
            }
        }
    }
    Ok(())
}
