//! Reference readers that a test may use where they are installed: Python packages, npm modules.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a Python script with arguments and returns what it printed.
///
/// Prints `skipped: ...` and returns `None` where Python or one of `packages` is missing.
///
/// # Panics
/// If the script itself fails, which fails the test.
pub fn python(packages: &[&str], script: &str, args: &[&Path]) -> Option<String> {
    let python = interpreter()?;
    let imports = format!("import {}", packages.join(", "));
    let ready = Command::new(&python).args(["-c", &imports]).output().ok()?;
    if !ready.status.success() {
        skip(&format!("Python has no {}", packages.join(", ")));
        return None;
    }
    let output = Command::new(&python)
        .args(["-c", script])
        .args(args)
        .output()
        .ok()?;
    assert!(
        output.status.success(),
        "python: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a Node script that may `require` an npm module, and returns what it printed.
///
/// The module is looked for in `NODE_PATH` and in `readers/node_modules` under the target folder.
///
/// # Panics
/// If the script itself fails.
pub fn node(module: &str, script: &str, args: &[&Path]) -> Option<String> {
    let run = |script: &str, args: &[&Path]| {
        let mut command = Command::new("node");
        if let Some(paths) = node_path() {
            command.env("NODE_PATH", paths);
        }
        command.args(["-e", script, "--"]).args(args).output().ok()
    };
    let found = run(&format!("require.resolve('{module}')"), &[]);
    if !found.is_some_and(|output| output.status.success()) {
        skip(&format!("node or the module {module} is missing"));
        return None;
    }
    let output = run(script, args)?;
    assert!(
        output.status.success(),
        "node: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// True if `ffmpeg` answers; prints `skipped: ...` where it does not.
pub fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !found {
        skip("ffmpeg is missing");
    }
    found
}

/// Says why a test did not run.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

fn interpreter() -> Option<PathBuf> {
    let local = target_folder().join("readers/venv/bin/python3");
    let candidates = [local, PathBuf::from("python3"), PathBuf::from("python")];
    let found = candidates.into_iter().find(|python| {
        let answer = Command::new(python).arg("--version").output();
        answer.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        skip("Python is missing");
    }
    found
}

fn node_path() -> Option<std::ffi::OsString> {
    let local = target_folder().join("readers/node_modules");
    let given = std::env::var_os("NODE_PATH");
    let paths = given.as_deref().map(OsStr::to_owned).into_iter();
    std::env::join_paths(
        paths
            .flat_map(|paths| std::env::split_paths(&paths).collect::<Vec<_>>())
            .chain([local]),
    )
    .ok()
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    )
}
