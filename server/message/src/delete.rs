//! Deleting: who may, and the one update that does it.

use common::Outcome;
use idl::access::{Identity, SiteRole};
use idl::event::RoomRole;
use idl::{Code, DanmakuId, Refusal, Timestamp, UserId};

use crate::announce;
use crate::store::{self, Kept, Store};

/// How long a sender may take a danmaku back.
const RECALL_MS: u64 = 2 * 60 * 1_000;

/// What can be said without the caller's role in the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// May delete it.
    Allowed,
    /// May if it moderates the room; else this is the refusal's code.
    IfModerator(Code),
}

/// Whether somebody may delete a danmaku, its role in the room aside.
pub(crate) fn right(kept: &Kept, identity: &Identity, now: Timestamp) -> Right {
    let own = kept.danmaku.sender.id == identity.user;
    let recent = now.since_ms(kept.danmaku.sent_at) <= RECALL_MS;
    match (identity.role, own) {
        (SiteRole::SiteAdmin, _) => Right::Allowed,
        // Deleting again changes nothing, so it is never too late for it.
        (SiteRole::Member, true) if recent || kept.deleted => Right::Allowed,
        (SiteRole::Member, true) => Right::IfModerator(Code::RecallExpired),
        (SiteRole::Member, false) => Right::IfModerator(Code::NotAllowed),
    }
}

impl Right {
    /// The answer, with the role.
    ///
    /// # Errors
    /// The caller may not.
    pub(crate) fn with_role(self, role: RoomRole) -> Result<(), Refusal> {
        match self {
            Self::IfModerator(code) if !role.moderates() => Err(Refusal::new(
                code,
                match code {
                    Code::RecallExpired => "a danmaku can be taken back within two minutes",
                    _ => "only its sender and the room's moderators may delete this danmaku",
                },
            )),
            _ => Ok(()),
        }
    }
}

/// Deletes, and sees that viewers hear of it.
pub(crate) async fn delete(store: Store, kept: &Kept, by: UserId, now: Timestamp) -> Outcome<()> {
    let id: DanmakuId = kept.danmaku.id;
    let slots = store.outbox.slots(1).await?;
    let mut tx = store.db.begin().await?;
    if store::mark_deleted(&mut tx, id, by, now).await? {
        store::replay::session_changed(&mut tx, kept.danmaku.session_id).await?;
        for slot in slots {
            store.outbox.add(&mut tx, slot, kept.danmaku.room_id.0, &announce::deletion(id, now)).await?;
        }
        tx.commit().await?;
        store.outbox.committed();
    }
    Ok(())
}
