//! What a room may say about itself. Pure.

use idl::Refusal;
use idl::danmaku::{MAX_KEYWORD_CHARS, keyword_form, line};
use idl::event::RoomRules;
use idl::live::RoomText;

const MAX_TITLE_CHARS: usize = 60;
const MAX_CATEGORY_CHARS: usize = 20;
const MAX_DESCRIPTION_CHARS: usize = 1_000;
const MAX_SEARCH_CHARS: usize = 60;
pub(crate) const MAX_SLOW_MODE_S: u32 = 120;
/// Nobody reads a tenth of that.
const MAX_DANMAKU_PER_S: u32 = 1_000;

/// All three parts, checked and trimmed.
pub(crate) fn room_text(text: &RoomText) -> Result<RoomText, Refusal> {
    Ok(RoomText {
        title: title(&text.title)?,
        description: description(&text.description)?,
        category: category(&text.category)?,
    })
}

/// 1 to 60 characters, one line.
pub(crate) fn title(text: &str) -> Result<String, Refusal> {
    line("/title", text, MAX_TITLE_CHARS)
}

/// One line of at most 20 characters, or nothing.
pub(crate) fn category(text: &str) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    line("/category", text, MAX_CATEGORY_CHARS)
}

/// At most 1,000 characters in any number of lines, each of which obeys the rules of a
/// line of chat; may be empty. Lines are trimmed, too.
pub(crate) fn description(text: &str) -> Result<String, Refusal> {
    const POINTER: &str = "/description";
    let too_long = || Refusal::field(POINTER, format!("more than {MAX_DESCRIPTION_CHARS} characters"));
    let text = text.trim();
    // Also bounds the work below; `\r\n` counts as two here, as it came.
    if text.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(too_long());
    }
    let mut lines = Vec::new();
    for part in text.split('\n') {
        // A carriage return anywhere but before the line's end is refused by the rules.
        let part = part.trim();
        lines.push(if part.is_empty() { String::new() } else { line(POINTER, part, MAX_DESCRIPTION_CHARS)? });
    }
    Ok(lines.join("\n"))
}

/// What rooms are searched for; `None` if nothing is left after trimming.
pub(crate) fn search(text: &str) -> Result<Option<String>, Refusal> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    line("/search", text, MAX_SEARCH_CHARS).map(Some)
}

/// Rules with a slow mode of at most two minutes, and no more danmaku than a stream may show.
pub(crate) fn rules(rules: &RoomRules) -> Result<(), Refusal> {
    if rules.slow_mode_s > MAX_SLOW_MODE_S {
        return Err(Refusal::field("/slow_mode_s", format!("more than {MAX_SLOW_MODE_S} seconds")));
    }
    if rules.danmaku_per_s.is_some_and(|rate| rate.get() > MAX_DANMAKU_PER_S) {
        return Err(Refusal::field("/danmaku_per_s", format!("more than {MAX_DANMAKU_PER_S} a second")));
    }
    Ok(())
}

/// The form of a keyword of 1 to 20 characters.
pub(crate) fn keyword(text: &str) -> Result<String, Refusal> {
    line("/keyword", text, MAX_KEYWORD_CHARS).map(|line| keyword_form(&line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_exact() {
        assert_eq!(title(&format!(" {} ", "字".repeat(60))).unwrap(), "字".repeat(60));
        assert!(title(&"字".repeat(61)).unwrap_err().detail.contains("60"));
        assert!(title("").is_err());
        assert_eq!(category(" \u{3000}").unwrap(), "");
        assert!(category(&"𠮷".repeat(20)).is_ok() && category(&"𠮷".repeat(21)).is_err());
        assert!(description(&"a\n".repeat(500)).is_ok() && description(&"ab".repeat(501)).is_err());
        assert_eq!(description("  one \r\n\n two\t\n").unwrap(), "one\n\ntwo");
        assert!(description("a\rb").is_err() && description("a\u{202E}b").is_err() && description("a\0").is_err());
        for (slow_mode_s, fits) in [(0, true), (120, true), (121, false), (u32::MAX, false)] {
            assert_eq!(rules(&RoomRules { slow_mode_s, ..RoomRules::default() }).is_ok(), fits);
        }
        for (rate, fits) in [(1, true), (1_000, true), (1_001, false), (u32::MAX, false)] {
            assert_eq!(rules(&RoomRules { danmaku_per_s: rate.try_into().ok(), ..RoomRules::default() }).is_ok(), fits);
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_stable_and_harmless(text in any::<String>()) {
            if let Ok(kept) = description(&text) {
                prop_assert!(kept.chars().count() <= MAX_DESCRIPTION_CHARS);
                prop_assert!(!kept.chars().any(|c| c.is_control() && c != '\n'));
                prop_assert_eq!(description(&kept).unwrap(), kept);
            }
            if let Ok(kept) = title(&text) {
                prop_assert_eq!(title(&kept).unwrap(), kept);
            }
        }
    }
}
