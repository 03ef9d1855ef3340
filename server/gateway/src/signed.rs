//! Who asks. A handler's argument says what it needs: [`Reads`] to read what guests may not
//! always read, [`Signed`] to read what is one's own, [`Writes`] and [`Posts`] to change something, [`SignsIn`] to become somebody.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use common::http::{Problem, credentials};
use credentials::Credentials;
use http::HeaderMap;
use http::request::Parts;
use idl::access::Identity;
use idl::{Caller, Code, Refusal};

use crate::Gateway;
use crate::extract;
use crate::limits::Client;

/// Anybody, with the token of who is signed in. As with the event stream a bearer token
/// that does not hold is an error, but a cookie with one makes a guest: the page can't tell
/// the browser to leave it out.
#[derive(Debug)]
pub(crate) struct Reads(pub(crate) Option<Caller>);

/// Somebody who is signed in; the token is passed on, services verify it again.
#[derive(Debug)]
pub(crate) struct Signed(pub(crate) Caller);

/// Somebody who is signed in and changes something.
#[derive(Debug)]
pub(crate) struct Writes(pub(crate) Caller);

/// Somebody who is signed in and posts a danmaku.
#[derive(Debug)]
pub(crate) enum Posts {
    /// Not too often.
    Freely(Caller),
    /// Too often for something new, as the problem says. What was accepted before may
    /// still be repeated: its answer was lost, and the key is there for that.
    OnlyAgain(Caller, Problem),
}

/// Somebody at an address that does not try too many names and passwords.
#[derive(Debug)]
pub(crate) struct SignsIn(pub(crate) Visitor);

/// Anybody, and what their browser sent along.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) headers: HeaderMap,
    /// Where they are, as far as it is known: what wrong passwords are counted by.
    pub(crate) network: Option<String>,
    /// Cookies may only travel encrypted.
    pub(crate) https: bool,
    /// Whether this may set or use cookies.
    pub(crate) same_site: Result<(), Refusal>,
}

impl FromRequestParts<Gateway> for Reads {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let verifier = &gateway.0.platform.verifier;
        Ok(Self(match credentials::of(&parts.headers)? {
            Some(Credentials::Bearer(caller)) => verifier.verify(&caller).map(|_| Some(caller))?,
            Some(Credentials::Cookie(caller)) => verifier.verify(&caller).is_ok().then_some(caller),
            None => None,
        }))
    }
}

impl FromRequestParts<Gateway> for Signed {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        Ok(Self(identify(parts, gateway)?.0))
    }
}

impl FromRequestParts<Gateway> for Writes {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let (caller, identity) = identify(parts, gateway)?;
        gateway.0.limits.write(&client(parts)?, identity.user)?;
        Ok(Self(caller))
    }
}

impl FromRequestParts<Gateway> for Posts {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let (caller, identity) = identify(parts, gateway)?;
        let client = client(parts)?;
        match gateway.0.limits.danmaku(&client, identity.user) {
            Ok(()) => Ok(Self::Freely(caller)),
            Err(problem) if parts.headers.contains_key(extract::IDEMPOTENCY_KEY) => {
                // Looking for a key costs something, too: a flood of them must end somewhere.
                gateway.0.limits.write(&client, identity.user)?;
                Ok(Self::OnlyAgain(caller, problem))
            }
            Err(problem) => Err(problem),
        }
    }
}

impl FromRequestParts<Gateway> for SignsIn {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        gateway.0.limits.sign_in(&client(parts)?)?;
        Visitor::from_request_parts(parts, gateway).await.map(Self)
    }
}

impl FromRequestParts<Gateway> for Visitor {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, gateway: &Gateway) -> Result<Self, Problem> {
        let client = client(parts)?;
        Ok(Self {
            https: gateway.is_https(&parts.headers, &client),
            network: client.network(),
            same_site: gateway.0.origins.check(&parts.headers, &parts.uri),
            headers: parts.headers.clone(),
        })
    }
}

fn identify(parts: &Parts, gateway: &Gateway) -> Result<(Caller, Arc<Identity>), Problem> {
    let nobody = || Refusal::new(Code::NotSignedIn, "this needs a log-in: send Authorization: Bearer and the token");
    let credentials = credentials::of(&parts.headers)?.ok_or_else(nobody)?;
    let identity = gateway.0.platform.verifier.verify(credentials.caller())?;
    if matches!(credentials, Credentials::Cookie(_)) && !parts.method.is_safe() {
        gateway.0.origins.check(&parts.headers, &parts.uri)?;
    }
    match credentials {
        Credentials::Bearer(caller) | Credentials::Cookie(caller) => Ok((caller, identity)),
    }
}

fn client(parts: &Parts) -> Result<Client, Problem> {
    // Without it somebody took the layer away that finds it out.
    parts.extensions.get::<Client>().copied().ok_or_else(|| Refusal::internal().into())
}
