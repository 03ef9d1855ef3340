use idl::replay::ReplayDanmaku;
use proptest::prelude::*;

use super::*;
use crate::format::samples;

fn written(lines: &[ReplayDanmaku]) -> String {
    let mut writer = Writer::begin(Vec::new(), &samples::head()).unwrap();
    for line in lines {
        writer.line(line).unwrap();
    }
    String::from_utf8(writer.end()).unwrap()
}

fn dialogue(line: ReplayDanmaku) -> String {
    let file = written(&[line]);
    let (_, events) = file.split_once("Effect, Text\n").unwrap();
    events.strip_suffix('\n').unwrap().to_owned()
}

#[test]
fn each_mode_moves_its_way() {
    let of = |mode, size, rgb| {
        dialogue(ReplayDanmaku { mode, size, color: Color::from_rgb(rgb), ..samples::line(3_725_678, "你好ab") })
    };
    assert_eq!(
        of(Mode::Scroll, Size::Standard, 0xFF_FF_FF),
        "Dialogue: 2,1:02:05.67,1:02:14.67,Standard,,0,0,0,,{\\move(1920,0,-114,0)}你好ab"
    );
    assert_eq!(
        of(Mode::Reverse, Size::Large, 0xFE_03_02),
        "Dialogue: 2,1:02:05.67,1:02:14.67,Large,,0,0,0,,{\\move(-162,0,1920,0)\\c&H0203FE&}你好ab"
    );
    assert_eq!(
        of(Mode::Top, Size::Small, 0),
        "Dialogue: 3,1:02:05.67,1:02:10.67,Small,,0,0,0,,{\\an8\\pos(960,0)\\c&H000000&\\3c&HFFFFFF&}你好ab"
    );
    assert_eq!(
        of(Mode::Bottom, Size::Standard, 0x22_22_22),
        "Dialogue: 3,1:02:05.67,1:02:10.67,Standard,,0,0,0,,{\\an2\\pos(960,1080)\\c&H222222&\\3c&HFFFFFF&}你好ab"
    );
}

#[test]
fn a_text_is_no_command() {
    for (text, shown) in [
        ("{\\an8}up", "｛＼an8｝up"),
        ("a\\Nb\\hc", "a＼Nb＼hc"),
        ("}{", "｝｛"),
        ("/n, commas, and\tmore", "/n, commas, and more"),
        ("old\r\nDialogue: 2", "old  Dialogue: 2"),
        (" ", "\u{FFFD}"),
    ] {
        let row = dialogue(samples::line(0, text));
        assert_eq!(row.split_once('}').unwrap().1, shown);
    }
}

#[test]
fn a_title_is_one_line() {
    let head = ReplayHead { title: "a\n[Events]\nDialogue: b".into(), ..samples::head() };
    let file = String::from_utf8(Writer::begin(Vec::new(), &head).unwrap().end()).unwrap();
    assert!(file.contains("\nTitle: a [Events] Dialogue: b\n"), "{file}");
}

#[test]
fn times_have_as_many_hours_as_they_need() {
    for (cs, time) in [(0, "0:00:00.00"), (359_999, "0:59:59.99"), (3_162_240_000, "8784:00:00.00")] {
        assert_eq!(Time(cs).to_string(), time);
    }
}

proptest! {
    #[test]
    fn every_danmaku_is_one_dialogue_with_one_block_of_commands(lines in samples::replay()) {
        let file = written(&lines);
        let dialogues: Vec<&str> = file.lines().filter(|row| row.starts_with("Dialogue: ")).collect();
        prop_assert_eq!(dialogues.len(), lines.len());
        for row in dialogues {
            let fields: Vec<&str> = row.splitn(10, ',').collect();
            prop_assert_eq!(fields.len(), 10);
            let (commands, text) = fields[9].split_once('}').unwrap();
            prop_assert!(commands.starts_with("{\\") && !text.contains(['{', '}', '\\']), "{}", row);
            prop_assert!(!text.is_empty());
        }
    }
}
