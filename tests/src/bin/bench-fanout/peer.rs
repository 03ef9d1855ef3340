//! The servers that are measured: how each is started, published to and watched.

mod bare;
mod centrifugo;
mod foreign;
mod goligoli;
mod mercure;
mod nchan;

use std::any::Any;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use goligoli_tests::swarm::{Stamp, Target};
use tempfile::TempDir;

use crate::scenario::Scenario;

pub(crate) use foreign::Url;

const READY: Duration = Duration::from_secs(20);

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project's, with its defaults.
    Goligoli,
    /// nginx with nchan, with as many workers as `--nginx-workers` says.
    Nchan,
    /// Centrifugo, unidirectional SSE.
    Centrifugo,
    /// The Mercure hub.
    Mercure,
    /// A loop with one send per viewer and nothing else.
    Bare,
    /// Any server that runs already; see `--events-url`.
    Url,
}

/// Where other servers' programs are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Programs {
    /// nginx.
    #[arg(long, default_value = "nginx")]
    pub(crate) nginx: PathBuf,
    /// nchan's module for nginx.
    #[arg(long, default_value = "/usr/lib/nginx/modules/ngx_nchan_module.so")]
    pub(crate) nchan_module: PathBuf,
    /// nginx's worker processes.
    #[arg(long, default_value_t = 1)]
    pub(crate) nginx_workers: u8,
    /// Centrifugo 5.
    #[arg(long, default_value = "target/compare/centrifugo")]
    pub(crate) centrifugo: PathBuf,
    /// Mercure's standalone hub.
    #[arg(long, default_value = "target/compare/mercure")]
    pub(crate) mercure: PathBuf,
}

/// Makes the request that publishes a stamped event.
pub(crate) type Publish = Arc<dyn Fn(Stamp<'_>) -> Vec<u8> + Send + Sync>;

/// A server that runs. Dropped: it ends, if it was started here.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) target: Target,
    pub(crate) publish: Publish,
    /// Connections to publish by. Where nothing but the texts' numbers shows the order, one.
    pub(crate) publishers: usize,
    /// The processes whose CPU and memory are accounted, with their children; none: unknown.
    pub(crate) pids: Vec<u32>,
    /// What ends the server when it is dropped; none if it was not started here.
    started: Option<Box<dyn Any>>,
}

impl Peer {
    /// What all its processes have of something, if they are known.
    pub(crate) fn sum<T: std::iter::Sum>(&self, of: fn(u32) -> T) -> Option<T> {
        (!self.pids.is_empty()).then(|| self.pids.iter().map(|pid| of(*pid)).sum())
    }

    /// Whether the server's CPU is part of this process's family.
    pub(crate) const fn is_child(&self) -> bool {
        self.started.is_some()
    }
}

/// Starts a server and waits until it listens.
pub(crate) async fn start(kind: Kind, scenario: &Scenario, programs: &Programs, url: &Url) -> anyhow::Result<Peer> {
    match kind {
        Kind::Goligoli => goligoli::start(scenario).await,
        Kind::Nchan => nchan::start(scenario, programs),
        Kind::Centrifugo => centrifugo::start(scenario, programs),
        Kind::Mercure => mercure::start(scenario, programs),
        Kind::Bare => bare::start(scenario),
        Kind::Url => foreign::attach(scenario, url),
    }
}

/// Another program that was started here.
struct Running {
    child: Child,
    address: SocketAddr,
    /// Its configuration and data.
    _folder: TempDir,
}

impl Running {
    /// Starts a program that shall listen at an address that is free now.
    fn start(make: impl FnOnce(SocketAddr, &TempDir) -> anyhow::Result<Command>) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = tempfile::tempdir()?;
        let mut command = make(address, &folder)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let program = command.get_program().to_owned();
        let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let mut running = Self { child, address, _folder: folder };
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = running.child.try_wait()? {
                let log = std::fs::read_to_string(running._folder.path().join("log"))?;
                bail!("{} ended at its start: {status}\n{log}", program.display());
            }
            anyhow::ensure!(begin.elapsed() < READY, "{} does not listen", program.display());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked first, since nginx's workers are ended by their master.
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// An event's data: JSON with a stamp, of so many bytes.
fn payload(stamp: Stamp<'_>, bytes: usize) -> String {
    let mut payload = format!(r#"{{"text":"{stamp}","rest":""#);
    let rest = bytes.saturating_sub(payload.len() + 2);
    payload.extend(std::iter::repeat_n('x', rest));
    payload + r#""}"#
}

/// What a program says of its version.
pub(crate) fn said(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json_of_the_size_that_was_asked_for_with_its_stamp() {
        let stamp = Stamp { sent_us: 17, n: 4, class: "" };
        let made = payload(stamp, 200);
        assert_eq!((made.len(), Stamp::find(made.as_bytes())), (200, Some(stamp)));
        assert!(serde_json::from_str::<serde_json::Value>(&made).is_ok(), "{made}");
    }
}
