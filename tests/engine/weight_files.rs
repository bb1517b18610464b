//! Weight files of every kind: read as what was written, refused by name and reason, never executed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use one4d_engine::Error;
use one4d_engine::nn::{Init, LinearWeight, WeightForm, Weights};
use one4d_engine::weight_files::{GgufFile, WeightFiles, pickle, weight_paths};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const CPU: Device = Device::Cpu;

fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
    flat.to_vec1().unwrap()
}

pub(crate) fn random(seed: u64, shape: &[usize]) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-2.0..2.0)).collect();
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

fn save(path: &Path, tensors: &[(&str, Tensor)]) {
    let map: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| ((*name).to_owned(), tensor.clone()))
        .collect();
    candle_core::safetensors::save(&map, path).unwrap();
}

fn load(files: &WeightFiles, name: &str) -> Vec<f32> {
    values(&files.load(name, &CPU).unwrap().unwrap())
}

/// A weight kept as the file has it, and its values as products with the unit vectors show them.
fn kept(path: &Path, shape: [usize; 2], name: &str) -> (LinearWeight, Vec<f32>) {
    let weights = Weights::from_files(&[path], DType::F32, &CPU).unwrap();
    let weights = weights.in_form(WeightForm::Stored);
    let weight = weights
        .linear_weight(shape, name, Init::Const(0.0))
        .unwrap();
    let unit = Tensor::eye(shape[1], DType::F32, &CPU).unwrap();
    let columns = weight.forward(&unit, None).unwrap(); // [I, O]
    let values = values(&columns.t().unwrap());
    (weight, values)
}

#[test]
fn shards_are_found_by_their_index_and_every_gap_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (a, b) = (random(1, &[2, 3]), random(2, &[4]));
    save(&at("model-00001-of-00002.safetensors"), &[("a", a.clone())]);
    save(&at("model-00002-of-00002.safetensors"), &[("b", b.clone())]);
    let index = at("model.safetensors.index.json");
    let write = |map: &str| std::fs::write(&index, format!("{{\"weight_map\": {map}}}")).unwrap();
    write(r#"{"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}"#);
    for path in [folder.path(), &index] {
        let files = WeightFiles::open(&weight_paths(path).unwrap()).unwrap();
        assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(load(&files, "a"), values(&a));
        assert_eq!(load(&files, "b"), values(&b));
        assert!(files.load("c", &CPU).unwrap().is_none());
    }
    let refused = |map: &str, reasons: &[&str]| {
        write(map);
        let error = weight_paths(folder.path()).unwrap_err().to_string();
        assert!(
            reasons.iter().all(|reason| error.contains(reason)),
            "{error}"
        );
    };
    refused(
        r#"{"a": "model-00001-of-00002.safetensors", "c": "model-00002-of-00002.safetensors", "d": "three.safetensors"}"#,
        &["lacks c", "three.safetensors is missing", "index.json"],
    );
    refused(r#"{"a": "../outside.safetensors"}"#, &["no file name"]);
    refused("{}", &["names no file"]);
    refused("[]", &["no index of shards"]);
    std::fs::remove_file(&index).unwrap();
    assert_eq!(weight_paths(folder.path()).unwrap().len(), 2);
    save(&at("again.safetensors"), &[("a", a)]);
    let paths = weight_paths(folder.path()).unwrap();
    let error = WeightFiles::open(&paths).err().unwrap().to_string();
    assert!(error.contains("a stands in"), "{error}");
}

#[test]
fn scaled_eight_bit_floats_come_back_by_every_convention() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fp8.safetensors");
    // Values that e4m3 holds exactly.
    let codes = [1.0, -0.5, 2.0, 0.25, -3.0, 8.0, 0.0, 1.5];
    let weight = Tensor::from_vec(codes.map(|v| v as f32).to_vec(), (2, 4), &CPU).unwrap();
    let stored = weight.to_dtype(DType::F8E4M3).unwrap();
    let scale = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &CPU).unwrap();
    let cases: [(&[f32], &[usize]); 4] = [
        (&[0.5], &[]),
        (&[0.5], &[1]),
        (&[0.5, 3.0], &[2, 1]),
        (&[0.5, 3.0, 2.0, 4.0], &[2, 2, 1]),
    ];
    for (numbers, shape) in cases {
        save(
            &path,
            &[
                ("scaled_fp8", scale(&[0.0], &[1])),
                ("x.weight", stored.clone()),
                ("x.scale_weight", scale(numbers, shape)),
                ("x.scale_input", scale(&[7.0], &[1])),
                ("y.weight", stored.clone()),
            ],
        );
        let files = WeightFiles::open(&[&path]).unwrap();
        assert_eq!(files.names().collect::<Vec<_>>(), ["x.weight", "y.weight"]);
        let block = 8 / numbers.len();
        let expected: Vec<f32> = values(&weight)
            .chunks(block)
            .zip(numbers)
            .flat_map(|(part, scale)| part.iter().map(move |v| v * scale))
            .collect();
        assert_eq!(load(&files, "x.weight"), expected, "{shape:?}");
        assert_eq!(load(&files, "y.weight"), values(&weight));
        let (weight, products) = kept(&path, [2, 4], "x.weight");
        assert_eq!(products, expected, "{shape:?}");
        assert_eq!(weight.held_bytes(), 8 + 4 * numbers.len() as u64);
        let bytes = files.stored_bytes("x.weight").unwrap();
        assert_eq!((bytes.file, bytes.held), (8, weight.held_bytes()));
        let row = files.load_rows("x.weight", &[1], &CPU).unwrap().unwrap();
        assert_eq!(values(&row), expected[4..]);
    }
    let misfit = scale(&[1.0, 2.0, 3.0], &[3]);
    save(&path, &[("x.weight", stored), ("x.scale_weight", misfit)]);
    let files = WeightFiles::open(&[&path]).unwrap();
    let error = files.load("x.weight", &CPU).unwrap_err().to_string();
    assert!(error.contains("fits neither"), "{error}");
}

/// Writes a GGUF file of version 3.
pub(crate) fn gguf(tensors: &[(&str, Vec<usize>, u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend(2_u64.to_le_bytes());
    text(&mut out, "general.architecture");
    out.extend(8_u32.to_le_bytes());
    text(&mut out, "wan");
    text(&mut out, "tokenizer.ggml.scores");
    out.extend([9_u32, 6].map(u32::to_le_bytes).concat());
    out.extend(3_u64.to_le_bytes());
    out.extend([0; 12]);
    let mut offset = 0_u64;
    for (name, shape, kind, bytes) in tensors {
        text(&mut out, name);
        out.extend((shape.len() as u32).to_le_bytes());
        shape
            .iter()
            .rev()
            .for_each(|&side| out.extend((side as u64).to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += (bytes.len() as u64).next_multiple_of(32);
    }
    for (_, _, _, bytes) in tensors {
        out.resize(out.len().next_multiple_of(32), 0);
        out.extend(bytes);
    }
    out
}

pub(crate) fn floats(tensor: &Tensor) -> Vec<u8> {
    values(tensor)
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect()
}

/// The weight `x` of a file is kept in its blocks, and rows of it are read alone.
fn blocks_stay_blocks(path: &Path, written: &QTensor) {
    let expected = values(&written.dequantize(&CPU).unwrap());
    let (weight, products) = kept(path, [3, 256], "x.weight");
    for (product, value) in products.iter().zip(&expected) {
        // Products may be rounded to bf16.
        let error = (product - value).abs();
        assert!(
            error <= value.abs() / 256.0,
            "{:?}: {product} {value}",
            written.dtype()
        );
    }
    let files = WeightFiles::open(&[path]).unwrap();
    assert_eq!(weight.held_bytes(), written.storage_size_in_bytes() as u64);
    assert_eq!(
        files.stored_bytes("x.weight").unwrap().held,
        weight.held_bytes()
    );
    let rows = files.load_rows("x.weight", &[2, 0], &CPU).unwrap().unwrap();
    assert_eq!(values(&rows), [&expected[512..], &expected[..256]].concat());
    assert!(files.load_rows("x.weight", &[3], &CPU).is_err());
}

#[test]
fn gguf_gives_back_five_axes_and_every_quantised_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let patch = random(3, &[4, 2, 1, 2, 2]);
    let matrix = random(4, &[3, 256]);
    let kinds = [
        (2, GgmlDType::Q4_0, 0.3),
        (3, GgmlDType::Q4_1, 0.2),
        (6, GgmlDType::Q5_0, 0.15),
        (7, GgmlDType::Q5_1, 0.1),
        (8, GgmlDType::Q8_0, 0.02),
        (10, GgmlDType::Q2K, 0.8),
        (11, GgmlDType::Q3K, 0.5),
        (12, GgmlDType::Q4K, 0.2),
        (13, GgmlDType::Q5K, 0.1),
        (14, GgmlDType::Q6K, 0.06),
        (1, GgmlDType::F16, 2e-3),
        (30, GgmlDType::BF16, 1e-2),
    ];
    for (code, kind, tolerance) in kinds {
        let quantised = QTensor::quantize(&matrix, kind).unwrap();
        let entries = [
            (
                "patch_embedding.weight",
                vec![4, 2, 1, 2, 2],
                0,
                floats(&patch),
            ),
            (
                "x.weight",
                vec![3, 256],
                code,
                quantised.data().unwrap().to_vec(),
            ),
        ];
        std::fs::write(&path, gguf(&entries)).unwrap();
        let file = GgufFile::open(&path).unwrap();
        assert_eq!(file.architecture(), Some("wan"));
        let found = one4d_engine::inspect::inspect(&path).unwrap();
        assert_eq!(found.kind, one4d_engine::inspect::Kind::Denoiser);
        assert_eq!(found.parameters, 32 + 768);
        assert!(found.to_string().contains(&format!("{kind:?}")));
        let files = WeightFiles::open(&[&path]).unwrap();
        assert_eq!(
            files.shape("patch_embedding.weight").unwrap(),
            [4, 2, 1, 2, 2]
        );
        assert_eq!(load(&files, "patch_embedding.weight"), values(&patch));
        let expected = values(&quantised.dequantize(&CPU).unwrap());
        let read = load(&files, "x.weight");
        assert_eq!(read, expected, "{kind:?}");
        let worst = read
            .iter()
            .zip(values(&matrix))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst < tolerance, "{kind:?}: {worst}");
        blocks_stay_blocks(&path, &quantised);
    }
    let weights = Weights::from_files(&[&path], DType::F32, &CPU).unwrap();
    weights
        .get(&[3, 256], "x.weight", Init::Const(0.0))
        .unwrap();
    let error = weights.finish().unwrap_err().to_string();
    assert!(
        error.contains("patch_embedding.weight is unexpected"),
        "{error}"
    );
}

#[test]
fn damaged_gguf_files_are_refused_and_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let good = gguf(&[
        ("a", vec![2, 3], 0, floats(&random(5, &[2, 3]))),
        ("b", vec![1, 32], 8, vec![1; 34]),
    ]);
    let refused = |bytes: &[u8], reason: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = WeightFiles::open(&[&path]).err().unwrap();
        assert!(matches!(error, Error::Format { .. }), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(reason) && error.contains("model.gguf"),
            "{error}"
        );
    };
    let patched = |at: usize, bytes: &[u8]| {
        let mut copy = good.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        copy
    };
    refused(&good[..good.len() - 1], "past the end");
    refused(&good[..40], "within its header");
    refused(&patched(4, &9_u32.to_le_bytes()), "version 9");
    refused(&patched(8, &u64::MAX.to_le_bytes()), "claims");
    let named = good
        .windows(9)
        .position(|w| w[8] == b'a' && w[0] == 1)
        .unwrap();
    refused(&patched(named + 9, &99_u32.to_le_bytes()), "99 axes");
    refused(&patched(named + 13, &u64::MAX.to_le_bytes()), "a [");
    refused(
        &patched(named + 29, &77_u32.to_le_bytes()),
        "unknown type 77",
    );
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        bytes.truncate(rng.random_range(bytes.len() / 2..=bytes.len()));
        std::fs::write(&path, bytes).unwrap();
        if let Ok(files) = WeightFiles::open(&[&path]) {
            for name in files.names().map(str::to_owned).collect::<Vec<_>>() {
                let _ = files.load(&name, &CPU);
            }
        }
    }
}

/// The program, if it lies beside the tests.
pub(crate) fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let built = tests.parent()?.parent()?.join("one4d");
    if built.is_file() {
        return Some(built);
    }
    one4d_tests::readers::skip("the program is not built beside the tests");
    None
}

/// A zip of stored entries, as torch writes them.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| {
                (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
            })
        })
    };
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let start = out.len() as u32;
        let mut common = Vec::new();
        for half in [20_u16, 0, 0, 0, 0] {
            common.extend(half.to_le_bytes());
        }
        let length = bytes.len() as u32;
        for word in [crc(bytes), length, length] {
            common.extend(word.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0; 2]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(name.as_bytes());
        out.extend(*bytes);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(start.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, start) = (entries.len() as u16, out.len() as u32);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].map(u16::to_le_bytes).concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// Opcodes of `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, {})`.
pub(crate) fn rebuilt(count: u32, size: &[u32], stride: &[u32]) -> Vec<u8> {
    let int = |v: u32| [&b"J"[..], &v.to_le_bytes()].concat();
    let tuple = |numbers: &[u32]| {
        let parts: Vec<u8> = numbers.iter().flat_map(|&v| int(v)).collect();
        [&b"("[..], &parts, b"t"].concat()
    };
    let mut out = b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    out.extend(b"X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu");
    out.extend(int(count));
    out.extend(b"tQ");
    out.extend(int(0));
    out.extend(tuple(size));
    out.extend(tuple(stride));
    // No gradient, no hooks.
    out.extend(b"\x89}tR");
    out
}

/// A pickle of `{"w": value}`.
pub(crate) fn state(value: &[u8]) -> Vec<u8> {
    [&b"\x80\x02}X\x01\0\0\0w"[..], value, b"s."].concat()
}

#[test]
fn a_pickle_becomes_safetensors_once() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vae.pth");
    let numbers: Vec<u8> = (0..6).flat_map(|v| (v as f32).to_le_bytes()).collect();
    // A file of somebody else's with the same stem is neither taken nor touched.
    let neighbour = folder.path().join("vae.safetensors");
    std::fs::write(&neighbour, b"mine").unwrap();
    let plain = state(&rebuilt(6, &[2, 3], &[3, 1]));
    let wrapped = [
        &b"\x80\x02}X\x0b\0\0\0model_state}X\x01\0\0\0w"[..],
        &rebuilt(6, &[2, 3], &[3, 1]),
        b"ss.",
    ]
    .concat();
    for pickled in [plain, wrapped] {
        let _ = std::fs::remove_file(pickle::converted_path(&path));
        let bytes = zip(&[("archive/data.pkl", &pickled), ("archive/data/0", &numbers)]);
        std::fs::write(&path, bytes).unwrap();
        let error = WeightFiles::open(&[&path]).err().unwrap().to_string();
        assert!(error.contains("models convert"), "{error}");
        let ctx = one4d_engine::job::JobCtx::silent();
        let converted = pickle::convert(&program, &path, &ctx).unwrap();
        let files = WeightFiles::open(&[&converted]).unwrap();
        assert_eq!(std::fs::read(&neighbour).unwrap(), b"mine");
        assert_eq!(files.shape("w").unwrap(), [2, 3]);
        assert_eq!(load(&files, "w"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let made = std::fs::metadata(&converted).unwrap().modified().unwrap();
        pickle::convert(&program, &path, &ctx).unwrap();
        assert_eq!(
            std::fs::metadata(&converted).unwrap().modified().unwrap(),
            made
        );
    }
}

#[test]
fn a_tensor_by_itself_is_converted_under_its_files_name() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("learnable_domain_embeddings.pt");
    let numbers: Vec<u8> = (0..8).flat_map(|v| (v as f32).to_le_bytes()).collect();
    // A view that begins two values into its storage, bare and as a parameter.
    let tensor = rebuilt(8, &[2, 3], &[3, 1]);
    let offset = tensor.windows(5).position(|w| w == b"QJ\0\0\0").unwrap();
    let mut shifted = tensor.clone();
    shifted[offset + 2] = 2;
    let parameter = [
        &b"ctorch._utils\n_rebuild_parameter\n("[..],
        &shifted,
        b"\x89}tR",
    ]
    .concat();
    for value in [shifted, parameter] {
        let pickled = [&b"\x80\x02"[..], &value, b"."].concat();
        let bytes = zip(&[("archive/data.pkl", &pickled), ("archive/data/0", &numbers)]);
        std::fs::write(&path, bytes).unwrap();
        let converted =
            pickle::convert(&program, &path, &one4d_engine::job::JobCtx::silent()).unwrap();
        let files = WeightFiles::open(&[&converted]).unwrap();
        assert_eq!(files.shape("learnable_domain_embeddings").unwrap(), [2, 3]);
        let values = load(&files, "learnable_domain_embeddings");
        assert_eq!(values, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        std::fs::remove_file(converted).unwrap();
    }
}

#[test]
fn hostile_pickles_leave_the_parent_alive_and_no_file() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.pth");
    let mark = folder.path().join("executed");
    let command = format!("touch {}", mark.display());
    let execute = [
        &b"\x80\x02cposix\nsystem\n(X"[..],
        &(command.len() as u32).to_le_bytes(),
        command.as_bytes(),
        b"tR.",
    ]
    .concat();
    let nested = [
        &b"\x80\x02"[..],
        &b"(".repeat(300_000),
        &b"t".repeat(300_000),
        b".",
    ]
    .concat();
    let long = [&b"\x80\x02\x8a\xff"[..], &[1; 255], b"."].concat();
    let text = [&b"\x80\x02\x8d"[..], &u64::MAX.to_le_bytes(), b"."].concat();
    let cases: [(&str, Vec<u8>); 11] = [
        ("code", execute),
        (
            "one argument",
            state(b"ctorch._utils\n_rebuild_tensor_v2\n(Ntr\0\0\0\0R"),
        ),
        ("long", long),
        ("nested", nested),
        (
            "huge sides",
            state(&rebuilt(1, &[2_000_000_000, 2_000_000_000], &[1, 1])),
        ),
        (
            "forty gigabytes",
            state(&rebuilt(4, &[1_000_000, 10_000], &[10_000, 1])),
        ),
        ("more than stored", state(&rebuilt(4, &[16], &[1]))),
        ("text", text),
        ("memo", b"\x80\x02h\x07.".to_vec()),
        ("cut", state(&rebuilt(4, &[2, 2], &[2, 1]))[..40].to_vec()),
        ("empty", b"\x80\x02}.".to_vec()),
    ];
    let ctx = one4d_engine::job::JobCtx::silent();
    let mut archives: Vec<(String, Vec<u8>)> = cases
        .iter()
        .map(|(name, pickled)| {
            let bytes = zip(&[("archive/data.pkl", pickled), ("archive/data/0", &[0; 16])]);
            ((*name).to_owned(), bytes)
        })
        .collect();
    let good = zip(&[
        ("archive/data.pkl", &state(&rebuilt(4, &[2, 2], &[2, 1]))),
        ("archive/data/0", &[0; 16]),
    ]);
    archives.push(("no zip".to_owned(), good[..good.len() / 2].to_vec()));
    for (name, bytes) in archives {
        std::fs::write(&path, bytes).unwrap();
        let error = pickle::convert(&program, &path, &ctx).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{name}: {error}");
        assert!(error.to_string().contains("hostile.pth"), "{name}: {error}");
        assert!(!mark.exists(), "{name} was executed");
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 1, "{name} left files");
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_without_waiting_for_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        one4d_tests::readers::skip("mkfifo is missing");
        return;
    }
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = pipe.clone();
    let look = move || {
        let weights = WeightFiles::open(&[&path]).err().unwrap().to_string();
        let inspected = one4d_engine::inspect::inspect(&path)
            .unwrap_err()
            .to_string();
        sender.send([weights, inspected]).unwrap();
    };
    std::thread::Builder::new().spawn(look).unwrap();
    let errors = receiver.recv_timeout(std::time::Duration::from_secs(10));
    for error in errors.expect("opening a pipe hangs") {
        assert!(error.contains("not a regular file"), "{error}");
    }
}
