//! Danmaku files in Bilibili's XML: `<i><d p="…">text</d>…</i>`, and the dialects that add
//! elements and attributes to it.
//!
//! The `p` attribute is `at_s,mode,size,color,sent_s,pool,sender,id[,weight]`: seconds from
//! the beginning; 1 to 3 scroll, 4 bottom, 5 top, 6 reverse, 7 to 9 positioned or scripted;
//! the font's size; decimal RGB; Unix seconds; 0 for ordinary danmaku; a hash of the
//! sender; a number of the line; how well it is rated, from 0 to 10. Recorders of live
//! broadcasts add `user`, the sender's name, and so does this server, with `sent_ms`: field
//! 4 in milliseconds. Readers pass over attributes that they don't know.

mod read;
mod write;

pub use read::{Changed, Line, Lines, Malformed, Report, Skipped, read};
pub use write::Writer;

#[cfg(test)]
mod round_trip;
