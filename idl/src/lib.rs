//! The contracts: one file per service (trait, data, what it refuses), plus the
//! vocabulary they share. No I/O, no policy: whoever reads this crate knows what the
//! services say to each other and to the outside.
//!
//! Rules of evolution: one request and one reply struct per method; fields are only
//! added, with `serde(default)`; enums that may grow are C-like and end in `Unknown`.

pub mod access;
pub mod contract;
pub mod danmaku;
pub mod draw;
pub mod event;
pub mod id;
pub mod idempotency;
pub mod live;
pub mod lottery;
pub mod message;
pub mod push;
pub mod refusal;
pub mod replay;
pub mod user;

pub use access::Caller;
pub use contract::Contract;
pub use id::{DanmakuId, DeviceId, LotteryId, ReplayId, RoomId, SessionId, Timestamp, UserId};
pub use idempotency::IdempotencyKey;
pub use refusal::{Code, Kind, Refusal};
