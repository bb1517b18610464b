//! `one4d`: a command runs headless, anything else opens the studio.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use one4d_engine::memory::CountingAllocator;
use one4d_studio::StudioOptions;
use one4d_studio::cli::{self, Cli};
use tracing_subscriber::EnvFilter;

/// Counts what is held, so that a run's report can set its peak beside the plan's.
#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    if let Some(command) = cli.command {
        return ExitCode::from(cli::run(command, cli.json));
    }
    match one4d_studio::run_studio(cli.paths, StudioOptions::default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(cli::exit::FAILED)
        }
    }
}

/// Warnings by default; `ONE4D_LOG` takes the usual filter directives.
fn log_to_stderr(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let default = format!("error,one4d_engine={level},one4d_studio={level}");
    let filter = EnvFilter::try_from_env("ONE4D_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for eyes; a log file is read without them.
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}
