//! Who asks: the signed access token, passed on as it came. Every service verifies it
//! itself and takes the identity from it, never from the service that called.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{DeviceId, UserId};

/// The access token of whoever asks, as the edge received it. Debug does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The token, a JWT (RFC 9068 shape), not yet verified.
    pub token: String,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caller(***)")
    }
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub user: UserId,
    /// Its name, unique on the site.
    pub name: String,
    /// What it may do everywhere.
    pub role: SiteRole,
    /// The log-in that the token belongs to.
    pub device: DeviceId,
    /// When the token ends, in ms since 1970.
    pub expires_at_ms: i64,
}

/// What an account may do on the whole site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SiteRole {
    /// May act in every room as its owner could.
    SiteAdmin,
    /// Everybody else; also what an older peer reads from a role that it doesn't know.
    #[serde(other)]
    Member,
}
