//! The entries of a draw, read as a stream and kept as small as possible.

use std::collections::HashSet;
use std::io::{BufRead, Read as _};

use idl::UserId;
use idl::draw::{Entry, Hash, Object, Spec};

use super::fault::{Disagreement, Fault, Unreadable, one_line};
use crate::protocol::merkle;

/// No line of the entries is longer, with its newline; one is some 80 bytes.
pub const MAX_LINE_BYTES: u64 = 1 << 10;
/// More entries are refused: they would need more than some 700 MB.
pub const MAX_ENTRIES: u64 = 1 << 24;
/// More chances are refused: each is an HMAC, and so many take minutes.
pub const MAX_CHANCES: u64 = 1 << 30;

/// An entry without its number, which is its place.
#[derive(Debug, Clone, Copy)]
struct Kept {
    user_id: UserId,
    entered_at_ms: u64,
    weight: u32,
}

/// All entries: in order, within the spec's rules, one for each user.
#[derive(Debug)]
pub(super) struct Entries {
    kept: Vec<Kept>,
}

impl Entries {
    /// Reads `count` entries to the end of the stream.
    pub(super) fn read(mut from: impl BufRead, spec: &Spec, count: u64) -> Result<Self, Fault> {
        let (mut kept, mut users, mut chances) = (Vec::<Kept>::new(), HashSet::new(), 0_u64);
        let mut line = Vec::new();
        for expected in 0.. {
            let at = expected + 1;
            line.clear();
            let length = from.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut line);
            let length = length.map_err(|error| Unreadable::Entries { line: expected, error })?;
            if length == 0 {
                break;
            }
            if expected == MAX_ENTRIES {
                return Err(Unreadable::TooManyEntries.into());
            }
            let entry = parse(&line, at)?;
            if expected == count {
                return Err(Disagreement::Count { found: at, expected: count, more: true }.into());
            }
            let before_ms = kept.last().map_or(0, |before| before.entered_at_ms);
            let weight = check(&entry, at, before_ms, spec)?;
            if !users.insert(entry.user_id.0) {
                return Err(Disagreement::SecondEntry { n: entry.n, user_id: entry.user_id }.into());
            }
            chances += u64::from(weight);
            if chances > MAX_CHANCES {
                return Err(Unreadable::TooManyChances.into());
            }
            kept.push(Kept { user_id: entry.user_id, entered_at_ms: entry.entered_at_ms, weight });
        }
        let found = kept.len() as u64;
        if found == count {
            Ok(Self { kept })
        } else {
            Err(Disagreement::Count { found, expected: count, more: false }.into())
        }
    }

    /// The hash of the tree over them.
    pub(super) fn root(&self) -> Hash {
        merkle::root(self.with_leaves().map(|(_, leaf, _)| leaf))
    }

    /// All in order, with their hashes, and their weights as the ranking takes them.
    pub(super) fn with_leaves(&self) -> impl Iterator<Item = (Entry, Hash, u32)> {
        (0..).zip(&self.kept).map(|(n, kept)| {
            let entry = kept.at(n);
            (entry, merkle::leaf(&entry), kept.weight)
        })
    }

    /// Entry `n`.
    pub(super) fn get(&self, n: u64) -> Option<Entry> {
        self.kept.get(usize::try_from(n).ok()?).map(|kept| kept.at(n))
    }
}

impl Kept {
    fn at(self, n: u64) -> Entry {
        let Self { user_id, entered_at_ms, weight } = self;
        Entry { n, user_id, entered_at_ms, weight: weight.into() }
    }
}

fn parse(line: &[u8], at: u64) -> Result<Entry, Unreadable> {
    if line.len() as u64 > MAX_LINE_BYTES {
        return Err(Unreadable::LongLine { line: at });
    }
    match line.strip_suffix(b"\n") {
        Some(text) => serde_json::from_slice::<Object<Entry>>(text)
            .map(|object| object.0)
            .map_err(|error| Unreadable::Line { line: at, why: one_line(&error.to_string()) }),
        None => Err(Unreadable::OpenLine { line: at }),
    }
}

/// Returns the entry's weight.
fn check(entry: &Entry, line: u64, before_ms: u64, spec: &Spec) -> Result<u32, Disagreement> {
    let Entry { n, entered_at_ms, weight, .. } = *entry;
    let Spec { opens_at_ms, draw_at_ms, .. } = *spec;
    if n != line - 1 {
        return Err(Disagreement::Number { line, expected: line - 1, found: n });
    }
    if !(opens_at_ms..draw_at_ms).contains(&entered_at_ms) {
        return Err(Disagreement::NotOpen { n, entered_at_ms, opens_at_ms, draw_at_ms });
    }
    if entered_at_ms < before_ms {
        return Err(Disagreement::BackInTime { n });
    }
    let max = spec.weight.max();
    match u32::try_from(weight) {
        Ok(fits) if (1..=max).contains(&weight) => Ok(fits),
        _ => Err(Disagreement::Weight { n, weight, max }),
    }
}
