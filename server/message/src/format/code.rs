//! Bilibili's numbers, the same in its XML and its protobuf.

use idl::danmaku::{Mode, Size};
use idl::replay::SenderHash;

/// What a number says, and whether ours says something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoded<T> {
    pub(super) value: T,
    /// It would be written as another number.
    pub(super) changed: bool,
}

/// A mode that is not among ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherMode {
    /// 7, 8 and 9: positioned or scripted.
    Special,
    /// One that nobody knows.
    Unknown,
}

pub(super) const fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Scroll => 1,
        Mode::Bottom => 4,
        Mode::Top => 5,
        Mode::Reverse => 6,
    }
}

/// 1, 2 and 3 are all normal scrolling.
pub(super) const fn mode_of(number: i64) -> Result<Decoded<Mode>, OtherMode> {
    let value = match number {
        1..=3 => Mode::Scroll,
        4 => Mode::Bottom,
        5 => Mode::Top,
        6 => Mode::Reverse,
        7..=9 => return Err(OtherMode::Special),
        _ => return Err(OtherMode::Unknown),
    };
    Ok(Decoded { value, changed: matches!(number, 2 | 3) })
}

pub(super) const fn size_number(size: Size) -> u8 {
    match size {
        Size::Small => 18,
        Size::Standard => 25,
        Size::Large => 36,
    }
}

/// The nearest of 18, 25 and 36; older files also have 12, 16, 45 and 64.
pub(super) const fn size_of(number: i64) -> Decoded<Size> {
    let value = match number {
        ..=21 => Size::Small,
        22..=30 => Size::Standard,
        31.. => Size::Large,
    };
    Decoded { value, changed: !matches!(number, 18 | 25 | 36) }
}

/// What a file hides a sender behind: Bilibili's up to 8 hexadecimal digits as they are;
/// of anything else, such as an account's name or number, a checksum.
pub(super) fn sender_hash_of(text: &str) -> SenderHash {
    let digits = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let hash = if digits { u32::from_str_radix(text, 16).ok() } else { None };
    SenderHash(hash.unwrap_or_else(|| crc32fast::hash(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_numbers_come_back_unchanged() {
        for mode in [Mode::Scroll, Mode::Top, Mode::Bottom, Mode::Reverse] {
            assert_eq!(mode_of(mode_number(mode).into()), Ok(Decoded { value: mode, changed: false }));
        }
        for size in [Size::Small, Size::Standard, Size::Large] {
            assert_eq!(size_of(size_number(size).into()), Decoded { value: size, changed: false });
        }
    }

    #[test]
    fn a_sender_keeps_its_hash() {
        for (text, hash) in [("a16fe0dd", 0xA16F_E0DD), ("A16FE0DD", 0xA16F_E0DD), ("3143abc", 0x0314_3ABC), ("0", 0)] {
            assert_eq!(sender_hash_of(text), SenderHash(hash), "{text}");
        }
        let others = ["", "+3143abc", "123456789", "01J8ZK", "名字"].map(sender_hash_of);
        assert_eq!(others.iter().collect::<std::collections::HashSet<_>>().len(), others.len(), "{others:?}");
    }
}
