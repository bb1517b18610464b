//! Progress for people, JSON for machines; the only place that prints.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use one4d_engine::job::Progress;
use one4d_engine::worker::{EngineHandle, Event, JobRequest, Outcome, Output};
use one4d_engine::{Error, Result};

use super::exit;

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

    /// Prints a result and returns its exit code.
    pub fn finish(&self, result: Result<Output>) -> u8 {
        match result {
            Ok(output) => {
                self.print_output(&output);
                exit::DONE
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

/// Results go to standard output; a closed pipe is the reader's wish and no failure.
fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on standard error; whether anybody reads it does not matter.
pub(super) fn print_error_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
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
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[2K{} {bar} {}/{}{left}",
            progress.stage.label(),
            progress.done,
            progress.total
        );
        let _ = std::io::stderr().flush();
    }
}
