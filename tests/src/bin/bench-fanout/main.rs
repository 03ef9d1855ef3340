//! Fan-out under load: what one event costs the server for each viewer that gets it, how
//! late it comes, what an idle viewer weighs, and whether anything is lost.
//!
//! `bench-fanout run goligoli` measures this server (`cargo build --release -p goligoli`
//! first); `run nchan`, `run centrifugo`, `run mercure` and `run bare` start and measure
//! others, `run url` measures any server of event streams that runs already. `compare` runs
//! several in turn and prints a table. Server and viewers share the machine; so what counts
//! are ratios within one run.

mod bare_loop;
mod compare;
mod outcome;
mod peer;
mod scenario;

use std::net::SocketAddr;

use clap::{Parser, Subcommand};

use peer::{Kind, Programs, Url};
use scenario::Scenario;

#[derive(Debug, Parser)]
#[command(about = "Fan-out under load, against this server and others")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures one server.
    Run {
        /// Which one.
        kind: Kind,
        #[command(flatten)]
        scenario: Scenario,
        #[command(flatten)]
        programs: Programs,
        #[command(flatten)]
        url: Url,
    },
    /// Measures several in turn, in rounds, and prints the medians as a table.
    Compare(compare::Compare),
    /// The limit: one send per viewer in a plain loop.
    #[command(hide = true)]
    ServeBare {
        /// Where to listen.
        listen: SocketAddr,
        /// Gathers events for so long before it sends them; 0 sends each at once.
        #[arg(long, default_value_t = 0)]
        batch_ms: u64,
        /// Says so many bytes of events to each viewer who comes.
        #[arg(long, default_value_t = 0)]
        greeting_bytes: usize,
    },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Run { kind, scenario, programs, url } => {
            let peer = peer::start(kind, &scenario, &programs, &url).await?;
            println!("{}\n", peer.version);
            println!("{}", scenario.measure(&peer)?);
            Ok(())
        }
        Command::Compare(compare) => compare.run().await,
        Command::ServeBare { listen, batch_ms, greeting_bytes } => bare_loop::serve(listen, batch_ms, greeting_bytes),
    }
}
