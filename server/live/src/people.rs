//! A room's admins, and who is muted in it.

use common::{Outcome, rpc};
use idl::access::Identity;
use idl::event::{Mute, Owner};
use idl::live::{Admins, ListMutes, MuteSpan, MutedUser, Mutes};
use idl::user::{Done, GetProfile};
use idl::{Code, Refusal, RoomId, UserId};
use tarpc::context::Context;

use crate::change::Told;
use crate::role::Deed;
use crate::store::people::{self as table, MuteEnd};
use crate::{Core, MAX_PAGE};
use common::cursor::{self, List, Position};

const MAX_ADMINS: usize = 50;
const MAX_MUTE_HOURS: u32 = 720;
const HOUR_MS: u64 = 60 * 60 * 1_000;

impl Core {
    /// A room's admins.
    pub(crate) async fn admins(&self, room: RoomId) -> Outcome<Admins> {
        self.find_room(room).await?;
        Ok(Admins { items: table::admins(self.db.reader(), room).await? })
    }

    /// Names or removes an admin. An admin can't be muted: naming one lifts the mute.
    pub(crate) async fn set_admin(
        &self,
        context: Context,
        who: &Identity,
        room: RoomId,
        user: UserId,
        admin: bool,
    ) -> Outcome<Done> {
        if !admin {
            let mut change = self.change(room, who, Deed::Run).await?;
            if table::delete_admin(&mut change.tx, room, user).await? {
                self.finish(change, Told::Nothing).await?;
            }
            return Ok(Done {});
        }
        self.check_deed(room, who, Deed::Run).await?;
        let user = self.profile(context, user).await?;
        let n = self.ids.next().await?;
        let mut change = self.change(room, who, Deed::Run).await?;
        if user.id == change.row.owner() {
            return Err(Refusal::new(Code::NotAllowed, "a room's owner can't be its admin, too").into());
        }
        let admins = table::admins(&mut *change.tx, room).await?;
        if admins.iter().any(|admin| admin.id == user.id) {
            return Ok(Done {});
        }
        if admins.len() >= MAX_ADMINS {
            return Err(Refusal::new(Code::LimitReached, format!("a room has at most {MAX_ADMINS} admins")).into());
        }
        table::insert_admin(&mut change.tx, room, &user).await?;
        let lifted = table::delete_mute(&mut change.tx, room, user.id).await?;
        let unmuted = Mute { user_id: user.id, muted: false, until_ms: None };
        self.finish(change, if lifted { Told::Mute(n, unmuted) } else { Told::Nothing }).await?;
        Ok(Done {})
    }

    /// Mutes an account, in place of any mute that it has.
    pub(crate) async fn mute(
        &self,
        context: Context,
        who: &Identity,
        room: RoomId,
        user: UserId,
        span: MuteSpan,
    ) -> Outcome<MutedUser> {
        if let MuteSpan::Hours(hours) = span
            && !(1..=MAX_MUTE_HOURS).contains(&hours)
        {
            return Err(Refusal::field("/span/hours", format!("1 to {MAX_MUTE_HOURS} hours")).into());
        }
        self.check_deed(room, who, Deed::Moderate).await?;
        let user = self.profile(context, user).await?;
        let n = self.ids.next().await?;
        let mut change = self.change(room, who, Deed::Moderate).await?;
        if user.id == change.row.owner() || table::is_admin(&mut *change.tx, room, user.id).await? {
            return Err(Refusal::new(Code::NotAllowed, "the room's owner and its admins can't be muted").into());
        }
        let now = self.platform.clock.now();
        let end = match span {
            MuteSpan::Forever => MuteEnd::new(None, None),
            MuteSpan::Hours(hours) => MuteEnd::new(Some(now.plus_ms(u64::from(hours) * HOUR_MS)), None),
            MuteSpan::Session => match change.row.session() {
                Some(session) => MuteEnd::new(None, Some(session.id)),
                None => return Err(Refusal::new(Code::RoomClosed, format!("room {room} is not live")).into()),
            },
        };
        table::put_mute(&mut change.tx, room, &user, end, now).await?;
        let until = end.until();
        let muted = Mute { user_id: user.id, muted: true, until_ms: until.map(|t| t.0) };
        self.finish(change, Told::Mute(n, muted)).await?;
        Ok(MutedUser { user, until, session_only: span == MuteSpan::Session, created_at: now })
    }

    /// Lifts a mute; there need not be one.
    pub(crate) async fn unmute(&self, who: &Identity, room: RoomId, user: UserId) -> Outcome<Done> {
        let n = self.ids.next().await?;
        let mut change = self.change(room, who, Deed::Moderate).await?;
        if table::delete_mute(&mut change.tx, room, user).await? {
            let unmuted = Mute { user_id: user, muted: false, until_ms: None };
            self.finish(change, Told::Mute(n, unmuted)).await?;
        }
        Ok(Done {})
    }

    /// A page of the mutes that hold now, latest first.
    pub(crate) async fn list_mutes(&self, who: &Identity, asked: &ListMutes) -> Outcome<Mutes> {
        let limit = cursor::limit(asked.limit, MAX_PAGE)?;
        let list = List::new(format!("mutes of room {}", asked.room));
        let from = list.read(asked.cursor.as_deref())?;
        let row = self.check_deed(asked.room, who, Deed::Moderate).await?;
        let session = row.session().map(|session| session.id);
        let now = self.platform.clock.now();
        let rows =
            table::list_mutes(self.db.reader(), asked.room, session, now, from, cursor::with_one_more(limit)).await?;
        let (items, next_cursor) =
            cursor::page(rows, limit, &list, |mute| Position { rank: mute.created_at.0, id: mute.user.id.as_i64() });
        Ok(Mutes { items, next_cursor })
    }

    /// The account, from the service that knows: `no-such-user` is its answer.
    async fn profile(&self, context: Context, user: UserId) -> Outcome<Owner> {
        let context = rpc::at_most(context, rpc::EDGE_DEADLINE);
        let profile = rpc::answer(self.user.profile(context, GetProfile { user }).await)?;
        Ok(Owner { id: profile.id, name: profile.name })
    }
}
