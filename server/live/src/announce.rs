//! What viewers are told, as facts in the outbox, and the relay that brings them to push.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use common::{Outcome, rpc};
use idl::event::{EventType, ModerationEvent, Mute, RoomChange, RoomEvent};
use idl::push::{self, Lane, MAX_PUBLICATIONS, Publication, Publish};
use idl::{Refusal, RoomId, Timestamp};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::Core;
use crate::store::RoomRow;

/// The room changed to what it is now.
pub(crate) fn room_changed(row: &RoomRow, change: RoomChange, now: Timestamp) -> Outcome<Publication> {
    let state = row.state();
    let source = format!("room:{}:{}", state.id, state.version);
    let event = RoomEvent { change, room: state.clone() };
    Ok(Publication { state: Some(state), ..guaranteed(source, EventType::Room, &event, now)? })
}

/// Somebody was muted or unmuted; `n` tells one such event of the room from the next.
pub(crate) fn mute_changed(room: RoomId, n: u64, mute: Mute, now: Timestamp) -> Outcome<Publication> {
    let event = ModerationEvent { deleted: Vec::new(), muted: Some(mute) };
    guaranteed(format!("mute:{room}:{n}"), EventType::Moderation, &event, now)
}

fn guaranteed(source: String, event: EventType, payload: &impl Serialize, now: Timestamp) -> Outcome<Publication> {
    Ok(Publication {
        source,
        event,
        data: serde_json::to_string(payload).map_err(anyhow::Error::from)?,
        at_ms: now.0,
        lane: Lane::Guaranteed,
        sender: None,
        tombstones: Vec::new(),
        state: None,
        lottery: None,
    })
}

impl Core {
    /// Brings facts to push until the process stops; the rest waits for the next start.
    pub(crate) async fn relay(&self) {
        let stop = self.platform.lifecycle.soft().clone();
        self.outbox.relay(stop, |room, publications| self.deliver(RoomId(room), publications)).await;
    }

    async fn deliver(&self, room: RoomId, publications: Vec<Publication>) -> Result<(), Refusal> {
        for batch in publications.chunks(MAX_PUBLICATIONS) {
            let publish = Publish { room, publications: batch.to_vec() };
            let published = rpc::answer(self.push.publish(rpc::within(rpc::PUBLISH_DEADLINE), publish).await)?;
            if published.outcomes.contains(&push::Outcome::Suppressed) {
                tracing::error!(%room, "push sampled out a guaranteed event of room {room}");
            }
        }
        self.arrivals.announce(room);
        Ok(())
    }
}

/// Who waits for a new room's first fact to reach push. Bounded: a waiter leaves after a
/// quarter of a second at most.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    waiting: Mutex<HashMap<RoomId, oneshot::Sender<()>>>,
}

impl Arrivals {
    /// Call before the fact is committed, so that its arrival is not missed.
    pub(crate) fn expect(&self, room: RoomId) -> Arrival<'_> {
        let (arrived, arrival) = oneshot::channel();
        self.lock().insert(room, arrived);
        Arrival { arrivals: self, room, arrival }
    }

    fn announce(&self, room: RoomId) {
        if let Some(arrived) = self.lock().remove(&room) {
            // The waiter may have given up; then nobody needs to know.
            let _ = arrived.send(());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RoomId, oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wait for a room to be known to push.
#[derive(Debug)]
pub(crate) struct Arrival<'a> {
    arrivals: &'a Arrivals,
    room: RoomId,
    arrival: oneshot::Receiver<()>,
}

impl Arrival<'_> {
    /// Waits, but not long: the room exists, whether push knows it yet or not.
    pub(crate) async fn wait(mut self) {
        const PATIENCE: Duration = Duration::from_millis(250);
        if tokio::time::timeout(PATIENCE, &mut self.arrival).await.is_err() {
            tracing::debug!(room = %self.room, "push does not know the new room yet");
        }
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.arrivals.lock().remove(&self.room);
    }
}
