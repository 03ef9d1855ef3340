//! A `goligoli` process: how it is configured, how it starts, and how it dies.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{Answer, DEADLINE, in_time, until};

/// The `db.url` that is the default.
pub const EMBEDDED: &str = "sqlite:";

/// How a server is to be started.
#[derive(Debug)]
pub struct Setup {
    settings: BTreeMap<&'static str, String>,
    arguments: Vec<OsString>,
    /// The named point at which it dies, if its build has them.
    failpoint: Option<String>,
    /// Where the data folder is made; `None` is where temporary files go.
    within: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// A server without limits for this machine's clients, that shows every danmaku and
    /// ends quickly when it is asked to.
    #[must_use]
    pub fn new() -> Self {
        let setup = Self { settings: BTreeMap::new(), arguments: vec!["serve".into()], failpoint: None, within: None };
        setup
            .set("OPS__ENABLED", "false")
            .set("GATEWAY__LIMITS__EXEMPT", r#"["127.0.0.0/8"]"#)
            .set("PUSH__RATE_PER_S", "100000")
            .set("PUSH__BURST", "100000")
            .set("PUSH__DRAIN_MS", "300")
            .set("PUSH__RECONNECT_SPREAD_MS", "200")
    }

    /// Sets a key of the configuration (without `GOLIGOLI_`).
    #[must_use]
    pub fn set(mut self, key: &'static str, value: &str) -> Self {
        self.settings.insert(key, value.to_owned());
        self
    }

    /// Leaves a key of the configuration at the project's own default.
    #[must_use]
    pub fn unset(mut self, key: &'static str) -> Self {
        self.settings.remove(key);
        self
    }

    /// Dies at this named point as by `kill -9`; with `:3` behind it, when it is there for the
    /// third time. `None` is nowhere.
    #[must_use]
    pub fn dies_at(mut self, point: Option<&str>) -> Self {
        self.failpoint = point.map(str::to_owned);
        self
    }

    /// Makes the data folder in this one: temporary files may not lie on a disk.
    #[must_use]
    pub fn data_within(mut self, folder: &Path) -> Self {
        self.within = Some(folder.to_owned());
        self
    }

    /// Runs this instead of `serve`.
    #[must_use]
    pub fn run<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Starts it in a data folder of its own; returns when it is ready.
    pub async fn start(self) -> Server {
        let mut server = self.prepare();
        server.start_again().await;
        server
    }

    /// A data folder and a port, but nothing that runs.
    #[must_use]
    pub fn prepare(self) -> Server {
        let data = self.within.as_ref().map_or_else(tempfile::tempdir, tempfile::tempdir_in);
        let data = data.expect("a temporary folder");
        let http = reqwest::Client::builder().timeout(DEADLINE).build().expect("an HTTP client");
        Server { port: free_port(), setup: self, data, http, child: None }
    }
}

/// A port that nobody has. They lie below those that the system gives to clients: a
/// client that tries a server which is down might else connect to itself.
#[must_use]
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const MANY: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % u32::from(MANY)).expect("it is small");
    (0..MANY)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % MANY)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

/// A data folder with a port, and the process that serves it while one runs.
#[derive(Debug)]
pub struct Server {
    port: u16,
    setup: Setup,
    data: TempDir,
    http: reqwest::Client,
    child: Option<Child>,
}

/// What became of a command that ended by itself.
#[derive(Debug)]
pub struct Ran {
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// Whether it said that all was well.
    pub ok: bool,
    /// Its exit code, if nobody killed it.
    pub code: Option<i32>,
}

impl Server {
    /// Where something is, `/api/v1/…` say.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Where the API and the streams are.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The process that runs.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    /// A client without a deadline for bodies, for streams.
    #[must_use]
    pub fn streaming_client() -> reqwest::Client {
        reqwest::Client::builder().connect_timeout(DEADLINE).build().expect("an HTTP client")
    }

    /// A client for requests.
    #[must_use]
    pub const fn client(&self) -> &reqwest::Client {
        &self.http
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Where the server has its databases: in its folder, or on `TEST_DB_URL`.
    #[must_use]
    pub fn db_url(&self) -> String {
        common::native::db_url(self.data.path())
    }

    /// The database of a service that has one.
    ///
    /// # Panics
    /// There is none.
    pub async fn db(&self, service: &str) -> common::Db {
        let folder = self.data.path().join("data");
        let db = common::Db::open_existing(&self.db_url(), &folder, service).await;
        db.expect("it can be opened").expect("a database")
    }

    /// Gets something as nobody.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.http.get(self.url(path))).await
    }

    /// Changes the configuration for the next start.
    pub fn reconfigure(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(std::mem::take(&mut self.setup));
    }

    /// Starts the process on the same port and data; returns when it is ready.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("a log file");
        let mut command = self.command(&self.setup.arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("one more handle")).stderr(log);
        self.child = Some(command.spawn().expect("starting goligoli"));
        until("the server is ready", async || {
            if let Some(status) = self.child.as_mut()?.try_wait().expect("its state") {
                panic!("goligoli ended at its start: {status}");
            }
            let ready = self.http.get(self.url("/readyz")).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
    }

    /// Kills the process: no goodbye, nothing is finished.
    pub async fn kill9(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.expect("killing goligoli");
    }

    /// Waits until the process has died at the point that [`Setup::dies_at`] named.
    pub async fn died(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let status = in_time(DEADLINE, "goligoli dies at its failpoint", child.wait()).await.expect("how it ended");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it was not killed: {status}");
    }

    /// Stops the process where it is, until [`Server::go_on`].
    pub fn hold(&self) {
        kill_process(self.raw_pid(), Signal::STOP).expect("stopping goligoli");
    }

    /// Lets a process go on that was held.
    pub fn go_on(&self) {
        kill_process(self.raw_pid(), Signal::CONT).expect("letting goligoli go on");
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed()).expect("its number")
    }

    /// Asks the process to stop and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        let pid = self.raw_pid();
        let mut child = self.child.take().expect("it runs");
        kill_process(pid, Signal::TERM).expect("asking goligoli to stop");
        in_time(DEADLINE, "goligoli stops", child.wait()).await.expect("how it ended")
    }

    /// Stops the process as an operator would, and starts it again.
    pub async fn restart(&mut self) {
        let status = self.terminate().await;
        assert!(status.success(), "a stop that was asked for ends well: {status}");
        self.start_again().await;
    }

    /// Runs another command of the binary on the same configuration, to its end.
    pub async fn operate(&self, arguments: &[&str]) -> Ran {
        self.operate_with(arguments, &[]).await
    }

    /// The same, with more in its environment.
    pub async fn operate_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let mut command = self.command(&arguments);
        let output = command.envs(environment.iter().copied()).stdin(Stdio::null()).output();
        let output = in_time(DEADLINE, "the command ends", output).await.expect("running goligoli");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran {
            out: text(output.stdout),
            err: text(output.stderr),
            ok: output.status.success(),
            code: output.status.code(),
        }
    }

    /// Begins another command of the binary on the same configuration; it is killed when it
    /// is dropped.
    #[must_use]
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let mut command = self.command(&arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("running goligoli")
    }

    fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = Command::new(crate::binary::goligoli());
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("GOLIGOLI_")) {
            command.env_remove(key);
        }
        command
            .args(arguments)
            .current_dir(self.data.path())
            .env_remove("FAILPOINT")
            .envs(self.setup.failpoint.as_ref().map(|point| ("FAILPOINT", point)))
            .env("NO_COLOR", "1")
            .env("GOLIGOLI_DATA_DIR", self.data.path().join("data"))
            .env("GOLIGOLI_HTTP__LISTEN", format!("127.0.0.1:{}", self.port))
            .envs(Some(self.db_url()).filter(|url| url != EMBEDDED).map(|url| ("GOLIGOLI_DB__URL", url)))
            .envs(self.setup.settings.iter().map(|(key, value)| (format!("GOLIGOLI_{key}"), value)))
            .kill_on_drop(true);
        command
    }

    /// Where the process writes what it does.
    fn log(&self) -> std::path::PathBuf {
        self.data.path().join("log")
    }

    /// What the process has written so far.
    #[must_use]
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for Server {
    /// The child is killed when it is dropped; a test that failed shows what it said last.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.logged();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the server's log ends with:");
            for line in &lines[lines.len().saturating_sub(20)..] {
                eprintln!("    {line}");
            }
        }
    }
}
