//! `push.feeds`: a URL that may have a password in it, which is never printed.

use common::config::hide_password;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What a password looks like wherever it is printed.
const STARS: &str = "***";

/// Where feeds are kept: `log:`, or a `redis:` URL. Printed, also by `goligoli config`, it has
/// stars for a password.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedsUrl(String);

impl FeedsUrl {
    /// Feeds in files of this process's data folder.
    #[must_use]
    pub fn log() -> Self {
        Self("log:".to_owned())
    }

    /// Whether they are files in the data folder.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.0 == "log:"
    }

    /// The URL as it is, with its password.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn masked(&self) -> String {
        let credentials = self.0.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)));
        match credentials {
            // What has no colon may be a password that lacks one.
            Some((scheme, (account, server))) if !account.contains(':') => format!("{scheme}://:{STARS}@{server}"),
            _ => hide_password(&self.0),
        }
    }
}

impl From<&str> for FeedsUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl std::fmt::Debug for FeedsUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for FeedsUrl {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.masked())
    }
}

impl<'de> Deserialize<'de> for FeedsUrl {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let url = String::deserialize(d)?;
        // A printed configuration was taken for one that can be read.
        if url.contains(&format!(":{STARS}@")) {
            return Err(D::Error::custom("the password itself is needed, not the stars that stand for it"));
        }
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_read_and_never_printed() {
        for url in ["redis://:s3cret@h:1/0?prefix=a", "redis://me:s3cret@h", "redis://:s3c@ret@h", "redis://s3cret@h"] {
            let url: FeedsUrl = serde_json::from_value(url.into()).unwrap();
            let printed = format!("{url:?} {}", serde_json::to_string(&url).unwrap());
            assert!(printed.contains("@h") && !printed.contains("s3c"), "{printed}");
            assert!(serde_json::from_str::<FeedsUrl>(&serde_json::to_string(&url).unwrap()).is_err());
        }
        let none: FeedsUrl = serde_json::from_str("\"redis://h/1\"").unwrap();
        assert_eq!((serde_json::to_string(&none).unwrap().as_str(), none.is_log()), ("\"redis://h/1\"", false));
        assert_eq!(format!("{:?}", FeedsUrl::log()), "log:");
    }
}
