//! An answer of the API, read to its end.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// Status, headers and body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as it came.
    pub body: Vec<u8>,
}

impl Answer {
    /// Sends a request that must be answered.
    pub async fn to(request: reqwest::RequestBuilder) -> Self {
        Self::attempt(request).await.expect("an answer")
    }

    /// Sends a request; the server may be away.
    ///
    /// # Errors
    /// There was no whole answer.
    pub async fn attempt(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Self { status, headers, body: response.bytes().await?.to_vec() })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text()))
    }

    /// The body of an answer that must have this status.
    #[must_use]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Holds that this is a whole problem document with this status and code.
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.problem().as_str()), (status, code), "{}", self.text());
    }

    /// The code of the problem document that this must be.
    #[must_use]
    pub fn problem(&self) -> String {
        let media_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(media_type, "application/problem+json", "{} {}", self.status, self.text());
        let problem = self.json();
        let code = problem["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(problem["status"], self.status, "the document says the status that it came with");
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert!(!code.is_empty() && problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        if self.status == 429 || self.status == 503 {
            assert!(self.headers.contains_key("retry-after"), "who shall wait is told how long: {problem}");
        }
        code
    }
}
