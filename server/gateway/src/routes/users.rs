//! `/users`: accounts, as everybody sees them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use common::rpc;
use idl::user::{GetProfile, LogIn, LogOut, LoggedIn, Profile, Register, Secret};
use idl::{Caller, Code, Refusal, UserId};
use serde::Deserialize;
use tarpc::context::Context;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{LogInAnswer, device_name, with_tokens};
use crate::Gateway;
use crate::extract::{self, IdempotencyHeader, Key, Path};
use crate::reply::{Created, Reply};
use crate::signed::{SignsIn, Visitor};

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default().routes(routes!(register)).routes(routes!(get_user))
}

/// A new account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterBody {
    /// 2 to 20 letters, digits, `_` or `-`; unique, look-alikes are refused.
    #[schema(min_length = 2, max_length = 20, example = "mei")]
    name: String,
    /// 8 to 128 characters.
    #[schema(value_type = String, min_length = 8, max_length = 128)]
    password: Secret,
    /// For the list of devices; the `User-Agent` if it is not given. 200 characters are kept.
    device_name: Option<String>,
    /// Puts the tokens into cookies instead of the answer.
    #[serde(default)]
    cookie: bool,
}

/// Make an account and log it in.
///
/// Whoever never saw the answer repeats the request with an `Idempotency-Key`: if the name
/// was registered with this password within the last 24 hours, that account is logged in
/// and answered as if it had been made now.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "accounts",
    params(IdempotencyHeader),
    request_body = RegisterBody,
    responses(
        (status = 201, description = "The account, logged in", body = LogInAnswer,
            headers(("Location" = String, description = "The account's public profile"))),
        (status = 403, description = "Cookies were asked for from another site"),
        (status = 409, description = "The name is taken, or looks like one that is"),
    )
)]
async fn register(
    State(gateway): State<Gateway>,
    SignsIn(visitor): SignsIn,
    Key(key): Key,
    extract::Json(body): extract::Json<RegisterBody>,
) -> Reply<Response> {
    if body.cookie {
        visitor.same_site.clone()?;
    }
    let RegisterBody { name, password, device_name: device, cookie } = body;
    let request = Register { name, password, device_name: device_name(device, &visitor.headers) };
    let context = rpc::within(rpc::EDGE_DEADLINE);
    let logged_in = match rpc::answer(gateway.user().register(context, request.clone()).await) {
        Err(refusal) if refusal.code == Code::NameTaken && key.is_some() => {
            registered_before(&gateway, context, request, &visitor).await?.ok_or(refusal)?
        }
        answer => answer?,
    };
    let location = format!("/api/v1/users/{}", logged_in.account.id);
    Ok(with_tokens(&gateway, logged_in, cookie.then_some(&visitor), |answer| Created(location, answer).into_response()))
}

/// How long after it an account's making may be repeated.
const REPEATED_WITHIN_MS: u64 = 24 * 3_600 * 1_000;

/// The log-in of who registered this name with this password a while ago; `None` if it is
/// somebody else's, or known for long. The password is the proof, so no key is kept, and
/// a wrong one counts like one at the log-in.
async fn registered_before(
    gateway: &Gateway,
    context: Context,
    request: Register,
    visitor: &Visitor,
) -> Result<Option<LoggedIn>, Refusal> {
    let Register { name, password, device_name } = request;
    let request = LogIn { name, password, device_name, client: visitor.network.clone() };
    let logged_in = match rpc::answer(gateway.user().log_in(context, request).await) {
        Err(refusal) if refusal.code == Code::WrongCredentials => return Ok(None),
        answer => answer?,
    };
    if gateway.clock().now().since_ms(logged_in.account.created_at) < REPEATED_WITHIN_MS {
        return Ok(Some(logged_in));
    }
    // Nobody asked to log in there.
    let caller = Caller { token: logged_in.access_token.0 };
    rpc::answer(gateway.user().log_out(context, LogOut { caller }).await)?;
    Ok(None)
}

/// Read an account's public profile.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    tag = "accounts",
    params(("id" = UserId, Path, description = "The account")),
    responses((status = 200, description = "The profile", body = Profile))
)]
async fn get_user(State(gateway): State<Gateway>, Path(user): Path<UserId>) -> Reply<Json<Profile>> {
    let context = rpc::within(rpc::EDGE_DEADLINE);
    Ok(Json(rpc::answer(gateway.user().profile(context, GetProfile { user }).await)?))
}
