//! With the feature `cuda`, compiles `kernels/*.cu` to PTX, which the driver translates for the card.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Stems of the sources, each that of its reference in `src/kernels`.
const SOURCES: [&str; 6] = [
    "activation",
    "attention",
    "causal_conv3d",
    "modulate",
    "norm",
    "rope",
];

/// The oldest cards that have the instructions of the kernels (Ampere); PTX runs on all later ones.
const ARCHITECTURE: &str = "compute_80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in ["NVCC", "CUDA_HOME", "CUDA_PATH", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let nvcc = nvcc();
    println!(
        "cargo::rerun-if-changed={}",
        kernels.join("device.cuh").display()
    );
    for stem in SOURCES {
        let source = kernels.join(stem).with_extension("cu");
        println!("cargo::rerun-if-changed={}", source.display());
        compile(
            &nvcc,
            &kernels,
            &source,
            &out.join(stem).with_extension("ptx"),
        );
    }
}

/// `NVCC`, the one in a toolkit that the environment names, the usual place, or what PATH has.
fn nvcc() -> PathBuf {
    if let Some(named) = std::env::var_os("NVCC") {
        return named.into();
    }
    let toolkits = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .filter_map(std::env::var_os)
        .map(PathBuf::from)
        .chain([PathBuf::from("/usr/local/cuda")]);
    toolkits
        .map(|toolkit| toolkit.join("bin/nvcc"))
        .find(|nvcc| nvcc.is_file())
        .unwrap_or_else(|| PathBuf::from("nvcc"))
}

fn compile(nvcc: &Path, include: &Path, source: &Path, ptx: &Path) {
    let mut command = Command::new(nvcc);
    command
        .args(["-std=c++17", "-O3", "-ptx", "-arch", ARCHITECTURE, "-I"])
        .arg(include)
        .arg("-o")
        .args([ptx, source]);
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "the feature `cuda` needs NVIDIA's compiler, and {} does not start ({error}). Install the \
             CUDA toolkit, 12.0 or later, and put `nvcc` on PATH or set CUDA_HOME; or build without \
             the feature",
            nvcc.display()
        )
    });
    assert!(
        output.status.success(),
        "{} does not compile:\n{}",
        source.display(),
        String::from_utf8_lossy(&output.stderr)
    );
}
