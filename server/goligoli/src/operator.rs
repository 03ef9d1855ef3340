//! Operator commands: a running server takes them through a socket in its data folder
//! (whoever can write there is the operator); without one they work on the folder itself,
//! under its lock.
//!
//! In the socket one line of JSON asks; lines of JSON answer: `{"account": …}` for each
//! seeded account, and at the end `{"done": text}` or `{"failed": text}`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use common::data_dir::DataDir;
use common::{Clock, Lifecycle};
use idl::user::Secret;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use user::{Operator, Seed, SeedNames, SeededAccount};

use crate::{Config, wiring};

const SOCKET: &str = "operator.sock";
const MAX_COMMAND_BYTES: u64 = 4_096;

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
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Account(SeededAccount),
    Done(String),
    Failed(String),
}

/// Carries a command out, in the running server if there is one, and prints the answer:
/// accounts to standard output, the rest to standard error.
///
/// # Errors
/// The command failed, or the data folder can't be used.
pub async fn run(config: &Config, command: Command) -> anyhow::Result<()> {
    match UnixStream::connect(config.data_dir.join(SOCKET)).await {
        Ok(socket) => ask(socket, &command).await,
        Err(_) => alone(config, command).await,
    }
}

/// Takes commands until the process stops.
///
/// # Errors
/// The socket can't be made.
pub fn listen(data_dir: &Path, operator: Operator, lifecycle: &Lifecycle) -> anyhow::Result<()> {
    let path = data_dir.join(SOCKET);
    // We hold the folder's lock: what is here was left by a process that is gone.
    _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("making the socket {}", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let soft = lifecycle.soft().clone();
    lifecycle.spawn("operator", async move {
        while let Some(accepted) = soft.run_until_cancelled(listener.accept()).await {
            // One at a time: an operator is one person.
            let served = match accepted {
                Ok((socket, _)) => serve(socket, &operator).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = served {
                tracing::warn!(error = %format!("{error:#}"), "an operator's command broke off");
            }
        }
        _ = std::fs::remove_file(&path);
    });
    Ok(())
}

async fn serve(socket: UnixStream, operator: &Operator) -> anyhow::Result<()> {
    let (from, mut to) = socket.into_split();
    let mut line = String::new();
    let mut from = BufReader::new(tokio::io::AsyncReadExt::take(from, MAX_COMMAND_BYTES));
    let read = tokio::time::timeout(std::time::Duration::from_secs(5), from.read_line(&mut line)).await;
    read.context("no command came")??;
    let last = match serde_json::from_str(&line) {
        Ok(command) => match obey(operator, command, Out::Socket(&mut to)).await {
            Ok(done) => Line::Done(done),
            Err(error) => Line::Failed(format!("{error:#}")),
        },
        Err(error) => Line::Failed(format!("this is no command: {error}")),
    };
    write(&mut to, &last).await
}

async fn alone(config: &Config, command: Command) -> anyhow::Result<()> {
    let data_dir = DataDir::lock(&config.data_dir)?;
    let (platform, signer) = wiring::platform(config, &data_dir, Clock::system())?;
    let operator = Operator::open(&config.user, &platform, signer).await?;
    let done = obey(&operator, command, Out::Terminal).await;
    platform.lifecycle.stop(std::time::Duration::from_secs(5)).await;
    eprintln!("{}", done?);
    Ok(())
}

/// Carries a command out. Returns what to say at the end.
async fn obey(operator: &Operator, command: Command, mut out: Out<'_>) -> anyhow::Result<String> {
    match command {
        Command::Grant { name } => {
            let account = operator.grant_site_admin(&name).await?;
            Ok(format!("{} is a site admin from its next log-in or refresh on", account.name))
        }
        Command::ResetPassword { name } => {
            let password = operator.reset_password(&name).await?;
            Ok(format!("the new password of {name} is {}; all its log-ins have ended", password.0))
        }
        Command::Seed { accounts, prefix, password } => {
            let names = SeedNames::Numbered { prefix, accounts };
            let mut seeding = operator.seed(Seed { names, password }).await?;
            let mut made = 0;
            loop {
                let page = seeding.next_page().await?;
                if page.is_empty() {
                    return Ok(format!("{made} test accounts have tokens"));
                }
                made += page.len();
                for account in page {
                    out.account(account).await?;
                }
            }
        }
    }
}

async fn write(out: &mut OwnedWriteHalf, line: &Line) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    out.write_all(text.as_bytes()).await?;
    out.flush().await?;
    Ok(())
}

/// Where seeded accounts go.
enum Out<'a> {
    Socket(&'a mut OwnedWriteHalf),
    Terminal,
}

impl Out<'_> {
    async fn account(&mut self, account: SeededAccount) -> anyhow::Result<()> {
        match self {
            Self::Socket(socket) => write(socket, &Line::Account(account)).await,
            Self::Terminal => print(&account),
        }
    }
}

fn print(account: &SeededAccount) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(account)?);
    Ok(())
}

async fn ask(socket: UnixStream, command: &Command) -> anyhow::Result<()> {
    let (from, mut to) = socket.into_split();
    let mut text = serde_json::to_string(command)?;
    text.push('\n');
    to.write_all(text.as_bytes()).await?;
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await.context("the server broke off")? {
        match serde_json::from_str(&line).context("the server's answer is not understood")? {
            Line::Account(account) => print(&account)?,
            Line::Done(text) => {
                eprintln!("{text}");
                return Ok(());
            }
            Line::Failed(text) => bail!(text),
        }
    }
    bail!("the server broke off")
}
