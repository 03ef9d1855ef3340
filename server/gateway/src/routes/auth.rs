//! `/auth`: logging in, staying logged in, logging out.

use axum::Json;
use axum::extract::State;
use axum::response::{AppendHeaders, IntoResponse as _, Response};
use common::http::{Problem, credentials};
use common::rpc;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use idl::user::{Account, LogIn, LogOut, LoggedIn, Refresh, Secret};
use idl::{Caller, Code, DeviceId, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::reply::Reply;
use crate::signed::{Signed, SignsIn, Visitor};
use crate::{Gateway, cookies, extract};

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(log_in)).routes(routes!(refresh)).routes(routes!(log_out))
}

/// A log-in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LogInAnswer {
    /// The account.
    account: Account,
    /// The log-in, as the list of devices has it.
    device_id: DeviceId,
    /// When the access token ends; refresh before that.
    access_expires_at: Timestamp,
    /// When the log-in ends for good; a refresh does not move it.
    refresh_expires_at: Timestamp,
    /// For `Authorization: Bearer`; absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    access_token: Option<Secret>,
    /// For one refresh; absent if it is in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    refresh_token: Option<Secret>,
}

/// The answer that `build` makes, with the tokens in it, or in the cookies of a visitor
/// whose page must not see them.
pub(super) fn with_tokens(
    gateway: &Gateway,
    tokens: LoggedIn,
    cookies_for: Option<&Visitor>,
    build: impl FnOnce(LogInAnswer) -> Response,
) -> Response {
    let lines = cookies_for.map(|visitor| cookies::set(&tokens, gateway.clock().now(), visitor.https));
    let in_body = lines.is_none();
    let response = build(LogInAnswer {
        account: tokens.account,
        device_id: tokens.device,
        access_expires_at: tokens.access_expires_at,
        refresh_expires_at: tokens.refresh_expires_at,
        access_token: in_body.then_some(tokens.access_token),
        refresh_token: in_body.then_some(tokens.refresh_token),
    });
    (set_cookies(lines.unwrap_or_default()), response).into_response()
}

fn set_cookies(lines: Vec<HeaderValue>) -> AppendHeaders<impl IntoIterator<Item = (header::HeaderName, HeaderValue)>> {
    AppendHeaders(lines.into_iter().map(|line| (header::SET_COOKIE, line)))
}

/// What the device calls itself, or what its software does.
pub(super) fn device_name(given: Option<String>, headers: &HeaderMap) -> String {
    let software = || headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    given.unwrap_or_else(software)
}

/// A name and its password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LogInBody {
    /// The account's name.
    #[schema(example = "mei")]
    name: String,
    /// Its password.
    #[schema(value_type = String)]
    password: Secret,
    /// For the list of devices; the `User-Agent` if it is not given. 200 characters are kept.
    device_name: Option<String>,
    /// Puts the tokens into cookies instead of the answer.
    #[serde(default)]
    cookie: bool,
}

/// Log in on a new device.
#[utoipa::path(
    post,
    path = "/api/v1/auth/login",
    tag = "accounts",
    request_body = LogInBody,
    responses(
        (status = 200, description = "Logged in", body = LogInAnswer),
        (status = 401, description = "Name and password do not belong together"),
        (status = 403, description = "Cookies were asked for from another site"),
    )
)]
async fn log_in(
    State(gateway): State<Gateway>,
    SignsIn(visitor): SignsIn,
    extract::Json(body): extract::Json<LogInBody>,
) -> Reply<Response> {
    if body.cookie {
        visitor.same_site.clone()?;
    }
    let LogInBody { name, password, device_name: device, cookie } = body;
    let device_name = device_name(device, &visitor.headers);
    let request = LogIn { name, password, device_name, client: visitor.network.clone() };
    let logged_in = rpc::answer(gateway.user().log_in(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(with_tokens(&gateway, logged_in, cookie.then_some(&visitor), |answer| Json(answer).into_response()))
}

/// Which log-in to refresh.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshBody {
    /// The refresh token of the pair before; the cookie's if it is not given.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
    /// Puts the new tokens into cookies. Those that came in a cookie always go back into one.
    #[serde(default)]
    cookie: bool,
}

/// Trade a refresh token for a new pair of tokens.
///
/// A token works once; using it again ends the log-in, since one of its two users is a
/// thief. (Within ten seconds the same new pair is given again, for two tabs at once.)
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "accounts",
    request_body = RefreshBody,
    responses(
        (status = 200, description = "A new pair", body = LogInAnswer),
        (status = 401, description = "The log-in has ended, or there is no token"),
        (status = 403, description = "A cookie came, or was asked for, from another site"),
    )
)]
async fn refresh(
    State(gateway): State<Gateway>,
    SignsIn(visitor): SignsIn,
    extract::Json(body): extract::Json<RefreshBody>,
) -> Reply<Response> {
    let from_cookie = body.refresh_token.is_none();
    // What scripts could not read before must not get into their hands now.
    let into_cookies = body.cookie || from_cookie;
    if into_cookies {
        visitor.same_site.clone()?;
    }
    let token = body.refresh_token.or_else(|| refresh_cookie(&visitor)).ok_or_else(no_token)?;
    let request = Refresh { refresh_token: token };
    let answer = rpc::answer(gateway.user().refresh(rpc::within(rpc::EDGE_DEADLINE), request).await);
    let tokens = answer.map_err(|refusal| {
        let dead = from_cookie && refusal.code == Code::BadRefreshToken;
        if dead { without_cookies(refusal.into(), &visitor) } else { refusal.into() }
    })?;
    Ok(with_tokens(&gateway, tokens, into_cookies.then_some(&visitor), |answer| Json(answer).into_response()))
}

fn refresh_cookie(visitor: &Visitor) -> Option<Secret> {
    credentials::cookie(&visitor.headers, credentials::REFRESH_COOKIE).map(Secret)
}

fn no_token() -> Refusal {
    Refusal::new(Code::BadRefreshToken, "there is no refresh token, neither in the body nor in a cookie")
}

/// The page's cookies are of no use any more: take them away with the refusal.
fn without_cookies(problem: Problem, visitor: &Visitor) -> Problem {
    cookies::clear(visitor.https).into_iter().fold(problem, |problem, line| problem.header(header::SET_COOKIE, line))
}

/// Log out: this log-in ends, its tokens are void.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "accounts",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 204, description = "Logged out; the cookies are gone"))
)]
async fn log_out(State(gateway): State<Gateway>, signed: Result<Signed, Problem>, visitor: Visitor) -> Reply<Response> {
    let context = rpc::within(rpc::EDGE_DEADLINE);
    let caller = match signed {
        Ok(Signed(caller)) => caller,
        // The access token has run out, but the log-in lives on in the refresh cookie:
        // whoever logs out wants that to end.
        Err(problem) if problem.code() == Code::NotSignedIn && !visitor.headers.contains_key(header::AUTHORIZATION) => {
            let Some(refresh_token) = refresh_cookie(&visitor) else { return Err(without_cookies(problem, &visitor)) };
            visitor.same_site.clone()?;
            match rpc::answer(gateway.user().refresh(context, Refresh { refresh_token }).await) {
                Ok(tokens) => Caller { token: tokens.access_token.0 },
                Err(refusal) if refusal.code == Code::BadRefreshToken => {
                    return Err(without_cookies(refusal.into(), &visitor));
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Err(problem) => return Err(problem),
    };
    rpc::answer(gateway.user().log_out(context, LogOut { caller }).await)?;
    Ok((StatusCode::NO_CONTENT, set_cookies(cookies::clear(visitor.https))).into_response())
}
