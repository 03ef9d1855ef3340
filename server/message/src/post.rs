//! Who may post now: what the room's standing and the site's roles say, before anything
//! is stored.

use idl::access::{Identity, SiteRole};
use idl::event::{LiveSession, RoomRole};
use idl::live::Standing;
use idl::message::DanmakuBody;
use idl::{Code, Refusal, RoomId, UserId};

use crate::keys::KeyHash;

/// A post on its way to the writer.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) room: RoomId,
    pub(crate) user: UserId,
    pub(crate) user_name: String,
    pub(crate) body: DanmakuBody,
    pub(crate) key: Option<KeyHash>,
    /// A post with a key goes to the writer even if it is not admitted: it may repeat one
    /// that was accepted, and only the writer knows all of those.
    pub(crate) admission: Result<Admission, Refusal>,
}

/// The conditions that a post is admitted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admission {
    pub(crate) session: LiveSession,
    pub(crate) role: RoomRole,
    /// The time that must lie between two danmaku of this account here; 0 is none.
    pub(crate) slow_mode_ms: u64,
}

/// What an account is in a room, the site's roles included: a site admin may act as the
/// owner could, and is seen as an admin.
pub(crate) const fn role_in_room(standing: &Standing, site: SiteRole) -> RoomRole {
    match (standing.role, site) {
        (RoomRole::Viewer, SiteRole::SiteAdmin) => RoomRole::Admin,
        (role, _) => role,
    }
}

/// Whether an account may post.
pub(crate) fn admit(standing: &Standing, identity: &Identity) -> Result<Admission, Refusal> {
    let session = standing.session.ok_or_else(|| Refusal::new(Code::RoomClosed, "no broadcast is on in this room"))?;
    let role = role_in_room(standing, identity.role);
    if role.moderates() {
        return Ok(Admission { session, role, slow_mode_ms: 0 });
    }
    if standing.muted {
        let refusal = Refusal::new(Code::Muted, "this account is muted in this room");
        return Err(match standing.muted_until {
            Some(end) => refusal.until(end),
            None => refusal,
        });
    }
    if standing.rules.mute_all {
        return Err(Refusal::new(Code::Muted, "only the streamer and the room's admins may post now"));
    }
    Ok(Admission { session, role, slow_mode_ms: u64::from(standing.rules.slow_mode_s) * 1_000 })
}

#[cfg(test)]
mod tests {
    use idl::event::RoomRules;
    use idl::{DeviceId, SessionId, Timestamp};

    use super::*;

    fn who(role: SiteRole) -> Identity {
        Identity { user: UserId(1), name: "mei".into(), role, device: DeviceId(1), expires_at_ms: i64::MAX }
    }

    fn standing(role: RoomRole) -> Standing {
        Standing {
            role,
            session: Some(LiveSession { id: SessionId(9), opened_at_ms: 0 }),
            rules: RoomRules { slow_mode_s: 5, ..RoomRules::default() },
            muted: false,
            muted_until: None,
        }
    }

    #[test]
    fn a_closed_room_takes_nobodys_danmaku() {
        for role in [RoomRole::Viewer, RoomRole::Admin, RoomRole::Owner] {
            let closed = Standing { session: None, ..standing(role) };
            assert_eq!(admit(&closed, &who(SiteRole::SiteAdmin)).unwrap_err().code, Code::RoomClosed);
        }
    }

    #[test]
    fn mutes_and_slow_mode_bind_viewers_only() {
        let muted = |role| Standing { muted: true, muted_until: Some(Timestamp(7)), ..standing(role) };
        let refusal = admit(&muted(RoomRole::Viewer), &who(SiteRole::Member)).unwrap_err();
        assert_eq!((refusal.code, refusal.until), (Code::Muted, Some(Timestamp(7))));

        let mut silent = standing(RoomRole::Viewer);
        silent.rules.mute_all = true;
        let refusal = admit(&silent, &who(SiteRole::Member)).unwrap_err();
        assert_eq!((refusal.code, refusal.until), (Code::Muted, None));

        assert_eq!(admit(&standing(RoomRole::Viewer), &who(SiteRole::Member)).unwrap().slow_mode_ms, 5_000);
        for (room, site) in [
            (RoomRole::Owner, SiteRole::Member),
            (RoomRole::Admin, SiteRole::Member),
            (RoomRole::Viewer, SiteRole::SiteAdmin),
        ] {
            let mut all = muted(room);
            all.rules.mute_all = true;
            let admission = admit(&all, &who(site)).unwrap();
            assert_eq!(admission.slow_mode_ms, 0);
            assert!(admission.role.moderates());
        }
    }
}
