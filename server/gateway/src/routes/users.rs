//! `/users`: accounts, as everybody sees them.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use common::rpc;
use idl::UserId;
use idl::user::{GetProfile, Profile, Register, Secret};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{LogInAnswer, device_name, with_tokens};
use crate::Gateway;
use crate::extract::{self, Path};
use crate::reply::{Created, Reply};
use crate::signed::SignsIn;

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
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "accounts",
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
    extract::Json(body): extract::Json<RegisterBody>,
) -> Reply<Response> {
    if body.cookie {
        visitor.same_site.clone()?;
    }
    let RegisterBody { name, password, device_name: device, cookie } = body;
    let request = Register { name, password, device_name: device_name(device, &visitor.headers) };
    let logged_in = rpc::answer(gateway.user().register(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    let location = format!("/api/v1/users/{}", logged_in.account.id);
    Ok(with_tokens(&gateway, logged_in, cookie.then_some(&visitor), |answer| Created(location, answer).into_response()))
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
