//! Which lane of the flow limiter a danmaku takes.

use std::num::NonZeroU32;

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use idl::RoomId;
use idl::event::RoomRole;
use idl::push::Lane;

/// Rooms in the limiter at which those that are full again are forgotten.
const FORGET_AT: usize = 1_024;

/// Gives the guaranteed lane to those who moderate, up to a rate per room: it always
/// passes, so what an admin's bot posts beyond that must not take it.
pub(crate) struct Lanes {
    guaranteed: DefaultKeyedRateLimiter<RoomId>,
}

impl Lanes {
    pub(crate) fn new(guaranteed_per_room_per_s: NonZeroU32) -> Self {
        Self { guaranteed: RateLimiter::keyed(Quota::per_second(guaranteed_per_room_per_s)) }
    }

    pub(crate) fn choose(&self, room: RoomId, role: RoomRole) -> Lane {
        if !role.moderates() {
            return Lane::Ordinary;
        }
        if self.guaranteed.len() >= FORGET_AT {
            self.guaranteed.retain_recent();
        }
        if self.guaranteed.check_key(&room).is_ok() { Lane::Guaranteed } else { Lane::Ordinary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guaranteed_lane_is_for_moderators_and_bounded_by_room() {
        let lanes = Lanes::new(NonZeroU32::new(20).unwrap());
        let guaranteed =
            |room, role| (0..1_000).filter(|_| lanes.choose(RoomId(room), role) == Lane::Guaranteed).count();
        assert_eq!(guaranteed(1, RoomRole::Viewer), 0);
        let owners = guaranteed(1, RoomRole::Owner);
        assert!((20..500).contains(&owners), "{owners}");
        assert!(guaranteed(2, RoomRole::Admin) >= 20);
    }
}
