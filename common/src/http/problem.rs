//! RFC 9457: a refusal as `application/problem+json`. The one table from kinds to status.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use idl::{Code, Kind, Refusal, Timestamp};
use serde::{Serialize, Serializer};

/// A refusal on its way to an HTTP client.
#[derive(Debug)]
pub struct Problem {
    refusal: Refusal,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The body.
#[derive(Debug, Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

#[derive(Debug, Serialize)]
struct FieldError<'a> {
    detail: &'a str,
    pointer: &'a str,
}

const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::BadMethod => StatusCode::METHOD_NOT_ALLOWED,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self { status: status(refusal.kind()), refusal, headers: Vec::new() }
    }
}

impl Problem {
    /// A problem that is known by its code alone.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Refusal::new(code, detail).into()
    }

    /// The same with one more header in its answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Why.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.refusal.code
    }
}

impl Serialize for Problem {
    /// The body, for an answer that has a problem in it.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Self { refusal, status, .. } = self;
        let code = refusal.code;
        let body = Body {
            r#type: format!("/problems/{}", code.slug()),
            title: code.title(),
            status: status.as_u16(),
            detail: &refusal.detail,
            code: code.slug(),
            errors: refusal.pointer.iter().map(|pointer| FieldError { detail: &refusal.detail, pointer }).collect(),
            retry_after_ms: refusal.retry_after_ms,
            until: refusal.until,
            request_id: super::edge::current_request_id(),
        };
        body.serialize(s)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let Self { refusal, status, headers: more } = self;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(ms) = refusal.retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        for (name, value) in more {
            headers.append(name, value);
        }
        response
    }
}
