//! What can be wrong with a draw's documents. Each is one plain line.

use std::fmt;

use idl::draw::Hash;
use idl::{LotteryId, UserId};

use super::entries::{MAX_CHANCES, MAX_ENTRIES, MAX_LINE_BYTES};
use crate::protocol::prizes::BadReplacement;

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It could not even be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It was read, and does not agree.
    #[error(transparent)]
    Disagrees(#[from] Disagreement),
}

impl Fault {
    /// 1: does not agree; 2: unreadable.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Disagrees(_) => 1,
            Self::Unreadable(_) => 2,
        }
    }
}

/// A document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The proof.
    Proof,
    /// The saved announcement of the opening.
    Opened,
    /// That of the freeze.
    Closed,
    /// A receipt, from 1.
    Receipt(usize),
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof => f.write_str("the proof"),
            Self::Opened => f.write_str("the saved announcement `opened`"),
            Self::Closed => f.write_str("the saved announcement `closed`"),
            Self::Receipt(i) => write!(f, "receipt {i}"),
        }
    }
}

/// A document is not what it should be, or more than this implementation takes.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Too long.
    #[error("{document} is longer than {max_bytes} bytes")]
    TooLong {
        /// Which.
        document: Document,
        /// The most that is read.
        max_bytes: usize,
    },
    /// No JSON, or not with exactly the fields and types that it should have.
    #[error("{document} can't be read: {why}")]
    Json {
        /// Which.
        document: Document,
        /// What the reader says.
        why: String,
    },
    /// The spec string.
    #[error("in {document}: {why}")]
    Spec {
        /// Where it stands.
        document: Document,
        /// What is wrong with it.
        why: String,
    },
    /// Another protocol.
    #[error("the proof is for the protocol {0:?}, and only \"goligoli-draw/1\" is known")]
    Protocol(String),
    /// A draw with a beacon.
    #[error("the draw uses a public randomness beacon, which this version can't verify")]
    Beacon,
    /// The entries could not be read from where they are.
    #[error("the entries can't be read after line {line}: {error}")]
    Entries {
        /// The last line that could.
        line: u64,
        /// Why not.
        error: std::io::Error,
    },
    /// A line is too long.
    #[error("line {line} of the entries is longer than {MAX_LINE_BYTES} bytes")]
    LongLine {
        /// Which, from 1.
        line: u64,
    },
    /// The last line is not ended.
    #[error("line {line} of the entries does not end with a newline")]
    OpenLine {
        /// Which, from 1.
        line: u64,
    },
    /// A line is no entry.
    #[error("line {line} of the entries can't be read: {why}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What the reader says.
        why: String,
    },
    /// More than fit in memory.
    #[error("there are more than {MAX_ENTRIES} entries, which is more than this version takes")]
    TooManyEntries,
    /// More than can be computed in a reasonable time.
    #[error("the entries have more than {MAX_CHANCES} chances together, which is more than this version takes")]
    TooManyChances,
}

/// Something does not follow from the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// The opening is not signed.
    #[error("the key that the spec names did not sign this opening (spec and commitment)")]
    OpenedSignature,
    /// Randomness from outside that was not to be used.
    #[error("the proof has a beacon, and the spec names none")]
    Beacon,
    /// Another seed.
    #[error("the seed is not the one that the commitment was made of")]
    Commitment,
    /// Frozen before the time.
    #[error("the entries were frozen at {closed_at_ms}, before the draw was due at {draw_at_ms} (ms since 1970)")]
    ClosedEarly {
        /// When.
        closed_at_ms: u64,
        /// From when on it may be.
        draw_at_ms: u64,
    },
    /// The freeze is not signed.
    #[error("the key that the spec names did not sign this freeze (root, count and time)")]
    ClosedSignature,
    /// The saved document is not genuine.
    #[error("{0} is not signed by the key that it should be signed by, for this lottery's spec")]
    SavedSignature(Document),
    /// The saved document belongs elsewhere.
    #[error("{document} is for lottery {found}, and the proof for lottery {expected}")]
    OtherLottery {
        /// Which.
        document: Document,
        /// What the proof is for.
        expected: LotteryId,
        /// What the document is for.
        found: LotteryId,
    },
    /// Somebody else's key.
    #[error("{0} names another receipt key than the proof: the proof is not by who opened this lottery")]
    OtherKey(Document),
    /// The saved document is genuine and says something else.
    #[error(
        "{document} is signed and has another {what} than the proof: two signatures for one lottery prove that it was changed"
    )]
    Equivocation {
        /// Which.
        document: Document,
        /// What differs.
        what: &'static str,
    },
    /// A hole, or out of order.
    #[error("line {line} of the entries has entry {found}, where entry {expected} belongs")]
    Number {
        /// Which line, from 1.
        line: u64,
        /// What belongs there.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// Not within the time.
    #[error(
        "entry {n} was made at {entered_at_ms}, when the lottery was not open (from {opens_at_ms} to before {draw_at_ms}, ms since 1970)"
    )]
    NotOpen {
        /// Which.
        n: u64,
        /// When.
        entered_at_ms: u64,
        /// From then on.
        opens_at_ms: u64,
        /// Until then.
        draw_at_ms: u64,
    },
    /// Earlier than the one before.
    #[error("entry {n} was made before the entry before it")]
    BackInTime {
        /// Which.
        n: u64,
    },
    /// Not a weight that the spec's rule gives.
    #[error("entry {n} has weight {weight}, and the spec allows 1 to {max}")]
    Weight {
        /// Which.
        n: u64,
        /// What it has.
        weight: u64,
        /// What it may have at most.
        max: u64,
    },
    /// A user entered twice.
    #[error("entry {n} is of user {user_id}, who had entered before")]
    SecondEntry {
        /// Which.
        n: u64,
        /// Whose.
        user_id: UserId,
    },
    /// Not as many as were frozen.
    #[error(
        "there {}{}, and {expected} {} frozen",
        counted(*.found, "entry", "entries"), if *.more { " or more" } else { "" }, if *.expected == 1 { "was" } else { "were" }
    )]
    Count {
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
        /// Whether reading stopped there.
        more: bool,
    },
    /// Other entries.
    #[error("the root over these entries is {computed}, and {found} was signed")]
    Root {
        /// Of the entries.
        computed: Hash,
        /// In the proof.
        found: Hash,
    },
    /// A replacement is not signed.
    #[error("replacement {i} is not signed by the key that the spec names, at this place")]
    ReplacedSignature {
        /// Which, from 0.
        i: usize,
    },
    /// A replacement was not allowed.
    #[error("replacement {i} was not allowed: {why}")]
    Replaced {
        /// Which, from 0.
        i: usize,
        /// Why.
        why: BadReplacement,
    },
    /// Somebody else wins.
    #[error("winner {place} is entry {computed}, and the proof says entry {found}")]
    Winner {
        /// Which, from 1.
        place: usize,
        /// Who wins.
        computed: u64,
        /// Who is said to win.
        found: u64,
    },
    /// The right one wins, but not like that.
    #[error("winner {place}, entry {n}, has another {field} than the proof says")]
    WinnerField {
        /// Which, from 1.
        place: usize,
        /// Who.
        n: u64,
        /// What differs.
        field: &'static str,
    },
    /// More or fewer winners.
    #[error("there {}, and the proof names {found}", counted(*.computed as u64, "winner", "winners"))]
    Winners {
        /// How many.
        computed: usize,
        /// How many are said to be.
        found: usize,
    },
    /// A signed receipt, and no such entry.
    #[error(
        "receipt {i} is signed, and its entry {n} is not among the entries: this receipt proves that the entries were changed"
    )]
    EntryMissing {
        /// Which receipt, from 1.
        i: usize,
        /// What it is for.
        n: u64,
    },
}

/// `are 2 winners`, `is 1 winner`, `are no winners`.
fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        0 => format!("are no {many}"),
        1 => format!("is 1 {one}"),
        count => format!("are {count} {many}"),
    }
}

/// Text of unknown origin as part of one line: without control characters, and not long.
pub(super) fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let mut line: String = text.chars().take(MAX_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        line.push('…');
    }
    line
}
