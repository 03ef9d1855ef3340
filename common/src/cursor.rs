//! Positions in lists, opaque to clients. A cursor is bound to its list (and the list's
//! filters) by a short digest: one of another list, or one that was typed, is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use idl::{Code, Refusal};
use sha2::{Digest as _, Sha256};

/// A place between two items, by what the list is ordered by. Both parts descend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// What the list is ordered by first.
    pub rank: i64,
    /// Which decides between equals.
    pub id: i64,
}

impl Position {
    /// Before the first item.
    pub const START: Self = Self { rank: i64::MAX, id: i64::MAX };
}

/// The list that a cursor belongs to, filters included.
#[derive(Debug, Clone)]
pub struct List(String);

const TAG_BYTES: usize = 4;

impl List {
    /// `what` names the list and everything that decides which items are in it.
    #[must_use]
    pub const fn new(what: String) -> Self {
        Self(what)
    }

    /// Where the page begins that `cursor` asks for.
    ///
    /// # Errors
    /// It is no cursor of this list.
    pub fn read(&self, cursor: Option<&str>) -> Result<Position, Refusal> {
        let Some(cursor) = cursor else { return Ok(Position::START) };
        self.parse(cursor).ok_or_else(|| Refusal::new(Code::BadCursor, "this is not a cursor of this list"))
    }

    /// The cursor of the page that begins after `position`.
    #[must_use]
    pub fn write(&self, position: Position) -> String {
        let mut bytes = Vec::with_capacity(16 + TAG_BYTES);
        bytes.extend(position.rank.to_be_bytes());
        bytes.extend(position.id.to_be_bytes());
        let tag = self.tag(&bytes);
        bytes.extend(tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn parse(&self, cursor: &str) -> Option<Position> {
        if cursor.len() > 64 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (position, tag) = bytes.split_at_checked(16)?;
        let (rank, id) = position.split_at(8);
        let position =
            Position { rank: i64::from_be_bytes(rank.try_into().ok()?), id: i64::from_be_bytes(id.try_into().ok()?) };
        (tag == self.tag(&bytes[..16])).then_some(position)
    }

    /// Not a secret: whoever forges a cursor only chooses where a list begins that it may read anyway.
    fn tag(&self, position: &[u8]) -> [u8; TAG_BYTES] {
        let digest = Sha256::new().chain_update(position).chain_update(&self.0).finalize();
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&digest[..TAG_BYTES]);
        tag
    }
}

/// What a page reads to see whether there is another one.
#[must_use]
pub const fn with_one_more(limit: usize) -> i64 {
    limit.cast_signed() as i64 + 1
}

/// How many items a page may have: 1 to `most`.
///
/// # Errors
/// More, or none.
pub fn limit(asked: u32, most: u32) -> Result<usize, Refusal> {
    if !(1..=most).contains(&asked) {
        return Err(Refusal::field("/limit", format!("a page has 1 to {most} items")));
    }
    Ok(asked as usize)
}

/// Cuts what was read (one more than a page, if there is more) to the page.
pub fn page<T>(mut rows: Vec<T>, limit: usize, list: &List, at: impl Fn(&T) -> Position) -> (Vec<T>, Option<String>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| list.write(at(last)));
    (rows, next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_is_read_back_by_its_own_list_only(rank in any::<i64>(), id in any::<i64>()) {
            let list = List::new("rooms".to_owned());
            let position = Position { rank, id };
            let cursor = list.write(position);
            prop_assert_eq!(list.read(Some(&cursor)).unwrap(), position);
            prop_assert!(List::new("sessions".to_owned()).read(Some(&cursor)).is_err());
            let longer = format!("{cursor}A");
            prop_assert!(list.read(Some(&longer)).is_err());
            prop_assert!(list.read(Some(&cursor[1..])).is_err());
        }

        #[test]
        fn garbage_is_refused(text in any::<String>()) {
            prop_assert_eq!(List::new("rooms".to_owned()).read(Some(&text)).unwrap_err().code, Code::BadCursor);
        }
    }
}
