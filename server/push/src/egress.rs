//! What a process may send. When the danmaku of all rooms, times their viewers, would be
//! more than its share of the network, no room shows more than so many a second, the same
//! for all: a danmaku that is sampled out is counted, and a link that is full delays
//! everything. A room where less is said loses nothing, and a room that was quiet until now
//! may speak up like any other.

/// What a room would send if nothing held it back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) viewers: u64,
    /// Ordinary danmaku a second that its limiter would let through.
    pub(crate) danmaku_per_s: u32,
    /// Of an event on the wire.
    pub(crate) bytes: u64,
}

impl Demand {
    fn bits_per_danmaku(&self) -> u128 {
        u128::from(self.viewers) * u128::from(self.bytes) * 8
    }
}

/// Ordinary danmaku a second that any room may show, at least one; `u32::MAX` if everything
/// fits. `egress_mbps` is in megabits a second, 0 is unbounded.
pub(crate) fn most_per_s(egress_mbps: u32, demands: &[Demand]) -> u32 {
    if egress_mbps == 0 {
        return u32::MAX;
    }
    let mut left = u128::from(egress_mbps) * 1_000_000;
    let mut bits_per_danmaku: u128 = demands.iter().map(Demand::bits_per_danmaku).sum();
    let mut rising = demands.to_vec();
    rising.sort_by_key(|demand| demand.danmaku_per_s);
    // What a room does not ask for is for those who ask for more.
    for demand in rising {
        let Some(most) = left.checked_div(bits_per_danmaku) else { break };
        if most < u128::from(demand.danmaku_per_s) {
            return u32::try_from(most).unwrap_or(u32::MAX).max(1);
        }
        left -= demand.bits_per_danmaku() * u128::from(demand.danmaku_per_s);
        bits_per_danmaku -= demand.bits_per_danmaku();
    }
    u32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn room(viewers: u64, danmaku_per_s: u32) -> Demand {
        Demand { viewers, danmaku_per_s, bytes: 250 }
    }

    #[test]
    fn what_fits_is_not_touched_and_what_does_not_is_capped_alike() {
        // 10,000 viewers × 250 bytes are 20 Mbit for a danmaku.
        let rooms = [room(10_000, 50), room(10_000, 10), room(0, 50), room(10_000, 0)];
        assert_eq!(most_per_s(0, &rooms), u32::MAX);
        assert_eq!(most_per_s(1_200, &rooms), u32::MAX);
        assert_eq!(most_per_s(1_199, &rooms), 49);
        assert_eq!(most_per_s(600, &rooms), 20, "400 of 600 Mbit/s are left by the room that says ten");
        assert_eq!(most_per_s(300, &rooms), 7);
        assert_eq!(most_per_s(1, &rooms), 1, "a room never falls silent");
        assert_eq!((most_per_s(1, &[]), most_per_s(1, &[room(0, 50)])), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_small_room_does_not_pay_for_a_large_one() {
        assert_eq!(most_per_s(1_000, &[room(100_000, 50), room(10, 3)]), 4);
    }

    proptest! {
        #[test]
        fn what_is_allowed_is_used_up_and_not_exceeded(
            egress_mbps in 1u32..2_000,
            rooms in prop::collection::vec((0u64..20_000, 0u32..200, 1u64..1_000), 0..20)
        ) {
            let rooms: Vec<_> = rooms
                .into_iter()
                .map(|(viewers, danmaku_per_s, bytes)| Demand { viewers, danmaku_per_s, bytes })
                .collect();
            let most = most_per_s(egress_mbps, &rooms);
            let bits_at = |most: u32| -> u128 {
                let bits = |room: &Demand| room.bits_per_danmaku() * u128::from(room.danmaku_per_s.min(most));
                rooms.iter().map(bits).sum()
            };
            let allowed = u128::from(egress_mbps) * 1_000_000;
            prop_assert!(bits_at(most) <= allowed || most == 1, "{most}");
            prop_assert!(most == u32::MAX || bits_at(most + 1) > allowed, "{most} is not the most");
        }
    }
}
