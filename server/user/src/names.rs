//! Names: what one may look like, and which look alike.
//!
//! A name is kept in Unicode's form NFKC (so that `Ａｄａ` is `Ada`). Names that differ in
//! case only are one name. Names that look alike can't both be taken: each has the keys of
//! [`Name::looks`], and no two accounts share a key.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};
use unicode_security::skeleton;

const MIN_CHARS: usize = 2;
const MAX_CHARS: usize = 20;
/// Before normalisation, which can shorten a name (a Hangul syllable is three characters
/// when typed apart) but not by more than this.
const MAX_RAW_CHARS: usize = 5 * MAX_CHARS;
/// More combining marks in a row only serve to paint over other lines.
const MAX_MARK_RUN: usize = 4;

/// A well-formed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

/// Why a text can't be a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadName {
    #[error("a name has {MIN_CHARS} to {MAX_CHARS} characters")]
    Length,
    #[error("a name is made of letters, digits, _ and -; not of U+{0:04X}")]
    Character(u32),
    #[error("a name has at least one letter or digit")]
    NoLetter,
    #[error("a name has at most {MAX_MARK_RUN} combining marks in a row, and they follow a letter")]
    Marks,
}

impl Name {
    /// Normalises, trims and checks.
    pub(crate) fn parse(text: &str) -> Result<Self, BadName> {
        if text.chars().count() > MAX_RAW_CHARS {
            return Err(BadName::Length);
        }
        let normal: String = text.nfkc().collect();
        let name = normal.trim();
        let (mut lettered, mut marks_left) = (false, 0);
        for c in name.chars() {
            match part(c) {
                Some(Part::Letter) => (lettered, marks_left) = (true, MAX_MARK_RUN),
                Some(Part::Joiner) => marks_left = 0,
                Some(Part::Mark) if marks_left > 0 => marks_left -= 1,
                Some(Part::Mark) => return Err(BadName::Marks),
                None => return Err(BadName::Character(u32::from(c))),
            }
        }
        if !(MIN_CHARS..=MAX_CHARS).contains(&name.chars().count()) {
            return Err(BadName::Length);
        }
        if lettered { Ok(Self(name.to_owned())) } else { Err(BadName::NoLetter) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What finds the account: the name without its case.
    pub(crate) fn login_name(&self) -> String {
        self.0.to_lowercase()
    }

    /// What the name looks like: by its lower case, and as it is written. The second one
    /// catches `goIigoli` with a capital i, whose lower case looks like nothing else.
    pub(crate) fn looks(&self) -> BTreeSet<String> {
        [look(&self.login_name()), look(&self.0)].into()
    }

    /// Whether the name, or a part of it between `_` and `-`, looks like one that speaks
    /// for the site.
    pub(crate) fn is_reserved(&self) -> bool {
        let reserved: Vec<String> = RESERVED.iter().map(|word| rough(&look(word))).collect();
        self.looks().iter().any(|look| {
            let parts = look.split(JOINERS).map(rough);
            let whole = rough(look);
            RESERVED_ANYWHERE.iter().any(|word| whole.contains(&rough(&self::look(word))))
                || parts.chain([whole]).any(|part| reserved.contains(&part))
        })
    }
}

const JOINERS: [char; 2] = ['_', '-'];

enum Part {
    Letter,
    Mark,
    Joiner,
}

fn part(c: char) -> Option<Part> {
    // A character without a skeleton is one that shows nothing (a Hangul filler, a
    // variation selector): two names would look the same.
    if JOINERS.contains(&c) {
        Some(Part::Joiner)
    } else if skeleton(c.encode_utf8(&mut [0; 4])).next().is_none() {
        None
    } else if c.general_category() == GeneralCategory::DecimalNumber {
        Some(Part::Letter)
    } else {
        match c.general_category_group() {
            GeneralCategoryGroup::Letter => Some(Part::Letter),
            GeneralCategoryGroup::Mark if c.general_category() != GeneralCategory::EnclosingMark => Some(Part::Mark),
            _ => None,
        }
    }
}

/// The skeleton of UTS 39, once more without case: it has `O` for `0`.
fn look(text: &str) -> String {
    skeleton(text).collect::<String>().to_lowercase()
}

/// For reserved names alone: `i` like `l` (and so like `1`), and nothing in between.
fn rough(look: &str) -> String {
    look.chars().filter(|c| !JOINERS.contains(c)).map(|c| if c == 'i' { 'l' } else { c }).collect()
}

const RESERVED: [&str; 26] = [
    "admin",
    "administrator",
    "root",
    "system",
    "sysadmin",
    "superuser",
    "official",
    "moderator",
    "staff",
    "support",
    "security",
    "service",
    "everyone",
    "anonymous",
    "guest",
    "null",
    "undefined",
    "系统",
    "系統",
    "站长",
    "站長",
    "版主",
    "房管",
    "匿名",
    "游客",
    "遊客",
];

const RESERVED_ANYWHERE: [&str; 6] = ["goligoli", "官方", "管理员", "管理員", "客服", "siteadmin"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap_or_else(|bad| panic!("{text:?}: {bad}"))
    }

    #[test]
    fn names_of_all_scripts_pass_trimmed_and_normalised() {
        for text in ["mei", "小梅", "さくら_07", "Zoë-1", "हिन्दी", "ภาษาไทย", "محمد", "Ольга", "한국어", "𠮷野家", "٣٤"]
        {
            assert_eq!(name(text).as_str(), text.nfkc().collect::<String>());
        }
        assert_eq!(name("  mei\u{3000}").as_str(), "mei");
        assert_eq!(name("Ａｄａ①").as_str(), "Ada1");
        assert_eq!(name("Zoe\u{308}"), name("Zoë"));
        assert_eq!(name(&"字".repeat(20)).as_str().chars().count(), 20);
        assert_eq!(name(&"각".nfd().collect::<String>().repeat(20)).as_str(), "각".repeat(20));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "a", " a ", &"字".repeat(21), &"a".repeat(10_000)] {
            assert_eq!(Name::parse(text), Err(BadName::Length), "{text:?}");
        }
        for c in [
            '\0', '\n', ' ', '<', '&', '"', '\'', '.', '/', '\u{202E}', '\u{2066}', '\u{200B}', '\u{200D}', '\u{FEFF}',
            '\u{3164}', '\u{115F}', '\u{FE0F}', '\u{34F}', '\u{20DD}', '😀', '❤', '🅰', '\u{E000}', '\u{FFFF}',
        ] {
            let refused = Name::parse(&format!("ab{c}cd"));
            assert!(matches!(refused, Err(BadName::Character(_) | BadName::Marks)), "{c:?}: {refused:?}");
        }
        assert_eq!(Name::parse("<b>mei</b>"), Err(BadName::Character(0x3C)));
        assert_eq!(Name::parse("__--"), Err(BadName::NoLetter));
        assert_eq!(Name::parse("\u{301}ab"), Err(BadName::Marks));
        assert_eq!(Name::parse(&format!("ab{}", "\u{33F}".repeat(5))), Err(BadName::Marks));
    }

    #[test]
    fn look_alikes_share_a_key_and_others_do_not() {
        let alike = |a: &str, b: &str| !name(a).looks().is_disjoint(&name(b).looks());
        for (a, b) in [
            ("mei", "MEI"),
            ("paypal", "pаypаl"),
            ("bob0", "bobo"),
            ("lan", "Ian"),
            ("user1", "userl"),
            ("mei", "rnei"),
            ("Ada", "Ａｄａ"),
            ("goligoli", "goIigoli"),
            ("scope", "ѕсоре"),
        ] {
            assert!(alike(a, b), "{a} looks like {b}");
        }
        for (a, b) in
            [("mei", "mel"), ("小梅", "小美"), ("viewer-000001", "viewer-000010"), ("ab", "a-b"), ("日本", "目本")]
        {
            assert!(!alike(a, b), "{a} does not look like {b}");
        }
    }

    #[test]
    fn names_that_speak_for_the_site_are_reserved() {
        for text in [
            "admin",
            "ADMIN",
            "Admin_",
            "adm1n",
            "аdmin",
            "ad-min",
            "admin-mei",
            "r00t",
            "System",
            "goligoli",
            "goIigoli",
            "g0ligoli2",
            "goligoli_official",
            "管理员",
            "管理员小梅",
            "官方",
            "系统",
            "official",
            "Ｒｏｏｔ",
            "mei_staff",
        ] {
            assert!(name(text).is_reserved(), "{text}");
        }
        for text in ["mei", "badminton", "操作系统迷", "rooted", "viewer-000001", "demo", "streamer"] {
            assert!(!name(text).is_reserved(), "{text}");
        }
    }

    #[test]
    fn every_key_fits_its_column() {
        let longest =
            ('\0'..=char::MAX).filter(|c| part(*c).is_some()).map(|c| look(&c.to_string()).chars().count()).max();
        assert!(longest.unwrap() * MAX_CHARS <= 400, "{longest:?}");
        let lower = ('\0'..=char::MAX).filter(|c| part(*c).is_some()).map(|c| c.to_lowercase().count()).max();
        assert!(lower.unwrap() * MAX_CHARS <= 80, "{lower:?}");
    }

    proptest! {
        #[test]
        fn a_name_is_short_visible_and_parses_to_itself(text in r"[\p{L}\p{M}\p{Nd}_\- ]{0,24}|\PC{0,24}|.{0,24}") {
            if let Ok(name) = Name::parse(&text) {
                prop_assert!((MIN_CHARS..=MAX_CHARS).contains(&name.as_str().chars().count()));
                prop_assert!(!name.as_str().chars().any(|c| c.is_control() || c.is_whitespace()));
                prop_assert_eq!(Name::parse(name.as_str()), Ok(name.clone()));
                prop_assert!(name.looks().iter().all(|look| !look.is_empty()));
            }
        }
    }
}
