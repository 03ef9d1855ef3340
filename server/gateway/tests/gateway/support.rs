//! A gateway before fake services: they record what they are asked and answer something
//! fit, or refuse as a test says.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use common::token::Signer;
use common::{Clock, Lifecycle, Platform, rpc};
use gateway::{Clients, Gateway, Settings};
use http::{HeaderMap, Method, Request, StatusCode};
use idl::access::SiteRole;
use idl::{DeviceId, Refusal, Timestamp, UserId};
use serde_json::Value;
use tarpc::server::Channel as _;
use tempfile::TempDir;
use tower::ServiceExt as _;

mod fakes;

pub(crate) use fakes::{JPEG, REPLAY_PREFIX};

pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);

const SETTINGS: &str = r#"
    public_url = ""
    import_max_bytes = 65536
    import_within_s = 600
    imports_at_once = 100
    trusted_proxies = ["10.0.0.0/8"]
    [cors]
    origins = []
    origins_with_cookies = []
    [limits]
    exempt = []
    per_address = { burst = 100000, per_minute = 1 }
    sign_in_per_address = { burst = 100000, per_minute = 1 }
    danmaku_per_user = { burst = 100000, per_minute = 1 }
    writes_per_user = { burst = 100000, per_minute = 1 }
"#;

/// What the services behind the gateway do and saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Behind {
    asked: Arc<Mutex<Vec<String>>>,
    refusal: Arc<Mutex<Option<Refusal>>>,
    refusals: Arc<Mutex<BTreeMap<&'static str, Refusal>>>,
    hangs: Arc<Mutex<bool>>,
    versions: Arc<Mutex<VecDeque<u64>>>,
}

impl Behind {
    /// The requests that arrived, as Debug shows them.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Drops the latest so many requests.
    pub(crate) fn forget(&self, latest: usize) {
        let mut asked = self.asked.lock().unwrap();
        let keep = asked.len().saturating_sub(latest);
        asked.truncate(keep);
    }

    /// From now on everything is refused like this.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        *self.refusal.lock().unwrap() = Some(refusal);
    }

    /// From now on requests that begin like this are refused like this.
    pub(crate) fn refuse_only(&self, request: &'static str, refusal: Refusal) {
        self.refusals.lock().unwrap().insert(request, refusal);
    }

    /// From now on these versions of the replay are shown, each to whoever asks next; the last
    /// one stays.
    pub(crate) fn show(&self, versions: &[u64]) {
        *self.versions.lock().unwrap() = versions.iter().copied().collect();
    }

    /// From now on nothing is answered.
    pub(crate) fn hang(&self) {
        *self.hangs.lock().unwrap() = true;
    }
}

pub(crate) struct Site {
    router: Router,
    signer: Signer,
    pub(crate) behind: Behind,
    pub(crate) platform: Platform,
    _dir: TempDir,
}

impl Site {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// `overrides`: lines of settings, `a.b = value` each.
    pub(crate) fn start_with(overrides: &str) -> Self {
        let mut settings: toml::Table = toml::from_str(SETTINGS).unwrap();
        for (key, value) in toml::from_str::<toml::Table>(overrides).unwrap() {
            match (value, settings.get_mut(&key)) {
                (toml::Value::Table(new), Some(toml::Value::Table(old))) => old.extend(new),
                (value, _) => _ = settings.insert(key, value),
            }
        }
        let settings: Settings = settings.try_into().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (clock, lifecycle, behind) = (Clock::manual(NOW), Lifecycle::new(), Behind::default());
        let signer = Signer::load_or_create(dir.path(), clock.clone()).unwrap();
        let platform = common::native::platform(dir.path(), &clock, &lifecycle, &signer);
        let clients = Clients {
            user: rpc::in_process(&lifecycle, |far| far.execute(idl::user::User::serve(behind.clone()))).into(),
            live: rpc::in_process(&lifecycle, |far| far.execute(idl::live::Live::serve(behind.clone()))).into(),
            message: rpc::in_process(&lifecycle, |far| far.execute(idl::message::Message::serve(behind.clone())))
                .into(),
            lottery: rpc::in_process(&lifecycle, |far| far.execute(idl::lottery::Lottery::serve(behind.clone())))
                .into(),
            push: rpc::in_process(&lifecycle, |far| far.execute(idl::push::Push::serve(behind.clone()))).into(),
        };
        let gateway = Gateway::new(settings, &platform, clients).unwrap();
        let router = common::http::edge::around(gateway.router());
        Self { router, signer, behind, platform, _dir: dir }
    }

    /// A token of this account.
    pub(crate) fn token(&self, user: u64) -> String {
        let device = DeviceId(1_000 + user);
        self.signer.sign(UserId(user), "mei", SiteRole::Member, device, Duration::from_secs(600)).unwrap().0
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    /// Gets something from the operators' listener.
    pub(crate) async fn ask_operators(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty()).unwrap();
        Answer::of(gateway::ops_router(&self.platform).oneshot(request).await.unwrap()).await
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask(Method::POST, path)
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        Ask { site: self, request }.from("192.0.2.1")
    }
}

/// A request on its way.
pub(crate) struct Ask<'a> {
    site: &'a Site,
    request: Request<Body>,
}

impl Ask<'_> {
    /// From another address.
    pub(crate) fn from(mut self, address: &str) -> Self {
        let peer = SocketAddr::new(address.parse().unwrap(), 5_000);
        self.request.extensions_mut().insert(ConnectInfo(peer));
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn bearer(self, user: u64) -> Self {
        let token = self.site.token(user);
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With the page's access cookie.
    pub(crate) fn cookie(self, user: u64) -> Self {
        let token = self.site.token(user);
        self.header("cookie", &format!("goligoli_access={token}"))
    }

    pub(crate) fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json").body(body.to_owned())
    }

    pub(crate) fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        Answer::of(self.site.router.clone().oneshot(self.request).await.unwrap()).await
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    async fn of(response: axum::response::Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 16 << 20).await.unwrap().to_vec();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn json_or_null(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn status(self, expected: u16) -> Self {
        assert_eq!(self.status.as_u16(), expected, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Checks that this is a problem with this code, whole.
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        let this = self.status(status);
        assert_eq!(this.header("content-type"), "application/problem+json");
        let body = this.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("/problems/{code}"));
        assert_eq!(body["status"], status);
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        this
    }

    /// `Set-Cookie` lines by the cookie's name: value and attributes.
    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        let lines = self.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        lines.map(|line| line.split_once('=').unwrap()).map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    }
}
