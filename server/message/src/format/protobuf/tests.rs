use proptest::prelude::*;

use super::*;
use crate::format::samples;

fn written(origin: ReplayOrigin, lines: &[ReplayDanmaku]) -> Vec<u8> {
    let mut writer = Writer::begin(Vec::new(), origin);
    for line in lines {
        writer.line(line).unwrap();
    }
    writer.end()
}

/// The whole message, as another reader declares it.
#[derive(Clone, PartialEq, prost::Message)]
struct Reply {
    #[prost(message, repeated, tag = "1")]
    elems: Vec<Element>,
    #[prost(int32, tag = "2")]
    state: i32,
}

#[test]
fn an_elements_bytes_are_those_of_the_original() {
    let bytes = written(ReplayOrigin::Broadcast, &[samples::line(490_191, "你好")]);
    #[rustfmt::skip]
    let expected = [
        &b"\x0A\x3B\x08\x2A\x10\xCF\xF5\x1D\x18\x01\x20\x19\x28\xFF\xFF\xFF\x07\x32\x08a16fe0dd\x3A\x06"[..],
        "你好".as_bytes(),
        b"\x40\x80\xE2\xCF\xAA\x06\x62\x0242\x68\x02",
        b"\xC8\x3E\xF8\xD0\x95\xFF\xBC\x31\xD2\x3E\x03lin",
    ].concat();
    assert_eq!(bytes, expected);
}

#[test]
fn an_empty_segment_has_no_bytes() {
    assert!(written(ReplayOrigin::Broadcast, &[]).is_empty());
    assert_eq!(read(&[]).next(), None);
}

#[test]
fn a_segment_holds_more_than_the_original_would() {
    let lines: Vec<_> =
        (0..7_000).map(|n| ReplayDanmaku { id: DanmakuId(n + 1), ..samples::line(n, "many") }).collect();
    let bytes = written(ReplayOrigin::Broadcast, &lines);
    assert_eq!(read(&bytes).map(Result::unwrap).collect::<Vec<_>>(), lines);
}

#[test]
fn only_what_was_said_live_is_marked_so() {
    for (origin, attr) in [(ReplayOrigin::Broadcast, 2), (ReplayOrigin::File, 0)] {
        let reply = Reply::decode(&*written(origin, &[samples::line(0, "a")])).unwrap();
        assert_eq!(reply.elems[0].attr, attr);
    }
}

#[test]
fn a_time_that_has_no_room_is_the_last_one() {
    let line = samples::line(1 << 40, "late");
    let read = read(&written(ReplayOrigin::Broadcast, std::slice::from_ref(&line))).next().unwrap().unwrap();
    assert_eq!(read, ReplayDanmaku { at_ms: i32::MAX.unsigned_abs().into(), ..line });
}

#[test]
fn other_fields_are_passed_over() {
    let mut bytes = b"\x10\x05\x1A\x03abc\x21abcdefgh\x25abcd".to_vec();
    bytes.extend(written(ReplayOrigin::Broadcast, &[samples::line(1, "a")]));
    bytes.extend(b"\x2A\x00");
    assert_eq!(read(&bytes).map(Result::unwrap).collect::<Vec<_>>(), [samples::line(1, "a")]);
}

#[test]
fn what_is_no_segment_is_an_error_with_its_place() {
    let whole = written(ReplayOrigin::Broadcast, &[samples::line(1, "a")]);
    for cut in 1..whole.len() {
        let mut lines = read(&whole[..cut]);
        assert_eq!(lines.next().unwrap().unwrap_err().offset, 0, "{cut}");
        assert!(lines.next().is_none());
    }
    let element = |element: &Element| Reply { elems: vec![element.clone()], state: 0 }.encode_to_vec();
    let good = Element { id: 1, mode: 1, ..Element::default() };
    assert!(read(&element(&good)).all(|line| line.is_ok()));
    for bad in [
        Element { id: 0, ..good.clone() },
        Element { id: 1 << 53, ..good.clone() },
        Element { progress: -1, ..good.clone() },
        Element { mode: 7, ..good.clone() },
    ] {
        let error = read(&element(&bad)).next().unwrap();
        assert!(error.is_err(), "{bad:?}");
    }
    assert_eq!(read(&[&element(&good)[..], b"\x0B"].concat()).nth(1).unwrap().unwrap_err().offset, 6);
}

proptest! {
    #[test]
    fn every_line_comes_back(lines in samples::replay()) {
        let bytes = written(ReplayOrigin::File, &lines);
        prop_assert_eq!(&read(&bytes).collect::<Result<Vec<_>, _>>().unwrap(), &lines);
        let reply = Reply::decode(&*bytes).unwrap();
        prop_assert_eq!(reply.elems.len(), lines.len());
        prop_assert_eq!(Reply { state: 0, ..reply }.encode_to_vec(), bytes);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&bytes).filter(Result::is_err).count() <= 1);
    }

    #[test]
    fn no_change_of_a_byte_panics(lines in samples::replay(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = written(ReplayOrigin::File, &lines);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        prop_assert!(read(&bytes).filter(Result::is_err).count() <= 1);
    }
}
