//! Two hundred damaged copies of every kind of weight file: refused by name, or read as far as they
//! are whole; never a panic, never code.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use one4d_engine::inspect::inspect;
use one4d_engine::job::JobCtx;
use one4d_engine::weight_files::{WeightFiles, pickle, weight_paths};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::weight_files::{floats, gguf, program, random, rebuilt, state, zip};

const COPIES: u64 = 200;

/// A copy with a few bytes changed, cut out, doubled or cut off; every fourth damage falls into the
/// first bytes, where sizes stand.
fn damaged(good: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut bytes = good.to_vec();
    for _ in 0..rng.random_range(1..6) {
        if bytes.is_empty() {
            break;
        }
        let reach = if rng.random_range(0..4) == 0 {
            16.min(bytes.len())
        } else {
            bytes.len()
        };
        let at = rng.random_range(0..reach);
        match rng.random_range(0..8) {
            0 => bytes.truncate(at),
            1 => {
                bytes.remove(at);
            }
            2 => bytes.insert(at, rng.random()),
            3 => {
                let end = (at + rng.random_range(1..64)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            // A digit for a digit keeps JSON whole and changes sizes.
            4 | 5 => {
                let digit = (0..bytes.len()).map(|i| (at + i) % bytes.len());
                if let Some(i) = digit.into_iter().find(|&i| bytes[i].is_ascii_digit()) {
                    bytes[i] = b'0' + rng.random_range(0..10);
                }
            }
            _ => bytes[at] = rng.random(),
        }
    }
    bytes
}

/// Opens, inspects and reads all of a file; what is refused names the file.
fn read_all(path: &Path, named: &str, seed: u64) {
    let refused = |error: one4d_engine::Error| {
        let error = error.to_string();
        assert!(error.contains(named), "seed {seed}: {error}");
    };
    if let Err(error) = inspect(path) {
        refused(error);
    }
    match weight_paths(path).and_then(|paths| WeightFiles::open(&paths)) {
        Err(error) => refused(error),
        Ok(files) => {
            for name in files.names().map(str::to_owned).collect::<Vec<_>>() {
                if let Err(error) = files.load(&name, &Device::Cpu) {
                    // A type or scale that no network has is said of the tensor.
                    let error = error.to_string();
                    assert!(!error.is_empty(), "seed {seed}");
                }
            }
        }
    }
}

/// Reads damaged copies of a file under its name.
fn survive(path: &Path, good: &[u8], named: &str) {
    for seed in 0..COPIES {
        std::fs::write(path, damaged(good, seed)).unwrap();
        read_all(path, named, seed);
    }
    std::fs::write(path, good).unwrap();
    WeightFiles::open(&weight_paths(path).unwrap()).unwrap();
}

fn tensors(names: [&str; 2]) -> Vec<u8> {
    let map: HashMap<&str, Tensor> = [
        (names[0], random(3, &[4, 6])),
        (names[1], random(4, &[5]).to_dtype(DType::BF16).unwrap()),
    ]
    .into();
    safetensors::serialize(&map, None).unwrap()
}

#[test]
fn damaged_safetensors_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.safetensors");
    survive(
        &path,
        &tensors(["a.weight", "b.bias"]),
        "mutant.safetensors",
    );
}

#[test]
fn damaged_scaled_eight_bit_floats_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.safetensors");
    let scale = |shape: &[usize]| random(5, shape);
    let map: HashMap<&str, Tensor> = [
        ("scaled_fp8", scale(&[1])),
        (
            "x.weight",
            random(6, &[4, 8]).to_dtype(DType::F8E4M3).unwrap(),
        ),
        ("x.scale_weight", scale(&[4, 2, 1])),
        (
            "y.weight",
            random(7, &[4, 8]).to_dtype(DType::F8E4M3).unwrap(),
        ),
        ("y.scale_weight", scale(&[1])),
    ]
    .into();
    survive(
        &path,
        &safetensors::serialize(&map, None).unwrap(),
        "mutant.safetensors",
    );
}

#[test]
fn damaged_indices_and_shards_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("one.safetensors"), tensors(["a", "b"])).unwrap();
    std::fs::write(at("two.safetensors"), tensors(["c", "d"])).unwrap();
    let index = at("mutant.safetensors.index.json");
    let text = br#"{"metadata": {"total_size": 212}, "weight_map": {"a": "one.safetensors",
        "b": "one.safetensors", "c": "two.safetensors", "d": "two.safetensors"}}"#;
    for seed in 0..COPIES {
        std::fs::write(&index, damaged(text, seed)).unwrap();
        match weight_paths(&index).and_then(|paths| WeightFiles::open(&paths)) {
            Ok(files) => assert!(files.names().count() <= 4),
            Err(error) => assert!(error.to_string().contains("mutant"), "seed {seed}: {error}"),
        }
    }
}

#[test]
fn damaged_gguf_files_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.gguf");
    let good = gguf(&[
        ("a", vec![2, 3], 0, floats(&random(5, &[2, 3]))),
        (
            "patch_embedding.weight",
            vec![2, 1, 1, 2, 2],
            0,
            floats(&random(6, &[8])),
        ),
        ("b", vec![1, 32], 8, vec![1; 34]),
    ]);
    survive(&path, &good, "mutant.gguf");
}

#[test]
fn damaged_pickles_are_refused_by_name_and_run_nothing() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutant.pth");
    let numbers: Vec<u8> = (0..6).flat_map(|v| (v as f32).to_le_bytes()).collect();
    let pickled = state(&rebuilt(6, &[2, 3], &[3, 1]));
    let good = zip(&[("archive/data.pkl", &pickled), ("archive/data/0", &numbers)]);
    let ctx = JobCtx::silent();
    for seed in 0..COPIES {
        std::fs::write(&path, damaged(&good, seed)).unwrap();
        match pickle::convert(&program, &path, &ctx) {
            Ok(converted) => {
                read_all(&converted, "mutant.pth", seed);
                std::fs::remove_file(converted).unwrap();
            }
            Err(error) => assert!(error.to_string().contains("mutant.pth"), "{seed}: {error}"),
        }
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "seed {seed} left files");
    }
}
