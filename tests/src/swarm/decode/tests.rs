use proptest::prelude::*;

use super::*;
use crate::sse::{self, Parser};

const STREAM: &str = "retry: 700\n\nevent: welcome\ndata: {\"resumed\":false}\n\nid: 5-10\nevent: hello\ndata: {\"danmaku\":[\"sent_us=1;n=1;\"]}\n\n\
    id: 5-11\nevent: danmaku\ndata: {\"text\":\"夜行 sent_us=77;n=3;class=bot; 🚆\"}\n\n: a comment\n\nid: 5-11\n\n\
    id: 5-12\r\nevent: suppressed\r\ndata: {}\r\n\r\nevent: gap\ndata: {\"n\":31,\"from\":null}\n\n\
    event: gap\ndata: {\"n\":null}\n\ndata: a\ndata: b\n\nid: 5-13\nevent: cut";

fn head(chunked: bool) -> String {
    let framing = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n")
}

fn chunked(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut rest, mut sizes) = (Vec::new(), body, sizes.iter().cycle());
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        out.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = later;
    }
    out
}

fn read(pieces: &[&[u8]], ids: Ids) -> (Vec<Item>, Labels, Decoder) {
    let (mut items, mut labels, mut decoder) = (Vec::new(), Labels::default(), Decoder::default());
    for piece in pieces {
        decoder.feed(piece, ids, &mut labels, &mut items).unwrap();
    }
    (items, labels, decoder)
}

#[test]
fn a_stream_is_read_as_it_is_meant() {
    let (items, labels, decoder) = read(&[(head(false) + STREAM).as_bytes()], Ids::Goligoli);
    let at = |seq| Some(Position { epoch: 5, seq });
    let seen: Vec<_> = items
        .iter()
        .map(|item| (labels.names().get(usize::from(item.label)).map(String::as_str), item.what, item.position))
        .collect();
    let expected = [
        (Some("welcome"), What::Event, None),
        (Some("hello"), What::Hello, at(10)),
        (Some("danmaku/bot"), What::Event, at(11)),
        (None, What::Mark, at(11)),
        (Some("suppressed"), What::Event, at(12)),
        (Some("gap"), What::Gap(Some(31)), None),
        (Some("gap"), What::Gap(None), None),
        (Some("message"), What::Event, None),
    ];
    assert_eq!(seen, expected);
    let times: Vec<_> = items.iter().filter_map(|item| item.sent_us).collect();
    assert_eq!(times, [77], "a hello's danmaku are not news");
    assert!(!decoder.is_between_events(), "an event is not complete");
}

#[test]
fn numbers_in_the_texts_make_an_order_where_ids_do_not() {
    let body = head(false) + "id: 1700:0\ndata: sent_us=5;n=0;\n\nid: x\ndata: sent_us=6;n=1;\n\n";
    let (items, ..) = read(&[body.as_bytes()], Ids::Numbers);
    let seqs: Vec<_> = items.iter().map(|item| item.position.unwrap().seq).collect();
    assert_eq!(seqs, [0, 1]);
}

#[test]
fn the_last_chunk_ends_the_stream() {
    let mut bytes = head(true).into_bytes();
    bytes.extend(chunked(b"data: x\n\n", &[3]));
    bytes.extend_from_slice(b"0\r\n\r\n");
    let (items, _, decoder) = read(&[&bytes], Ids::Opaque);
    assert!(decoder.has_ended() && items.len() == 1);
}

#[test]
fn the_length_of_the_head_ends_the_stream() {
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: keep-alive\r\n\r\n");
    let (items, _, decoder) = read(&[head(9).as_bytes(), b"data: ", b"x\n"], Ids::Opaque);
    assert!(decoder.tells_its_end() && !decoder.has_ended() && !decoder.is_between_events() && items.is_empty());
    let (items, _, decoder) = read(&[head(9).as_bytes(), b"data: ", b"x\n\n"], Ids::Opaque);
    assert!(decoder.has_ended() && items.len() == 1);
    assert!(read(&[head(0).as_bytes()], Ids::Opaque).2.has_ended());
}

#[test]
fn what_is_no_stream_is_told() {
    let feed =
        |bytes: &str| Decoder::default().feed(bytes.as_bytes(), Ids::Goligoli, &mut Labels::default(), &mut Vec::new());
    assert_eq!(feed("HTTP/1.1 404 Not Found\r\n\r\n"), Err(Broken::Refused(404)));
    assert_eq!(feed("SSH-2.0\r\n\r\n"), Err(Broken::Malformed));
    assert_eq!(feed(&(head(true) + "xyz\r\n")), Err(Broken::Malformed));
    assert_eq!(feed(&(head(true) + "1\r\nab")), Err(Broken::Malformed));
    assert_eq!(feed(&(head(false) + "id: 7\ndata: x\n\n")), Err(Broken::Malformed));
    assert_eq!(feed(&(head(false) + "event: gap\ndata: {}\n\n")), Err(Broken::Malformed));
}

#[test]
fn there_are_never_more_labels_than_places() {
    let mut labels = Labels::default();
    for kind in 0..40 {
        let index = labels.index(format!("kind-{kind}").as_bytes(), "");
        assert_eq!(usize::from(index), kind.min(MOST_LABELS - 1));
    }
    assert_eq!(labels.names().last().unwrap(), "(others)");
}

proptest! {
    #[test]
    fn it_is_the_same_however_the_bytes_are_cut(
        cuts in prop::collection::vec(1usize..40, 0..80),
        sizes in prop::option::of(prop::collection::vec(1usize..90, 1..9)),
    ) {
        let whole = read(&[(head(false) + STREAM).as_bytes()], Ids::Goligoli).0;
        let mut bytes = head(sizes.is_some()).into_bytes();
        bytes.extend(sizes.map_or_else(|| STREAM.as_bytes().to_vec(), |sizes| chunked(STREAM.as_bytes(), &sizes)));
        let (mut pieces, mut rest) = (Vec::new(), bytes.as_slice());
        for cut in cuts {
            let (piece, later) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = later;
        }
        pieces.push(rest);
        prop_assert_eq!(read(&pieces, Ids::Goligoli).0, whole);
    }

    /// The quick reader sees the events that the one by the letter sees.
    #[test]
    fn it_agrees_with_the_standards_reader(blocks in prop::collection::vec("(id: [0-9]-[0-9]\n)?(event: [a-f]{1,3}\n)?(data: [a-z=;]{0,9}\n){0,2}(:x\n)?\n", 0..12)) {
        let body = blocks.concat();
        let by_the_letter = Parser::default().feed(body.as_bytes());
        let (quick, labels, _) = read(&[(head(false) + &body).as_bytes()], Ids::Goligoli);
        let expected: Vec<(Option<String>, Option<String>)> = by_the_letter
            .into_iter()
            .map(|item| match item {
                sse::Item::Event(event) => (Some(event.kind), event.id),
                sse::Item::Position(id) => (None, Some(id)),
                sse::Item::Retry(_) => unreachable!("there are none"),
            })
            .collect();
        let seen: Vec<_> = quick
            .iter()
            .map(|item| (labels.names().get(usize::from(item.label)).cloned(), item.position.map(|at| at.to_string())))
            .collect();
        prop_assert_eq!(seen, expected);
    }
}
