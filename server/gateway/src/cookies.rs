//! The page's tokens: in cookies that no script can read and no other site can send.

use common::http::credentials::{ACCESS_COOKIE, REFRESH_COOKIE};
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use http::HeaderValue;
use idl::Timestamp;
use idl::user::LoggedIn;

/// The refresh token travels only to where it is used.
const REFRESH_PATH: &str = "/api/v1/auth";

/// Sets both tokens; `https`: only ever send them encrypted.
pub(crate) fn set(tokens: &LoggedIn, now: Timestamp, https: bool) -> Vec<HeaderValue> {
    let age = |end: Timestamp| Duration::milliseconds(i64::try_from(end.since_ms(now)).unwrap_or(0));
    lines([
        cookie(ACCESS_COOKIE, &tokens.access_token.0, "/", https).max_age(age(tokens.access_expires_at)),
        cookie(REFRESH_COOKIE, &tokens.refresh_token.0, REFRESH_PATH, https).max_age(age(tokens.refresh_expires_at)),
    ])
}

/// Takes both away.
pub(crate) fn clear(https: bool) -> Vec<HeaderValue> {
    lines([
        cookie(ACCESS_COOKIE, "", "/", https).max_age(Duration::ZERO),
        cookie(REFRESH_COOKIE, "", REFRESH_PATH, https).max_age(Duration::ZERO),
    ])
}

fn cookie<'a>(name: &'a str, value: &'a str, path: &'a str, https: bool) -> cookie::CookieBuilder<'a> {
    Cookie::build((name, value)).path(path).http_only(true).secure(https).same_site(SameSite::Strict)
}

fn lines<'a>(cookies: [cookie::CookieBuilder<'a>; 2]) -> Vec<HeaderValue> {
    cookies.into_iter().filter_map(|cookie| cookie.build().to_string().parse().ok()).collect()
}
