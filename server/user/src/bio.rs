//! What an account says about itself: up to 200 characters, lines allowed, may be empty.

use idl::danmaku::{BadText, check_line};

const MAX_CHARS: usize = 200;

/// Why a text can't be a bio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBio {
    #[error("the text has more than {MAX_CHARS} characters")]
    TooLong,
    #[error(transparent)]
    Line(#[from] BadText),
}

/// Trims every line and the whole, and checks each line as a danmaku's is.
pub(crate) fn parse(text: &str) -> Result<String, BadBio> {
    // White space around lines is not counted, but not unbounded either.
    if text.chars().take(4 * MAX_CHARS + 1).count() > 4 * MAX_CHARS {
        return Err(BadBio::TooLong);
    }
    let mut lines = Vec::new();
    for line in text.trim().lines() {
        match line.trim() {
            "" => lines.push(""),
            line if line.chars().count() > MAX_CHARS => return Err(BadBio::TooLong),
            line => lines.push(check_line(line, MAX_CHARS)?),
        }
    }
    let bio = lines.join("\n");
    if bio.chars().count() > MAX_CHARS { Err(BadBio::TooLong) } else { Ok(bio) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_kept_and_trimmed() {
        assert_eq!(parse("").unwrap(), "");
        assert_eq!(parse(" \r\n\t ").unwrap(), "");
        assert_eq!(parse(" 你好 <b>&</b> 👨‍👩‍👧 \r\n\r\n second\u{2028}").unwrap(), "你好 <b>&</b> 👨‍👩‍👧\n\nsecond");
        assert_eq!(parse(&"字".repeat(200)).unwrap().chars().count(), 200);
    }

    #[test]
    fn what_hides_reorders_or_floods_is_refused() {
        assert_eq!(parse(&"字".repeat(201)), Err(BadBio::TooLong));
        assert_eq!(parse(&"字\n".repeat(101)), Err(BadBio::TooLong));
        assert_eq!(parse(&" ".repeat(801)), Err(BadBio::TooLong));
        for c in ['\0', '\u{1b}', '\r', '\u{202E}', '\u{2066}', '\u{200B}', '\u{2028}'] {
            assert_eq!(parse(&format!("a\nb{c}c")), Err(BadBio::Line(BadText::Character(u32::from(c)))), "{c:?}");
        }
        assert_eq!(parse("a\n\u{200D}"), Err(BadBio::Line(BadText::Empty)));
    }

    proptest! {
        #[test]
        fn a_bio_is_short_without_controls_and_parses_to_itself(text in r"(\PC|.|\n){0,220}") {
            if let Ok(bio) = parse(&text) {
                prop_assert!(bio.chars().count() <= MAX_CHARS);
                prop_assert!(!bio.chars().any(|c| c.is_control() && c != '\n'));
                prop_assert_eq!(parse(&bio), Ok(bio));
            }
        }
    }
}
