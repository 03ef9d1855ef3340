//! What lotteries ask: which danmaku are their keyword. Why a page needs no waiting and
//! misses nothing is told in [`crate::writer`]; what a later page may still find before it,
//! in [`crate::history`].

use common::Outcome;
use idl::message::{Cursor, GetKeywordPost, KeywordPost, KeywordPosts, ReadKeywordPosts};
use idl::{Code, DanmakuId, Refusal, Timestamp};

use crate::history;
use crate::store::Store;

/// The most danmaku on a page.
const MAX_LIMIT: u32 = 500;
/// Before the first danmaku.
const START: Cursor = Cursor { sent_at_ms: 0, id: 0 };

/// One of a lottery's keyword danmaku.
pub(crate) async fn post(store: &Store, asked: &GetKeywordPost) -> Outcome<KeywordPost> {
    let found = store.keyword_post(asked.lottery, asked.danmaku).await?;
    let none = || Refusal::new(Code::NoSuchDanmaku, "this is no keyword danmaku of the lottery");
    Ok(found.ok_or_else(none)?)
}

/// A page of them. `now` is from before the call.
pub(crate) async fn posts(store: &Store, now: Timestamp, asked: &ReadKeywordPosts) -> Outcome<KeywordPosts> {
    if !(1..=MAX_LIMIT).contains(&asked.limit) {
        return Err(Refusal::field("/limit", format!("the limit is 1 to {MAX_LIMIT}")).into());
    }
    let from = asked.after.as_deref().map_or(Ok(START), str::parse)?;
    let items = store.keyword_posts(asked.lottery, from, asked.limit).await?;
    let end = items.last().map_or(from, at);
    let settled = history::settled_until(end, history::settled(store, now));
    Ok(KeywordPosts { items, after: end.to_string(), settled: Some(settled.to_string()) })
}

fn at(post: &KeywordPost) -> Cursor {
    let DanmakuId(id) = post.danmaku;
    Cursor { sent_at_ms: post.sent_at.0, id }
}
