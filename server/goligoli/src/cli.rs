//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use common::{Clock, failpoint, telemetry};
use idl::user::Secret;
use idl::{ReplayId, RoomId};
use tokio::signal::unix::{SignalKind, signal};

use crate::fresh_keys::SiteKeys;
use crate::{
    App, Config, Process, Service, Services, demo, doctor, import, migrate, operator, restored, shared_config,
    verify_draw,
};

/// Says of a build that can be killed at named points that it is one: it is for tests alone.
const VERSION: &str = if failpoint::are_built_in() {
    concat!(env!("CARGO_PKG_VERSION"), " (with failpoints)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// A live-streaming platform for danmaku and lotteries.
#[derive(Debug, Parser)]
#[command(name = "goligoli", version = VERSION, about)]
pub struct Cli {
    /// A configuration file; its keys override the defaults, the environment overrides it.
    #[arg(long, env = "GOLIGOLI_CONFIG", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the services (the default).
    Serve(Serve),
    /// Run everything, with a demo room in which a danmaku file plays over and over.
    Demo(demo::Options),
    /// Print the configuration that is in effect.
    Config,
    /// Bring the tables of all databases up to date, and end. Services do so by themselves when
    /// they start; this is for who wants it done before. With --from: move a whole site.
    Migrate(migrate::Options),
    /// Ask each back-end of the configuration whether it can be used, one line each. Exit code 1
    /// if one can't.
    Doctor,
    /// Print fresh keys, as lines of an environment file, for a site whose services run in
    /// several processes.
    Keys {
        /// Print those of the embedded site in this data folder instead; only what it has none
        /// of is fresh.
        #[arg(long, value_name = "FOLDER")]
        of: Option<PathBuf>,
    },
    /// What only the site's operator may do.
    #[command(subcommand)]
    Admin(Admin),
    /// Make test accounts; prints them with tokens, one line of JSON each.
    Seed(Seed),
    /// Bring a danmaku file (Bilibili's XML) into a running server, as a new replay of a room.
    /// GOLIGOLI_TOKEN holds an access token of the room's owner. Prints the replay and what
    /// became of the file's lines, as JSON. The exit code says the result: 0 it is imported,
    /// 1 the server refuses it, 2 something can't be read or reached.
    Import(import::Options),
    /// Recompute a lottery's draw from its proof and its entries, offline. The exit code says
    /// the result: 0 it agrees with what was signed at the time, 3 it is only consistent in
    /// itself, 1 it does not agree, 2 something can't be read.
    VerifyDraw(verify_draw::Options),
}

#[derive(Debug, Default, Args)]
struct Serve {
    /// Run only this service (may be repeated). None named: all of them.
    #[arg(long = "service")]
    services: Vec<Service>,
}

#[derive(Debug, Subcommand)]
enum Admin {
    /// Make an account an admin of the site.
    Grant {
        /// The account's name.
        name: String,
    },
    /// Give an account a new random password.
    ResetPassword {
        /// The account's name.
        name: String,
    },
    /// Say that the data folder, or the databases of db.url, were put back from a backup;
    /// before the server, or any process of the cluster, is started again. What may have been
    /// given out since the backup is not given out again: ids are passed over, viewers'
    /// positions end, lotteries that were open are called off.
    Restored {
        /// Only the feeds were put back (the Redis of push.feeds), the databases are as they
        /// were: only viewers' positions end.
        #[arg(long)]
        feeds_only: bool,
    },
    /// Have a replay indexed again: its files are made anew, and take the place of those that
    /// are there.
    Reindex {
        /// The replay's id.
        replay: ReplayId,
    },
    /// Print what a room's feed holds, one line of JSON for each event: its id, type,
    /// source, lane and size, when it happened and when it was appended.
    Feed {
        /// The room's id.
        room: RoomId,
        /// Only what comes after this event.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// Go on with what comes.
        #[arg(long)]
        follow: bool,
    },
}

#[derive(Debug, Args)]
struct Seed {
    /// How many.
    #[arg(long)]
    accounts: u32,
    /// What their names begin with.
    #[arg(long, default_value = "viewer-")]
    prefix: String,
    /// The password of all of them; random if it is not given.
    #[arg(long)]
    password: Option<String>,
}

impl Cli {
    /// Does what was asked.
    ///
    /// # Errors
    /// Says in one line what went wrong.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        // Not read for what needs none: whoever checks a draw runs no site.
        let config = || Config::load(self.config.as_deref());
        match self.command.unwrap_or(Command::Serve(Serve::default())) {
            Command::Serve(serve) => {
                let config = config()?;
                telemetry::init(&config.log, &config.traces, &serve.name())?;
                let services = Services::named(&serve.services);
                let ended = until_stopped(Process::start(services, config, Clock::system())).await;
                telemetry::traces::flush().await;
                ended?;
            }
            Command::Demo(options) => {
                let config = config()?;
                telemetry::init(&config.log, &config.traces, NAME)?;
                until_stopped(async { demo::start(config, options).await.map(App::into_process) }).await?;
            }
            Command::Migrate(options) => migrate::run(&config()?, options).await?,
            Command::Doctor => return Ok(doctor::run(&config()?).await),
            Command::Keys { of: None } => SiteKeys::fresh().print()?,
            Command::Keys { of: Some(folder) } => SiteKeys::in_folder(&folder)?.print()?,
            Command::Config => print!("{}", toml::to_string(&shared_config::effective(config()?).await)?),
            Command::Admin(Admin::Grant { name }) => {
                operator::run(&config()?, operator::Command::Grant { name }).await?;
            }
            Command::Admin(Admin::ResetPassword { name }) => {
                operator::run(&config()?, operator::Command::ResetPassword { name }).await?;
            }
            Command::Admin(Admin::Restored { feeds_only }) => restored::run(&config()?, feeds_only).await?,
            Command::Admin(Admin::Reindex { replay }) => {
                operator::run(&config()?, operator::Command::Reindex { replay }).await?;
            }
            Command::Admin(Admin::Feed { room, after, follow }) => {
                operator::run(&config()?, operator::Command::Feed { room, after, follow }).await?;
            }
            Command::Seed(Seed { accounts, prefix, password }) => {
                let password = Secret(password.unwrap_or_else(|| format!("{:032x}", rand::random::<u128>())));
                operator::run(&config()?, operator::Command::Seed { accounts, prefix, password }).await?;
            }
            Command::Import(options) => return Ok(import::run(&options).await),
            Command::VerifyDraw(options) => {
                return Ok(tokio::task::spawn_blocking(move || verify_draw::run(&options)).await?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the process is called in traces.
const NAME: &str = "goligoli";

impl Serve {
    /// What the process is called in traces: a service by its name, if it is the only one.
    fn name(&self) -> String {
        match self.services.as_slice() {
            [one] => format!("{NAME}-{}", one.name()),
            _ => NAME.to_owned(),
        }
    }
}

/// Runs until a signal, a second one or a broken task; then stops in order.
async fn until_stopped(starting: impl Future<Output = anyhow::Result<Process>>) -> anyhow::Result<()> {
    // Before it answers anybody: whoever sees it ready may ask it to stop, and it stops in order.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let process = tokio::select! {
        biased;
        process = starting => process?,
        // What it has begun is as if it had been killed.
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    let (ops, rpc) = (process.ops, process.rpc());
    match process.http {
        Some(http) => tracing::info!(%http, ?ops, rpc, "goligoli is up: http://{http}/"),
        None => tracing::info!(?ops, rpc, "goligoli is up"),
    }
    let broken = process.lifecycle().soft().clone();
    let by_signal = tokio::select! {
        _ = interrupt.recv() => true,
        _ = terminate.recv() => true,
        () = broken.cancelled() => false,
    };
    tracing::info!("stopping");
    let hard = process.lifecycle().hard().clone();
    tokio::select! {
        () = process.stop() => {}
        _ = interrupt.recv() => hard.cancel(),
        _ = terminate.recv() => hard.cancel(),
    }
    anyhow::ensure!(by_signal, "a part of the server broke; the log says which");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
