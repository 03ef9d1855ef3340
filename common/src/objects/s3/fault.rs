//! What a server's failure means, and how it is told: by the setting that is to blame, and
//! without signatures, which requests' URLs and servers' answers show.

use std::time::Duration;

use ::s3::error::S3Error;

use crate::failure::Away;

#[derive(Debug)]
pub(super) enum Fault {
    /// There is no such object, or no such upload.
    Missing,
    /// The server can't be reached, is late, or can't at present.
    Away(String),
    /// The server will not do it: its code and message.
    Refused { code: String, message: String },
    /// What it says is not understood.
    Other(String),
}

impl Fault {
    pub(super) fn late(within: Duration) -> Self {
        Self::Away(format!("no answer within {within:?}"))
    }

    /// A failed answer.
    pub(super) fn of(status: u16, body: &str) -> Self {
        let code = between(body, "Code").unwrap_or_else(|| status.to_string());
        let message = between(body, "Message").unwrap_or_default();
        match (status, code.as_str()) {
            // Not every 404 says that: an unknown bucket and, with some servers, an unknown
            // access key are 404s, too.
            (_, "NoSuchKey" | "NoSuchUpload" | "NotFound" | "404") => Self::Missing,
            (408 | 429 | 500 | 502..=504, _) => Self::Away(format!("{code}: {message}")),
            _ => Self::Refused { code, message },
        }
    }

    /// In one word, for traces.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Missing => "NoSuchKey",
            Self::Away(_) => "away",
            Self::Refused { code, .. } => code,
            Self::Other(_) => "_OTHER",
        }
    }

    /// For whoever set the bucket up.
    pub(super) fn explained(self, bucket: &str, endpoint: &str) -> anyhow::Error {
        match self {
            Self::Missing => anyhow::anyhow!("there is no such object in {bucket}"),
            Self::Away(why) => anyhow::anyhow!("{endpoint}: {why}").context(Away("the object store")),
            Self::Refused { code, message } => match code.as_str() {
                "NoSuchBucket" => anyhow::anyhow!("objects.url: there is no bucket {bucket:?} at {endpoint}"),
                // The second is VersityGW's.
                "InvalidAccessKeyId" | "XAdminUserNotFound" => {
                    anyhow::anyhow!("objects.access_key is not known at {endpoint}")
                }
                "SignatureDoesNotMatch" => {
                    anyhow::anyhow!("objects.secret_key is not the one of objects.access_key at {endpoint}")
                }
                "AccessDenied" | "403" => {
                    anyhow::anyhow!("objects.access_key may not do this in bucket {bucket:?} at {endpoint}")
                }
                "AuthorizationHeaderMalformed" | "PermanentRedirect" => {
                    anyhow::anyhow!("objects.url: bucket {bucket:?} at {endpoint} is of another region: {message}")
                }
                _ => anyhow::anyhow!("the object store at {endpoint} refuses: {code}: {message}"),
            },
            Self::Other(why) => anyhow::anyhow!("objects.url: {endpoint} does not answer as S3 does: {why}"),
        }
    }
}

impl From<S3Error> for Fault {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::HttpFailWithBody(status, body) => Self::of(status, &body),
            S3Error::Reqwest(error) => error.into(),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        // The URL may be a link, which lets whoever has it in.
        let error = anyhow::Error::from(error.without_url());
        Self::Away(format!("{error:#}"))
    }
}

/// What stands in the first XML element of this name.
fn between(body: &str, name: &str) -> Option<String> {
    let from = body.find(&format!("<{name}>"))? + name.len() + 2;
    let to = body[from..].find(&format!("</{name}>"))?;
    Some(body[from..from + to].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_by_the_setting_to_blame() {
        let told = |status, code: &str| {
            let body = format!("<Error><Code>{code}</Code><Message>m</Message><StringToSign>s</StringToSign></Error>");
            format!("{:#}", Fault::of(status, &body).explained("b", "http://h"))
        };
        assert!(told(404, "NoSuchBucket").starts_with("objects.url: there is no bucket \"b\""));
        assert!(told(403, "SignatureDoesNotMatch").starts_with("objects.secret_key"));
        assert!(told(403, "InvalidAccessKeyId").starts_with("objects.access_key"));
        assert_eq!(told(503, "SlowDown"), "the object store does not answer: http://h: SlowDown: m");
        let away = Fault::of(503, "busy").explained("b", "http://h").context("storing x");
        assert!(away.is::<Away>() && !Fault::of(400, "").explained("b", "http://h").is::<Away>());
    }
}
