//! The contract, thin: who asks, what is done, how it fails.

use std::sync::Arc;

use common::{Lifecycle, Outcome};
use idl::Refusal;
use idl::user::{
    Account, ChangePassword, Devices, Done, EditProfile, GetProfile, ListDevices, LogIn, LogOut, LoggedIn, Me, Profile,
    Refresh, Register, RevokeDevice, User,
};
use tarpc::context::Context;

use crate::accounts::Accounts;

/// Answers calls.
#[derive(Clone)]
pub(crate) struct Handlers {
    accounts: Arc<Accounts>,
    lifecycle: Lifecycle,
}

impl Handlers {
    pub(crate) const fn new(accounts: Arc<Accounts>, lifecycle: Lifecycle) -> Self {
        Self { accounts, lifecycle }
    }

    /// Runs `work` to its end, whether or not the caller waits for it.
    async fn effect<T, Work>(self, what: &str, work: impl FnOnce(Arc<Accounts>) -> Work + Send) -> Result<T, Refusal>
    where
        T: Send + 'static,
        Work: Future<Output = Outcome<T>> + Send + 'static,
    {
        self.lifecycle.effect(work(self.accounts)).await.map_err(|failure| failure.into_refusal(what))
    }
}

impl User for Handlers {
    async fn register(self, _: Context, request: Register) -> Result<LoggedIn, Refusal> {
        self.effect("registering", |accounts| async move { accounts.register(request).await }).await
    }

    async fn log_in(self, _: Context, request: LogIn) -> Result<LoggedIn, Refusal> {
        self.effect("logging in", |accounts| async move { accounts.log_in(request).await }).await
    }

    async fn refresh(self, _: Context, request: Refresh) -> Result<LoggedIn, Refusal> {
        self.effect("refreshing", |accounts| async move { accounts.refresh(request).await }).await
    }

    async fn log_out(self, _: Context, request: LogOut) -> Result<Done, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("logging out device {}", identity.device);
        self.effect(&what, |accounts| async move { accounts.log_out(identity).await }).await
    }

    async fn devices(self, _: Context, request: ListDevices) -> Result<Devices, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("listing the devices of user {}", identity.user);
        self.accounts.list_devices(identity).await.map_err(|failure| failure.into_refusal(&what))
    }

    async fn revoke_device(self, _: Context, request: RevokeDevice) -> Result<Done, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("revoking device {} of user {}", request.device, identity.user);
        self.effect(&what, |accounts| async move { accounts.revoke_device(identity, request.device).await }).await
    }

    async fn change_password(self, _: Context, request: ChangePassword) -> Result<Done, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("changing the password of user {}", identity.user);
        self.effect(&what, |accounts| async move { accounts.change_password(identity, request).await }).await
    }

    async fn me(self, _: Context, request: Me) -> Result<Account, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("reading user {}", identity.user);
        self.accounts.account(identity.user).await.map_err(|failure| failure.into_refusal(&what))
    }

    async fn edit_profile(self, _: Context, request: EditProfile) -> Result<Account, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("editing the profile of user {}", identity.user);
        self.effect(&what, |accounts| async move { accounts.edit_profile(identity, request).await }).await
    }

    async fn profile(self, _: Context, request: GetProfile) -> Result<Profile, Refusal> {
        let what = format!("reading the profile of user {}", request.user);
        self.accounts.profile(request.user).await.map_err(|failure| failure.into_refusal(&what))
    }
}
