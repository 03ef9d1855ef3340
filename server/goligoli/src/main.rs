//! The `goligoli` command: parses, runs, and says in one line what went wrong.

use std::process::ExitCode;

use clap::Parser as _;
use goligoli::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("goligoli: {error:#}");
            ExitCode::FAILURE
        }
    }
}
