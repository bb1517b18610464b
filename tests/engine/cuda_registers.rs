//! Test: every kernel translates for the cards it is written for, and keeps its values in registers.

use std::process::Command;

use one4d_tests::emulation::kernels_dir;

const SOURCES: [&str; 6] = [
    "activation",
    "attention",
    "causal_conv3d",
    "modulate",
    "norm",
    "rope",
];

/// `nvcc` of the toolkit that the environment names, or on PATH, if it starts.
fn nvcc() -> Option<String> {
    let named = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(|name| Some(format!("{}/bin/nvcc", std::env::var(name).ok()?)));
    named
        .chain(["nvcc".to_owned()])
        .find(|nvcc| Command::new(nvcc).arg("--version").output().is_ok())
}

/// What ptxas says of every kernel of a source: name, registers, bytes spilled.
fn translate(nvcc: &str, stem: &str, architecture: &str) -> Vec<(String, u32, u32)> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(nvcc)
        .args([
            "-std=c++17",
            "-O3",
            "-cubin",
            "-Xptxas",
            "-v",
            "-arch",
            architecture,
        ])
        .arg("-o")
        .arg(folder.path().join("kernel.cubin"))
        .arg(kernels_dir().join(stem).with_extension("cu"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stem} for {architecture}: {text}");
    let number_before = |line: &str, word: &str| -> Option<u32> {
        let (before, _) = line.split_once(word)?;
        before.split_whitespace().next_back()?.parse().ok()
    };
    let (mut kernels, mut name, mut spilled) = (Vec::new(), String::new(), 0);
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            name = rest.split('\'').next().unwrap_or_default().to_owned();
        }
        if let Some(bytes) = number_before(line, " bytes spill stores") {
            spilled = bytes;
        }
        if let Some(registers) = number_before(line, " registers") {
            kernels.push((name.clone(), registers, spilled));
        }
    }
    kernels
}

#[test]
fn kernels_translate_for_ampere_and_hopper_without_spilling() {
    let Some(nvcc) = nvcc() else {
        eprintln!("skipped: there is no nvcc to translate CUDA kernels with");
        return;
    };
    for stem in SOURCES {
        let entry_points = std::fs::read_to_string(kernels_dir().join(stem).with_extension("cu"))
            .unwrap()
            .lines()
            // Every line that names a kernel of a type; the macro itself starts with `#define`.
            .filter(|line| {
                line.contains('(') && line.ends_with(')') && !line.starts_with(['#', ' ', '/'])
            })
            .count();
        for architecture in ["sm_80", "sm_90"] {
            let kernels = translate(&nvcc, stem, architecture);
            assert_eq!(kernels.len(), entry_points, "{stem} for {architecture}");
            for (name, registers, spilled) in kernels {
                println!("{architecture} {name}: {registers} registers");
                assert_eq!(spilled, 0, "{name} spills for {architecture}");
            }
        }
    }
}
