//! What a caller must know of a contract besides its methods: its version, what may be asked
//! twice, and which requests belong to one instance.

use tarpc::RequestName;

use crate::live::LiveRequest;
use crate::lottery::LotteryRequest;
use crate::message::MessageRequest;
use crate::push::PushRequest;
use crate::user::UserRequest;

/// A contract, as its requests show it.
pub trait Contract: RequestName {
    /// The service.
    const SERVICE: &'static str;
    /// Grows by one with every method that is added. Instances announce it.
    const VERSION: u32;

    /// Whether it may be sent again, to another instance too, if it is not known what became
    /// of it: it only reads, or the second time changes nothing and answers the same.
    fn is_idempotent(&self) -> bool;

    /// Requests with one key go to one instance, as long as the same instances are there.
    fn key(&self) -> Option<u64> {
        None
    }

    /// The version that knows this method.
    fn needs(&self) -> u32 {
        1
    }
}

impl Contract for UserRequest {
    const SERVICE: &'static str = "user";
    const VERSION: u32 = 1;

    fn is_idempotent(&self) -> bool {
        match self {
            Self::Devices { .. } | Self::Me { .. } | Self::Profile { .. } | Self::EditProfile { .. } => true,
            // A log-in more each time; a token or a password that does not hold the second
            // time. The pair that a refresh gave is given again only for a moment.
            Self::Register { .. }
            | Self::LogIn { .. }
            | Self::Refresh { .. }
            | Self::ChangePassword { .. }
            | Self::LogOut { .. }
            | Self::RevokeDevice { .. } => false,
        }
    }
}

impl Contract for LiveRequest {
    const SERVICE: &'static str = "live";
    const VERSION: u32 = 1;

    fn is_idempotent(&self) -> bool {
        match self {
            Self::CreateRoom { request } => request.key.is_some(),
            Self::Open { request } => request.key.is_some(),
            Self::BeginImport { request } => request.key.is_some(),
            // Another key, another version, another index each time.
            Self::RotateStreamKey { .. } | Self::SetCover { .. } | Self::IndexReplay { .. } => false,
            Self::EditRoom { .. }
            | Self::Room { .. }
            | Self::Rooms { .. }
            | Self::SetRules { .. }
            | Self::Cover { .. }
            | Self::Close { .. }
            | Self::Session { .. }
            | Self::Sessions { .. }
            | Self::Admins { .. }
            | Self::SetAdmin { .. }
            | Self::Mutes { .. }
            | Self::Mute { .. }
            | Self::Unmute { .. }
            | Self::Standing { .. }
            | Self::SetKeyword { .. }
            | Self::EndKeyword { .. }
            | Self::Replays { .. }
            | Self::Replay { .. }
            | Self::EditReplay { .. }
            | Self::DeleteReplay { .. }
            | Self::GiveImportUp { .. }
            | Self::EndImport { .. }
            | Self::ReplayJob { .. }
            | Self::ReplayIndexed { .. }
            | Self::ReplayWiped { .. }
            | Self::MarkReplay { .. } => true,
        }
    }

    /// What an account may do in a room is answered from memory: a room's questions and its
    /// changes meet in one instance.
    fn key(&self) -> Option<u64> {
        let room = match self {
            Self::EditRoom { request } => request.room,
            Self::Room { request } => request.room,
            Self::SetRules { request } => request.room,
            Self::SetCover { request } => request.room,
            Self::Cover { request } => request.room,
            Self::Open { request } => request.room,
            Self::Close { request } => request.room,
            Self::Session { request } => request.room,
            Self::Sessions { request } => request.room,
            Self::RotateStreamKey { request } => request.room,
            Self::Admins { request } => request.room,
            Self::SetAdmin { request } => request.room,
            Self::Mutes { request } => request.room,
            Self::Mute { request } => request.room,
            Self::Unmute { request } => request.room,
            Self::Standing { request } => request.room,
            Self::SetKeyword { request } => request.room,
            Self::EndKeyword { request } => request.room,
            Self::Replays { request } => request.room,
            Self::BeginImport { request } => request.room,
            Self::MarkReplay { request } => request.room,
            Self::CreateRoom { .. }
            | Self::Rooms { .. }
            | Self::Replay { .. }
            | Self::EditReplay { .. }
            | Self::DeleteReplay { .. }
            | Self::IndexReplay { .. }
            | Self::GiveImportUp { .. }
            | Self::EndImport { .. }
            | Self::ReplayJob { .. }
            | Self::ReplayIndexed { .. }
            | Self::ReplayWiped { .. } => return None,
        };
        Some(room.0)
    }
}

impl Contract for MessageRequest {
    const SERVICE: &'static str = "message";
    const VERSION: u32 = 1;

    fn is_idempotent(&self) -> bool {
        match self {
            Self::Post { request } => request.key.is_some(),
            // Its file is gone afterwards.
            Self::ImportReplay { .. } => false,
            Self::Repeat { .. }
            | Self::Danmaku { .. }
            | Self::History { .. }
            | Self::Delete { .. }
            | Self::KeywordPost { .. }
            | Self::KeywordPosts { .. }
            | Self::HasPosted { .. }
            | Self::ReplayDanmaku { .. }
            | Self::DeleteReplayDanmaku { .. } => true,
        }
    }
}

impl Contract for LotteryRequest {
    const SERVICE: &'static str = "lottery";
    const VERSION: u32 = 1;

    fn is_idempotent(&self) -> bool {
        match self {
            Self::Open { request } => request.key.is_some(),
            Self::Cancel { .. }
            | Self::Lottery { .. }
            | Self::Lotteries { .. }
            | Self::Enter { .. }
            | Self::MyEntry { .. }
            | Self::MyEntries { .. }
            | Self::Winners { .. }
            | Self::Claim { .. }
            | Self::Decline { .. }
            | Self::Redraw { .. }
            | Self::Proof { .. }
            | Self::Entries { .. }
            | Self::Inclusion { .. }
            | Self::Keys { .. } => true,
        }
    }
}

impl Contract for PushRequest {
    const SERVICE: &'static str = "push";
    const VERSION: u32 = 1;

    /// A source that was appended before is not appended again.
    fn is_idempotent(&self) -> bool {
        true
    }

    fn key(&self) -> Option<u64> {
        match self {
            Self::Publish { request } => Some(request.room.0),
            Self::Retain { request } => {
                let mut rooms =
                    request.states.iter().map(|state| state.id).chain(request.lotteries.iter().map(|(room, _)| *room));
                let first = rooms.next()?;
                rooms.all(|room| room == first).then_some(first.0)
            }
            Self::Viewers { .. } | Self::TopRooms { .. } | Self::Revoke { .. } | Self::Revocations { .. } => None,
        }
    }
}
