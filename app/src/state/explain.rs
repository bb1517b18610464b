//! Turns an engine error into what a person needs: what happened, why, and the one thing that mends it.

use std::io::ErrorKind;
use std::path::Path;

use one4d_engine::Error;
use one4d_engine::worker::{JobId, JobRequest};

use super::command::{Action, AppCommand, CreateEdit, JobEdit, Pick};
use super::file_name;
use super::jobs::Failure;
use super::loras::LoraEdit;
use super::notices::{Notice, Severity};

/// The notice for a job that failed.
pub fn notice(job: JobId, request: &JobRequest, error: &Error) -> Notice {
    let failure = failure(request, error);
    let mut notice = Notice::new(Severity::Error, failure.title, failure.cause);
    notice.details = Some(failure.details);
    notice.remedy = Some(remedy(job, request, error));
    notice
}

/// The words for a job that failed.
pub fn failure(request: &JobRequest, error: &Error) -> Failure {
    let (title, cause) = words(request, error);
    Failure {
        title,
        cause,
        details: format!("{error}\n\n{error:#?}\n\nJob: {request:#?}"),
    }
}

fn words(request: &JobRequest, error: &Error) -> (String, String) {
    let doing = doing(request);
    match error {
        Error::Io { path, source } => io_words(path, source),
        Error::Weights { path, reason } | Error::Format { path, reason }
            if lora_of(request, path).is_some() =>
        {
            let title = format!("{} does not fit the model", file_name(path));
            (title, format!("{}: {reason}", path.display()))
        }
        Error::Format { path, reason } => (
            format!("{} cannot be read", file_name(path)),
            format!("{}: {reason}", path.display()),
        ),
        Error::Weights { path, reason } => (
            "The model's weights cannot be used".to_owned(),
            format!("{}: {reason}", path.display()),
        ),
        Error::Limit {
            what,
            required,
            available,
        } => (
            format!("Not enough {what}"),
            format!("{doing} needs {required}, and {available} is there. Fewer frames need less."),
        ),
        Error::Memory {
            model,
            required,
            available,
            advice,
            ..
        } => {
            let ways = match advice.as_slice() {
                [] => String::new(),
                some => format!(" {}.", some.join("; ")),
            };
            let words = format!("{model} needs {required}, and {available} is free.{ways}");
            ("Not enough memory".to_owned(), words)
        }
        Error::NonFinite { stage, .. } => (
            "The model lost its way".to_owned(),
            format!(
                "{stage} gave values that are not numbers. Another seed or a lower guidance usually helps."
            ),
        ),
        Error::Invalid { what, reason } => (
            format!("{doing} is not possible"),
            format!("{what}: {reason}"),
        ),
        Error::Shape {
            what,
            required,
            actual,
        } => (
            format!("{doing} is not possible"),
            format!("{what} should be {required} and is {actual}."),
        ),
        Error::Tensor(inner) if is_out_of_memory(&inner.to_string()) => (
            "Out of memory".to_owned(),
            format!("{doing} needs more memory than the device has left. Fewer frames need less."),
        ),
        Error::Tensor(_) => (
            format!("{doing} failed"),
            "A computation inside the model failed. The details say which.".to_owned(),
        ),
        Error::Panic { .. } => (
            format!("{doing} failed"),
            "The engine met a fault of its own and went on. Your inputs are untouched.".to_owned(),
        ),
        other => (format!("{doing} failed"), other.to_string()),
    }
}

fn io_words(path: &Path, source: &std::io::Error) -> (String, String) {
    let name = file_name(path);
    let title = match source.kind() {
        ErrorKind::NotFound => format!("{name} is not there"),
        ErrorKind::PermissionDenied => format!("No permission for {name}"),
        ErrorKind::StorageFull => "The disk is full".to_owned(),
        ErrorKind::ReadOnlyFilesystem => format!("{name} lies on a read-only disk"),
        _ => format!("{name} cannot be used"),
    };
    (title, format!("{}: {source}", path.display()))
}

fn doing(request: &JobRequest) -> &'static str {
    match request {
        JobRequest::Generate { .. } => "Generating the scene",
        JobRequest::Open(_) => "Opening the scene",
        JobRequest::Import { .. } => "Importing",
        JobRequest::Export(_) => "Exporting",
        JobRequest::FindMotion(_) => "Finding what moves",
        JobRequest::Join(_) => "Joining scenes",
        JobRequest::Train(_) => "Training",
        JobRequest::EvalSynthetic(_) | JobRequest::EvalBenchmark(_) => "Evaluating",
        JobRequest::CheckDataset(_) => "Checking the data set",
        JobRequest::Inspect(_) => "Inspecting the file",
        JobRequest::Render(_) => "Rendering scenes",
    }
}

/// The path, if it is that of a LoRA file of the request.
fn lora_of<'a>(request: &JobRequest, path: &'a Path) -> Option<&'a Path> {
    let JobRequest::Generate { request, .. } = request else {
        return None;
    };
    let is_one = request.loras.iter().any(|lora| lora.path == path);
    is_one.then_some(path)
}

fn is_out_of_memory(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("out of memory") || message.contains("out_of_memory")
}

fn remedy(job: JobId, request: &JobRequest, error: &Error) -> (String, AppCommand) {
    let fewer_frames = |fitting: Option<usize>| {
        let frames = match request {
            JobRequest::Generate { request, .. } => request.frames.unwrap_or(17),
            _ => 17,
        };
        let half = super::create::nearest_clip_length(frames / 2).max(5);
        let frames = fitting.unwrap_or(half);
        (
            format!("Use {frames} frames"),
            AppCommand::Create(CreateEdit::Frames(frames)),
        )
    };
    if let Error::Weights { path, .. } | Error::Format { path, .. } | Error::Io { path, .. } = error
        && let Some(path) = lora_of(request, path)
    {
        let edit = CreateEdit::Lora(path.to_owned(), LoraEdit::On(false));
        return ("Leave it out".to_owned(), AppCommand::Create(edit));
    }
    match (error, request) {
        (Error::Weights { .. }, _) => ("Choose a model…".to_owned(), AppCommand::Pick(Pick::Model)),
        (Error::Memory { frames, .. }, _) if frames.is_some() => fewer_frames(*frames),
        (Error::Memory { .. }, _) => (
            "Choose a smaller model…".to_owned(),
            AppCommand::Pick(Pick::Model),
        ),
        (Error::Limit { .. }, JobRequest::Generate { .. }) => fewer_frames(None),
        (Error::Tensor(inner), JobRequest::Generate { .. })
            if is_out_of_memory(&inner.to_string()) =>
        {
            fewer_frames(None)
        }
        (Error::NonFinite { .. }, _) => (
            "Draw another seed".to_owned(),
            AppCommand::Create(CreateEdit::RollSeed),
        ),
        (_, JobRequest::Open(_)) => ("Open another…".to_owned(), AppCommand::Act(Action::Open)),
        (Error::Io { .. }, JobRequest::Export(_)) => (
            "Choose another folder…".to_owned(),
            AppCommand::Pick(Pick::ExportFolder),
        ),
        _ => ("Try again".to_owned(), AppCommand::Job(job, JobEdit::Retry)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use one4d_engine::pipeline::Request;

    fn generate() -> JobRequest {
        JobRequest::Generate {
            request: Request {
                frames: Some(17),
                ..Request::default()
            },
            out: None,
        }
    }

    #[test]
    fn a_notice_names_the_file_and_the_reason() {
        let request = JobRequest::Open("/data/broken.one4d".into());
        let error = Error::format("/data/broken.one4d", "truncated after 12 bytes");
        let notice = notice(JobId(3), &request, &error);
        assert_eq!(notice.title, "broken.one4d cannot be read");
        assert!(notice.body.contains("truncated after 12 bytes"));
        assert_eq!(notice.remedy.unwrap().1, AppCommand::Act(Action::Open));
    }

    #[test]
    fn memory_errors_offer_fewer_frames() {
        let limit = Error::Limit {
            what: "memory".into(),
            required: "9 GiB".into(),
            available: "4 GiB".into(),
        };
        let notice = notice(JobId(1), &generate(), &limit);
        assert_eq!(
            notice.remedy.unwrap().1,
            AppCommand::Create(CreateEdit::Frames(9))
        );
        let plan = Error::Memory {
            model: "14B".into(),
            required: "97 GB".into(),
            available: "20 GB".into(),
            advice: vec!["13 frames fit".into()],
            frames: Some(13),
        };
        let notice = super::notice(JobId(1), &generate(), &plan);
        assert_eq!(notice.title, "Not enough memory");
        assert_eq!(
            notice.body,
            "14B needs 97 GB, and 20 GB is free. 13 frames fit."
        );
        assert_eq!(
            notice.remedy.unwrap().1,
            AppCommand::Create(CreateEdit::Frames(13))
        );
        assert!(is_out_of_memory("DriverError(CUDA_ERROR_OUT_OF_MEMORY)"));
        assert!(!is_out_of_memory("shape mismatch"));
    }

    #[test]
    fn a_lora_file_that_fails_is_named_and_can_be_left_out() {
        let path = std::path::PathBuf::from("/loras/style.safetensors");
        let request = JobRequest::Generate {
            request: Request {
                loras: vec![one4d_engine::pipeline::LoraChoice {
                    path: path.clone(),
                    strength: 1.0,
                }],
                ..Request::default()
            },
            out: None,
        };
        let notice = notice(JobId(1), &request, &Error::weights(&path, "x fits nothing"));
        assert_eq!(notice.title, "style.safetensors does not fit the model");
        let edit = CreateEdit::Lora(path, LoraEdit::On(false));
        assert_eq!(notice.remedy.unwrap().1, AppCommand::Create(edit));
    }

    #[test]
    fn missing_weights_offer_to_choose_a_model() {
        let error = Error::weights("/models/mini", "file `base.safetensors` is missing");
        let notice = notice(JobId(1), &generate(), &error);
        assert_eq!(notice.remedy.unwrap().1, AppCommand::Pick(Pick::Model));
        assert!(notice.body.contains("base.safetensors"));
    }
}
