//! Who may do what in a room. Pure.

use idl::access::{Identity, SiteRole};
use idl::{Code, Refusal, UserId};

/// What somebody wants to do in a room, by who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Take its stream key: whoever has it speaks as the owner, so only the owner may.
    Stream,
    /// Change it, open and close it, name its admins: the owner and site admins.
    Run,
    /// Mute in it: the owner, its admins and site admins.
    Moderate,
}

impl Deed {
    /// Refuses whoever may not.
    pub(crate) fn require(self, who: &Identity, owner: UserId, is_room_admin: bool) -> Result<(), Refusal> {
        if self.is_allowed(who.user == owner, is_room_admin, who.role == SiteRole::SiteAdmin) {
            return Ok(());
        }
        let only = match self {
            Self::Stream => "only the room's owner may do this",
            Self::Run => "only the room's owner and site admins may do this",
            Self::Moderate => "only the room's owner, its admins and site admins may do this",
        };
        Err(Refusal::new(Code::NotAllowed, only))
    }

    const fn is_allowed(self, owner: bool, room_admin: bool, site_admin: bool) -> bool {
        match self {
            Self::Stream => owner,
            Self::Run => owner || site_admin,
            Self::Moderate => owner || room_admin || site_admin,
        }
    }
}
