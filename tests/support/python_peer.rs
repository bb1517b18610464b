//! A Python process beside a benchmark that runs a case when told its name and answers with seconds.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The other side of a comparison.
pub struct PythonPeer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it said of itself: versions and device.
    pub greeting: String,
}

impl PythonPeer {
    /// Starts `benches/{script}`; `None` if it ends before it says anything, its reason on standard
    /// error.
    pub fn start(python: &str, script: &str) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("benches")
            .join(script);
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let (input, output) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let mut peer = Self {
            child,
            input,
            output,
            greeting: String::new(),
        };
        peer.greeting = peer.line()?;
        Some(peer)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim().to_owned())
    }

    /// Seconds of one run of a case; `None` if it cannot run it.
    pub fn seconds(&mut self, case: &str) -> Option<f64> {
        writeln!(self.input, "{case}").ok()?;
        self.line()?.parse().ok()
    }
}

impl Drop for PythonPeer {
    fn drop(&mut self) {
        // It only ends when its input does, which is held here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
