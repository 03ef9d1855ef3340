//! user: accounts, log-ins (devices), roles.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::SiteRole;
use crate::{Caller, DeviceId, Refusal, Timestamp, UserId};

/// The contract of the user service.
#[tarpc::service]
pub trait User {
    /// Makes an account and logs it in.
    async fn register(request: Register) -> Result<LoggedIn, Refusal>;
    /// Logs an account in on a new device.
    async fn log_in(request: LogIn) -> Result<LoggedIn, Refusal>;
    /// Trades a refresh token for a new pair. A token that was traded before ends the
    /// log-in: one of its two users is a thief. (For ten seconds the same new pair is
    /// given again, so that two tabs may refresh at once.)
    async fn refresh(request: Refresh) -> Result<LoggedIn, Refusal>;
    /// Ends the caller's log-in.
    async fn log_out(request: LogOut) -> Result<Done, Refusal>;
    /// The caller's log-ins, latest first.
    async fn devices(request: ListDevices) -> Result<Devices, Refusal>;
    /// Ends one of the caller's log-ins.
    async fn revoke_device(request: RevokeDevice) -> Result<Done, Refusal>;
    /// Changes the password and ends all other log-ins.
    async fn change_password(request: ChangePassword) -> Result<Done, Refusal>;
    /// The caller's own account.
    async fn me(request: Me) -> Result<Account, Refusal>;
    /// Changes the caller's profile.
    async fn edit_profile(request: EditProfile) -> Result<Account, Refusal>;
    /// What everybody may see of an account.
    async fn profile(request: GetProfile) -> Result<Profile, Refusal>;
}

/// A secret that never shows in Debug.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// See [`User::register`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Register {
    /// 2 to 20 letters, digits, `_` or `-`; unique, look-alikes refused.
    pub name: String,
    /// 8 to 128 characters.
    pub password: Secret,
    /// What the device calls itself, for the list of devices; at most 200 characters are kept.
    pub device_name: String,
}

/// See [`User::log_in`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogIn {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: Secret,
    /// What the device calls itself; at most 200 characters are kept.
    pub device_name: String,
    /// The address or network that asks, as text: wrong passwords are counted by it. Those
    /// who don't say count as one.
    #[serde(default)]
    pub client: Option<String>,
}

/// See [`User::refresh`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refresh {
    /// The refresh token of the pair before.
    pub refresh_token: Secret,
}

/// A fresh pair of tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoggedIn {
    /// The account.
    pub account: Account,
    /// The log-in.
    pub device: DeviceId,
    /// For every request; ends by itself within 15 minutes.
    pub access_token: Secret,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
    /// For one refresh.
    pub refresh_token: Secret,
    /// When the log-in ends for good; a refresh does not move it.
    pub refresh_expires_at: Timestamp,
}

/// An account, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Account {
    /// The account.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// What it may do on the whole site.
    pub role: SiteRole,
    /// What it says about itself.
    pub bio: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An account, as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// The account.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// What it says about itself.
    pub bio: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// See [`User::log_out`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogOut {
    /// Whose log-in ends.
    pub caller: Caller,
}

/// It is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// See [`User::devices`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListDevices {
    /// Whose.
    pub caller: Caller,
}

/// See [`User::devices`].
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Devices {
    /// The live log-ins; an account has at most 50.
    pub items: Vec<Device>,
}

/// A log-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// The log-in.
    pub id: DeviceId,
    /// What the device calls itself.
    pub name: String,
    /// The one that asks.
    pub current: bool,
    /// When it logged in.
    pub created_at: Timestamp,
    /// When it last refreshed.
    pub used_at: Timestamp,
}

/// See [`User::revoke_device`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokeDevice {
    /// Whose.
    pub caller: Caller,
    /// Which.
    pub device: DeviceId,
}

/// See [`User::change_password`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChangePassword {
    /// Whose.
    pub caller: Caller,
    /// The one until now.
    pub current: Secret,
    /// The one from now on.
    pub new: Secret,
    /// As [`LogIn::client`].
    #[serde(default)]
    pub client: Option<String>,
}

/// See [`User::me`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Me {
    /// Who asks.
    pub caller: Caller,
}

/// See [`User::edit_profile`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditProfile {
    /// Whose.
    pub caller: Caller,
    /// At most 200 characters; may be empty.
    pub bio: String,
}

/// See [`User::profile`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GetProfile {
    /// Whose.
    pub user: UserId,
}
