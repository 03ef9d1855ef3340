//! What replays show on their timelines.

use common::Outcome;
use idl::Refusal;
use idl::live::MarkReplay;
use idl::user::Done;

use crate::change::Told;
use crate::store::{mark as table, replay};
use crate::{Core, text};

/// Of a broadcast. Full: what happens then is not marked.
const MAX_MARKS: i64 = 1_000;

impl Core {
    /// Keeps what happened in the broadcast that was on. A replay that is there already is
    /// indexed again. Each thing of a lottery happens once.
    pub(crate) async fn mark_replay(&self, mark: &MarkReplay) -> Outcome<Done> {
        let title = text::title(&mark.title)?;
        let kind = table::kind_number(mark.kind).ok_or_else(|| Refusal::field("/kind", "of no known kind"))?;
        // With the room locked, the broadcast does not end meanwhile.
        let mut change = self.change_for_service(mark.room).await?;
        let Some((session, has_ended)) = table::session_at(&mut change.tx, mark.room, mark.at).await? else {
            return Ok(Done {});
        };
        if !table::insert(&mut change.tx, &self.db, session, kind, &title, mark).await? {
            return Ok(Done {});
        }
        if table::count(&mut change.tx, session).await? > MAX_MARKS {
            tracing::warn!(%session, lottery.id = %mark.lottery, "a broadcast has {MAX_MARKS} marks; this one is dropped");
            return Ok(Done {});
        }
        // Without a replay there is nothing to mark, and will not be.
        if has_ended && !replay::revise_of_session(&mut change.tx, session).await? {
            return Ok(Done {});
        }
        self.finish(change, Told::Nothing).await?;
        self.replay_due.notify_one();
        Ok(Done {})
    }
}
