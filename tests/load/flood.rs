//! Many people who post at a steady pace, whatever becomes of the posts.

use goligoli_tests::poster::{Plan, Posted, Poster};
use goligoli_tests::{Account, Server};

/// Danmaku in a room, by these accounts in turn, so many a second together.
pub(crate) fn flood(server: &Server, room: &str, accounts: &[Account], per_second: f64) -> Plan {
    let tokens = accounts.iter().map(|account| account.token.clone()).collect();
    Plan::danmaku(server.address(), room, tokens, per_second)
}

/// Begins to post.
pub(crate) fn begin(plan: Plan) -> Poster {
    Poster::start(plan).unwrap()
}

/// The accepted posts, where every post must have been accepted.
pub(crate) fn all_created(posted: &Posted) -> u64 {
    assert!(posted.created() == posted.sent && posted.unanswered == 0, "not all was accepted: {posted:?}");
    posted.created()
}
