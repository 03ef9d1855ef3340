//! From the attributes and the text of a `<d>` to a line.

use idl::danmaku::{BadText, Color, DanmakuText, Mode, Size, check_line};
use idl::replay::SenderHash;
use idl::{DanmakuId, Timestamp};
use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::events::attributes::Attribute;

use super::{Changed, Line, Skipped};
use crate::format::code::{Decoded, OtherMode, mode_of, sender_hash_of, size_of};

/// More than a year into a video is a mistake.
const MAX_AT_S: f64 = 366.0 * 24.0 * 3_600.0;
/// The end of the year 9999.
const MAX_SENT_MS: i64 = 253_402_300_799_999;
/// A time of sending that is larger is in milliseconds, as some recorders write it: seconds
/// get there in the year 5138, milliseconds did in 1973.
const MAX_SENT_S: f64 = 1e11;
/// Names that are longer are left out.
const MAX_USER_NAME_CHARS: usize = 64;
/// Nothing honest has more; comparing each with all others takes time.
const MAX_ATTRIBUTES: usize = 32;

/// What the attributes of a `<d>` say.
#[derive(Debug, PartialEq)]
pub(super) struct Parameters {
    at_ms: u64,
    mode: Mode,
    size: Size,
    color: Color,
    sent_at: Option<Timestamp>,
    sender_hash: SenderHash,
    id: Option<DanmakuId>,
    user_name: Option<String>,
    changes: Vec<Changed>,
}

/// Reads the attributes of a `<d>`.
///
/// # Errors
/// The outer one if they are not well-formed, which ends the file.
pub(super) fn parameters(tag: &BytesStart<'_>) -> Result<Result<Parameters, Skipped>, String> {
    let (mut p, mut user, mut sent_ms) = (None, None, None);
    for (n, attribute) in tag.attributes().enumerate() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        if n >= MAX_ATTRIBUTES {
            return Err(format!("a tag has more than {MAX_ATTRIBUTES} attributes"));
        }
        match attribute.key.as_ref() {
            "p" => p = Some(attribute.value),
            "user" => user = Some(attribute),
            "sent_ms" => sent_ms = Some(attribute.value),
            _ => {}
        }
    }
    let Some(p) = p else { return Ok(Err(Skipped::BadParameters)) };
    Ok(fields(&p).map(|mut parameters| {
        parameters.refine_sent_at(sent_ms.as_deref());
        parameters.user_name = user.and_then(|user| {
            let name = user_name(&user);
            if name.is_none() {
                parameters.changes.push(Changed::UserName);
            }
            name
        });
        parameters
    }))
}

/// The four first fields must be there.
pub(super) fn fields(p: &str) -> Result<Parameters, Skipped> {
    let mut fields = p.split(',').map(str::trim);
    let mut next = || fields.next().ok_or(Skipped::BadParameters);
    let (at_s, mode, size, color) = (next()?, next()?, next()?, next()?);
    let (sent, _pool, sender, id) = (fields.next(), fields.next(), fields.next(), fields.next());

    let mut changes = Vec::new();
    let mut note = |changed, what| {
        if changed {
            changes.push(what);
        }
    };
    let mode: Decoded<Mode> = mode_of(integer(mode)?).map_err(|other| match other {
        OtherMode::Special => Skipped::SpecialMode,
        OtherMode::Unknown => Skipped::UnknownMode,
    })?;
    let size = size_of(integer(size)?);
    let color = color_of(integer(color)?)?;
    let at_ms = at_ms(at_s)?;
    let sent_at = sent_at(sent.unwrap_or_default());
    let id = id_of(id.unwrap_or_default());
    note(at_ms.changed, Changed::BeforeStart);
    note(mode.changed, Changed::Mode);
    note(size.changed, Changed::Size);
    note(color.changed, Changed::Color);
    note(sent_at.changed, Changed::SentAt);
    note(id.changed, Changed::Id);
    Ok(Parameters {
        at_ms: at_ms.value,
        mode: mode.value,
        size: size.value,
        color: color.value,
        sent_at: sent_at.value,
        sender_hash: sender_hash_of(sender.unwrap_or_default()),
        id: id.value,
        user_name: None,
        changes,
    })
}

impl Parameters {
    /// Milliseconds that agree with field 4; who changes that one may not know of the other.
    fn refine_sent_at(&mut self, sent_ms: Option<&str>) {
        let Some(sent_ms) = sent_ms.and_then(|ms| ms.parse::<i64>().ok()) else { return };
        let seconds = self.sent_at.unwrap_or_default().0.div_euclid(1_000);
        if sent_ms.div_euclid(1_000) == seconds {
            self.sent_at = Some(Timestamp(sent_ms));
        }
    }

    /// The line, if it can be shown here, and what is different in it.
    pub(super) fn with_text(self, text: &str) -> Result<(Line, Vec<Changed>), Skipped> {
        let Self { at_ms, mode, size, color, sent_at, sender_hash, id, user_name, mut changes } = self;
        let text = one_line(text, &mut changes)?;
        Ok((Line { at_ms, mode, color, size, text, sent_at, sender_hash, id, user_name }, changes))
    }
}

/// Subtitles and code come in several lines.
fn one_line(text: &str, changes: &mut Vec<Changed>) -> Result<DanmakuText, Skipped> {
    const BREAKS: [char; 3] = ['\n', '\r', '\t'];
    let trimmed = text.trim();
    if trimmed.len() < text.len() {
        changes.push(Changed::Trimmed);
    }
    let parsed = if trimmed.contains(BREAKS) {
        changes.push(Changed::Joined);
        let lines: Vec<&str> = trimmed.split(BREAKS).map(str::trim).filter(|line| !line.is_empty()).collect();
        DanmakuText::parse(&lines.join(" "))
    } else {
        DanmakuText::parse(trimmed)
    };
    parsed.map_err(|error| match error {
        BadText::Empty => Skipped::EmptyText,
        BadText::TooLong => Skipped::LongText,
        BadText::Character(_) | BadText::Marks => Skipped::BadText,
    })
}

fn user_name(attribute: &Attribute<'_>) -> Option<String> {
    let name = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
    check_line(&name, MAX_USER_NAME_CHARS).ok().map(str::to_owned)
}

fn integer(text: &str) -> Result<i64, Skipped> {
    text.parse().map_err(|_| Skipped::BadParameters)
}

/// Times before the beginning, which some editors write, are the beginning.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was checked to be small and positive")]
fn at_ms(seconds: &str) -> Result<Decoded<u64>, Skipped> {
    let seconds: f64 = seconds.parse().map_err(|_| Skipped::BadParameters)?;
    if seconds.is_nan() {
        return Err(Skipped::BadParameters);
    }
    if seconds.abs() > MAX_AT_S {
        return Err(Skipped::FarTime);
    }
    Ok(Decoded { value: (seconds.max(0.0) * 1_000.0).round() as u64, changed: seconds < 0.0 })
}

/// Only the lower 24 bits are a colour; some tools write others above them.
fn color_of(number: i64) -> Result<Decoded<Color>, Skipped> {
    let rgb = u32::try_from(number & 0xFF_FF_FF).map_err(|_| Skipped::BadParameters)?;
    Ok(Decoded { value: Color::from_rgb(rgb), changed: number != i64::from(rgb) })
}

/// Tools that don't know it write 0 or nothing.
#[expect(clippy::cast_possible_truncation, reason = "floats beyond the limits become the limits")]
fn sent_at(text: &str) -> Decoded<Option<Timestamp>> {
    if matches!(text, "" | "0") {
        return Decoded { value: None, changed: false };
    }
    let ms = match text.parse::<f64>() {
        Ok(number) if number > MAX_SENT_S => number,
        Ok(seconds) => seconds * 1_000.0,
        Err(_) => f64::NAN,
    };
    let value = (ms >= 0.0 && ms <= MAX_SENT_MS as f64).then(|| Timestamp(ms.round() as i64));
    Decoded { value, changed: value.is_none() }
}

/// Tools that don't know it write 0 or nothing.
fn id_of(text: &str) -> Decoded<Option<DanmakuId>> {
    let value = text.parse().ok();
    Decoded { value, changed: value.is_none() && !matches!(text, "" | "0") }
}
