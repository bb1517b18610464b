//! The one error type of the engine.
//!
//! Every variant says what was required and what was found, so that a message can name the file,
//! the reason and the way out without further context.

use std::path::{Path, PathBuf};

/// What can go wrong in the engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be: truncated, of another type, or inconsistent.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where possible what to do.
        reason: String,
    },
    /// A tensor or array has another shape than the computation needs.
    #[error("{what}: required {required}, got {actual}")]
    Shape {
        /// Which value.
        what: String,
        /// The shape or rule it must satisfy.
        required: String,
        /// The shape it has.
        actual: String,
    },
    /// A weight file lacks tensors, has unknown ones or tensors of the wrong shape.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The weight file or model folder.
        path: PathBuf,
        /// The tensors by name and what is wrong with each.
        reason: String,
    },
    /// A request cannot be carried out as it stands.
    #[error("{what}: {reason}")]
    Invalid {
        /// The part of the request.
        what: String,
        /// Why, and what would be accepted.
        reason: String,
    },
    /// A resource limit: memory, disk, dimensions.
    #[error("{what}: needs {required}, available {available}")]
    Limit {
        /// The resource.
        what: String,
        /// What the work needs.
        required: String,
        /// What there is.
        available: String,
    },
    /// A run takes more memory than there is, however its weights are held.
    #[error(
        "{model} needs {required} of memory, available {available}{}",
        listed(advice)
    )]
    Memory {
        /// The model.
        model: String,
        /// What the run takes at its peak.
        required: String,
        /// What there is.
        available: String,
        /// What would fit, a few words each.
        advice: Vec<String>,
        /// The longest clip that would fit, in frames.
        frames: Option<usize>,
    },
    /// A stage produced values that are not finite.
    #[error("{stage} produced {count} non-finite values of {total}")]
    NonFinite {
        /// The stage.
        stage: String,
        /// How many values.
        count: usize,
        /// Out of how many.
        total: usize,
    },
    /// A server of models answered otherwise than it should, or not at all.
    #[error("{place}: {reason}")]
    Hub {
        /// The model or file that was asked for.
        place: String,
        /// What happened, and the way out.
        reason: String,
    },
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// The job was cancelled; travels as an error only for the sake of `?`.
    #[error("cancelled")]
    Cancelled,
    /// A job panicked; the worker turned the panic into this.
    #[error("internal error: {message}")]
    Panic {
        /// The panic's message.
        message: String,
    },
}

fn listed(advice: &[String]) -> String {
    advice.iter().flat_map(|way| ["; ", way]).collect()
}

/// Result of the engine's functions.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Io`] for `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_owned(),
            source,
        }
    }

    /// An [`Error::Format`] for `path`.
    pub fn format(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Format {
            path: path.as_ref().to_owned(),
            reason: reason.into(),
        }
    }

    /// An [`Error::Shape`].
    pub fn shape(
        what: impl Into<String>,
        required: impl Into<String>,
        actual: impl std::fmt::Debug,
    ) -> Self {
        Self::Shape {
            what: what.into(),
            required: required.into(),
            actual: format!("{actual:?}"),
        }
    }

    /// An [`Error::Weights`] for `path`.
    pub fn weights(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Weights {
            path: path.as_ref().to_owned(),
            reason: reason.into(),
        }
    }

    /// An [`Error::Invalid`].
    pub fn invalid(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid {
            what: what.into(),
            reason: reason.into(),
        }
    }

    /// An [`Error::Hub`].
    pub fn hub(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Hub {
            place: place.into(),
            reason: reason.into(),
        }
    }

    /// True for a cancellation, which is an outcome and no failure.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}
