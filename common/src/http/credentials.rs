//! Where a request's access token is: `Authorization: Bearer` (programs), or a cookie that
//! scripts can't read (the page). Never in a URL.

use cookie::Cookie;
use http::{HeaderMap, header};
use idl::{Caller, Code, Refusal};

/// The page's access token.
pub const ACCESS_COOKIE: &str = "goligoli_access";
/// The page's refresh token; sent to the refresh and log-out paths only.
pub const REFRESH_COOKIE: &str = "goligoli_refresh";

/// Credentials and how they came.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// From the `Authorization` header: no browser adds it by itself.
    Bearer(Caller),
    /// From a cookie: browsers add it, so unsafe methods must prove where they come from.
    Cookie(Caller),
}

impl Credentials {
    /// The token, not yet verified.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        match self {
            Self::Bearer(caller) | Self::Cookie(caller) => caller,
        }
    }
}

/// The request's credentials, if it has any; the header wins.
///
/// # Errors
/// An `Authorization` header that is not `Bearer` and a token.
pub fn of(headers: &HeaderMap) -> Result<Option<Credentials>, Refusal> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer).filter(|token| !token.is_empty());
        let refuse = || Refusal::new(Code::NotSignedIn, "the Authorization header must be: Bearer, a space, the token");
        let token = token.ok_or_else(refuse)?.to_owned();
        return Ok(Some(Credentials::Bearer(Caller { token })));
    }
    Ok(cookie(headers, ACCESS_COOKIE).map(|token| Credentials::Cookie(Caller { token })))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A cookie's value.
#[must_use]
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| Cookie::split_parse(line.to_owned()))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name && !cookie.value().is_empty())
        .map(|cookie| cookie.value().to_owned())
}
