//! Which pages may send what a browser sends by itself. Cookies prove who the browser
//! belongs to, not whose page made it speak; that, `Sec-Fetch-Site` and `Origin` tell.

use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use idl::{Code, Refusal};
use serde::{Deserialize, Serialize};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// Which other sites' pages may call the API. An origin is written `https://example.org`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// These may, with a token of their own.
    pub origins: Vec<String>,
    /// These may also act with this site's cookies: trust them like the page itself.
    pub origins_with_cookies: Vec<String>,
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Origins {
    public: Option<String>,
    plain: Vec<String>,
    with_cookies: Vec<String>,
}

impl Origins {
    /// # Errors
    /// A URL is not an origin.
    pub(crate) fn new(public_url: &str, settings: Settings) -> anyhow::Result<Self> {
        let public = (!public_url.is_empty()).then(|| origin(public_url)).transpose().context("gateway.public_url")?;
        let all = |urls: Vec<String>| urls.iter().map(|url| origin(url)).collect::<anyhow::Result<Vec<_>>>();
        Ok(Self {
            public,
            plain: all(settings.origins).context("gateway.cors.origins")?,
            with_cookies: all(settings.origins_with_cookies).context("gateway.cors.origins_with_cookies")?,
        })
    }

    pub(crate) fn public_is_https(&self) -> bool {
        self.public.as_ref().is_some_and(|origin| origin.starts_with("https:"))
    }

    /// Lets a request that cookies vouch for, or that asks for some, change something only
    /// if it comes from our own page or one that is trusted like it.
    ///
    /// # Errors
    /// `cross-site`.
    pub(crate) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), Refusal> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        // A page cannot set or change this header.
        if matches!(text(HeaderName::from_static("sec-fetch-site")), Some("same-origin" | "none")) {
            return Ok(());
        }
        let host = uri.authority().map(|a| a.as_str()).or_else(|| text(header::HOST));
        let trusted = text(header::ORIGIN).is_some_and(|origin| {
            let of_host = origin.split_once("://").map(|(_, authority)| authority);
            let ours = host.is_some_and(|host| of_host.is_some_and(|o| o.eq_ignore_ascii_case(host)));
            ours || self.public.as_deref() == Some(origin) || self.with_cookies.iter().any(|o| o == origin)
        });
        if trusted {
            return Ok(());
        }
        Err(Refusal::new(
            Code::CrossSite,
            "with cookies this works only from this site's own pages; programs send a token",
        ))
    }

    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        let cookies: Vec<HeaderValue> = self.with_cookies.iter().filter_map(|o| o.parse().ok()).collect();
        let all: Vec<HeaderValue> =
            self.plain.iter().filter_map(|o| o.parse().ok()).chain(cookies.iter().cloned()).collect();
        if all.is_empty() {
            return None;
        }
        let name = HeaderName::from_static;
        Some(
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(all))
                .allow_credentials(AllowCredentials::predicate(move |origin, _| cookies.contains(origin)))
                .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
                .allow_headers([
                    header::AUTHORIZATION,
                    header::CONTENT_TYPE,
                    name("idempotency-key"),
                    name("last-event-id"),
                ])
                .expose_headers([
                    header::LOCATION,
                    header::RETRY_AFTER,
                    header::ETAG,
                    name("ratelimit"),
                    name("ratelimit-policy"),
                    name("x-request-id"),
                ])
                .max_age(PREFLIGHT_MAX_AGE),
        )
    }
}

/// The origin of a URL that has nothing else, as browsers write it.
fn origin(url: &str) -> anyhow::Result<String> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is not a URL"))?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    match (scheme, authority) {
        (Some(scheme), Some(authority)) if matches!(uri.path(), "" | "/") && uri.query().is_none() => {
            Ok(format!("{scheme}://{}", authority.as_str().to_ascii_lowercase()))
        }
        _ => anyhow::bail!("{url:?} is not an origin (http or https, a host, perhaps a port, nothing after it)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_nothing_else() {
        assert_eq!(origin("https://Live.example.org/").unwrap(), "https://live.example.org");
        assert_eq!(origin("http://127.0.0.1:8080").unwrap(), "http://127.0.0.1:8080");
        for bad in ["", "example.org", "*", "ftp://example.org", "https://a@b", "https://a/b", "https://a?b"] {
            assert!(origin(bad).is_err(), "{bad:?} is no origin");
        }
    }

    #[test]
    fn only_our_own_pages_may_use_cookies() {
        let settings = Settings {
            origins: vec!["https://reader.example".to_owned()],
            origins_with_cookies: vec!["https://friend.example".to_owned()],
        };
        let origins = Origins::new("https://live.example", settings).unwrap();
        let check = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "inside:8080".parse().unwrap());
            headers.insert(name, value.parse().unwrap());
            origins.check(&headers, &Uri::from_static("/api/v1/rooms")).is_ok()
        };
        for (name, value) in [
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("origin", "http://inside:8080"),
            ("origin", "https://live.example"),
            ("origin", "https://friend.example"),
        ] {
            assert!(check(name, value), "{name}: {value} is ours");
        }
        for (name, value) in [
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "cross-site"),
            ("origin", "null"),
            ("origin", "https://reader.example"),
            ("origin", "https://live.example.evil"),
            ("origin", "http://live.example"),
            ("origin", "http://inside:8081"),
            ("accept", "*/*"),
        ] {
            assert!(!check(name, value), "{name}: {value} is not ours");
        }
    }
}
