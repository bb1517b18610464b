//! What was typed, turned into requests to the engine.
//!
//! One file a command; `output` is the only place that prints.

mod doctor;
mod eval;
mod export;
mod generate;
mod import;
mod inspect;
mod models;
mod output;
mod render;
mod train;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use output::Printer;

/// Exit codes of the command line.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// The work failed.
    pub const FAILED: u8 = 1;
    /// The command was used wrongly.
    pub const WRONG_USE: u8 = 2;
    /// Cancelled by the user.
    pub const CANCELLED: u8 = 130;
}

/// Turns a prompt, an image, a few frames or a video into a 4D scene; without a command opens the studio.
#[derive(Debug, Parser)]
#[command(name = "one4d", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// Files and folders to open in the studio.
    pub paths: Vec<PathBuf>,

    /// Print results as JSON on standard output.
    #[arg(long, global = true)]
    pub json: bool,

    /// Log more; twice for every step.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// What to do without a window.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The headless commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate a scene from a prompt, images or a video.
    Generate(generate::Args),
    /// Make a scene file of what another tool left on disk.
    Import(import::Args),
    /// Write a scene in other formats.
    Export(export::Args),
    /// Measure a model, a camera path or depth.
    #[command(subcommand)]
    Eval(eval::Eval),
    /// Train a model or adapters.
    Train(train::Args),
    /// Render procedural scenes with exact geometry.
    Render(render::Args),
    /// Say what a scene, checkpoint, adapter or model holds, and what it needs.
    Inspect(inspect::Args),
    /// Say what will run on this machine, and how fast.
    Doctor(doctor::Args),
    /// Prepare the weight files of large models.
    #[command(subcommand)]
    Models(models::Models),
    /// The child process of `models convert`.
    #[command(hide = true)]
    ConvertPickle(models::ChildArgs),
}

/// Runs a headless command and returns the exit code.
pub fn run(command: Command, json: bool) -> u8 {
    let printer = Printer::new(json);
    match command {
        Command::Generate(args) => printer.finish(args.request().and_then(|r| printer.run_job(r))),
        Command::Import(args) => printer.finish(args.request().and_then(|r| printer.run_job(r))),
        Command::Export(args) => printer.finish(args.run(&printer)),
        Command::Eval(eval::Eval::Synthetic(args)) => {
            printer.finish(printer.run_job(args.request()))
        }
        Command::Eval(eval::Eval::Pose(args)) => printer.finish(args.run()),
        Command::Eval(eval::Eval::Depth(args)) => printer.finish(args.run()),
        Command::Train(args) => printer.finish(printer.run_job(args.request())),
        Command::Render(args) => printer.finish(printer.run_job(args.request())),
        Command::Inspect(args) => printer.finish(printer.run_job(args.request())),
        Command::Doctor(_) => printer.finish(doctor::Args::run()),
        Command::Models(models::Models::Convert(args)) => printer.finish(args.run()),
        Command::ConvertPickle(args) => args.run(),
    }
}
