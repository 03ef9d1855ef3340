//! An etcd of a test's own, which it may kill and stop.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running etcd; killed when it is dropped.
#[derive(Debug)]
pub struct OwnEtcd {
    folder: PathBuf,
    ports: (u16, u16),
    process: Child,
}

impl OwnEtcd {
    /// Starts one with its data in a folder; `None` where there is no `etcd`.
    ///
    /// # Panics
    /// It does not start, or there is none and `NATIVE_REQUIRED` is `1`.
    #[must_use]
    pub fn start(folder: &Path) -> Option<Self> {
        super::server("NATIVE_ETCD_URL")?;
        let free = || TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let ports = (free().expect("a free port").port(), free().expect("a free port").port());
        let process = launch(folder, ports);
        let started = Self { folder: folder.to_owned(), ports, process };
        started.wait(&[]);
        Some(started)
    }

    /// `host:port` of its clients.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.0)
    }

    /// `kill -9`.
    ///
    /// # Panics
    /// The system does not allow it.
    pub fn kill(&mut self) {
        self.process.kill().expect("etcd is killed");
        self.process.wait().expect("etcd has ended");
    }

    /// Starts it again after a kill, on the same data.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// The same where `etcdctl` needs arguments to get in.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart_with(&mut self, log_in: &[&str]) {
        self.process = launch(&self.folder, self.ports);
        self.wait(log_in);
    }

    /// `SIGSTOP` for a while; returns before it goes on.
    ///
    /// # Panics
    /// The system does not allow it.
    pub fn pause(&self, time: Duration) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::STOP).expect("etcd stands still");
        std::thread::spawn(move || {
            std::thread::sleep(time);
            _ = kill_process(pid, Signal::CONT);
        });
    }

    /// Runs `etcdctl` on it.
    ///
    /// # Panics
    /// It fails.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let endpoint = format!("--endpoints={}", self.address());
        let output = Command::new("etcdctl").env("ETCDCTL_API", "3").arg(endpoint).args(arguments).output();
        let output = output.expect("etcdctl runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn wait(&self, log_in: &[&str]) {
        let give_up = Instant::now() + Duration::from_secs(20);
        let endpoint = format!("--endpoints={}", self.address());
        loop {
            let mut health = Command::new("etcdctl");
            health.env("ETCDCTL_API", "3").args([endpoint.as_str(), "get", "x"]).args(log_in);
            let done = health.stdout(Stdio::null()).stderr(Stdio::null()).status();
            if done.is_ok_and(|status| status.success()) {
                return;
            }
            assert!(Instant::now() < give_up, "etcd does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for OwnEtcd {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn launch(folder: &Path, ports: (u16, u16)) -> Child {
    let (client, peer) = (format!("http://127.0.0.1:{}", ports.0), format!("http://127.0.0.1:{}", ports.1));
    let arguments = [
        ("--name", "own"),
        ("--listen-client-urls", &client),
        ("--advertise-client-urls", &client),
        ("--listen-peer-urls", &peer),
        ("--initial-advertise-peer-urls", &peer),
        ("--initial-cluster", &format!("own={peer}")),
    ];
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(folder.join("etcd")).stdout(Stdio::null()).stderr(Stdio::null());
    command.args(arguments.iter().flat_map(|(name, value)| [*name, *value]));
    command.spawn().expect("etcd starts")
}
