//! What a process may send. When the danmaku of all rooms, times their viewers, would be
//! more than its share of the network, every room shows proportionally fewer: a danmaku
//! that is sampled out is counted, and a link that is full delays everything.

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
    fn bits_per_s(self) -> f64 {
        self.viewers as f64 * f64::from(self.danmaku_per_s) * self.bytes as f64 * 8.0
    }
}

/// Ordinary danmaku a second that each room may show, at least one; `u32::MAX` for all if
/// everything fits. `egress_mbps` is in megabits a second, 0 is unbounded.
pub(crate) fn share(egress_mbps: u32, demands: &[Demand]) -> Vec<u32> {
    let wanted: f64 = demands.iter().map(|demand| demand.bits_per_s()).sum();
    let allowed = f64::from(egress_mbps) * 1e6;
    if egress_mbps == 0 || wanted <= allowed {
        return vec![u32::MAX; demands.len()];
    }
    let part = allowed / wanted;
    let rate = |demand: &Demand| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is below what it was")]
        let rate = (f64::from(demand.danmaku_per_s) * part) as u32;
        rate.max(1)
    };
    demands.iter().map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_not_touched_and_what_does_not_is_lowered_alike() {
        let room = |viewers, danmaku_per_s| Demand { viewers, danmaku_per_s, bytes: 250 };
        // 10,000 viewers × 50 × 250 bytes are 1,000 Mbit/s.
        let rooms = [room(10_000, 50), room(10_000, 10), room(0, 50)];
        assert_eq!(share(0, &rooms), [u32::MAX; 3]);
        assert_eq!(share(1_200, &rooms), [u32::MAX; 3]);
        assert_eq!(share(600, &rooms), [25, 5, 25]);
        assert_eq!(share(1, &rooms), [1, 1, 1], "a room never falls silent");
        assert!(share(1, &[]).is_empty());
    }
}
