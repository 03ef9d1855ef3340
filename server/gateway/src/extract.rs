//! Reads paths, queries and bodies into types. What does not fit is refused here, with a
//! problem that says where it does not.

use std::collections::BTreeMap as Map;
use std::time::Duration;

use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use common::http::Problem;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use idl::idempotency::{IdempotencyKey, MAX_KEY_CHARS};
use idl::{Code, Refusal};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// No JSON of the API comes near this.
const JSON_MAX_BYTES: usize = 64 << 10;
const JSON_WAIT: Duration = Duration::from_secs(10);
/// The largest cover image.
pub(crate) const IMAGE_MAX_BYTES: usize = 2 << 20;
/// A phone on a bad line needs that long for a cover.
const IMAGE_WAIT: Duration = Duration::from_secs(60);
/// In lower case, as header names are compared.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Code::MalformedRequest, detail)
}

/// The path's parameters.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(malformed(format!("the path: {}", rejection.body_text()))),
        }
    }
}

/// The query's parameters. Unknown and repeated ones are refused: a mistyped filter must
/// not quietly give everything.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(malformed(format!("the query: {}", rejection.body_text()))),
        }
    }
}

/// `?limit=`, which must be 1 to `most`.
pub(crate) fn page_size(asked: Option<u32>, most: u32) -> Result<u32, Problem> {
    match asked.unwrap_or(50) {
        size if (1..=most).contains(&size) => Ok(size),
        _ => Err(malformed(format!("the query: limit must be 1 to {most}"))),
    }
}

/// Which page of a list; at most 100 at once.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    pub(crate) cursor: Option<String>,
    /// How many; 50 if it is not given.
    #[param(minimum = 1, maximum = 100, nullable = false)]
    limit: Option<u32>,
}

impl PageQuery {
    /// How many are asked for.
    pub(crate) fn limit(&self) -> Result<u32, Problem> {
        page_size(self.limit, 100)
    }
}

/// How the document describes [`Key`].
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described")]
pub(crate) struct IdempotencyHeader {
    /// Makes a repetition safe: for 24 hours the same key gives what was made the first time.
    /// 1 to 64 visible ASCII characters, bare or as a quoted string (RFC 9651).
    #[param(rename = "Idempotency-Key", min_length = 1, max_length = 64, pattern = "^[!#-~][!-~]*$", nullable = false)]
    idempotency_key: Option<String>,
}

/// The `Idempotency-Key` header: the key, bare or as a quoted string.
#[derive(Debug)]
pub(crate) struct Key(pub(crate) Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(Self(None)) };
        let key = value.to_str().ok().and_then(idempotency_key).filter(|_| values.next().is_none());
        let refuse = || {
            malformed(format!(
                "the Idempotency-Key header must be one key of 1 to {MAX_KEY_CHARS} visible ASCII characters"
            ))
        };
        key.map(|key| Self(Some(key))).ok_or_else(refuse)
    }
}

fn idempotency_key(value: &str) -> Option<IdempotencyKey> {
    let value = value.trim();
    let key = match value.strip_prefix('"') {
        Some(rest) => unquote(rest)?,
        None => value.to_owned(),
    };
    key.try_into().ok()
}

/// The rest of a structured-field string (RFC 9651) after its opening quote.
fn unquote(rest: &str) -> Option<String> {
    let mut key = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(key),
            '\\' => key.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => key.push(c),
        }
    }
}

/// A JSON object in the body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(parse(&json_body(request, state).await?)?))
    }
}

/// A JSON object in the body that becomes a type of the contracts. Those are lenient, because
/// processes of two builds may speak with them; a client's mistyped field is refused.
#[derive(Debug)]
pub(crate) struct Strict<T>(pub(crate) T);

impl<T: DeserializeOwned + Serialize, S: Send + Sync> FromRequest<S> for Strict<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = json_body(request, state).await?;
        let value = parse(&body)?;
        refuse_unknown(&body, &value)?;
        Ok(Self(value))
    }
}

async fn json_body(request: Request, state: &(impl Send + Sync)) -> Result<Bytes, Problem> {
    let is_json = |essence: &str| {
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
    };
    if !media_type(request.headers()).is_some_and(|essence| is_json(&essence)) {
        return Err(Problem::new(Code::UnsupportedMedia, "the Content-Type must be application/json"));
    }
    read(request, state, JSON_MAX_BYTES, JSON_WAIT).await
}

/// Whatever `value` keeps of the body comes out of it again: the types of the contracts leave
/// no field out.
fn refuse_unknown(body: &[u8], value: &impl Serialize) -> Result<(), Refusal> {
    let sent: Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(|_| Refusal::field("", "the body must be a JSON object"))?;
    let known = serde_json::to_value(value).map_err(|_| Refusal::internal())?;
    let known = known.as_object().map(|known| known.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    for (field, value) in &sent {
        let closed = CLOSED.iter().find(|(name, _)| name == field).map(|(_, words)| *words);
        let wrong = match (closed, value.as_str()) {
            _ if !known.contains(field) => format!("unknown field `{field}`, expected one of `{}`", known.join("`, `")),
            (Some(words), Some(word)) if !words.contains(&word) => {
                format!("unknown variant `{word}`, expected one of `{}`", words.join("`, `"))
            }
            _ => continue,
        };
        return Err(Refusal::field(&format!("/{}", field.replace('~', "~0").replace('/', "~1")), wrong));
    }
    Ok(())
}

/// Words that a newer build may add to, so that the contracts take any; a client that mistypes
/// one is told.
const CLOSED: [(&str, &[&str]); 2] =
    [("mode", &["scroll", "top", "bottom", "reverse"]), ("size", &["small", "standard", "large"])];

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let syntax = |error: &serde_json::Error| Refusal::new(Code::MalformedRequest, format!("the body: {error}"));
    // serde would take an array for an object, field by field.
    if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        serde_json::from_slice::<IgnoredAny>(body).map_err(|error| syntax(&error))?;
        return Err(Refusal::field("", "the body must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() {
            Refusal::field(&pointer(error.path()), without_position(error.inner()))
        } else {
            syntax(error.inner())
        }
    })?;
    json.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

/// serde_json ends its messages with line and column; the pointer says that better.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// An image in the body: what it really is, its content tells later.
#[derive(Debug)]
pub(crate) struct Image(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Image {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match media_type(request.headers()).as_deref() {
            Some("image/jpeg" | "image/png" | "image/webp") => {
                read(request, state, IMAGE_MAX_BYTES, IMAGE_WAIT).await.map(Self)
            }
            _ => Err(Problem::new(
                Code::UnsupportedMedia,
                "the Content-Type must be image/jpeg, image/png or image/webp",
            )),
        }
    }
}

/// The type and subtype that `Content-Type` names, in lower case.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    (!essence.is_empty()).then(|| essence.to_ascii_lowercase())
}

async fn read<S: Send + Sync>(
    mut request: Request,
    state: &S,
    max_bytes: usize,
    wait: Duration,
) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(Code::TooLarge, format!("the body is larger than {max_bytes} bytes"));
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(too_large());
    }
    DefaultBodyLimit::max(max_bytes).apply(&mut request);
    match tokio::time::timeout(wait, Bytes::from_request(request, state)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if is_too_large(&rejection) => Err(too_large()),
        Ok(Err(_)) => Err(malformed("the body broke off")),
        Err(_) => Err(malformed("the body did not come in time")),
    }
}

fn is_too_large(rejection: &BytesRejection) -> bool {
    rejection.status() == StatusCode::PAYLOAD_TOO_LARGE
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsing matters")]
    struct Body {
        text: idl::danmaku::DanmakuText,
        #[serde(default)]
        more: Vec<u8>,
    }

    fn refused(body: &str) -> (Code, Option<String>) {
        let refusal = parse::<Body>(body.as_bytes()).unwrap_err();
        (refusal.code, refusal.pointer)
    }

    #[test]
    fn a_wrong_body_is_refused_where_it_is_wrong() {
        let at = |pointer: &str| (Code::InvalidField, Some(pointer.to_owned()));
        assert!(parse::<Body>(br#" {"text":"hi"} "#).is_ok());
        assert_eq!(refused(r#"{"text":"\u0000"}"#), at("/text"));
        assert_eq!(refused(r#"{"text":7}"#), at("/text"));
        assert_eq!(refused(r#"{"text":"a","more":[1,300]}"#), at("/more/1"));
        assert_eq!(refused(r#"{"text":"a","text":"b"}"#).0, Code::InvalidField);
        assert_eq!(refused(r#"{"text":"a","admin":true}"#).0, Code::InvalidField);
        assert_eq!(refused("{}"), at(""));
        for other in ["[]", "[\"a\",[]]", "null", "7", "\"{\""] {
            assert_eq!(refused(other), at(""), "{other}");
        }
        for broken in ["", "{", "{\"text\":\"a\"} x", "{\"text\":\"\\ud800\"}", "nul", "{\"text\":\"a\u{1}\"}", "[1,"] {
            assert_eq!(refused(broken).0, Code::MalformedRequest, "{broken}");
        }
        assert_eq!(parse::<Body>(b"{\"text\":\"\xff\"}").unwrap_err().code, Code::MalformedRequest);
        let deep = format!("{{\"more\":{}", "[".repeat(60_000));
        assert!(matches!(refused(&deep).0, Code::MalformedRequest | Code::InvalidField));
    }

    #[test]
    fn a_key_may_be_quoted() {
        for (value, key) in [("abc-1", Some("abc-1")), ("\"abc-1\"", Some("abc-1")), (r#""a\"b""#, Some("a\"b"))] {
            assert_eq!(idempotency_key(value).as_ref().map(IdempotencyKey::as_str), key, "{value}");
        }
        let long = "x".repeat(65);
        for bad in ["", "\"\"", "\"a", "a b", "\"a\"b", r#""a\n""#, "ключ", long.as_str()] {
            assert_eq!(idempotency_key(bad), None, "{bad}");
        }
        assert!(idempotency_key(&"x".repeat(64)).is_some());
    }
}
