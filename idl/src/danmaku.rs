//! A danmaku's parts. Each can only be made by parsing, so whoever holds one holds a valid one.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use utoipa::ToSchema;

use crate::Refusal;

/// The most characters (Unicode scalar values) a danmaku may have after trimming.
pub const MAX_TEXT_CHARS: usize = 100;

/// The most characters a keyword may have after trimming.
pub const MAX_KEYWORD_CHARS: usize = 20;

/// The most characters that [`keyword_form`] makes of one: U+FDFA is a whole sentence.
pub const MAX_FORM_CHARS_PER_CHAR: usize = 18;

/// The most combining marks in a row; more only serve to paint over other lines.
const MAX_COMBINING_RUN: usize = 4;

/// A danmaku's text: trimmed, 1 to 100 characters, one line, nothing invisible that
/// reorders, hides or breaks what stands around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, min_length = 1, max_length = 100, example = "哈哈哈 what a goal")]
pub struct DanmakuText(String);

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Nothing is left after trimming.
    #[error("the text is empty")]
    Empty,
    /// Too long, counted after trimming.
    #[error("the text has more than {MAX_TEXT_CHARS} characters")]
    TooLong,
    /// A character that must not be in a line of chat.
    #[error("the text has a character that is not allowed: U+{0:04X}")]
    Character(u32),
    /// So many marks on one letter that they paint over the neighbours.
    #[error("the text has more than {MAX_COMBINING_RUN} combining marks in a row")]
    Marks,
}

impl DanmakuText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Trims and checks.
    ///
    /// # Errors
    /// Says what is wrong with the text, the first thing only.
    pub fn parse(text: &str) -> Result<Self, BadText> {
        check_line(text, MAX_TEXT_CHARS).map(|line| Self(line.to_owned()))
    }

    /// A text from the database, as it is: it was parsed when it was stored. Today's rules
    /// may be stricter than those of that day, and must not make its history unreadable.
    #[must_use]
    pub const fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for DanmakuText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DanmakuText {
    type Error = BadText;
    fn try_from(text: String) -> Result<Self, BadText> {
        Self::parse(&text)
    }
}

impl From<DanmakuText> for String {
    fn from(text: DanmakuText) -> Self {
        text.0
    }
}

/// A field of a request that is such a line: [`check_line`], trimmed.
///
/// # Errors
/// The refusal names the field and what is wrong with it, the first thing only.
pub fn line(pointer: &str, text: &str, max_chars: usize) -> Result<String, Refusal> {
    check_line(text, max_chars).map(str::to_owned).map_err(|error| match error {
        BadText::TooLong => Refusal::field(pointer, format!("more than {max_chars} characters")),
        other => Refusal::field(pointer, other.to_string()),
    })
}

/// Trims a line that people will see and checks its characters: 1 to `max_chars`, no
/// control, bidi-override or invisible formatting character (a zero-width joiner or
/// variation selector is allowed, emoji need them), no private or unassigned one.
///
/// # Errors
/// Says what is wrong with the line, the first thing only.
pub fn check_line(text: &str, max_chars: usize) -> Result<&str, BadText> {
    let line = text.trim();
    if line.is_empty() {
        return Err(BadText::Empty);
    }
    if line.chars().count() > max_chars {
        return Err(BadText::TooLong);
    }
    let mut marks = 0;
    let mut visible = false;
    for c in line.chars() {
        if !is_allowed(c) {
            return Err(BadText::Character(u32::from(c)));
        }
        let mark = is_combining_mark(c) && !is_variation_selector(c);
        marks = if mark { marks + 1 } else { 0 };
        if marks > MAX_COMBINING_RUN {
            return Err(BadText::Marks);
        }
        visible |= !c.is_whitespace() && c != ZERO_WIDTH_JOINER && !is_variation_selector(c);
    }
    if visible { Ok(line) } else { Err(BadText::Empty) }
}

/// What makes two keywords the same: a danmaku has a keyword if this gives the same text for
/// both. It trims, brings to NFKC and lower-cases, because who types a keyword chooses none
/// of these knowingly: input methods add a space, write `６６６` for `666`, and phones begin
/// a line with a capital. More (accents, look-alikes) would make one of words that differ.
///
/// The form of a form is that form. For this it is brought to NFKC twice: `J` with a caron
/// has no character of its own, but its lower case `ǰ` has. It is trimmed last: `¨` becomes
/// a blank with a mark on it. Within one version of Unicode it depends on the text alone;
/// nobody compares forms that two versions made, as keywords live for days.
#[must_use]
pub fn keyword_form(text: &str) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    lower.nfkc().collect::<String>().trim().to_owned()
}

const ZERO_WIDTH_JOINER: char = '\u{200D}';

fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

/// Emoji tag sequences (the flags of England, Scotland, Wales) are format characters.
fn is_emoji_tag(c: char) -> bool {
    matches!(c, '\u{E0020}'..='\u{E007F}')
}

fn is_allowed(c: char) -> bool {
    match c.general_category() {
        GeneralCategory::Control
        | GeneralCategory::Surrogate
        | GeneralCategory::PrivateUse
        | GeneralCategory::LineSeparator
        | GeneralCategory::ParagraphSeparator => false,
        GeneralCategory::Format => c == ZERO_WIDTH_JOINER || is_emoji_tag(c),
        // Newer emoji are unassigned to an older table; non-characters never become letters.
        GeneralCategory::Unassigned => (u32::from(c) & 0xFFFE) != 0xFFFE && !matches!(c, '\u{FDD0}'..='\u{FDEF}'),
        _ => !matches!(c, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}'), // invisible Hangul fillers
    }
}

/// How a danmaku moves over the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Stands at the top.
    Top,
    /// Stands at the bottom.
    Bottom,
    /// From left to right.
    Reverse,
    /// From right to left; so does what a newer peer says.
    #[default]
    #[serde(other)]
    Scroll,
}

/// How large a danmaku is, relative to the viewer's own setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// 18 in Bilibili's files.
    Small,
    /// 36 in Bilibili's files.
    Large,
    /// 25 in Bilibili's files; what a newer peer says is this, too.
    #[default]
    #[serde(other)]
    Standard,
}

/// A danmaku's colour, `#rrggbb` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^#[0-9A-Fa-f]{6}$", example = "#ffd302")]
pub struct Color(u32);

/// The text is not a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a color is written #rrggbb")]
pub struct BadColor;

impl Color {
    /// What a danmaku has if its sender chose nothing.
    pub const WHITE: Self = Self(0xFF_FF_FF);

    /// From 0xRRGGBB; higher bits are cut off.
    #[must_use]
    pub const fn from_rgb(rgb: u32) -> Self {
        Self(rgb & 0xFF_FF_FF)
    }

    /// As 0xRRGGBB.
    #[must_use]
    pub const fn rgb(self) -> u32 {
        self.0
    }
}

impl Default for Color {
    fn default() -> Self {
        Self::WHITE
    }
}

impl TryFrom<String> for Color {
    type Error = BadColor;
    fn try_from(text: String) -> Result<Self, BadColor> {
        let digits = text.strip_prefix('#').ok_or(BadColor)?;
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadColor);
        }
        u32::from_str_radix(digits, 16).map(Self).map_err(|_| BadColor)
    }
}

impl From<Color> for String {
    fn from(color: Color) -> Self {
        format!("#{:06x}", color.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_lines_pass_and_are_trimmed() {
        for line in ["哈哈哈", "  <b>bold</b> & \"quotes\" ", "👨‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿 ❤️", "é à la carte", "مرحبا", "กำลัง", "𠮷野家"]
        {
            assert_eq!(DanmakuText::parse(line).unwrap().as_str(), line.trim());
        }
        assert!(DanmakuText::parse(&"字".repeat(100)).is_ok());
    }

    #[test]
    fn what_would_harm_the_line_is_refused() {
        assert_eq!(DanmakuText::parse(" \u{3000}\t"), Err(BadText::Empty));
        assert_eq!(DanmakuText::parse("\u{200D}\u{FE0F}"), Err(BadText::Empty));
        assert_eq!(DanmakuText::parse(&"字".repeat(101)), Err(BadText::TooLong));
        assert_eq!(DanmakuText::parse(&format!("a{}", "\u{301}".repeat(5))), Err(BadText::Marks));
        for c in [
            '\0', '\n', '\r', '\u{1b}', '\u{85}', '\u{200B}', '\u{202E}', '\u{2066}', '\u{2028}', '\u{FEFF}',
            '\u{E000}', '\u{FFFF}', '\u{3164}',
        ] {
            let text = format!("a{c}b");
            assert_eq!(DanmakuText::parse(&text), Err(BadText::Character(u32::from(c))), "{:?}", c);
        }
    }

    #[test]
    fn a_keyword_is_the_same_however_it_is_typed() {
        for (typed, form) in [
            ("  GoliGoli \u{3000}", "goligoli"),
            ("６６６", "666"),
            ("Ｇｏｌｉ", "goli"),
            ("ﾊﾟﾝﾀﾞ", "パンダ"),
            ("①", "1"),
            ("ÉTÉ", "e\u{301}te\u{301}"),
            ("ΟΔΟΣ", "οδος"),
            ("J\u{30c}", "ǰ"),
            ("抽奖", "抽奖"),
        ] {
            assert_eq!(keyword_form(typed), keyword_form(form), "{typed}");
        }
        for (one, other) in [("été", "ete"), ("抽奖", "抽獎"), ("a b", "ab"), ("а", "a"), ("👍", "👍🏽")] {
            assert_ne!(keyword_form(one), keyword_form(other));
        }
    }

    #[test]
    fn every_character_has_a_form_that_stays_and_is_not_too_long() {
        let mut longest = 0;
        for c in '\0'..=char::MAX {
            let form = keyword_form(c.encode_utf8(&mut [0; 4]));
            assert_eq!(keyword_form(&form), form, "{c:?}");
            assert!(!form.is_empty() || DanmakuText::parse(&c.to_string()).is_err(), "{c:?} vanishes");
            longest = longest.max(form.chars().count());
        }
        assert_eq!(longest, MAX_FORM_CHARS_PER_CHAR);
    }

    /// Texts of characters that normalization and cases are hard on.
    fn hard_texts() -> impl Strategy<Value = String> {
        let hard: Vec<char> =
            "aJjΣσςİıIßẞﬀΩKÅ¨ǆ가가ﾊﾟ６\u{30c}\u{307}\u{323}\u{345}\u{300} \u{3000}\u{fdfa}👍\u{200d}\u{fe0f}"
                .chars()
                .collect();
        proptest::collection::vec(prop_oneof![3 => proptest::sample::select(hard), 1 => any::<char>()], 0..12)
            .prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn the_form_of_a_form_is_that_form(text in hard_texts()) {
            let form = keyword_form(&text);
            prop_assert!(form.chars().count() <= MAX_FORM_CHARS_PER_CHAR * text.chars().count());
            prop_assert_eq!(&keyword_form(&form), &form);
            prop_assert_eq!(&keyword_form(&format!("\u{3000}{text} ")), &form, "blanks around it");
            prop_assert_eq!(&keyword_form(&text.nfkc().collect::<String>()), &form, "normal or not");
            prop_assert_eq!(&keyword_form(&text.nfd().collect::<String>()), &form, "composed or not");
        }

        #[test]
        fn a_parsed_text_is_short_one_line_and_parses_to_itself(text in any::<String>()) {
            if let Ok(parsed) = DanmakuText::parse(&text) {
                let line = parsed.as_str();
                prop_assert!((1..=MAX_TEXT_CHARS).contains(&line.chars().count()));
                prop_assert!(!line.chars().any(char::is_control));
                prop_assert_eq!(&DanmakuText::parse(line).unwrap(), &parsed);
            }
        }

        #[test]
        fn a_color_survives_json(rgb in 0u32..=0xFF_FF_FF) {
            let json = serde_json::to_string(&Color::from_rgb(rgb)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Color>(&json).unwrap().rgb(), rgb);
        }
    }
}
