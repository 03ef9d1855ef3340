//! The contract of push, over what the rooms do.

use std::time::{Duration, Instant};

use common::telemetry::traces::Trace;
use idl::access::SiteRole;
use idl::push::{
    FollowRevocations, MAX_PUBLICATIONS, Publish, Published, Push as Contract, Retain, Retained, RevocationPage,
    Revoke, Revoked, RoomActivities, TopRooms, Viewers, ViewersOf,
};
use idl::{Code, Refusal};
use tarpc::context::Context;
use tokio::sync::oneshot;

use crate::Push;
use crate::room::{Command, State};
use crate::store::RevocationStore;

const MAX_STATES: usize = 500;
const MAX_VIEWERS_OF: usize = 1_000;
/// One event's JSON.
const MAX_DATA_BYTES: usize = 32 << 10;
/// All events of one call.
const MAX_PUBLISH_BYTES: usize = 1 << 20;
/// What is left of a call's time for the way back.
const RETURN_MARGIN: Duration = Duration::from_millis(200);
/// The same, of a call that waits for a room's writer.
const ANSWER_MARGIN: Duration = Duration::from_millis(20);

impl Contract for Push {
    async fn publish(self, context: Context, request: Publish) -> Result<Published, Refusal> {
        bounded("publications", request.publications.len(), MAX_PUBLICATIONS)?;
        for publication in &request.publications {
            bounded("bytes of data", publication.data.len(), MAX_DATA_BYTES)?;
            // A line break would end the field, and what follows would be a field of the sender's choice.
            if publication.data.is_empty() || publication.data.contains(['\n', '\r']) {
                return Err(Refusal::field("/publications/data", "an event's data is one line"));
            }
        }
        let bytes = request.publications.iter().map(|publication| publication.data.len()).sum();
        bounded("bytes of data in all", bytes, MAX_PUBLISH_BYTES)?;
        let (answer, published) = oneshot::channel();
        let (publications, trace) = (request.publications, Trace::here());
        self.rooms.send(request.room, Command::Publish { publications, answer, trace }).await?;
        answered(&context, published).await
    }

    async fn retain(self, context: Context, request: Retain) -> Result<Retained, Refusal> {
        bounded("states", request.states.len() + request.lotteries.len(), MAX_STATES)?;
        let rooms = request.states.into_iter().map(|state| (state.id, State::Room(Box::new(state))));
        let lotteries = request.lotteries.into_iter().map(|(room, state)| (room, State::Lottery(Box::new(state))));
        let mut pending = Vec::new();
        for (room, state) in rooms.chain(lotteries) {
            let (answer, done) = oneshot::channel();
            self.rooms.send(room, Command::Retain { state, answer }).await?;
            pending.push(done);
        }
        for done in pending {
            answered(&context, done).await?;
        }
        Ok(Retained {})
    }

    async fn viewers(self, _: Context, request: ViewersOf) -> Result<Viewers, Refusal> {
        bounded("rooms", request.rooms.len(), MAX_VIEWERS_OF)?;
        Ok(Viewers { connections: self.rooms.connections(&request.rooms).await })
    }

    async fn top_rooms(self, _: Context, request: TopRooms) -> Result<RoomActivities, Refusal> {
        let identity = self.platform.verifier.verify(&request.caller)?;
        if identity.role != SiteRole::SiteAdmin {
            return Err(Refusal::new(Code::NotAllowed, "only the site's admins see what goes on in all rooms"));
        }
        Ok(RoomActivities { by: request.by, items: self.rooms.top(request.by) })
    }

    async fn revoke(self, _: Context, request: Revoke) -> Result<Revoked, Refusal> {
        bounded("revocations", request.revocations.len(), MAX_PUBLICATIONS)?;
        let appending = self.revocations.append(request.revocations).await;
        appending.map_err(|error| self.refuse_revocations(error, "appending revocations"))?;
        Ok(Revoked {})
    }

    async fn revocations(self, context: Context, request: FollowRevocations) -> Result<RevocationPage, Refusal> {
        let time_left = context.deadline.saturating_duration_since(Instant::now()).saturating_sub(RETURN_MARGIN);
        let wait = Duration::from_millis(request.wait_ms).min(time_left);
        let following = self.revocations.follow(request.after.as_deref(), wait).await;
        following.map_err(|error| self.refuse_revocations(error, "reading revocations"))
    }
}

impl Push {
    /// A shared store that is away comes back; a broken file does not.
    fn refuse_revocations(&self, error: anyhow::Error, doing: &str) -> Refusal {
        match &*self.revocations {
            RevocationStore::File(_) => common::Failure::Broken(error).into_refusal(doing),
            RevocationStore::Shared(_) => {
                tracing::warn!(error = %format!("{error:#}"), "{doing} failed");
                Refusal::new(Code::Unavailable, "the feed of ended log-ins is not available").retry_after_ms(1_000)
            }
        }
    }
}

/// A writer's answer. A store that hangs costs the caller no more than its time.
async fn answered<T>(context: &Context, answer: oneshot::Receiver<Result<T, Refusal>>) -> Result<T, Refusal> {
    let time_left = context.deadline.saturating_duration_since(Instant::now());
    let wait = time_left.saturating_sub(ANSWER_MARGIN.min(time_left / 4));
    match tokio::time::timeout(wait, answer).await {
        Ok(answer) => answer.map_err(|_| ended())?,
        Err(_) => Err(Refusal::new(Code::Unavailable, "the room's feed does not answer").retry_after_ms(1_000)),
    }
}

fn bounded(what: &str, n: usize, most: usize) -> Result<(), Refusal> {
    if n > most {
        return Err(Refusal::new(Code::TooLarge, format!("{n} {what}, but at most {most} in one call")));
    }
    Ok(())
}

fn ended() -> Refusal {
    Refusal::new(Code::Unavailable, "the room's writer ended").retry_after_ms(1_000)
}
