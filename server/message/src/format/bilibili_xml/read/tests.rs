use std::collections::BTreeMap;
use std::io::{BufReader, Read};

use proptest::prelude::*;

use super::*;

fn read_all(xml: &str) -> (Vec<Line>, Report) {
    let mut lines = read(xml.as_bytes());
    let read: Vec<Line> = lines.by_ref().map(|line| line.expect(xml)).collect();
    let report = lines.report().clone();
    assert_eq!(report.accepted, read.len() as u64);
    (read, report)
}

fn error_of(xml: &[u8]) -> Malformed {
    let mut lines = read(xml);
    let error = lines.by_ref().find_map(Result::err).unwrap();
    assert!(lines.next().is_none(), "nothing follows an error");
    error
}

fn one(p: &str, text: &str) -> Result<Line, Skipped> {
    let (lines, report) = read_all(&format!("<i><d p=\"{p}\">{text}</d></i>"));
    lines.into_iter().next().ok_or_else(|| *report.skipped.keys().next().unwrap())
}

#[test]
fn a_line_is_read_whole() {
    let (lines, report) = read_all(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><i><chatserver>chat.example</chatserver><maxlimit>8000</maxlimit>\
         <d p=\"490.19100,5,25,16707842,1584268892,0,a16fe0dd,2995085238652109,10\" user=\"a &amp;amp; &#x5C0F;\">a &lt;b&gt; &amp; &#x4F60;&#22909; <![CDATA[<c>]]></d>\n</i>",
    );
    assert_eq!(report, Report { accepted: 1, ..Report::default() });
    assert_eq!(
        lines,
        [Line {
            at_ms: 490_191,
            mode: Mode::Top,
            color: Color::from_rgb(16_707_842),
            size: Size::Standard,
            text: DanmakuText::parse("a <b> & 你好 <c>").unwrap(),
            sent_at: Some(Timestamp(1_584_268_892_000)),
            sender_hash: SenderHash(0xA16F_E0DD),
            id: Some(DanmakuId(2_995_085_238_652_109)),
            user_name: Some("a &amp; 小".into()),
        }]
    );
}

#[test]
fn modes_sizes_colors_and_times_are_mapped() {
    for (mode, expected) in [
        ("1", Ok(Mode::Scroll)),
        ("2", Ok(Mode::Scroll)),
        ("3", Ok(Mode::Scroll)),
        ("4", Ok(Mode::Bottom)),
        ("5", Ok(Mode::Top)),
        ("6", Ok(Mode::Reverse)),
        ("7", Err(Skipped::SpecialMode)),
        ("9", Err(Skipped::SpecialMode)),
        ("0", Err(Skipped::UnknownMode)),
        ("x", Err(Skipped::BadParameters)),
    ] {
        assert_eq!(one(&format!("1,{mode},25,0,0,0,x,1"), "t").map(|l| l.mode), expected, "{mode}");
    }
    for (size, expected) in [
        (12, Size::Small),
        (18, Size::Small),
        (21, Size::Small),
        (22, Size::Standard),
        (25, Size::Standard),
        (30, Size::Standard),
        (31, Size::Large),
        (36, Size::Large),
        (64, Size::Large),
    ] {
        assert_eq!(one(&format!("1,1,{size},0,0,0,x,1"), "t").unwrap().size, expected, "{size}");
    }
    for (color, rgb) in [("16777215", 0xFF_FF_FF), ("0", 0), ("4294967295", 0xFF_FF_FF), ("-1", 0xFF_FF_FF)] {
        assert_eq!(one(&format!("1,1,25,{color},0,0,x,1"), "t").unwrap().color.rgb(), rgb, "{color}");
    }
    for (at, expected) in [
        ("0", Ok(0)),
        ("2.64700", Ok(2_647)),
        ("0.0004", Ok(0)),
        ("-3.5", Ok(0)),
        ("NaN", Err(Skipped::BadParameters)),
        ("", Err(Skipped::BadParameters)),
        ("inf", Err(Skipped::FarTime)),
        ("1e300", Err(Skipped::FarTime)),
        ("31622401", Err(Skipped::FarTime)),
        ("-99999999", Err(Skipped::FarTime)),
    ] {
        assert_eq!(one(&format!("{at},1,25,0,0,0,x,1"), "t").map(|l| l.at_ms), expected, "{at}");
    }
}

#[test]
fn when_a_line_was_sent_is_read_as_tools_write_it() {
    for (sent, attributes, expected) in [
        ("1584268892", "", Some(1_584_268_892_000)),
        ("1584268892123", "", Some(1_584_268_892_123)),
        ("1584268892.5", "", Some(1_584_268_892_500)),
        ("1584268892", "sent_ms=\"1584268892007\"", Some(1_584_268_892_007)),
        ("1584268893", "sent_ms=\"1584268892007\"", Some(1_584_268_893_000)),
        ("1584268892", "sent_ms=\"soon\"", Some(1_584_268_892_000)),
        ("0", "sent_ms=\"7\"", Some(7)),
        ("0", "", None),
        ("", "", None),
    ] {
        let (lines, report) = read_all(&format!("<i><d p=\"1,1,25,0,{sent}\" {attributes}>a</d></i>"));
        assert_eq!(lines[0].sent_at, expected.map(Timestamp), "{sent} {attributes}");
        assert_eq!(report.changed, BTreeMap::new(), "{sent} {attributes}");
    }
}

#[test]
fn what_is_made_one_of_ours_is_counted() {
    for (attributes, text, changed) in [
        ("p=\"-0.5,1,25,0,0,0,x,1\"", "a", Changed::BeforeStart),
        ("p=\"1,2,25,0,0,0,x,1\"", "a", Changed::Mode),
        ("p=\"1,1,64,0,0,0,x,1\"", "a", Changed::Size),
        ("p=\"1,1,25,4294967295,0,0,x,1\"", "a", Changed::Color),
        ("p=\"1,1,25,0,0,0,x,1\"", "\n  a\n", Changed::Trimmed),
        ("p=\"1,1,25,0,0,0,x,1\"", "a\r\n\tb", Changed::Joined),
        ("p=\"1,1,25,0,-5,0,x,1\"", "a", Changed::SentAt),
        ("p=\"1,1,25,0,1e30,0,x,1\"", "a", Changed::SentAt),
        ("p=\"1,1,25,0,0,0,x,29950852386521095\"", "a", Changed::Id),
        ("p=\"1,1,25,0,0,0,x,01J8ZKQ\"", "a", Changed::Id),
        ("p=\"1,1,25,0,0,0,x,1\" user=\"&unknown;\"", "a", Changed::UserName),
        ("p=\"1,1,25,0,0,0,x,1\" user=\"\"", "a", Changed::UserName),
    ] {
        let (lines, report) = read_all(&format!("<i><d {attributes}>{text}</d></i>"));
        assert_eq!(report.changed, BTreeMap::from([(changed, 1)]), "{attributes} {text:?}");
        assert!(lines[0].text.as_str().starts_with('a'));
    }
    assert_eq!(one("1,1,25,0", "a\r\n\tb").unwrap().text.as_str(), "a b");
    let (_, report) = read_all("<i><d p=\"-1,1,12,0\"> </d></i>");
    assert_eq!(report.changed, BTreeMap::new(), "a line that was skipped was not changed");
}

#[test]
fn what_cannot_be_shown_is_skipped_and_counted() {
    let long = "字".repeat(101);
    let huge = "a".repeat(10_000);
    let (lines, report) = read_all(&format!(
        "<i><d p=\"1,7,25,0,0,0,x,1\">[0,0]</d><d p=\"1,8,25,0,0,0,x,1\">code</d><d p=\"1,1\">short</d><d>none</d>\
         <d p=\"1,1,25,0\">four fields are enough</d><d p=\"1,1,25,0\"/><d p=\"1,1,25,0\">a&#1;b</d>\
         <d p=\"1,1,25,0\">a&#0;b</d><d p=\"1,1,25,0\">&unknown;</d><d p=\"1,42,25,0\">?</d>\
         <d p=\"1,1,25,0\">{long}</d><d p=\"1,1,25,0\">{huge}</d><d p=\"1e9,1,25,0\">far</d>\
         <sc ts=\"1\" user=\"u\">not a danmaku</sc><gift/><x><d p=\"1,1,25,0\">too deep</d></x></i>"
    ));
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].text.as_str(), lines[0].sent_at, lines[0].id), ("four fields are enough", None, None));
    let expected = [
        (Skipped::SpecialMode, 2),
        (Skipped::UnknownMode, 1),
        (Skipped::BadParameters, 2),
        (Skipped::FarTime, 1),
        (Skipped::EmptyText, 1),
        (Skipped::LongText, 2),
        (Skipped::BadText, 3),
        (Skipped::Paid, 2),
    ];
    assert_eq!(report.skipped, BTreeMap::from(expected));
}

#[test]
fn another_encoding_is_refused_by_name() {
    let utf_16 =
        |bytes_of: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> { text.encode_utf16().flat_map(bytes_of).collect() };
    let xml = "<i><d p=\"1,1,25,0\">你好</d></i>";
    let declared = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?>{xml}").into_bytes();
    for (bytes, reason) in [
        (utf_16(u16::to_le_bytes, &format!("\u{FEFF}{xml}")), "UTF-16"),
        (utf_16(u16::to_be_bytes, &format!("\u{FEFF}{xml}")), "UTF-16"),
        (utf_16(u16::to_le_bytes, xml), "UTF-16"),
        (utf_16(u16::to_be_bytes, xml), "UTF-16"),
        (declared("GBK"), "GBK"),
        (declared(&"x".repeat(10_000)), "\"xxx"),
    ] {
        let error = error_of(&bytes);
        assert!(error.line == 1 && error.reason.contains(reason) && error.reason.len() < 200, "{error}");
    }
    for encoding in ["UTF-8", "utf-8", "Utf8", "US-ASCII"] {
        assert_eq!(read(&declared(encoding)[..]).filter(Result::is_ok).count(), 1, "{encoding}");
    }
    // GBK without saying so.
    let error = error_of(b"<?xml version=\"1.0\"?>\n<i>\n<d p=\"1,1,25,0\">\xC4\xE3\xBA\xC3</d></i>");
    assert_eq!(error.line, 3, "{error}");
}

#[test]
fn a_malformed_file_is_an_error_with_its_line() {
    for (xml, line) in [
        ("", 1),
        ("no xml at all", 1),
        ("<i>\n<d p=\"1,1,25,0\">a</d>\n", 3),
        ("<i>\n\n</d></i>", 3),
        ("<i><d p=\"1,1,25,0\">\n<b></d></i>", 2),
        ("<html>\n</html>", 1),
        ("<i></i>\n<i></i>", 2),
        ("<i>\n<d p=1>a</d></i>", 2),
        ("<i>\n<d p=\"1", 2),
        ("<i>\n<d p=\"1,1,25,0\" p=\"1,1,25,0\">a</d></i>", 2),
        ("<i>\n<d p=\"1,1,25,0\" user=u>a</d></i>", 2),
    ] {
        let error = error_of(xml.as_bytes());
        assert_eq!(error.line, line, "{xml:?}: {error}");
    }
    assert_eq!(error_of(b"<i>\n<d p=\"1,1,25,0\">\xFF\xFE</d></i>").line, 2);
}

#[test]
fn entities_are_not_expanded() {
    let (lines, report) = read_all(
        "<!DOCTYPE i [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\"><!ENTITY f SYSTEM \"file:///etc/passwd\">]>\
         <i><d p=\"1,1,25,0\">&b;</d><d p=\"1,1,25,0\">&f;</d><d p=\"1,1,25,0\">c</d></i>",
    );
    assert_eq!(lines.iter().map(|l| l.text.as_str()).collect::<Vec<_>>(), ["c"]);
    assert_eq!(report.skipped, BTreeMap::from([(Skipped::BadText, 2)]));
}

#[test]
fn a_tag_with_many_attributes_is_refused() {
    let attributes: String = (0..50_000).map(|n| format!("a{n}=\"\" ")).collect();
    assert!(error_of(format!("<i><d {attributes}>a</d></i>").as_bytes()).reason.contains("attributes"));
}

/// `n` times `unit`, without holding it.
fn repeated(unit: &'static [u8], n: u64) -> impl BufRead {
    let bytes = std::iter::repeat_n(unit, usize::try_from(n).unwrap()).flatten().copied();
    struct Bytes<I>(I);
    impl<I: Iterator<Item = u8>> Read for Bytes<I> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            Ok(out.iter_mut().zip(&mut self.0).map(|(to, from)| *to = from).count())
        }
    }
    BufReader::new(Bytes(bytes))
}

#[test]
fn what_never_ends_is_cut_off() {
    for (head, unit) in [
        (&b"<i><d p=\"1,1,25,0\">"[..], &b"text "[..]),
        (b"<i><d p=\"", b"1,"),
        (b"<i><!-- ", b"comment "),
        (b"<!DOCTYPE i [", b"<!ENTITY a 'b'>"),
        (b"<i>", b"<b>"),
    ] {
        let mut lines = read(head.chain(repeated(unit, 1 << 20)));
        let error = lines.next().unwrap().unwrap_err();
        assert!(error.reason.contains("too long") || error.reason.contains("nested"), "{error}");
        assert!(lines.token.capacity() <= 2 * MAX_TOKEN_BYTES, "{}", lines.token.capacity());
    }
}

#[test]
fn a_long_file_takes_no_more_memory_than_a_short_one() {
    let unit = b"<d p=\"1.5,1,25,16777215,1,0,abc,1\">hello there</d>\n";
    let mut lines = read(b"<i>".chain(repeated(unit, 20_000)).chain(&b"</i>"[..]));
    assert_eq!(lines.by_ref().filter(Result::is_ok).count(), 20_000);
    assert_eq!(lines.report().accepted, 20_000);
    assert!(lines.token.capacity() < 4_096, "{}", lines.token.capacity());
}

#[test]
fn the_real_files_are_read_whole() {
    let folder = std::env::var_os("GOLIGOLI_DANMAKU_FILES").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/danmaku"),
        std::path::PathBuf::from,
    );
    if !folder.is_dir() {
        eprintln!("skipped: there is no folder {}; GOLIGOLI_DANMAKU_FILES names another", folder.display());
        return;
    }
    for (name, accepted) in [("bilibili-11724691.xml", 499), ("bilibili-580770634.xml", 1_224)] {
        let file = std::fs::File::open(folder.join(name)).unwrap();
        let mut lines = read(BufReader::new(file));
        for line in lines.by_ref() {
            let line = line.unwrap();
            assert!(line.sent_at.is_some(), "{line:?}");
        }
        let report = lines.report();
        assert_eq!((report.accepted, report.skipped.len()), (accepted, 0), "{name}");
        eprintln!("{name}: {report:?}");
    }
}

/// Bytes that come close to being a danmaku file.
fn almost_xml() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"<i>",
        b"</i>",
        b"<d p=\"1,1,25,0,0,0,x,1\">",
        b"<d p='",
        b"<d user=\"",
        b" sent_ms='1'",
        b"<?xml version='1.0' encoding='GBK'?>",
        b"</d>",
        b"<d/>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"&#x1F600;",
        b"&#xD800;",
        b"&amp;",
        b"&",
        b"<?xml version='1.0'?>",
        b"<!DOCTYPE i [",
        b"\xEF\xBB\xBF",
        b"\xFF",
        b"\n",
        "你好".as_bytes(),
    ];
    let piece = proptest::sample::select(PIECES);
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), almost_xml()]) {
        let mut lines = read(&bytes[..]);
        let failed = lines.by_ref().filter(Result::is_err).count();
        prop_assert!(failed <= 1);
        prop_assert!(lines.next().is_none());
    }

    #[test]
    fn no_parameters_panic(p in "[-0-9eE.,+naif ]{0,40}") {
        let _ = fields::fields(&p);
    }

    #[test]
    fn what_was_escaped_comes_back(text in ".{1,60}", at_ms in 0u64..10_000_000) {
        let Ok(text) = DanmakuText::parse(&text) else { return Ok(()) };
        let escaped = quick_xml::escape::escape(text.as_str());
        let p = format!("{}.{:03}00,1,25,255,0,0,x,1", at_ms / 1_000, at_ms % 1_000);
        let line = one(&p, &escaped).unwrap();
        prop_assert_eq!((line.at_ms, line.text), (at_ms, text));
    }
}
