//! Replays for tests.

use idl::danmaku::{Color, DanmakuText, Mode, Size};
use idl::replay::{ReplayDanmaku, ReplayHead, ReplayOrigin, SenderHash};
use idl::{DanmakuId, ReplayId, RoomId, Timestamp};
use proptest::prelude::*;

pub(super) fn head() -> ReplayHead {
    ReplayHead {
        id: ReplayId(11_724_691),
        room_id: RoomId(7),
        title: "night <train> & more".into(),
        origin: ReplayOrigin::Broadcast,
        started_at: Timestamp(1_700_000_000_120),
        duration_ms: 5_400_000,
        danmaku_count: 3,
    }
}

pub(super) fn line(at_ms: u64, text: &str) -> ReplayDanmaku {
    ReplayDanmaku {
        id: DanmakuId(42),
        at_ms,
        sent_at: Timestamp(1_700_000_000_120),
        mode: Mode::Scroll,
        color: Color::WHITE,
        size: Size::Standard,
        text: DanmakuText::from_stored(text.to_owned()),
        sender_hash: SenderHash(0xA16F_E0DD),
        user_name: Some("lin".into()),
    }
}

pub(super) fn mode() -> impl Strategy<Value = Mode> {
    proptest::sample::select(vec![Mode::Scroll, Mode::Top, Mode::Bottom, Mode::Reverse])
}

pub(super) fn size() -> impl Strategy<Value = Size> {
    proptest::sample::select(vec![Size::Small, Size::Standard, Size::Large])
}

/// Texts that are taken today, with all that formats are hard on.
pub(super) fn text() -> impl Strategy<Value = DanmakuText> {
    let hard: Vec<char> = "&<>\"'{}\\,;]N/n é你好👍𠮷\u{200D}\u{FE0F}".chars().collect();
    proptest::collection::vec(prop_oneof![2 => proptest::sample::select(hard), 1 => any::<char>()], 1..24)
        .prop_filter_map("no danmaku", |chars| DanmakuText::parse(&String::from_iter(chars)).ok())
}

/// Lines by (`at_ms`, `id`), many at the same time.
pub(super) fn replay() -> impl Strategy<Value = Vec<ReplayDanmaku>> {
    let line = (
        prop_oneof![0u64..2_000, 0u64..1_000_000, Just(2_147_483_647)],
        0i64..90_000_000_000_000,
        mode(),
        0u32..=0xFF_FF_FF,
        size(),
        text(),
        any::<u32>(),
        proptest::option::of("[A-Za-z0-9_名-]{2,20}"),
    );
    proptest::collection::vec(line, 0..16).prop_map(|mut lines| {
        lines.sort_by_key(|line| line.0);
        // The largest that there are.
        let ids = ((1 << 53) - 64..).map(DanmakuId);
        ids.zip(lines)
            .map(|(id, (at_ms, sent_ms, mode, rgb, size, text, sender, user_name))| ReplayDanmaku {
                id,
                at_ms,
                sent_at: Timestamp(sent_ms),
                mode,
                color: Color::from_rgb(rgb),
                size,
                text,
                sender_hash: SenderHash(sender),
                user_name,
            })
            .collect()
    })
}
