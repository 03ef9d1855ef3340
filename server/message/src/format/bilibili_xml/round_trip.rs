//! What is written, and that it comes back.

use idl::danmaku::{Color, Mode, Size};
use idl::replay::{ReplayDanmaku, SenderHash};
use idl::{DanmakuId, Timestamp};
use proptest::prelude::*;

use super::{Changed, Report, Writer, read};
use crate::format::samples;

fn written(lines: &[ReplayDanmaku]) -> String {
    let mut writer = Writer::begin(Vec::new(), &samples::head()).unwrap();
    for line in lines {
        writer.line(line).unwrap();
    }
    String::from_utf8(writer.end().unwrap()).unwrap()
}

/// Reads a file that this server wrote.
fn imported(xml: &str) -> (Vec<ReplayDanmaku>, Report) {
    let mut lines = read(xml.as_bytes());
    let danmaku = lines
        .by_ref()
        .map(|line| {
            let line = line.unwrap();
            let id = line.id.unwrap();
            line.into_danmaku(id, Timestamp(-1))
        })
        .collect();
    (danmaku, lines.report().clone())
}

#[test]
fn a_file_has_the_form_that_readers_take() {
    let second = ReplayDanmaku {
        id: DanmakuId((1 << 53) - 1),
        mode: Mode::Reverse,
        color: Color::from_rgb(0),
        size: Size::Large,
        sender_hash: SenderHash(0xFE),
        sent_at: Timestamp(-5),
        user_name: None,
        ..samples::line(90_061_001, "]]> & \"x\"")
    };
    assert_eq!(
        written(&[samples::line(490_191, "it's <b>"), second]),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><i><chatserver>goligoli</chatserver><chatid>11724691</chatid>\
         <mission>0</mission><maxlimit>3</maxlimit><state>0</state><real_name>0</real_name><source>k-v</source>\n\
         <d p=\"490.19100,1,25,16777215,1700000000,0,a16fe0dd,42\" sent_ms=\"1700000000120\" user=\"lin\">it&apos;s &lt;b&gt;</d>\n\
         <d p=\"90061.00100,6,36,0,0,0,000000fe,9007199254740991\" sent_ms=\"0\">]]&gt; &amp; &quot;x&quot;</d>\n</i>\n"
    );
}

#[test]
fn texts_of_older_rules_never_break_a_file() {
    for (stored, shown) in [
        ("", "\u{FFFD}"),
        (" \u{3000}", "\u{FFFD}"),
        ("a\0b\u{1}\u{7f}\u{85}c", "a\u{FFFD}b\u{FFFD}\u{FFFD}\u{FFFD}c"),
        ("a\nb\tc\r", "a b c"),
        ("\u{FFFE}\u{1FFFF}\u{FDD0}", "\u{FFFD}\u{FFFD}\u{FFFD}"),
    ] {
        let (lines, _) = imported(&written(&[samples::line(1, stored)]));
        assert_eq!(lines[0].text.as_str(), shown, "{stored:?}");
    }
    for (long, bytes) in [("字".repeat(400), 1_023), ("\"".repeat(400), 1_020)] {
        let xml = written(&[samples::line(1, &long)]);
        let text = xml.split("\">").nth(1).unwrap().split('<').next().unwrap();
        assert_eq!(text.len(), bytes);
    }
}

#[test]
fn a_text_of_today_is_never_cut() {
    let line = samples::line(1, &"\"".repeat(100));
    assert_eq!(imported(&written(std::slice::from_ref(&line))).0, [line]);
}

proptest! {
    #[test]
    fn a_replay_comes_back_whole(lines in samples::replay()) {
        let xml = written(&lines);
        let (read, report) = imported(&xml);
        prop_assert_eq!(&read, &lines);
        prop_assert_eq!(report, Report { accepted: lines.len() as u64, ..Report::default() });
        prop_assert_eq!(written(&read), xml);
    }

    #[test]
    fn a_file_has_only_what_every_reader_takes(texts in proptest::collection::vec(any::<String>(), 1..20)) {
        let line = |(n, text): (u64, &String)| {
            ReplayDanmaku { id: DanmakuId(n + 1), user_name: Some(text.clone()), ..samples::line(n, text) }
        };
        let lines: Vec<_> = (0..).zip(&texts).map(line).collect();
        let xml = written(&lines);
        prop_assert_eq!(xml.lines().count(), lines.len() + 2);
        prop_assert!(!xml.contains("></d>") && !xml.contains("<![") && !xml.contains("&#"));
        prop_assert!(xml.chars().all(|c| c == '\n' || !c.is_control()));
        prop_assert_eq!(xml.matches("<d p=\"").count(), lines.len());
        let mut read = read(xml.as_bytes());
        prop_assert!(read.by_ref().all(|line| line.is_ok()));
        let report = read.report();
        prop_assert_eq!(report.accepted + report.skipped.values().sum::<u64>(), lines.len() as u64);
        prop_assert!(report.changed.keys().all(|change| *change == Changed::UserName));
    }

    #[test]
    fn a_cut_file_gives_its_whole_lines_and_an_error(lines in samples::replay(), at in any::<prop::sample::Index>()) {
        let xml = written(&lines);
        let cut = &xml.as_bytes()[..at.index(xml.len() - 1)];
        let mut items: Vec<_> = read(cut).collect();
        let error = items.pop().unwrap().unwrap_err();
        let whole: Vec<_> = items.into_iter().map(Result::unwrap).collect();
        // The header is the first row.
        let rows = cut.iter().filter(|byte| **byte == b'\n').count();
        prop_assert!(whole.len() == rows.saturating_sub(1) || whole.len() == rows, "{} of {}", whole.len(), rows);
        prop_assert!(whole.iter().zip(&lines).all(|(read, line)| read.text == line.text && read.id == Some(line.id)));
        prop_assert_eq!(error.line, rows as u64 + 1, "{}", error);
    }

    #[test]
    fn changed_bytes_never_panic(
        lines in samples::replay(),
        at in any::<prop::sample::Index>(),
        removed in 0usize..9,
        put in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut bytes = written(&lines).into_bytes();
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + removed);
        bytes.splice(at..end, put);
        let rows = bytes.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        let mut read = read(&bytes[..]);
        let errors: Vec<_> = read.by_ref().filter_map(Result::err).collect();
        prop_assert!(errors.len() <= 1 && errors.iter().all(|error| (1..=rows).contains(&error.line)), "{:?}", errors);
        prop_assert!(read.report().accepted <= lines.len() as u64 + 1);
    }
}
