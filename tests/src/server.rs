//! A `goligoli` process, or a whole site of them: how it is configured, how it starts, and how
//! it dies.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::setup::{Setup, free_port};
use crate::site::{self, Site};
use crate::{Answer, DEADLINE, in_time, process, until};

/// A data folder with a port, and what serves it while it runs: one process, or a site.
#[derive(Debug)]
pub struct Server {
    port: u16,
    setup: Setup,
    data: TempDir,
    http: reqwest::Client,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Alone(Option<Child>),
    Apart(Box<Site>),
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
    pub(crate) fn prepare(setup: Setup, data: TempDir) -> Self {
        let http = reqwest::Client::builder().timeout(DEADLINE).build().expect("an HTTP client");
        let port = free_port();
        let running = match setup.apart || (site::is_asked_for() && !setup.alone) {
            true => Running::Apart(Box::new(Site::new(data.path(), port, &setup.through))),
            false => Running::Alone(None),
        };
        Self { port, setup, data, http, running }
    }

    /// The processes of the site, one by one.
    ///
    /// Panics where one process is all there is.
    pub fn site(&mut self) -> OneByOne<'_> {
        match &mut self.running {
            Running::Apart(site) => OneByOne { site, setup: &self.setup },
            Running::Alone(_) => panic!("there is one process; ask for a site by TOPOLOGY=apart"),
        }
    }

    /// Whether it is a site of many processes.
    #[must_use]
    pub const fn is_apart(&self) -> bool {
        matches!(self.running, Running::Apart(_))
    }

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

    /// The process that runs, if it is one.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().id().expect("it runs")
    }

    /// All its processes: one, or those of a site that run, with the ingress.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        match &self.running {
            Running::Alone(_) => vec![self.pid()],
            Running::Apart(site) => site.pids(),
        }
    }

    /// CPU seconds of all its processes so far. What servers of others take for it is not in it.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        self.pids().into_iter().map(process::cpu_seconds).sum()
    }

    fn child(&self) -> &Child {
        match &self.running {
            Running::Alone(child) => child.as_ref().expect("it runs"),
            Running::Apart(_) => panic!("a site is many processes: what is tested is `alone`"),
        }
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

    /// Where the databases are: in the data folder, or on a server.
    #[must_use]
    pub fn db_url(&self) -> String {
        match &self.running {
            Running::Alone(_) => "sqlite:".to_owned(),
            Running::Apart(site) => site.db_url().to_owned(),
        }
    }

    /// What a site's databases, keys and objects are under; `None` if this is one process.
    #[must_use]
    pub fn site_name(&self) -> Option<&str> {
        match &self.running {
            Running::Alone(_) => None,
            Running::Apart(site) => Some(site.name()),
        }
    }

    /// The database of a service that has one.
    pub async fn db(&self, service: &str) -> common::Db {
        let folder = self.data.path().join("data");
        let db = common::Db::open_existing(&self.db_url(), &folder, service).await;
        db.expect("opening a database").expect("the service has one")
    }

    /// Gets something as nobody.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.http.get(self.url(path))).await
    }

    /// Changes the configuration for the next start.
    pub fn reconfigure(&mut self, change: impl FnOnce(Setup) -> Setup) {
        self.setup = change(std::mem::take(&mut self.setup));
    }

    /// Starts what does not run on the same port and data; returns when it is ready.
    pub async fn start_again(&mut self) {
        let Running::Alone(child) = &self.running else { return self.start_site().await };
        assert!(child.is_none(), "it runs already");
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("a log file");
        let mut command = self.command(&self.setup.arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("one more handle")).stderr(log);
        let mut child = command.spawn().expect("starting goligoli");
        until("the server is ready", async || {
            if let Some(status) = child.try_wait().expect("its state") {
                panic!("goligoli ended at its start: {status}");
            }
            let ready = self.http.get(self.url("/readyz")).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
        self.running = Running::Alone(Some(child));
    }

    async fn start_site(&mut self) {
        let Running::Apart(site) = &mut self.running else { return };
        site.make_keys().await;
        let setup = &self.setup;
        site.start(|site, name| setup.command_of(site, name, &setup.arguments)).await;
        // The gateways may have found nobody yet of those who came after them.
        until("the site answers", async || {
            let ready = self.http.get(format!("http://127.0.0.1:{}/readyz", self.port)).send().await.ok()?;
            ready.status().is_success().then_some(())
        })
        .await;
    }

    /// Kills the process, or all of the site: no goodbye, nothing is finished.
    pub async fn kill9(&mut self) {
        match &mut self.running {
            Running::Alone(child) => child.take().expect("it runs").kill().await.expect("killing goligoli"),
            Running::Apart(site) => site.kill9().await,
        }
    }

    /// Waits until the process (of a site: one of them) has died at the point that
    /// [`Setup::dies_at`] named.
    pub async fn died(&mut self) {
        let child = match &mut self.running {
            Running::Alone(child) => child,
            Running::Apart(site) => return site.died().await,
        };
        let mut child = child.take().expect("it runs");
        let status = in_time(DEADLINE, "goligoli dies at its failpoint", child.wait()).await.expect("how it ended");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it was not killed: {status}");
    }

    /// Stops the process (or all) where it is, until [`Server::go_on`].
    pub fn hold(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a process go on that was held.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        match &self.running {
            Running::Alone(_) => kill_process(self.raw_pid(), signal).expect("signalling goligoli"),
            Running::Apart(site) => site.signal(None, signal),
        }
    }

    fn raw_pid(&self) -> Pid {
        Pid::from_raw(self.pid().cast_signed()).expect("its number")
    }

    /// Asks the process to stop (of a site: all) and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        if let Running::Apart(site) = &mut self.running {
            return site.terminate().await;
        }
        let pid = self.raw_pid();
        let Running::Alone(child) = &mut self.running else { unreachable!("a site is stopped above") };
        let mut child = child.take().expect("it runs");
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
        match &self.running {
            Running::Alone(_) => {
                let own = [
                    ("GOLIGOLI_DATA_DIR".to_owned(), self.data.path().join("data").display().to_string()),
                    ("GOLIGOLI_HTTP__LISTEN".to_owned(), format!("127.0.0.1:{}", self.port)),
                ];
                let mut command = self.setup.bare(arguments);
                command.current_dir(self.data.path()).envs(own).envs(self.setup.environment());
                command
            }
            Running::Apart(site) => {
                let mut command = self.setup.command_of(site, Site::OPERATED, arguments);
                command.current_dir(self.data.path());
                command
            }
        }
    }

    /// Where the process writes what it does.
    fn log(&self) -> std::path::PathBuf {
        self.data.path().join("log")
    }

    /// What the process has written so far.
    #[must_use]
    pub fn logged(&self) -> String {
        match &self.running {
            Running::Alone(_) => std::fs::read_to_string(self.log()).unwrap_or_default(),
            Running::Apart(site) => site.logged(),
        }
    }
}

/// The processes of a running site.
#[derive(Debug)]
pub struct OneByOne<'a> {
    site: &'a mut Site,
    setup: &'a Setup,
}

impl OneByOne<'_> {
    /// Kills one.
    pub async fn kill9(&mut self, name: &str) {
        self.site.kill9_one(name).await;
    }

    /// Asks one to stop, and waits until it has.
    pub async fn terminate(&mut self, name: &str) -> ExitStatus {
        self.site.terminate_one(name).await
    }

    /// Starts one that was stopped or killed; returns when it is ready.
    pub async fn start(&mut self, name: &str) {
        let command = self.setup.command_of(self.site, name, &self.setup.arguments);
        self.site.start_one(name, command).await;
    }

    /// Gives all of them keys that were made elsewhere: lines of an environment file.
    pub fn take_keys(&mut self, lines: &str) {
        self.site.take_keys(lines);
    }

    /// Stops one where it is, until [`OneByOne::go_on`].
    pub fn hold(&self, name: &str) {
        self.site.signal(Some(name), Signal::STOP);
    }

    /// Lets one go on that was held.
    pub fn go_on(&self, name: &str) {
        self.site.signal(Some(name), Signal::CONT);
    }

    /// Where one has its metrics and its health.
    #[must_use]
    pub fn ops(&self, name: &str, path: &str) -> String {
        self.site.ops(name, path)
    }

    /// Where one answers HTTP itself, past the ingress.
    #[must_use]
    pub fn direct(&self, name: &str, path: &str) -> String {
        self.site.direct(name, path)
    }

    /// The name of all that the site has on the servers: etcd's keys begin with it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.site.name()
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
