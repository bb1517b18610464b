//! `parity DIR...`: computes each case and prints the relative error of each output.
//!
//! Ends with 1 if an error exceeds the tolerance, a case cannot be computed, or its class is unknown.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use one4d_tests::parity::{Case, TOLERANCE, cases_in};

fn main() -> ExitCode {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if folders.is_empty() {
        eprintln!("usage: parity DIR...   (case folders, or folders of them)");
        return ExitCode::from(2);
    }
    let mut failures = 0;
    for folder in folders {
        failures += match cases_in(&folder) {
            Ok(cases) => cases.iter().map(|case| report(case)).sum(),
            Err(error) => failed(&folder, &error),
        };
    }
    println!("{failures} failed (tolerance {TOLERANCE:e})");
    ExitCode::from(u8::from(failures > 0))
}

/// Prints one case; returns how much of it failed.
fn report(folder: &Path) -> usize {
    let result = Case::read(folder).and_then(|case| Ok((case.run()?, case.class_name)));
    match result {
        Ok((comparisons, class)) => {
            for comparison in &comparisons {
                let verdict = if comparison.passes() { "ok" } else { "FAIL" };
                println!(
                    "{verdict:4} {:9.2e}  {class} {}  {}",
                    comparison.relative_error,
                    comparison.output,
                    folder.display(),
                );
            }
            comparisons.iter().filter(|c| !c.passes()).count()
        }
        Err(error) => failed(folder, &error),
    }
}

fn failed(folder: &Path, error: &anyhow::Error) -> usize {
    println!("FAIL            {}: {error:#}", folder.display());
    1
}
