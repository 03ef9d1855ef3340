//! The tree of URLs: one file per branch. Handlers read, call one service, answer.

use utoipa_axum::router::OpenApiRouter;

use crate::Gateway;

mod auth;
mod cover;
mod danmaku;
mod entries;
pub(crate) mod health;
mod lotteries;
mod me;
mod moderation;
mod replay_files;
mod replay_import;
mod replays;
mod rooms;
mod sessions;
mod stats;
mod stream_key;
mod users;

pub(crate) use replay_import::IMPORT_DEADLINE;

/// All routes of the API.
pub(crate) fn all() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .merge(users::router())
        .merge(auth::router())
        .merge(me::router())
        .merge(rooms::router())
        .merge(cover::router())
        .merge(sessions::router())
        .merge(stream_key::router())
        .merge(moderation::router())
        .merge(danmaku::router())
        .merge(lotteries::router())
        .merge(entries::router())
        .merge(replays::router())
        .merge(replay_files::router())
        .merge(replay_import::router())
        .merge(stats::router())
}
