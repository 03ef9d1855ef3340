//! Operator commands: a running server takes them through a socket in its data folder
//! (whoever can write there is the operator); without one they work on the folder itself,
//! under its lock.
//!
//! In the socket one line of JSON asks; lines of JSON answer: `{"account": …}` for each
//! seeded account, `{"feed": …}` for each event of a feed, and at the end `{"done": text}`
//! or `{"failed": text}`.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use common::data_dir::DataDir;
use common::{Clock, Lifecycle};
use idl::live::Replay;
use idl::user::Secret;
use idl::{ReplayId, RoomId};
use push::{FeedLine, Feeds};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use user::{Operator, Seed, SeedNames, SeededAccount};

use crate::{Config, platform};

const SOCKET: &str = "operator.sock";
const MAX_COMMAND_BYTES: u64 = 4_096;
/// Commands that are carried out at once: an operator is one person, with a script or two.
/// Full: the next ones wait until they are accepted.
const COMMANDS_AT_ONCE: usize = 8;
const READ_DEADLINE: Duration = Duration::from_secs(5);
/// Who does not read an answer for so long (a suspended terminal) is hung up on. Tests have
/// none: they show that nobody else waits for it.
const WRITE_DEADLINE: Duration = if cfg!(test) { Duration::from_hours(1) } else { Duration::from_secs(5) };
/// After a connection could not be accepted (too many open files, say).
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a server takes to accept a connection, at most.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// …and to say something more: a page of seeded accounts takes seconds.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);
/// How long opening a data folder may take, migrations included.
const OPEN_DEADLINE: Duration = Duration::from_mins(2);

/// What an operator asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Makes an account a site admin.
    Grant {
        /// Its name.
        name: String,
    },
    /// Gives an account a new random password.
    ResetPassword {
        /// Its name.
        name: String,
    },
    /// Makes test accounts with tokens.
    Seed {
        /// How many.
        accounts: u32,
        /// What their names begin with.
        prefix: String,
        /// Their password.
        password: Secret,
    },
    /// Has a replay indexed again.
    Reindex {
        /// The replay.
        replay: ReplayId,
    },
    /// Tells what a room's feed holds.
    Feed {
        /// The room.
        room: RoomId,
        /// Only what comes after this event's id.
        after: Option<String>,
        /// Goes on with what comes, until nobody listens any more.
        follow: bool,
    },
}

/// What commands work on.
#[derive(Debug, Clone)]
pub struct Site {
    /// Accounts, where user runs.
    pub accounts: Option<Operator>,
    /// Replays, where live runs.
    pub replays: Option<live::Operator>,
    /// What viewers see, where push runs.
    pub feeds: Option<Feeds>,
}

impl Site {
    fn accounts(&self) -> anyhow::Result<&Operator> {
        self.accounts.as_ref().context("user does not run in this process: ask one in which it does")
    }

    fn replays(&self) -> anyhow::Result<&live::Operator> {
        self.replays.as_ref().context("live does not run in this process: ask one in which it does")
    }

    fn feeds(&self) -> anyhow::Result<&Feeds> {
        self.feeds.as_ref().context("push does not run in this process: ask one in which it does")
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Account(SeededAccount),
    Feed(FeedLine),
    Done(String),
    Failed(String),
}

/// Carries a command out, in the running server if there is one, and prints the answer:
/// accounts and events to standard output, the rest to standard error.
///
/// # Errors
/// The command failed, the data folder can't be used, or the server does not answer.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    let path = config.data_dir.join(SOCKET);
    match timeout(CONNECT_DEADLINE, UnixStream::connect(&path)).await {
        Ok(Ok(socket)) => ask(socket, &command).await,
        // No socket, one that a server left when it was killed, or a path that no server
        // could listen on.
        Ok(Err(error))
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::InvalidInput) =>
        {
            alone(config, command).await
        }
        Ok(Err(error)) => Err(error).with_context(|| format!("reaching the server through {}", path.display())),
        Err(_) => bail!("the server behind {} does not answer; is it suspended, or its disk away?", path.display()),
    }
}

/// Takes commands until the process stops.
///
/// # Errors
/// The socket can't be made.
pub fn listen(data_dir: &Path, site: Site, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let path = data_dir.join(SOCKET);
    // We hold the folder's lock: what is here was left by a process that is gone.
    _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("making the socket {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let (connections, soft) = (lifecycle.clone(), lifecycle.soft().clone());
    lifecycle.spawn("operator", async move {
        soft.run_until_cancelled(accept(&listener, &site, &connections)).await;
        _ = std::fs::remove_file(&path);
    });
    Ok(())
}

/// Serves each connection in a task of its own: who does not read an answer keeps nobody
/// waiting, neither another command nor the stop.
async fn accept(listener: &UnixListener, site: &Site, lifecycle: &Lifecycle) {
    let places = Arc::new(Semaphore::new(COMMANDS_AT_ONCE));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "an operator's connection was not accepted");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            }
        };
        let (site, soft) = (site.clone(), lifecycle.soft().clone());
        lifecycle.spawn_one_of_many(async move {
            // A command that a stop cuts has done its work or not, nothing in between:
            // whoever gave it sees that no answer came, and may give it again.
            if let Some(Err(error)) = soft.run_until_cancelled(serve(socket, &site)).await {
                tracing::warn!(error = %format!("{error:#}"), "an operator's command broke off");
            }
            drop(place);
        });
    }
}

async fn serve(socket: UnixStream, site: &Site) -> anyhow::Result<()> {
    let (from, to) = socket.into_split();
    let mut answer = Answer { to, unread: false };
    let mut line = String::new();
    let mut from = BufReader::new(from.take(MAX_COMMAND_BYTES));
    timeout(READ_DEADLINE, from.read_line(&mut line)).await.context("no command came")??;
    let last = match serde_json::from_str(&line) {
        Ok(command) => {
            let quiet = matches!(&command, Command::Feed { follow: true, .. });
            let obeyed = obey(site, command, Out::Socket(&mut answer));
            let obeyed = tokio::select! {
                obeyed = obeyed => obeyed,
                // Where nothing is written for hours, nothing else tells that nobody listens.
                () = hung_up(from.into_inner().into_inner()), if quiet => return Ok(()),
            };
            match obeyed {
                Ok(done) => Line::Done(done),
                Err(error) => Line::Failed(format!("{error:#}")),
            }
        }
        Err(error) => Line::Failed(format!("this is no command: {error}")),
    };
    answer.line(&last).await
}

async fn hung_up(mut from: OwnedReadHalf) {
    // More than the command is not read, only thrown away; an error is a hang-up, too.
    _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
}

async fn alone(config: &Config, command: Command) -> anyhow::Result<()> {
    if matches!(command, Command::Feed { follow: true, .. }) {
        bail!("no server runs on the data folder {}: there is nothing to follow", config.data_dir.display());
    }
    let folder = config.data_dir.clone();
    let open = async {
        // In a thread: on a network disk that is away this hangs, and with it the deadline.
        let data_dir = tokio::task::spawn_blocking(move || DataDir::lock(&folder)).await??;
        let (platform, signer) = platform::open(config, &data_dir, Clock::system(), Lifecycle::new()).await?;
        let accounts = Some(Operator::open(&config.user, &platform, signer).await?);
        let replays = Some(live::Operator::of_stopped(&platform));
        let feeds = Some(Feeds::at_rest(&config.push.feeds, data_dir.path()));
        anyhow::Ok((data_dir, platform, Site { accounts, replays, feeds }))
    };
    let opened = timeout(OPEN_DEADLINE, open).await;
    let (_data_dir, platform, site) =
        opened.with_context(|| format!("the data folder {} does not answer", config.data_dir.display()))??;
    let done = obey(&site, command, Out::Terminal).await;
    platform.lifecycle.stop(Duration::from_secs(5)).await;
    eprintln!("{}", done?);
    Ok(())
}

/// Carries a command out. Returns what to say at the end.
async fn obey(site: &Site, command: Command, mut out: Out<'_>) -> anyhow::Result<String> {
    match command {
        Command::Grant { name } => {
            let account = site.accounts()?.grant_site_admin(&name).await?;
            Ok(format!("{} is a site admin from its next log-in or refresh on", account.name))
        }
        Command::ResetPassword { name } => {
            let password = site.accounts()?.reset_password(&name).await?;
            Ok(format!("the new password of {name} is {}; all its log-ins have ended", password.0))
        }
        Command::Seed { accounts, prefix, password } => {
            let names = SeedNames::Numbered { prefix, accounts };
            let mut seeding = site.accounts()?.seed(Seed { names, password }).await?;
            let mut made = 0;
            loop {
                let page = seeding.next_page().await?;
                if page.is_empty() {
                    return Ok(format!("{made} test accounts have tokens"));
                }
                made += page.len();
                for account in page {
                    out.line(Line::Account(account)).await?;
                }
            }
        }
        Command::Reindex { replay } => {
            let Replay { room_id, title, .. } = site.replays()?.reindex(replay).await?;
            let when = "by a running server within seconds, by a stopped one when it starts";
            Ok(format!("replay {replay} of room {room_id}, {title:?}, is indexed again: {when}"))
        }
        Command::Feed { room, after, follow } => {
            let mut reader = site.feeds()?.open(room, after.as_deref()).await?;
            let mut events = 0;
            loop {
                let page = reader.next_page().await?;
                if page.is_empty() && !follow {
                    return Ok(format!("{events} events"));
                }
                if page.is_empty() {
                    reader.wait().await;
                }
                for line in page {
                    events += u64::from(matches!(line, FeedLine::Event(_)));
                    out.line(Line::Feed(line)).await?;
                }
            }
        }
    }
}

/// The lines that answer a command.
struct Answer {
    to: OwnedWriteHalf,
    /// A line was not read in time: the next ones must not wait as long again.
    unread: bool,
}

impl Answer {
    async fn line(&mut self, line: &Line) -> anyhow::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        if !self.unread
            && let Ok(written) = timeout(WRITE_DEADLINE, self.to.write_all(text.as_bytes())).await
        {
            return Ok(written?);
        }
        self.unread = true;
        bail!("nobody reads the answer");
    }
}

/// Where the lines of an answer go.
enum Out<'a> {
    Socket(&'a mut Answer),
    Terminal,
}

impl Out<'_> {
    async fn line(&mut self, line: Line) -> anyhow::Result<()> {
        match self {
            Self::Socket(answer) => answer.line(&line).await,
            Self::Terminal => print(&line),
        }
    }
}

fn print(line: &Line) -> anyhow::Result<()> {
    let json = match line {
        Line::Account(account) => serde_json::to_string(account)?,
        Line::Feed(line) => serde_json::to_string(line)?,
        Line::Done(text) | Line::Failed(text) => {
            eprintln!("{text}");
            return Ok(());
        }
    };
    // Not println!, which panics when whoever reads has seen enough.
    writeln!(std::io::stdout(), "{json}").context("writing to standard output")
}

async fn ask(socket: UnixStream, command: &Command) -> anyhow::Result<()> {
    let (from, mut to) = socket.into_split();
    let mut text = serde_json::to_string(command)?;
    text.push('\n');
    to.write_all(text.as_bytes()).await.context("the server broke off")?;
    let mut lines = BufReader::new(from).lines();
    let deadline = if matches!(command, Command::Feed { follow: true, .. }) { Duration::MAX } else { ANSWER_DEADLINE };
    loop {
        let line = timeout(deadline, lines.next_line()).await.context("the server does not answer")?;
        let Some(line) = line.context("the server broke off")? else {
            bail!("the server stopped or broke off before it was done; give the command again");
        };
        match serde_json::from_str(&line).context("the server's answer is not understood")? {
            Line::Failed(text) => bail!(text),
            line => {
                print(&line)?;
                if matches!(line, Line::Done(_)) {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
