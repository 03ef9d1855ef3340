//! Past broadcasts of the demo. Each is a replay; the latest are kept, so that a demo that runs
//! for weeks does not fill the disk with them.

use common::rpc::{answer, within};
use idl::live::{DeleteReplay, ListReplays};
use idl::replay::ReplayOrigin;
use idl::{Refusal, RoomId};

use super::CALL_DEADLINE;
use super::cast::Actor;

/// Replays of broadcasts that are kept. Those of files somebody has brought, and they stay.
const KEPT: usize = 20;
const PAGE: u32 = 100;

/// Deletes the replays of all broadcasts but the latest.
///
/// # Errors
/// A call was refused; what was deleted by then stays deleted.
pub(crate) async fn keep_latest(clients: &gateway::Clients, room: RoomId, streamer: &Actor) -> Result<(), Refusal> {
    let (mut seen, mut cursor) = (0, None);
    loop {
        let request = ListReplays { caller: Some(streamer.caller().await?), room, cursor, limit: PAGE };
        let page = answer(clients.live.replays(within(CALL_DEADLINE), request).await)?;
        let broadcasts = page.items.into_iter().filter(|replay| replay.origin == ReplayOrigin::Broadcast);
        for replay in broadcasts {
            seen += 1;
            if seen > KEPT {
                let request = DeleteReplay { caller: streamer.caller().await?, replay: replay.id };
                answer(clients.live.delete_replay(within(CALL_DEADLINE), request).await)?;
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(());
        }
    }
}
