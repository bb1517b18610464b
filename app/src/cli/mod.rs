//! What was typed, turned into requests to the engine.
//!
//! One file a command; `output` is the only place that prints.

mod datasets;
mod doctor;
mod eval;
mod export;
mod flow;
mod generate;
mod import;
mod inspect;
mod join;
mod model_hub;
mod model_list;
mod models;
mod output;
mod plan;
mod render;
mod train;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use output::Printer;

/// What every command takes is listed after its own options.
const GLOBAL: &str = "Global options";

/// Exit codes of the command line.
pub mod exit {
    /// Done.
    pub const DONE: u8 = 0;
    /// The work failed.
    pub const FAILED: u8 = 1;
    /// The command was used wrongly.
    pub const WRONG_USE: u8 = 2;
    /// Done, but a part of what was asked for could not be; the report says which.
    pub const INCOMPLETE: u8 = 3;
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
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,

    /// Log more; twice for every step.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
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
    /// Show where a model would live on this machine, and what a run takes.
    Plan(plan::Args),
    /// Make a scene file of what another tool left on disk.
    Import(import::Args),
    /// Find what moves in a scene.
    Flow(flow::Args),
    /// Join overlapping scenes of one clip.
    Join(join::Args),
    /// Write a scene in other formats.
    Export(export::Args),
    /// Measure a model, a camera path or depth.
    #[command(subcommand)]
    Eval(eval::Eval),
    /// Check data sets for training.
    #[command(subcommand)]
    Datasets(datasets::Datasets),
    /// Train a model or adapters.
    Train(train::Args),
    /// Render procedural scenes with exact geometry.
    Render(render::Args),
    /// Say what a scene, checkpoint, adapter or model holds, and what it needs.
    Inspect(inspect::Args),
    /// Say what will run on this machine, and how fast.
    Doctor(doctor::Args),
    /// Find, fetch and prepare public models.
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
        Command::Plan(args) => printer.finish(args.run()),
        Command::Import(args) => printer.finish(args.request().and_then(|r| printer.run_job(r))),
        Command::Flow(args) => printer.finish(printer.run_job(args.request())),
        Command::Join(args) => printer.finish(printer.run_job(args.request())),
        Command::Export(args) => printer.finish(args.run(&printer)),
        Command::Eval(eval::Eval::Synthetic(args)) => {
            printer.finish(printer.run_job(args.request()))
        }
        Command::Eval(eval::Eval::Pose(args)) => printer.finish(args.run(&printer)),
        Command::Eval(eval::Eval::Depth(args)) => printer.finish(args.run(&printer)),
        Command::Eval(eval::Eval::Worldreel(args)) => printer.finish(args.run(&printer)),
        Command::Datasets(datasets::Datasets::Check(args)) => {
            printer.finish(printer.run_job(args.request()))
        }
        Command::Train(args) => printer.finish(printer.run_job(args.request())),
        Command::Render(args) => printer.finish(printer.run_job(args.request())),
        Command::Inspect(args) => printer.finish(printer.run_job(args.request())),
        Command::Doctor(_) => printer.finish(doctor::Args::run()),
        Command::Models(models) => printer.finish(models.run(&printer)),
        Command::ConvertPickle(args) => args.run(),
    }
}
