//! `/me`: the caller's own account and log-ins.

use axum::Json;
use axum::extract::State;
use common::rpc;
use http::StatusCode;
use idl::DeviceId;
use idl::user::{Account, ChangePassword, Devices, EditProfile, ListDevices, Me, RevokeDevice, Secret};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Gateway;
use crate::extract::{self, Path};
use crate::reply::Reply;
use crate::signed::{Signed, Visitor, Writes};

pub(super) fn router() -> OpenApiRouter<Gateway> {
    OpenApiRouter::default()
        .routes(routes!(get_me, edit_me))
        .routes(routes!(change_password))
        .routes(routes!(list_devices))
        .routes(routes!(revoke_device))
}

/// Read one's own account.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "accounts",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "The account", body = Account))
)]
async fn get_me(State(gateway): State<Gateway>, Signed(caller): Signed) -> Reply<Json<Account>> {
    Ok(Json(rpc::answer(gateway.user().me(rpc::within(rpc::EDGE_DEADLINE), Me { caller }).await)?))
}

/// What to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProfileBody {
    /// What the account says about itself, at most 200 characters; may be empty.
    #[schema(max_length = 200)]
    bio: String,
}

/// Change one's profile.
#[utoipa::path(
    patch,
    path = "/api/v1/me",
    tag = "accounts",
    security(("bearer" = []), ("cookie" = [])),
    request_body = ProfileBody,
    responses((status = 200, description = "The account as it is now", body = Account))
)]
async fn edit_me(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    extract::Json(body): extract::Json<ProfileBody>,
) -> Reply<Json<Account>> {
    let request = EditProfile { caller, bio: body.bio };
    Ok(Json(rpc::answer(gateway.user().edit_profile(rpc::within(rpc::EDGE_DEADLINE), request).await)?))
}

/// The old password and the new one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordBody {
    /// The one until now.
    #[schema(value_type = String)]
    current: Secret,
    /// The one from now on, 8 to 128 characters.
    #[schema(value_type = String, min_length = 8, max_length = 128)]
    new: Secret,
}

/// Change the password; all other log-ins end.
#[utoipa::path(
    put,
    path = "/api/v1/me/password",
    tag = "accounts",
    security(("bearer" = []), ("cookie" = [])),
    request_body = PasswordBody,
    responses((status = 204, description = "Changed"))
)]
async fn change_password(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    visitor: Visitor,
    extract::Json(body): extract::Json<PasswordBody>,
) -> Reply<StatusCode> {
    let request = ChangePassword { caller, current: body.current, new: body.new, client: visitor.network };
    rpc::answer(gateway.user().change_password(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(StatusCode::NO_CONTENT)
}

/// List one's log-ins, latest first.
#[utoipa::path(
    get,
    path = "/api/v1/me/devices",
    tag = "accounts",
    security(("bearer" = []), ("cookie" = [])),
    responses((status = 200, description = "The log-ins that live", body = Devices))
)]
async fn list_devices(State(gateway): State<Gateway>, Signed(caller): Signed) -> Reply<Json<Devices>> {
    let context = rpc::within(rpc::EDGE_DEADLINE);
    Ok(Json(rpc::answer(gateway.user().devices(context, ListDevices { caller }).await)?))
}

/// End one of one's log-ins.
#[utoipa::path(
    delete,
    path = "/api/v1/me/devices/{id}",
    tag = "accounts",
    security(("bearer" = []), ("cookie" = [])),
    params(("id" = DeviceId, Path, description = "The log-in")),
    responses((status = 204, description = "Ended; its tokens are void within seconds"))
)]
async fn revoke_device(
    State(gateway): State<Gateway>,
    Writes(caller): Writes,
    Path(device): Path<DeviceId>,
) -> Reply<StatusCode> {
    let request = RevokeDevice { caller, device };
    rpc::answer(gateway.user().revoke_device(rpc::within(rpc::EDGE_DEADLINE), request).await)?;
    Ok(StatusCode::NO_CONTENT)
}
