//! Who may post now: what the room's standing and the site's roles say, before anything
//! is stored.

use idl::access::{Identity, SiteRole};
use idl::danmaku::{DanmakuText, keyword_form};
use idl::event::{LiveSession, RoomRole};
use idl::live::Standing;
use idl::message::DanmakuBody;
use idl::{Code, LotteryId, Refusal, RoomId, Timestamp, UserId};

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
    /// Whose keyword the text is.
    pub(crate) keyword: Option<Keyword>,
}

impl Admission {
    /// The lottery that the danmaku belongs to if it is stored `now`: the keyword may have
    /// ended while the post waited.
    pub(crate) fn lottery(&self, now: Timestamp) -> Option<LotteryId> {
        self.keyword.filter(|keyword| now < keyword.until).map(|keyword| keyword.lottery)
    }
}

/// The text is a lottery's keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keyword {
    pub(crate) lottery: LotteryId,
    /// Danmaku from before this moment belong to the lottery.
    pub(crate) until: Timestamp,
}

/// What an account is in a room, the site's roles included: a site admin may act as the
/// owner could, and is seen as an admin.
pub(crate) const fn role_in_room(standing: &Standing, site: SiteRole) -> RoomRole {
    match (standing.role, site) {
        (RoomRole::Viewer, SiteRole::SiteAdmin) => RoomRole::Admin,
        (role, _) => role,
    }
}

/// Whose keyword a text is. Whoever says it: who may enter is the lottery's business.
fn keyword(standing: &Standing, text: &DanmakuText) -> Option<Keyword> {
    if standing.keywords.is_empty() {
        return None;
    }
    let form = keyword_form(text.as_str());
    let found = standing.keywords.iter().find(|keyword| keyword.form == form)?;
    Some(Keyword { lottery: found.lottery, until: found.until })
}

/// Whether an account may post this.
pub(crate) fn admit(standing: &Standing, identity: &Identity, text: &DanmakuText) -> Result<Admission, Refusal> {
    let session = standing.session.ok_or_else(|| Refusal::new(Code::RoomClosed, "no broadcast is on in this room"))?;
    let role = role_in_room(standing, identity.role);
    let keyword = keyword(standing, text);
    if role.moderates() {
        return Ok(Admission { session, role, slow_mode_ms: 0, keyword });
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
    Ok(Admission { session, role, slow_mode_ms: u64::from(standing.rules.slow_mode_s) * 1_000, keyword })
}

#[cfg(test)]
mod tests {
    use idl::event::RoomRules;
    use idl::live::RoomKeyword;
    use idl::{DeviceId, SessionId};

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
            keywords: Vec::new(),
        }
    }

    fn text() -> DanmakuText {
        DanmakuText::parse(" Ｇoli ").unwrap()
    }

    #[test]
    fn a_closed_room_takes_nobodys_danmaku() {
        for role in [RoomRole::Viewer, RoomRole::Admin, RoomRole::Owner] {
            let closed = Standing { session: None, ..standing(role) };
            assert_eq!(admit(&closed, &who(SiteRole::SiteAdmin), &text()).unwrap_err().code, Code::RoomClosed);
        }
    }

    #[test]
    fn mutes_and_slow_mode_bind_viewers_only() {
        let muted = |role| Standing { muted: true, muted_until: Some(Timestamp(7)), ..standing(role) };
        let refusal = admit(&muted(RoomRole::Viewer), &who(SiteRole::Member), &text()).unwrap_err();
        assert_eq!((refusal.code, refusal.until), (Code::Muted, Some(Timestamp(7))));

        let mut silent = standing(RoomRole::Viewer);
        silent.rules.mute_all = true;
        let refusal = admit(&silent, &who(SiteRole::Member), &text()).unwrap_err();
        assert_eq!((refusal.code, refusal.until), (Code::Muted, None));

        assert_eq!(admit(&standing(RoomRole::Viewer), &who(SiteRole::Member), &text()).unwrap().slow_mode_ms, 5_000);
        for (room, site) in [
            (RoomRole::Owner, SiteRole::Member),
            (RoomRole::Admin, SiteRole::Member),
            (RoomRole::Viewer, SiteRole::SiteAdmin),
        ] {
            let mut all = muted(room);
            all.rules.mute_all = true;
            let admission = admit(&all, &who(site), &text()).unwrap();
            assert_eq!(admission.slow_mode_ms, 0);
            assert!(admission.role.moderates());
        }
    }

    #[test]
    fn a_keyword_is_anybodys_until_it_ends() {
        let keyword = |lottery, form: &str, until| RoomKeyword {
            lottery: LotteryId(lottery),
            form: form.to_owned(),
            until: Timestamp(until),
        };
        for role in [RoomRole::Viewer, RoomRole::Admin, RoomRole::Owner] {
            let mut standing = standing(role);
            standing.keywords = vec![keyword(1, "gol", 10), keyword(2, "goli", 20)];
            let admission = admit(&standing, &who(SiteRole::Member), &text()).unwrap();
            assert_eq!(admission.lottery(Timestamp(19)), Some(LotteryId(2)));
            assert_eq!(admission.lottery(Timestamp(20)), None);
            standing.keywords = vec![keyword(1, "gol", 10)];
            let admission = admit(&standing, &who(SiteRole::Member), &text()).unwrap();
            assert_eq!(admission.lottery(Timestamp(0)), None);
        }
    }
}
