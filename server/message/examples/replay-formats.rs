//! Writes replays in all formats, for other programs to read:
//! `cargo run -p goligoli-message --example replay-formats -- FOLDER [FILE.xml]…`
//!
//! FOLDER gets a folder `corpus`, of lines that formats are hard on, and one for each file,
//! named like it: `replay.xml`, `.ass`, `.json` and `.pb`, the segments `segment-N.pb`, and
//! `expected.json`, which says how many lines readers have to find.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Error, Write as _};
use std::path::Path;

use idl::danmaku::{Color, DanmakuText, MAX_TEXT_CHARS, Mode, Size};
use idl::replay::layout::segment_of;
use idl::replay::{ReplayDanmaku, ReplayHead, ReplayOrigin, SenderHash};
use idl::{DanmakuId, ReplayId, RoomId, Timestamp};
use message::format::protobuf;
use message::format::{Format, Writer, bilibili_xml};

const STARTED_AT: Timestamp = Timestamp(1_700_000_000_000);
const FORMATS: [Format; 4] = [Format::Xml, Format::Ass, Format::Json, Format::Protobuf];

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments.next().ok_or_else(|| Error::other("usage: replay-formats FOLDER [FILE.xml]…"))?;
    let folder = Path::new(&folder);
    write(&folder.join("corpus"), ReplayOrigin::Broadcast, &corpus())?;
    for file in arguments {
        let file = Path::new(&file);
        let lines = import(file)?;
        write(&folder.join(file.file_stem().unwrap_or_default()), ReplayOrigin::File, &lines)?;
    }
    Ok(())
}

/// Every text in every mode, size and colour, over three segments of which one is empty.
fn corpus() -> Vec<ReplayDanmaku> {
    let texts = [
        "哈哈哈",
        "前方高能 (๑•̀ㅂ•́)و✧",
        "emoji 👍🏽 👨‍👩‍👧‍👦 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "𠮷野家 é à مرحبا กำลัง",
        "]]> <![CDATA[x]]> <!-- -->",
        "&<>\"' &amp; &#10; &lt;b&gt;",
        "<d p=\"0,1,25,0,0,0,0,0\">not a line</d>",
        "{\\an8}up {\\pos(0,0)} \\N \\n \\h {",
        "one/ntwo",
        "%s %d {} {0} ${x}",
        "Dialogue: 2,0:00:00.00,0:00:01.00,R2L,,0,0,0,,x",
        "， commas, , ; = : ' \\",
        "\u{FFFD}",
        "/",
    ];
    let longest = ["字", "w", "\"", "👍"].map(|c| c.repeat(MAX_TEXT_CHARS));
    let texts = texts.into_iter().chain(longest.iter().map(String::as_str));
    let colors = [Color::WHITE, Color::from_rgb(0), Color::from_rgb(0xFE_03_02), Color::from_rgb(0x22_22_22)];
    let mut lines = Vec::new();
    for text in texts {
        for mode in [Mode::Scroll, Mode::Top, Mode::Bottom, Mode::Reverse] {
            for size in [Size::Small, Size::Standard, Size::Large] {
                for color in colors {
                    lines.push((text, mode, size, color));
                }
            }
        }
    }
    // The first lines come at once, as after a goal; then a few a second.
    let at_ms = |n: u64| if n < 100 { 0 } else { n * 333 + if n > 300 { 720_001 } else { 0 } };
    let line = |(n, (text, mode, size, color)): (u64, (&str, Mode, Size, Color))| ReplayDanmaku {
        id: DanmakuId((1 << 53) - 10_000 + n),
        at_ms: at_ms(n),
        sent_at: STARTED_AT.plus_ms(at_ms(n)),
        mode,
        color,
        size,
        text: DanmakuText::from_stored(text.to_owned()),
        sender_hash: SenderHash(u32::try_from(n % 7).unwrap_or(0)),
        user_name: Some(format!("viewer_{}", n % 7)),
    };
    (0..).zip(lines).map(line).collect()
}

/// Reads a file as an import does, and says what became of its lines.
fn import(file: &Path) -> Result<Vec<ReplayDanmaku>, Error> {
    let mut reader = bilibili_xml::read(BufReader::new(File::open(file)?));
    let mut lines = reader.by_ref().collect::<Result<Vec<_>, _>>().map_err(Error::other)?;
    let report = reader.report();
    println!("{}: {} lines", file.display(), report.accepted);
    report.skipped.iter().for_each(|(reason, n)| println!("  {n} skipped: {reason}"));
    report.changed.iter().for_each(|(reason, n)| println!("  {n} changed: {reason}"));
    lines.sort_by_key(|line| line.at_ms);
    Ok((1..).map(DanmakuId).zip(lines).map(|(id, line)| line.into_danmaku(id, STARTED_AT)).collect())
}

fn write(folder: &Path, origin: ReplayOrigin, lines: &[ReplayDanmaku]) -> Result<(), Error> {
    fs::create_dir_all(folder)?;
    let head = ReplayHead {
        id: ReplayId(1),
        room_id: RoomId(1),
        title: "All formats".to_owned(),
        origin,
        started_at: STARTED_AT,
        duration_ms: lines.last().map_or(0, |line| line.at_ms),
        danmaku_count: lines.len() as u64,
    };
    for format in FORMATS {
        let file = File::create(folder.join("replay").with_extension(format.extension()))?;
        let mut writer = Writer::begin(format, BufWriter::new(file), &head)?;
        lines.iter().try_for_each(|line| writer.line(line))?;
        writer.end()?.flush()?;
    }

    let mut per_segment = Vec::new();
    for segment in 1..=lines.last().map_or(0, |line| segment_of(line.at_ms)) {
        let file = File::create(folder.join(format!("segment-{segment}.pb")))?;
        let mut writer = protobuf::Writer::begin(BufWriter::new(file), origin);
        let mut count = 0;
        for line in lines.iter().filter(|line| segment_of(line.at_ms) == segment) {
            writer.line(line)?;
            count += 1;
        }
        writer.end().flush()?;
        per_segment.push(count);
    }

    let xml = BufReader::new(File::open(folder.join("replay.xml"))?);
    let whole = |line: bilibili_xml::Line| line.id.map(|id| line.into_danmaku(id, Timestamp(0)));
    let again = bilibili_xml::read(xml).map(|line| line.map(whole)).collect::<Result<Option<Vec<_>>, _>>();
    if again.map_err(Error::other)?.as_deref() != Some(lines) {
        return Err(Error::other(format!("{}: the XML does not come back as it was", folder.display())));
    }

    let reverse = lines.iter().filter(|line| line.mode == Mode::Reverse).count();
    let expected = serde_json::json!({ "lines": lines.len(), "reverse": reverse, "segments": per_segment });
    fs::write(folder.join("expected.json"), expected.to_string())
}
