//! live: rooms, their rules and people, broadcasts.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{LiveSession, Owner, RoomRules};
use crate::user::{Done, Secret};
use crate::{Caller, IdempotencyKey, Refusal, RoomId, SessionId, Timestamp, UserId};

mod people;
mod replay;
mod standing;

pub use people::{Admins, ListAdmins, ListMutes, MuteSpan, MuteUser, MutedUser, Mutes, SetAdmin, UnmuteUser};
pub use replay::{
    BeginImport, DeleteReplay, EditReplay, EndImport, GetReplay, GetReplayJob, GiveImportUp, IndexReplay, ListReplays,
    LocatedReplay, MarkReplay, Replay, ReplayIndexed, ReplayJob, ReplayMark, ReplayMarkKind, ReplayState, ReplayText,
    ReplayWiped, Replays, Visibility,
};
pub use standing::{EndKeyword, GetStanding, RoomKeyword, SetKeyword, Standing};

/// The contract of the live service.
#[tarpc::service]
pub trait Live {
    /// Makes a room. The same key of the same account gives the same room again.
    async fn create_room(request: CreateRoom) -> Result<Room, Refusal>;
    /// Changes what a room says about itself. Owner and site admins.
    async fn edit_room(request: EditRoom) -> Result<Room, Refusal>;
    /// One room.
    async fn room(request: GetRoom) -> Result<Room, Refusal>;
    /// Rooms, by page: live ones by viewers, others by id, latest first.
    async fn rooms(request: ListRooms) -> Result<Rooms, Refusal>;
    /// Changes what is allowed in a room. Owner and site admins.
    async fn set_rules(request: SetRules) -> Result<Room, Refusal>;
    /// Sets the cover: JPEG, PNG or WebP by content, at most 2 MiB; kept as 960×540 JPEG.
    async fn set_cover(request: SetCover) -> Result<Room, Refusal>;
    /// The cover image.
    async fn cover(request: GetCover) -> Result<Cover, Refusal>;
    /// Begins a broadcast. Owner and site admins. The same key gives the same one again.
    async fn open(request: OpenSession) -> Result<Session, Refusal>;
    /// Ends the broadcast. Owner and site admins. Ending it again changes nothing.
    async fn close(request: CloseSession) -> Result<Session, Refusal>;
    /// One broadcast of a room.
    async fn session(request: GetSession) -> Result<Session, Refusal>;
    /// A room's broadcasts, latest first.
    async fn sessions(request: ListSessions) -> Result<Sessions, Refusal>;
    /// Makes a new stream key; the one before ends. Owner only. It is shown here once.
    async fn rotate_stream_key(request: RotateStreamKey) -> Result<StreamKey, Refusal>;
    /// A room's admins.
    async fn admins(request: ListAdmins) -> Result<Admins, Refusal>;
    /// Names or removes an admin. Owner and site admins.
    async fn set_admin(request: SetAdmin) -> Result<Done, Refusal>;
    /// A room's mutes, latest first. Owner and admins.
    async fn mutes(request: ListMutes) -> Result<Mutes, Refusal>;
    /// Mutes an account. Owner and admins; neither can be muted.
    async fn mute(request: MuteUser) -> Result<MutedUser, Refusal>;
    /// Lifts a mute. Owner and admins.
    async fn unmute(request: UnmuteUser) -> Result<Done, Refusal>;
    /// What an account may do in a room now; message asks before it stores anything.
    async fn standing(request: GetStanding) -> Result<Standing, Refusal>;
    /// Gives a lottery its keyword: danmaku of the room that equal it belong to the lottery,
    /// from the answer on. Owner and site admins. `keyword-taken` if another lottery of the
    /// room has it whose time is not over. The same lottery again changes nothing.
    async fn set_keyword(request: SetKeyword) -> Result<Done, Refusal>;
    /// Ends a lottery's keyword before its time. A service asks, in nobody's name. Ending it
    /// again changes nothing.
    async fn end_keyword(request: EndKeyword) -> Result<Done, Refusal>;
    /// A room's replays, latest first. Hidden ones are listed for the owner and site admins
    /// only. A room that takes no guests lists them only to who is signed in.
    async fn replays(request: ListReplays) -> Result<Replays, Refusal>;
    /// One replay, and where it lies. `no-such-replay` for who may not see it; for a guest who
    /// would see it signed in, `not-signed-in`.
    async fn replay(request: GetReplay) -> Result<LocatedReplay, Refusal>;
    /// Changes what a replay is called, and who may see it. Owner and site admins.
    async fn edit_replay(request: EditReplay) -> Result<Replay, Refusal>;
    /// Deletes a replay for good, also one that is importing. Owner and site admins. Deleting it
    /// again changes nothing.
    async fn delete_replay(request: DeleteReplay) -> Result<Done, Refusal>;
    /// Has a replay indexed again. Owner and site admins.
    async fn index_replay(request: IndexReplay) -> Result<Replay, Refusal>;
    /// Begins a replay whose danmaku are brought in a file. Nobody sees it before
    /// [`Live::end_import`], and it is deleted if that does not come within an hour. Owner
    /// and site admins. A repetition with the same key (for 24 hours) gives the replay of the
    /// first time, if that has ended; `replay-not-ready` if it has not. If the replay is not
    /// there any more, or the import failed, it begins another one.
    async fn begin_import(request: BeginImport) -> Result<Replay, Refusal>;
    /// A file could not be imported: its replay is deleted, whatever its state. A service asks;
    /// again it changes nothing.
    async fn give_import_up(request: GiveImportUp) -> Result<Done, Refusal>;
    /// All danmaku of the file are stored: the replay is indexed from now on. A service asks.
    async fn end_import(request: EndImport) -> Result<Replay, Refusal>;
    /// What is to be done about a replay. A service asks.
    async fn replay_job(request: GetReplayJob) -> Result<ReplayJob, Refusal>;
    /// An index of a replay lies in the object store: from the answer on it is shown, unless
    /// a later one is. A service asks.
    async fn replay_indexed(request: ReplayIndexed) -> Result<Done, Refusal>;
    /// Nothing is left of a replay that was deleted but its row in live. A service asks.
    async fn replay_wiped(request: ReplayWiped) -> Result<Done, Refusal>;
    /// Something happened in a broadcast that its replay shows on the timeline. A service
    /// asks; again it changes nothing.
    async fn mark_replay(request: MarkReplay) -> Result<Done, Refusal>;
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Room {
    /// The room.
    pub id: RoomId,
    /// Its streamer.
    pub owner: Owner,
    /// Its title.
    pub title: String,
    /// What the streamer says about it.
    pub description: String,
    /// What it is about; a short word.
    pub category: String,
    /// Where the cover image is, if there is one.
    pub cover_url: Option<String>,
    /// The broadcast, if one is on.
    pub session: Option<LiveSession>,
    /// Open connections of viewers, as of some seconds ago.
    pub viewers: u64,
    /// What is allowed.
    pub rules: RoomRules,
    /// When it was made.
    pub created_at: Timestamp,
}

/// See [`Live::create_room`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateRoom {
    /// The streamer.
    pub caller: Caller,
    /// See [`RoomText`].
    pub text: RoomText,
    /// Idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// What a room says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomText {
    /// 1 to 60 characters, one line.
    #[schema(min_length = 1, max_length = 60, example = "Night train 夜行列车")]
    pub title: String,
    /// At most 1,000 characters; may have lines.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub description: String,
    /// At most 20 characters, one line; may be empty.
    #[serde(default)]
    #[schema(max_length = 20)]
    pub category: String,
}

/// See [`Live::edit_room`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditRoom {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// `None` leaves it as it is; as [`RoomText::title`].
    pub title: Option<String>,
    /// `None` leaves it as it is; as [`RoomText::description`].
    pub description: Option<String>,
    /// `None` leaves it as it is; as [`RoomText::category`].
    pub category: Option<String>,
}

/// See [`Live::room`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetRoom {
    /// Which room.
    pub room: RoomId,
}

/// See [`Live::rooms`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListRooms {
    /// Only live ones, by viewers.
    pub live: bool,
    /// Only those whose title, category or streamer's name holds this; at most 60 characters.
    pub search: Option<String>,
    /// Only those of this account.
    pub owner: Option<UserId>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 100.
    pub limit: u32,
}

/// See [`Live::rooms`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Rooms {
    /// The page.
    pub items: Vec<Room>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// See [`Live::set_rules`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetRules {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// All of them.
    pub rules: RoomRules,
}

/// See [`Live::set_cover`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetCover {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// The image file.
    pub image: Bytes,
}

/// See [`Live::cover`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetCover {
    /// Which room.
    pub room: RoomId,
}

/// See [`Live::cover`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cover {
    /// A JPEG file.
    pub jpeg: Bytes,
    /// Changes with the image.
    pub version: u64,
}

/// See [`Live::open`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenSession {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// Idempotency key.
    pub key: Option<IdempotencyKey>,
}

/// See [`Live::close`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloseSession {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
    /// Which broadcast.
    pub session: SessionId,
}

/// A broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// The broadcast.
    pub id: SessionId,
    /// Its room.
    pub room_id: RoomId,
    /// The room's title when it began.
    pub title: String,
    /// When it began.
    pub opened_at: Timestamp,
    /// When it ended; `null` while it is on.
    pub closed_at: Option<Timestamp>,
    /// The most connections that were open at once.
    pub peak_viewers: u64,
}

/// See [`Live::session`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetSession {
    /// Which room.
    pub room: RoomId,
    /// Which broadcast.
    pub session: SessionId,
}

/// See [`Live::sessions`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListSessions {
    /// Which room.
    pub room: RoomId,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 100.
    pub limit: u32,
}

/// See [`Live::sessions`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// The page.
    pub items: Vec<Session>,
    /// For the next page; `null` at the end.
    pub next_cursor: Option<String>,
}

/// See [`Live::rotate_stream_key`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RotateStreamKey {
    /// Who asks.
    pub caller: Caller,
    /// Which room.
    pub room: RoomId,
}

/// A stream key; only its hash is kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StreamKey {
    /// For the broadcasting software. Shown this once.
    pub stream_key: Secret,
}
