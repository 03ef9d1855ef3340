//! Feeds that any number of push processes share through one Redis.
//!
//! Every process that has viewers or a publication of a room has a copy of its feed
//! ([`crate::feed`]) and may write it: an append says upon which change it builds, and is
//! refused if that is not the latest one; its writer then takes in what it misses and tries
//! again. So there is one order without holes, whoever writes. What was appended is
//! published to the other processes in the same round trip ([`news`]); as such messages may
//! get lost, everybody looks once a second whether it has the latest ([`tails`]).
//!
//! When Redis has lost changes that were told to viewers, the first process that finds what
//! it has missing there begins a new epoch, and all viewers get a `gap`.

mod address;
mod ask;
mod link;
mod mirror;
mod news;
mod revocations;
mod tails;
mod viewers;
mod wire;

use std::time::Duration;

use common::Platform;

pub(crate) use self::link::Link;
pub(crate) use self::mirror::{Mirror, blank, load};
pub(crate) use self::news::Subscriptions;
pub(crate) use self::revocations::SharedRevocations;
pub(crate) use self::viewers::ViewerCounts;
pub(crate) use self::wire::{Head as RemoteHead, Message, News, Page, Place};
use crate::FeedsUrl;
use crate::rooms::Rooms;

/// A stop sees within so long that the last viewer has gone.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the processes share. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) link: Link,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) viewers: ViewerCounts,
}

impl Shared {
    /// Reaches the Redis that `push.feeds` names; also says what may be wrong with it.
    ///
    /// # Errors
    /// In one line, without the password: it can't be used.
    pub(crate) async fn open(url: &FeedsUrl) -> anyhow::Result<(Self, Vec<String>)> {
        let opened = Link::open(url.reveal()).await;
        let (link, warnings) = opened.map_err(|error| anyhow::anyhow!("push.feeds: {error:#}"))?;
        let (subscriptions, viewers) = (Subscriptions::default(), ViewerCounts::new(link.clone()));
        Ok((Self { link, subscriptions, viewers }, warnings))
    }

    /// Begins to follow what others write, for these rooms.
    pub(crate) fn follow(&self, rooms: &Rooms, revocations: &SharedRevocations, platform: &Platform) {
        let hear = news::hear(self.clone(), rooms.clone(), revocations.clone());
        let check = tails::check(self.clone(), rooms.clone(), platform.health.clone());
        let (soft, hard) = (platform.lifecycle.soft().clone(), platform.lifecycle.hard().clone());
        let rooms = rooms.clone();
        // Viewers that are being sent away get what comes until the last has gone.
        let last_has_gone = async move {
            soft.cancelled().await;
            while rooms.streams_open() > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        platform.lifecycle.spawn("push.follow", async move {
            let follow = async {
                tokio::select! {
                    _ = async { tokio::join!(hear, check) } => {}
                    () = last_has_gone => {}
                }
            };
            _ = hard.run_until_cancelled(follow).await;
        });
    }
}
