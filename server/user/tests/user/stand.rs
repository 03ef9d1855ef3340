//! The service with a clock to move and a push that can be down.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::rpc::{PushClient, UserClient};
use common::token::Signer;
use common::{Clock, Lifecycle, Platform, rpc};
use idl::push::{
    FollowRevocations, Publish, Published, Push, Retain, Retained, Revocation, RevocationPage, Revoke, Revoked,
    RoomActivities, TopRooms, Viewers, ViewersOf,
};
use idl::user::{LogIn, LoggedIn, Me, Refresh, Register, Secret};
use idl::{Caller, Code, DeviceId, Refusal, Timestamp};
use tarpc::context::Context;
use tarpc::server::Channel as _;
use user::{Settings, User};

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Stand {
    pub(crate) client: UserClient,
    pub(crate) user: User,
    pub(crate) platform: Platform,
    pub(crate) clock: Clock,
    pub(crate) push: FakePush,
    folder: Arc<tempfile::TempDir>,
}

pub(crate) fn settings() -> Settings {
    Settings {
        access_token_seconds: 600,
        log_in_days: 30,
        wrong_passwords: 3,
        wrong_passwords_per_name: 8,
        wrong_passwords_window_seconds: 900,
        hash_queue: 64,
        refresh_key: common::keys::ConfiguredKey::default(),
    }
}

impl Stand {
    pub(crate) async fn start() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::in_folder(folder, Clock::manual(Timestamp(1_700_000_000_000)), FakePush::default()).await
    }

    async fn in_folder(folder: Arc<tempfile::TempDir>, clock: Clock, push: FakePush) -> Self {
        let lifecycle = Lifecycle::new();
        let (platform, signer) = platform(folder.path(), &clock, &lifecycle);
        let user = User::start(settings(), &platform, signer, push.client(&lifecycle)).await.unwrap();
        Self { client: user.serve_in_process(), user, platform, clock, push, folder }
    }

    /// Stops the service and starts it again on what it left.
    pub(crate) async fn restart(self) -> Self {
        self.platform.lifecycle.stop(Duration::from_secs(5)).await;
        Self::in_folder(self.folder, self.clock, self.push).await
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance_ms(i64::try_from(time.as_millis()).unwrap());
    }

    pub(crate) async fn register(&self, name: &str) -> Result<LoggedIn, Refusal> {
        self.register_with(name, PASSWORD).await
    }

    pub(crate) async fn register_with(&self, name: &str, password: &str) -> Result<LoggedIn, Refusal> {
        let request = Register { name: name.into(), password: secret(password), device_name: "first".into() };
        insist(|| async { self.client.register(patient(), request.clone()).await.unwrap() }).await
    }

    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Result<LoggedIn, Refusal> {
        self.log_in_on(name, password, "another").await
    }

    pub(crate) async fn log_in_on(&self, name: &str, password: &str, device: &str) -> Result<LoggedIn, Refusal> {
        self.log_in_as(LogIn {
            name: name.into(),
            password: secret(password),
            device_name: device.into(),
            client: Some("192.0.2.1".into()),
        })
        .await
    }

    pub(crate) async fn log_in_from(&self, client: &str, name: &str, password: &str) -> Result<LoggedIn, Refusal> {
        let (name, password) = (name.into(), secret(password));
        self.log_in_as(LogIn { name, password, device_name: "third".into(), client: Some(client.into()) }).await
    }

    async fn log_in_as(&self, request: LogIn) -> Result<LoggedIn, Refusal> {
        insist(|| async { self.client.log_in(patient(), request.clone()).await.unwrap() }).await
    }

    pub(crate) async fn refresh(&self, pair: &LoggedIn) -> Result<LoggedIn, Refusal> {
        self.refresh_with(&pair.refresh_token.0).await
    }

    pub(crate) async fn refresh_with(&self, token: &str) -> Result<LoggedIn, Refusal> {
        self.client.refresh(patient(), Refresh { refresh_token: secret(token) }).await.unwrap()
    }

    /// Whether the access token is accepted.
    pub(crate) async fn is_in(&self, pair: &LoggedIn) -> bool {
        match self.client.me(patient(), Me { caller: caller(pair) }).await.unwrap() {
            Ok(_) => true,
            Err(refusal) if refusal.code == Code::NotSignedIn => false,
            Err(refusal) => panic!("{refusal:?}"),
        }
    }
}

pub(crate) fn platform(folder: &Path, clock: &Clock, lifecycle: &Lifecycle) -> (Platform, Arc<Signer>) {
    let signer = Arc::new(Signer::load_or_create(folder, clock.clone()).unwrap());
    let platform = common::native::platform(folder, clock, lifecycle, &signer);
    (platform, signer)
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

pub(crate) fn caller(pair: &LoggedIn) -> Caller {
    Caller { token: pair.access_token.0.clone() }
}

/// Test machines are slow.
pub(crate) fn patient() -> Context {
    rpc::within(Duration::from_secs(30))
}

/// Asks until the service has time: on a busy machine a hash may wait too long for a core.
pub(crate) async fn insist<T, F>(ask: impl Fn() -> F) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    for _ in 0..20 {
        match ask().await {
            Err(refusal) if refusal.code == Code::Unavailable => {}
            answer => return answer,
        }
    }
    panic!("the service never has time")
}

/// Waits until the condition holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), poll).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Keeps the revocations that it gets.
#[derive(Clone, Default)]
pub(crate) struct FakePush {
    got: Arc<Mutex<Vec<Revocation>>>,
    down: Arc<AtomicBool>,
    refused: Arc<AtomicBool>,
}

impl FakePush {
    pub(crate) fn client(&self, lifecycle: &Lifecycle) -> PushClient {
        let this = self.clone();
        rpc::in_process(lifecycle, |far| far.execute(this.serve())).into()
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Whether it refused something because it was down.
    pub(crate) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::SeqCst)
    }

    pub(crate) fn got(&self) -> Vec<Revocation> {
        self.got.lock().unwrap().clone()
    }

    pub(crate) fn has_revoked(&self, device: DeviceId) -> bool {
        self.got().iter().any(|revocation| revocation.device == device)
    }
}

impl Push for FakePush {
    async fn revoke(self, _: Context, request: Revoke) -> Result<Revoked, Refusal> {
        if self.down.load(Ordering::SeqCst) {
            self.refused.store(true, Ordering::SeqCst);
            return Err(Refusal::new(Code::Unavailable, "down"));
        }
        self.got.lock().unwrap().extend(request.revocations);
        Ok(Revoked {})
    }

    async fn publish(self, _: Context, _: Publish) -> Result<Published, Refusal> {
        Err(Refusal::internal())
    }

    async fn retain(self, _: Context, _: Retain) -> Result<Retained, Refusal> {
        Err(Refusal::internal())
    }

    async fn viewers(self, _: Context, _: ViewersOf) -> Result<Viewers, Refusal> {
        Err(Refusal::internal())
    }

    async fn top_rooms(self, _: Context, _: TopRooms) -> Result<RoomActivities, Refusal> {
        Err(Refusal::internal())
    }

    async fn revocations(self, _: Context, _: FollowRevocations) -> Result<RevocationPage, Refusal> {
        Err(Refusal::internal())
    }
}
