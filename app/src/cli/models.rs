//! `one4d models`: which public models there are, what lies here, and what they need before they load.

use std::path::PathBuf;

use one4d_engine::job::JobCtx;
use one4d_engine::weight_files::pickle;
use one4d_engine::worker::Output;
use one4d_engine::{Error, Result};
use serde_json::json;

use super::output::Printer;
use super::{exit, model_hub, model_list};

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Models {
    /// List public models, and what of them lies on this machine; asks no server.
    List(model_list::ListArgs),
    /// Say where a model lies on this machine; asks no server.
    Locate(model_hub::NameArgs),
    /// Show what a download would be, ask, and download into the shared Hugging Face cache.
    Fetch(model_hub::FetchArgs),
    /// Read a model's files again and compare their checksums; asks no server.
    Verify(model_hub::NameArgs),
    /// Make a model folder out of fetched files, for `generate --model` and the studio.
    Assemble(model_hub::AssembleArgs),
    /// Search a folder for models too, or no longer with --remove.
    Register(model_hub::RegisterArgs),
    /// Convert a PyTorch pickle (.pth, .pt) to safetensors, once, in a process of its own.
    Convert(ConvertArgs),
}

impl Models {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Those of the subcommand.
    pub fn run(self, printer: &Printer) -> Result<Output> {
        match self {
            Self::List(args) => args.run(),
            Self::Locate(args) => args.locate(),
            Self::Fetch(args) => args.run(printer),
            Self::Verify(args) => args.verify(printer),
            Self::Assemble(args) => args.run(printer),
            Self::Register(args) => args.run(),
            Self::Convert(args) => args.run(),
        }
    }
}

/// A conversion.
#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// The pickle; the new file lies beside it as NAME.pth.safetensors.
    file: PathBuf,
}

impl ConvertArgs {
    /// Converts in a child process.
    ///
    /// # Errors
    /// Those of [`pickle::convert`].
    pub fn run(self) -> Result<Output> {
        let program = std::env::current_exe().map_err(|e| Error::io("one4d", e))?;
        let target = pickle::convert(&program, &self.file, &JobCtx::silent())?;
        let text = format!("{}\n", target.display());
        Ok(Output {
            report: json!({ "file": target, "text": text }),
            files: vec![target],
        })
    }
}

/// What the child is told.
#[derive(Debug, clap::Args)]
pub struct ChildArgs {
    source: PathBuf,
    target: PathBuf,
    limit_bytes: u64,
}

impl ChildArgs {
    /// Converts; the first line on standard error says why it failed.
    pub fn run(self) -> u8 {
        match pickle::convert_here(&self.source, &self.target, self.limit_bytes) {
            Ok(()) => exit::DONE,
            Err(Error::Format { reason, .. }) => {
                super::output::print_error_line(&reason);
                exit::FAILED
            }
            Err(error) => {
                super::output::print_error_line(&error.to_string());
                exit::FAILED
            }
        }
    }
}
