//! What reading came to.

use std::collections::BTreeMap;
use std::fmt;

/// Why a line was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skipped {
    /// Modes 7, 8 and 9: positioned or scripted.
    SpecialMode,
    /// A mode that nobody knows.
    UnknownMode,
    /// The `p` attribute is missing, too short, or not numbers.
    BadParameters,
    /// More than a year from the beginning.
    FarTime,
    /// Nothing is left of the text after trimming.
    EmptyText,
    /// The text has more than 100 characters after trimming.
    LongText,
    /// The text has characters that are not allowed, or an entity that nobody knows.
    BadText,
    /// A recorder's element for a paid message, a gift or a subscription.
    Paid,
}

impl Skipped {
    /// What programs know it by.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::SpecialMode => "special-mode",
            Self::UnknownMode => "unknown-mode",
            Self::BadParameters => "bad-parameters",
            Self::FarTime => "far-time",
            Self::EmptyText => "empty-text",
            Self::LongText => "long-text",
            Self::BadText => "bad-text",
            Self::Paid => "paid",
        }
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SpecialMode => "positioned or scripted (modes 7 to 9)",
            Self::UnknownMode => "unknown mode",
            Self::BadParameters => "unreadable parameters",
            Self::FarTime => "more than a year from the beginning",
            Self::EmptyText => "empty text",
            Self::LongText => "text that is too long",
            Self::BadText => "text that is not allowed",
            Self::Paid => "paid message, gift or subscription",
        })
    }
}

/// What was changed in a line to make it one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Changed {
    /// A time before the beginning became the beginning.
    BeforeStart,
    /// Modes 2 and 3, which are scrolling as well, became 1.
    Mode,
    /// The size became the nearest of 18, 25 and 36.
    Size,
    /// Only the lower 24 bits of the colour were kept.
    Color,
    /// The blanks around the text were left out.
    Trimmed,
    /// A text of several lines became one.
    Joined,
    /// The time of sending is none and was left out.
    SentAt,
    /// The line's number is none below 2^53 and was left out.
    Id,
    /// The sender's name is none that could be shown and was left out.
    UserName,
}

impl Changed {
    /// What programs know it by.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::BeforeStart => "before-start",
            Self::Mode => "mode",
            Self::Size => "size",
            Self::Color => "color",
            Self::Trimmed => "trimmed",
            Self::Joined => "joined",
            Self::SentAt => "sent-at",
            Self::Id => "id",
            Self::UserName => "user-name",
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeStart => "moved to the beginning from before it",
            Self::Mode => "mode 2 or 3 made 1",
            Self::Size => "size made 18, 25 or 36",
            Self::Color => "color cut to 24 bits",
            Self::Trimmed => "blanks around the text left out",
            Self::Joined => "line breaks and tabs in the text made blanks",
            Self::SentAt => "unreadable time of sending left out",
            Self::Id => "id left out that is no number below 2^53",
            Self::UserName => "user name left out that can't be shown",
        })
    }
}

/// What became of the lines that were read so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that were given out.
    pub accepted: u64,
    /// Lines that were not, by reason.
    pub skipped: BTreeMap<Skipped, u64>,
    /// Differences between the file and the lines that were given out. A line can have several.
    pub changed: BTreeMap<Changed, u64>,
}

impl Report {
    pub(super) fn accept(&mut self, changes: &[Changed]) {
        self.accepted += 1;
        for change in changes {
            *self.changed.entry(*change).or_default() += 1;
        }
    }

    pub(super) fn skip(&mut self, reason: Skipped) {
        *self.skipped.entry(reason).or_default() += 1;
    }
}

/// The file can't be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Malformed {
    /// The line that reading stopped in, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
}
