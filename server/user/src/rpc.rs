//! The contract, thin: who asks, what is done, how it fails.

use std::sync::Arc;

use common::failure::again;
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
    async fn effect<T, R, F>(
        self,
        what: &str,
        request: R,
        work: impl Fn(Arc<Accounts>, R) -> F + Send + Sync + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        R: Clone + Send + Sync + 'static,
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let accounts = self.accounts;
        let work = async move { again(|| work(Arc::clone(&accounts), request.clone())).await };
        self.lifecycle.effect(work).await.map_err(|failure| failure.into_refusal(what))
    }
}

impl User for Handlers {
    async fn register(self, _: Context, request: Register) -> Result<LoggedIn, Refusal> {
        self.effect("registering", request, |accounts, request| async move { accounts.register(request).await }).await
    }

    async fn log_in(self, _: Context, request: LogIn) -> Result<LoggedIn, Refusal> {
        self.effect("logging in", request, |accounts, request| async move { accounts.log_in(request).await }).await
    }

    async fn refresh(self, _: Context, request: Refresh) -> Result<LoggedIn, Refusal> {
        self.effect("refreshing", request, |accounts, request| async move { accounts.refresh(request).await }).await
    }

    async fn log_out(self, _: Context, request: LogOut) -> Result<Done, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("logging out device {}", identity.device);
        self.effect(&what, identity, |accounts, identity| async move { accounts.log_out(identity).await }).await
    }

    async fn devices(self, _: Context, request: ListDevices) -> Result<Devices, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("listing the devices of user {}", identity.user);
        self.accounts.list_devices(identity).await.map_err(|failure| failure.into_refusal(&what))
    }

    async fn revoke_device(self, _: Context, request: RevokeDevice) -> Result<Done, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("revoking device {} of user {}", request.device, identity.user);
        self.effect(&what, (identity, request), |accounts, (identity, request)| async move {
            accounts.revoke_device(identity, request.device).await
        })
        .await
    }

    async fn change_password(self, _: Context, request: ChangePassword) -> Result<Done, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("changing the password of user {}", identity.user);
        self.effect(&what, (identity, request), |accounts, (identity, request)| async move {
            accounts.change_password(identity, request).await
        })
        .await
    }

    async fn me(self, _: Context, request: Me) -> Result<Account, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("reading user {}", identity.user);
        self.accounts.account(identity.user).await.map_err(|failure| failure.into_refusal(&what))
    }

    async fn edit_profile(self, _: Context, request: EditProfile) -> Result<Account, Refusal> {
        let identity = self.accounts.verifier.verify(&request.caller)?;
        let what = format!("editing the profile of user {}", identity.user);
        self.effect(&what, (identity, request), |accounts, (identity, request)| async move {
            accounts.edit_profile(identity, request).await
        })
        .await
    }

    async fn profile(self, _: Context, request: GetProfile) -> Result<Profile, Refusal> {
        let what = format!("reading the profile of user {}", request.user);
        self.accounts.profile(request.user).await.map_err(|failure| failure.into_refusal(&what))
    }
}
