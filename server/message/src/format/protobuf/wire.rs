//! A message's fields one by one: prost decodes messages whole, and a segment can be large.

use prost::Message as _;
use prost::decode_length_delimiter;

use super::Element;

/// The key of field 1, `elems`, which is length-delimited.
pub(super) const ELEMENTS_KEY: u8 = 0x0A;

/// Takes one field off the front; `None` if it is not an element.
///
/// # Errors
/// Says what is wrong; then what is left has no meaning.
pub(super) fn next_element(rest: &mut &[u8]) -> Result<Option<Element>, String> {
    // Keys and lengths are encoded alike.
    let key = decode_length_delimiter(&mut *rest).map_err(|e| e.to_string())?;
    if key == usize::from(ELEMENTS_KEY) {
        let element = take_delimited(rest)?;
        return Element::decode(element).map(Some).map_err(|e| e.to_string());
    }
    match key & 0b111 {
        0 => drop(decode_length_delimiter(&mut *rest).map_err(|e| e.to_string())?),
        1 => drop(take(rest, 8)?),
        2 => drop(take_delimited(rest)?),
        5 => drop(take(rest, 4)?),
        other => return Err(format!("a field of wire type {other}")),
    }
    Ok(None)
}

fn take_delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let length = decode_length_delimiter(&mut *rest).map_err(|e| e.to_string())?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(length).ok_or("the segment ends before its fields do")?;
    *rest = left;
    Ok(taken)
}
