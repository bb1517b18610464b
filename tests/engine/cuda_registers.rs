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

/// The cards that the sources are translated for: Ampere, Ada, Hopper.
const CARDS: [&str; 3] = ["sm_80", "sm_89", "sm_90"];

/// What ptxas says of a kernel on a card.
struct Translated {
    name: String,
    registers: u32,
    spilled_bytes: u32,
}

/// Translates a source as the build and the driver do, by way of PTX for Ampere.
fn translate(nvcc: &str, stem: &str) -> Vec<Translated> {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(nvcc)
        .args(["-std=c++17", "-O3", "-fatbin", "-Xptxas", "-v", "-gencode"])
        .arg(format!("arch=compute_80,code=[{}]", CARDS.join(",")))
        .arg("-o")
        .arg(folder.path().join("kernels.fatbin"))
        .arg(kernels_dir().join(stem).with_extension("cu"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stem}: {text}");
    let number_before = |line: &str, word: &str| -> Option<u32> {
        let (before, _) = line.split_once(word)?;
        before.split_whitespace().next_back()?.parse().ok()
    };
    let (mut kernels, mut name, mut spilled_bytes) = (Vec::new(), String::new(), 0);
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function ") {
            name = rest.replace('\'', "");
        }
        if let Some(bytes) = number_before(line, " bytes spill stores") {
            spilled_bytes = bytes;
        }
        if let Some(registers) = number_before(line, " registers") {
            kernels.push(Translated {
                name: name.clone(),
                registers,
                spilled_bytes,
            });
        }
    }
    kernels
}

/// Entry points of a source: lines that begin with a macro in capitals and end it.
fn entry_points(stem: &str) -> usize {
    let source = std::fs::read_to_string(kernels_dir().join(stem).with_extension("cu")).unwrap();
    let starts = |line: &&str| line.starts_with(|c: char| c.is_ascii_uppercase());
    source
        .lines()
        .filter(starts)
        .filter(|line| line.ends_with(')'))
        .count()
}

#[test]
fn kernels_translate_for_ampere_ada_and_hopper_without_spilling() {
    let Some(nvcc) = nvcc() else {
        eprintln!("skipped: there is no nvcc to translate CUDA kernels with");
        return;
    };
    for stem in SOURCES {
        let kernels = translate(&nvcc, stem);
        assert!(entry_points(stem) > 0, "{stem}");
        assert_eq!(kernels.len(), entry_points(stem) * CARDS.len(), "{stem}");
        for kernel in kernels {
            println!("{}: {} registers", kernel.name, kernel.registers);
            assert_eq!(kernel.spilled_bytes, 0, "{} spills", kernel.name);
        }
    }
}
