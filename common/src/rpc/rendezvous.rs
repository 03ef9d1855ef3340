//! Rendezvous hashing: every process sends what has one key to the same place, without asking
//! anybody; when a place goes or comes, only what it held or takes moves.

/// Which of the places the key belongs to; `None` if there is none.
pub(crate) fn choose<'a>(key: u64, places: impl Iterator<Item = &'a str>) -> Option<usize> {
    places.enumerate().max_by_key(|(_, place)| (weight(key, place), *place)).map(|(n, _)| n)
}

/// The same in every build: FNV-1a over the name, and a finalizer of SplitMix64 with the key.
fn weight(key: u64, place: &str) -> u64 {
    let name = place
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut mixed = name ^ key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_and_move_only_from_a_place_that_goes() {
        let places = ["a:1", "b:1", "c:1"];
        let of = |key, places: &[&'static str]| places[choose(key, places.iter().copied()).unwrap()];
        let mut held = std::collections::BTreeMap::<&str, u32>::new();
        for key in 0..3_000 {
            let before = of(key, &places);
            *held.entry(before).or_default() += 1;
            let after = of(key, &["c:1", "a:1"]);
            assert!(before == "b:1" || before == after, "{key} moved from {before} to {after}");
        }
        assert!(held.values().all(|n| (850..1_150).contains(n)), "{held:?}");
        assert_eq!(choose(1, [].into_iter()), None);
    }
}
