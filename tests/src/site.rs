//! goligoli apart: every service in processes of its own on the real servers, behind nginx.
//!
//! Two instances of each service. Every site has databases, keys and
//! topics of its own on the servers that `NATIVE_…` name (see `deployment/native/stack.sh`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::backend::{Backend, shared};
use crate::{DEADLINE, free_port, in_time, until};

/// The processes of a site, in the order in which they are started.
pub const PROCESSES: [&str; 12] = [
    "push-1",
    "push-2",
    "user-1",
    "user-2",
    "live-1",
    "live-2",
    "message-1",
    "message-2",
    "lottery-1",
    "lottery-2",
    "gateway-1",
    "gateway-2",
];

/// Whether tests start a whole site where they ask for a server: `TOPOLOGY=apart`.
#[must_use]
pub(crate) fn is_asked_for() -> bool {
    std::env::var("TOPOLOGY").is_ok_and(|topology| topology == "apart")
}

/// A site: what its processes share, and each of them.
#[derive(Debug)]
pub(crate) struct Site {
    name: String,
    folder: PathBuf,
    shared: BTreeMap<String, String>,
    processes: BTreeMap<&'static str, Process>,
    ingress: Option<Child>,
    port: u16,
}

#[derive(Debug)]
struct Process {
    rpc: u16,
    http: u16,
    ops: u16,
    child: Option<Child>,
}

impl Site {
    /// A site whose ingress listens on `port`; nothing runs yet.
    pub(crate) fn new(folder: &Path, port: u16, through: &BTreeMap<Backend, SocketAddr>) -> Self {
        let name = format!("t{:08x}", rand_name());
        let process = || Process { rpc: free_port(), http: free_port(), ops: free_port(), child: None };
        Self {
            folder: folder.to_owned(),
            shared: shared(&name, through),
            name,
            processes: PROCESSES.iter().map(|name| (*name, process())).collect(),
            ingress: None,
            port,
        }
    }

    /// The name of the process that operators' commands talk to.
    pub(crate) const OPERATED: &'static str = "user-1";

    /// Variables for the configuration of one process.
    pub(crate) fn environment(&self, name: &str) -> Vec<(String, String)> {
        let process = &self.processes[name];
        let own = [
            ("GOLIGOLI_RPC__INSTANCE", name.to_owned()),
            ("GOLIGOLI_DATA_DIR", self.folder.join("data").join(name).display().to_string()),
            ("GOLIGOLI_RPC__LISTEN", format!("127.0.0.1:{}", process.rpc)),
            ("GOLIGOLI_HTTP__LISTEN", format!("127.0.0.1:{}", process.http)),
            ("GOLIGOLI_OPS__ENABLED", "true".to_owned()),
            ("GOLIGOLI_OPS__LISTEN", format!("127.0.0.1:{}", process.ops)),
        ];
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        self.shared.clone().into_iter().chain(own).collect()
    }

    /// Keys that all processes of a site share, made by the binary itself.
    pub(crate) async fn make_keys(&mut self) {
        if self.shared.contains_key("GOLIGOLI_RPC__SECRET") {
            return;
        }
        let made = bare(&["keys".into()]).current_dir(&self.folder).output().await.expect("running goligoli");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        self.take_keys(&String::from_utf8(made.stdout).expect("UTF-8"));
    }

    /// Keys that all processes of the site share, as lines of an environment file.
    pub(crate) fn take_keys(&mut self, lines: &str) {
        for line in lines.lines().filter(|line| !line.starts_with('#')) {
            if let Some((key, value)) = line.split_once('=') {
                self.shared.insert(key.to_owned(), value.trim_matches(['\'', '"']).to_owned());
            }
        }
        assert!(self.shared.contains_key("GOLIGOLI_RPC__SECRET"), "{lines}");
    }

    /// Starts the processes that do not run (their commands made by `command`), and the
    /// ingress; returns when all are ready.
    pub(crate) async fn start(&mut self, mut command: impl FnMut(&Self, &str) -> Command) {
        self.start_ingress();
        let away: Vec<&'static str> =
            PROCESSES.into_iter().filter(|name| self.processes[name].child.is_none()).collect();
        for name in &away {
            let child = self.spawn(command(self, name), name);
            self.process(name).child = Some(child);
        }
        for name in &away {
            self.ready(name).await;
        }
        self.is_let_in().await;
    }

    /// Waits until the ingress, which found nobody while all were away, asks push and the
    /// gateways again: they answer that there is no such room.
    async fn is_let_in(&self) {
        let http = reqwest::Client::builder().timeout(DEADLINE).build().expect("an HTTP client");
        for path in ["", "/events"] {
            let url = format!("http://127.0.0.1:{}/api/v1/rooms/9007199254740991{path}", self.port);
            until(&format!("the ingress lets {url} in"), async || {
                (http.get(&url).send().await.ok()?.status() == 404).then_some(())
            })
            .await;
        }
    }

    /// Starts one process that does not run; returns when it is ready.
    pub(crate) async fn start_one(&mut self, name: &str, command: Command) {
        assert!(self.processes[name].child.is_none(), "{name} runs already");
        let child = self.spawn(command, name);
        self.process(name).child = Some(child);
        self.ready(name).await;
    }

    fn spawn(&self, mut command: Command, name: &str) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.log(name)).expect("a log file");
        let service = name.split('-').next().expect("a service");
        command.args(["--service", service]).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("one more handle")).stderr(log);
        command.spawn().expect("starting goligoli")
    }

    async fn ready(&mut self, name: &str) {
        let http = reqwest::Client::builder().timeout(DEADLINE).build().expect("an HTTP client");
        let process = self.process(name);
        let url = format!("http://127.0.0.1:{}/readyz", process.ops);
        until(&format!("{name} is ready"), async || {
            let child = process.child.as_mut()?;
            if let Some(status) = child.try_wait().expect("its state") {
                panic!("{name} ended at its start: {status}");
            }
            http.get(&url).send().await.ok()?.status().is_success().then_some(())
        })
        .await;
    }

    /// All processes are gone, as by `kill -9`; the ingress stays.
    pub(crate) async fn kill9(&mut self) {
        for process in self.processes.values_mut() {
            if let Some(mut child) = process.child.take() {
                child.kill().await.expect("killing goligoli");
            }
        }
    }

    /// One process is gone, as by `kill -9`.
    pub(crate) async fn kill9_one(&mut self, name: &str) {
        let mut child = self.process(name).child.take().expect("it runs");
        child.kill().await.expect("killing goligoli");
    }

    /// Waits until one of the processes has died by itself, as by `kill -9`.
    pub(crate) async fn died(&mut self) {
        until("a process dies at its failpoint", async || {
            for process in self.processes.values_mut() {
                if let Some(status) = process.child.as_mut().and_then(|child| child.try_wait().expect("its state")) {
                    assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it was not killed: {status}");
                    process.child = None;
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// Sends a signal to one process, or to all.
    pub(crate) fn signal(&self, name: Option<&str>, signal: Signal) {
        for (of, process) in &self.processes {
            if name.is_none_or(|name| name == *of)
                && let Some(child) = &process.child
            {
                kill_process(pid_of(child), signal).expect("signalling goligoli");
            }
        }
    }

    /// Asks all processes to stop, gateways first, and waits until they have. Gives the first
    /// status that is not a success, or the last.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let mut worst = ExitStatus::default();
        // Callers before those whom they call; the streams' goodbye comes with the gateways'.
        for group in [&["gateway", "push"][..], &["lottery"], &["message"], &["live"], &["user"]] {
            let names = PROCESSES.into_iter().filter(|name| group.iter().any(|service| name.starts_with(service)));
            let mut ending = Vec::new();
            for name in names {
                if let Some(child) = self.process(name).child.take() {
                    kill_process(pid_of(&child), Signal::TERM).expect("asking goligoli to stop");
                    ending.push(child);
                }
            }
            for mut child in ending {
                let status = in_time(DEADLINE, "goligoli stops", child.wait()).await.expect("how it ended");
                if !status.success() {
                    worst = status;
                }
            }
        }
        worst
    }

    /// Asks one process to stop and waits until it has.
    pub(crate) async fn terminate_one(&mut self, name: &str) -> ExitStatus {
        let mut child = self.process(name).child.take().expect("it runs");
        kill_process(pid_of(&child), Signal::TERM).expect("asking goligoli to stop");
        in_time(DEADLINE, "goligoli stops", child.wait()).await.expect("how it ended")
    }

    /// Where its databases are.
    pub(crate) fn db_url(&self) -> &str {
        &self.shared["GOLIGOLI_DB__URL"]
    }

    /// The processes that run, and the ingress.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let children = self.processes.values().filter_map(|process| process.child.as_ref()).chain(&self.ingress);
        children.filter_map(Child::id).collect()
    }

    /// Where a process has its metrics and its health.
    pub(crate) fn ops(&self, name: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.processes[name].ops)
    }

    /// Where a process answers HTTP itself, past the ingress.
    pub(crate) fn direct(&self, name: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.processes[name].http)
    }

    /// The name of its databases, keys, topics and objects.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What all processes have written, one after the other.
    pub(crate) fn logged(&self) -> String {
        PROCESSES.iter().map(|name| std::fs::read_to_string(self.log(name)).unwrap_or_default()).collect()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn process(&mut self, name: &str) -> &mut Process {
        self.processes.get_mut(name).unwrap_or_else(|| panic!("there is no process {name}"))
    }

    /// The ingress of the deployment, as one process: it dies with the test (`kill_on_drop`).
    fn start_ingress(&mut self) {
        const SHIPPED: &str = include_str!("../../deployment/ingress/nginx.conf");
        if self.ingress.is_some() {
            return;
        }
        let folder = self.folder.join("ingress");
        std::fs::create_dir_all(&folder).expect("a folder");
        let servers = |service: &str| -> String {
            let of = self.processes.iter().filter(|(name, _)| name.starts_with(service));
            let ports: Vec<u16> = of.map(|(_, process)| process.http).collect();
            ["max_fails=1 fail_timeout=1s", "backup max_fails=0"]
                .iter()
                .flat_map(|parameters| ports.iter().map(move |port| format!("server 127.0.0.1:{port} {parameters};\n")))
                .collect()
        };
        let files = [
            ("nginx.conf", SHIPPED.to_owned()),
            ("listen.conf", format!("listen 127.0.0.1:{} backlog=4096;\n", self.port)),
            ("access_log.conf", "access_log off;\n".to_owned()),
            ("push.conf", servers("push")),
            ("gateways.conf", servers("gateway")),
        ];
        for (name, text) in files {
            std::fs::write(folder.join(name), text).expect("writing nginx's configuration");
        }
        let log = std::fs::File::create(folder.join("log")).expect("a log file");
        let ingress = Command::new("nginx")
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(folder.join("nginx.conf"))
            .args(["-g", "daemon off; master_process off;"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("one more handle"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.ingress = Some(ingress.expect("starting nginx"));
    }
}

/// What a command of the binary gets from the outside: nothing that is not said.
pub(crate) fn bare(arguments: &[OsString]) -> Command {
    let mut command = Command::new(crate::binary::goligoli());
    for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("GOLIGOLI_")) {
        command.env_remove(key);
    }
    command.args(arguments).env_remove("FAILPOINT").env("NO_COLOR", "1").kill_on_drop(true);
    command
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().expect("it runs").cast_signed()).expect("its number")
}

fn rand_name() -> u32 {
    use std::hash::{BuildHasher as _, RandomState};
    // Seeded by the system: two test processes at once get two names.
    u32::try_from(RandomState::new().hash_one(0_u8) >> 32).expect("it is 32 bits")
}
