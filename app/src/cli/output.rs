//! Progress for people, JSON for machines; the only place that prints.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress, Warning};
use one4d_engine::worker::{EngineHandle, Event, JobRequest, Outcome, Output};
use one4d_engine::{Error, Result};
use serde_json::Value;

use super::exit;
use crate::widgets::bytes;

/// How often the progress line is renewed.
const REFRESH: Duration = Duration::from_millis(100);

/// Prints what commands report.
pub struct Printer {
    json: bool,
    live: bool,
}

impl Printer {
    /// A printer for people, or for machines with `json`.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            live: !json && std::io::stderr().is_terminal(),
        }
    }

    /// Runs one job on an engine thread, showing progress; the interrupt key cancels it.
    ///
    /// # Errors
    /// The job's own error; [`Error::Cancelled`] if it was cancelled.
    pub fn run_job(&self, request: JobRequest) -> Result<Output> {
        let engine = std::sync::Arc::new(EngineHandle::start(|| {})?);
        let job = engine.submit(request);
        let for_interrupt = std::sync::Arc::downgrade(&engine);
        // A second handler in one process is refused; the first one serves then.
        let _ = ctrlc::set_handler(move || {
            if let Some(engine) = for_interrupt.upgrade() {
                engine.cancel(job);
            }
        });
        let mut line = ProgressLine::default();
        loop {
            let event = engine.wait(REFRESH)?;
            match event {
                Some(Event::Ended { outcome, .. }) => {
                    self.clear_line();
                    return match outcome {
                        Outcome::Done(output) => Ok(output),
                        Outcome::Cancelled => Err(Error::Cancelled),
                        Outcome::Failed(error) => Err(std::sync::Arc::try_unwrap(error)
                            .unwrap_or_else(|shared| Error::Panic {
                                message: shared.to_string(),
                            })),
                    };
                }
                Some(Event::Planned { words, .. }) if !self.json => {
                    self.clear_line();
                    print_error_line(&format!("plan: {words}"));
                }
                Some(Event::Warning { warning, .. }) => {
                    self.clear_line();
                    tracing::warn!("{}", warning.message);
                }
                Some(_) => {}
                None => {
                    if let (true, Some(status)) = (self.live, engine.status()) {
                        line.show(status.progress);
                    }
                }
            }
        }
    }

    /// Runs work on this thread, showing progress; the interrupt key cancels it.
    ///
    /// # Errors
    /// Those of the work.
    pub fn run_here<T>(&self, work: impl FnOnce(&JobCtx) -> Result<T>) -> Result<T> {
        let cancel = CancelToken::default();
        let for_interrupt = cancel.clone();
        // A second handler in one process is refused; the first one serves then.
        let _ = ctrlc::set_handler(move || for_interrupt.cancel());
        let sink = Arc::new(LineSink {
            live: self.live,
            line: Mutex::default(),
        });
        let result = work(&JobCtx::new(cancel, sink));
        self.clear_line();
        result
    }

    /// True where results are for machines.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result and returns its exit code.
    pub fn finish(&self, result: Result<Output>) -> u8 {
        match result {
            Ok(output) => {
                self.print_output(&output);
                match output.report.get("complete").and_then(Value::as_bool) {
                    Some(false) => exit::INCOMPLETE,
                    _ => exit::DONE,
                }
            }
            Err(error) => {
                let code = match error {
                    Error::Cancelled => exit::CANCELLED,
                    Error::Invalid { .. } => exit::WRONG_USE,
                    _ => exit::FAILED,
                };
                if self.json {
                    let report = serde_json::json!({ "error": error.to_string(), "exit": code });
                    print_line(&report.to_string());
                }
                print_error_line(&format!("one4d: {error}"));
                if matches!(error, Error::Memory { .. }) {
                    print_error_line("one4d: a larger --memory insists");
                }
                code
            }
        }
    }

    fn print_output(&self, output: &Output) {
        if self.json {
            print_line(&output.report.to_string());
            return;
        }
        if let Some(text) = output.report.get("text").and_then(|text| text.as_str()) {
            print_line(text.trim_end());
        }
        for file in &output.files {
            print_line(&file.display().to_string());
        }
    }

    fn clear_line(&self) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}

/// Shows a text before a question, and asks it; without a terminal nobody can say yes.
pub(super) fn ask(text: &str, question: &str) -> Option<bool> {
    print_error_line(text);
    let input = std::io::stdin();
    if !input.is_terminal() {
        return None;
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    // An input that ends or cannot be read says no.
    let _ = input.read_line(&mut line);
    Some(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Results go to standard output; a closed pipe is the reader's wish and no failure.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on standard error; whether anybody reads it does not matter.
pub(super) fn print_error_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Shows the progress of work on this thread, at most ten times a second.
struct LineSink {
    live: bool,
    line: Mutex<(ProgressLine, Option<Instant>)>,
}

impl JobSink for LineSink {
    fn progress(&self, progress: Progress) {
        if !self.live {
            return;
        }
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = line.1.is_none_or(|shown| shown.elapsed() >= REFRESH);
        if is_due || progress.done == progress.total {
            line.1 = Some(Instant::now());
            line.0.show(progress);
        }
    }

    fn warn(&self, warning: Warning) {
        if self.live {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
        tracing::warn!("{}", warning.message);
    }
}

/// One line on the terminal: stage, share, time left.
#[derive(Default)]
struct ProgressLine {
    stage_started: Option<(one4d_engine::job::Stage, Instant)>,
}

impl ProgressLine {
    fn show(&mut self, progress: Progress) {
        let started = match self.stage_started {
            Some((stage, started)) if stage == progress.stage => started,
            _ => {
                let now = Instant::now();
                self.stage_started = Some((progress.stage, now));
                now
            }
        };
        let share = progress.done as f64 / progress.total as f64;
        let left = (progress.done > 0)
            .then(|| started.elapsed().as_secs_f64() * (1.0 - share) / share)
            .map(|secs| format!(", {secs:.0} s left"))
            .unwrap_or_default();
        let filled = (share * 24.0).round() as usize;
        let bar: String = (0..24)
            .map(|i| if i < filled { '█' } else { '░' })
            .collect();
        let (done, total) = (progress.done, progress.total);
        let counts = if progress.stage.counts_bytes() {
            format!("{} of {}", bytes(done as u64), bytes(total as u64))
        } else {
            format!("{done}/{total}")
        };
        let label = progress.stage.label();
        let _ = write!(std::io::stderr(), "\r\x1b[2K{label} {bar} {counts}{left}");
        let _ = std::io::stderr().flush();
    }
}
