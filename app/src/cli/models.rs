//! `one4d models`: what large models need before they load.

use std::path::PathBuf;

use one4d_engine::job::JobCtx;
use one4d_engine::weight_files::pickle;
use one4d_engine::worker::Output;
use one4d_engine::{Error, Result};
use serde_json::json;

use super::exit;

/// The subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Models {
    /// Convert a PyTorch pickle (.pth) to safetensors, once, in a process of its own.
    Convert(ConvertArgs),
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
