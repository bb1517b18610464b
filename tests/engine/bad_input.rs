//! Bad input: each kind is a clear error that names the file and the reason; no panic, and nothing
//! partial under a final name.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use candle_core::{DType, Device};
use image::{Rgb, RgbImage};
use one4d_engine::atomic_file::AtomicFile;
use one4d_engine::inspect::inspect;
use one4d_engine::job::JobCtx;
use one4d_engine::media::{ClipRequest, Sampling, load_image, load_video, probe};
use one4d_engine::nn::{Init, Weights};
use one4d_engine::pipeline::BundleManifest;
use one4d_engine::worker::{ExportFormat, ExportRequest};
use one4d_engine::{Error, Result, export, scene};
use one4d_tests::readers;
use serde_json::{Value, json};

use crate::scene_file::sample_scene;

const PATTERN: &[u8] = include_bytes!("../golden/pattern.mp4");

/// A folder for one test, and the means to fill it.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn image(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        let noise = |x: u32, y: u32| (x * 37 + y * 91 + x * y * 13) as u8;
        RgbImage::from_fn(64, 48, |x, y| Rgb([noise(x, y), noise(y, x), 7]))
            .save(&path)
            .unwrap();
        std::fs::read(&path).unwrap()
    }

    fn scene(&self) -> Vec<u8> {
        let path = self.path("good.one4d");
        sample_scene().save(&path).unwrap();
        std::fs::read(&path).unwrap()
    }
}

/// The error of a file must name the file and every one of the reasons.
fn refused<T>(path: &Path, outcome: Result<T>, reasons: &[&str]) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let Err(error) = outcome else {
        panic!("{name} was accepted");
    };
    let message = error.to_string();
    for part in reasons.iter().copied().chain([name.as_str()]) {
        assert!(
            message.contains(part),
            "{name}: {part:?} not in {message:?}"
        );
    }
    assert!(!message.contains("panic"), "{message}");
}

#[test]
fn bad_images_are_refused_by_name_and_reason() {
    let bench = Bench::new();
    let (png, jpg) = (bench.image("good.png"), bench.image("good.jpg"));
    let (webp, bmp) = (bench.image("good.webp"), bench.image("good.bmp"));
    let mut bad_sum = png.clone();
    let middle = bad_sum.len() / 2;
    bad_sum[middle] ^= 0xff;
    let tiny = bench.path("tiny.png");
    RgbImage::new(1, 1).save(&tiny).unwrap();
    let cases: [(&str, &[u8], &[&str]); 9] = [
        ("empty.png", b"", &["empty"]),
        ("text.png", b"hello, I am a text", &["no image"]),
        ("cut.png", &png[..png.len() / 2], &["truncated"]),
        ("cut.jpg", &jpg[..jpg.len() / 2], &["truncated"]),
        ("cut.webp", &webp[..webp.len() / 2], &["image"]),
        ("cut.bmp", &bmp[..bmp.len() / 2], &["truncated"]),
        ("sum.png", &bad_sum, &["damaged"]),
        (
            "huge.png",
            &png_header(20_000, 20_000),
            &["20000 x 20000", "16384"],
        ),
        ("video.png", PATTERN, &["is a video"]),
    ];
    for (name, bytes, reasons) in cases {
        let path = bench.file(name, bytes);
        refused(&path, load_image(&path), reasons);
    }
    refused(&tiny, load_image(&tiny), &["1 x 1", "at least 16"]);
    let missing = bench.path("missing.png");
    refused(&missing, load_image(&missing), &["No such file"]);
    let folder = bench.path("folder.png");
    std::fs::create_dir(&folder).unwrap();
    refused(&folder, load_image(&folder), &["folder"]);
}

/// A PNG of which nothing but the header is there.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut body = b"IHDR".to_vec();
    body.extend(width.to_be_bytes());
    body.extend(height.to_be_bytes());
    body.extend([8, 2, 0, 0, 0]);
    let crc = !body.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    png.extend(body);
    png.extend(crc.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT");
    png
}

fn clip(path: &Path) -> Result<()> {
    let request = ClipRequest {
        frames: 5,
        sampling: Sampling::Even,
        size: None,
    };
    load_video(path, &request, &JobCtx::silent()).map(|_| ())
}

#[test]
fn bad_videos_are_refused_by_name_and_reason() {
    let bench = Bench::new();
    let at = |kind: &[u8]| PATTERN.windows(4).position(|w| w == kind).unwrap();
    let patched = |at: usize, bytes: &[u8]| {
        let mut video = PATTERN.to_vec();
        video[at..at + bytes.len()].copy_from_slice(bytes);
        video
    };
    // One size for all samples and a count of four thousand million of them.
    let bomb = patched(at(b"stsz") + 8, &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    let no_index = patched(at(b"moov"), b"free");
    let no_frames = patched(at(b"stsz") + 12, &[0; 4]);
    let offset = patched(at(b"stco") + 12, &[0x7f; 4]);
    // The first `avc1` is a brand, the last the codec.
    let codec = PATTERN.windows(4).rposition(|w| w == b"avc1").unwrap();
    let other_codec = patched(codec, b"xvc9");
    let mut noise = PATTERN.to_vec();
    let data = at(b"mdat") + 4;
    for (i, byte) in noise[data..].iter_mut().enumerate() {
        *byte = (i * 97 + 13) as u8;
    }
    let cases: [(&str, &[u8], &[&str]); 9] = [
        ("empty.mp4", b"", &["empty"]),
        (
            "text.mp4",
            b"this is no video at all, only text",
            &["no video"],
        ),
        ("cut.mp4", &PATTERN[..PATTERN.len() / 2], &["truncated"]),
        ("no_index.mp4", &no_index, &["moov"]),
        ("bomb.mp4", &bomb, &["samples", "4000000"]),
        ("no_frames.mp4", &no_frames, &["0 frames"]),
        ("offset.mp4", &offset, &["past the end"]),
        ("codec.mp4", &other_codec, &["`xvc9`"]),
        ("noise.mp4", &noise, &["damaged"]),
    ];
    for (name, bytes, reasons) in cases {
        let path = bench.file(name, bytes);
        refused(&path, clip(&path), reasons);
    }
    bench.image("still.jpg");
    let still = bench.path("still.jpg");
    refused(&still, clip(&still), &["still image"]);
    let folder = bench.path("frames");
    std::fs::create_dir(&folder).unwrap();
    refused(&folder, clip(&folder), &["0 frames"]);
    std::fs::write(folder.join("frame_1.png"), b"nothing").unwrap();
    refused(&folder.join("frame_1.png"), clip(&folder), &["no image"]);
    let image =
        |side| image::RgbImage::new(side, 32).save(folder.join(format!("frame_{side}.png")));
    std::fs::remove_file(folder.join("frame_1.png")).unwrap();
    for side in [32, 48] {
        image(side).unwrap();
    }
    let mixed = folder.join("frame_48.png");
    refused(&mixed, clip(&folder), &["48 x 32", "32 x 32", "one size"]);
    let nothing = ClipRequest {
        frames: 0,
        sampling: Sampling::Even,
        size: None,
    };
    let path = bench.file("good.mp4", PATTERN);
    assert!(load_video(&path, &nothing, &JobCtx::silent()).is_err());
    assert!(probe(bench.path("cut.mp4")).is_err());
}

#[test]
fn damaged_videos_never_panic() {
    let bench = Bench::new();
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..40 {
        let mut video = PATTERN.to_vec();
        for _ in 0..=random(4) {
            let at = random(video.len());
            video[at] = random(256) as u8;
        }
        let path = bench.file(&format!("fuzz_{round}.mp4"), &video);
        if let Err(error) = clip(&path) {
            assert!(!matches!(error, Error::Panic { .. }), "{error}");
            assert!(error.to_string().contains("fuzz_"), "{error}");
        }
    }
}

/// A safetensors file of a header and zeros.
fn tensors(header: &Value, data: usize) -> Vec<u8> {
    let mut text = header.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text);
    bytes.resize(bytes.len() + data, 0);
    bytes
}

/// Name, type and shape of a tensor.
type Entry = (&'static str, &'static str, &'static [usize]);

const RGB: Entry = ("rgb", "U8", &[1, 16, 16, 3]);
const POINTS: Entry = ("points", "F32", &[1, 16, 16, 3]);
const VALID: Entry = ("valid", "U8", &[1, 16, 16]);
const LENS: Entry = ("intrinsics", "F64", &[1, 3, 3]);
const POSE: Entry = ("world_from_camera", "F64", &[1, 4, 4]);

/// A header of consecutive tensors with the metadata of a scene of this version.
fn scene_header(version: &str, entries: &[Entry]) -> (Value, usize) {
    let mut header = json!({ "__metadata__": { "format_version": version } });
    let mut start = 0;
    for (name, dtype, shape) in entries {
        let width = [("U8", 1), ("F16", 2), ("F32", 4), ("F64", 8)];
        let width = width.iter().find(|w| w.0 == *dtype).unwrap().1;
        let end = start + width * shape.iter().product::<usize>();
        header[name] = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        start = end;
    }
    (header, start)
}

/// A scene of zeros.
fn zeros(version: &str, entries: &[Entry]) -> Vec<u8> {
    let (header, data) = scene_header(version, entries);
    tensors(&header, data)
}

fn refuse_scenes(bench: &Bench, cases: &[(&str, &[u8], &[&str])]) {
    for (name, bytes, reasons) in cases {
        let path = bench.file(&format!("{name}.one4d"), bytes);
        refused(&path, scene::open(&path), reasons);
    }
}

#[test]
fn files_that_are_no_whole_safetensors_file_are_no_scene() {
    let bench = Bench::new();
    let (good, png) = (bench.scene(), bench.image("a.png"));
    let rgb = |shape: Value, offsets: [usize; 2], data: usize| {
        let info = json!({ "dtype": "U8", "shape": shape, "data_offsets": offsets });
        tensors(&json!({ "rgb": info }), data)
    };
    let huge = json!([1, 20_000, 20_000, 3]);
    let lie = rgb(huge.clone(), [0, 12], 12);
    let big = rgb(huge, [0, 1_200_000_000], 64);
    let overflow = rgb(json!([u64::MAX, u64::MAX, 4]), [0, 12], 12);
    let gap = rgb(json!([1, 16, 16, 3]), [8, 776], 776);
    let longer = [good.as_slice(), &[0; 9]].concat();
    refuse_scenes(
        &bench,
        &[
            ("empty", b"", &["empty"]),
            ("few", &[1, 2, 3], &["truncated"]),
            ("text", b"a text, no scene at all", &["is a text file"]),
            ("image", &png, &["PNG image"]),
            ("cut", &good[..good.len() - 100], &["truncated", "need"]),
            ("cut_header", &good[..100], &["truncated"]),
            ("longer", &longer, &["damaged"]),
            ("json", b"\x08\0\0\0\0\0\0\0{\"rgb\":[", &["safetensors"]),
            ("lie", &lie, &["20000", "1.1 GiB", "0..12"]),
            ("big", &big, &["truncated", "1.1 GiB"]),
            ("overflow", &overflow, &["damaged header"]),
            ("gap", &gap, &["damaged header"]),
        ],
    );
    let folder = bench.path("folder.one4d");
    std::fs::create_dir(&folder).unwrap();
    refused(&folder, scene::open(&folder), &["folder"]);
    let missing = bench.path("missing.one4d");
    refused(&missing, scene::open(&missing), &["No such file"]);
}

#[test]
fn tensors_that_make_no_scene_are_named() {
    let bench = Bench::new();
    let other = tensors(&json!({}), 0);
    let version = zeros("7", &[RGB, POINTS, VALID]);
    let frames = zeros("1", &[("rgb", "U8", &[0, 16, 16, 3]), POINTS, VALID]);
    let wide = zeros("1", &[("rgb", "U8", &[1, 1, 20_000, 3]), POINTS, VALID]);
    let dtype = zeros("1", &[RGB, ("points", "F64", &[1, 16, 16, 3]), VALID]);
    let shape = zeros("1", &[RGB, POINTS, ("valid", "U8", &[1, 16, 15])]);
    let rank = zeros("1", &[("rgb", "U8", &[16, 16, 3]), POINTS, VALID]);
    let plane = zeros("1", &[RGB, POINTS]);
    let half = zeros("1", &[LENS, POINTS, RGB, VALID]);
    let lens = zeros("1", &[LENS, POSE, POINTS, RGB, VALID]);
    let (mut header, data) = scene_header("1", &[RGB, POINTS, VALID]);
    header["__metadata__"]["fps"] = json!("sixteen");
    let meta = tensors(&header, data);
    refuse_scenes(
        &bench,
        &[
            ("other", &other, &["is no scene"]),
            ("version", &version, &["version 7", "reads 1"]),
            ("frames", &frames, &["0 frames"]),
            ("wide", &wide, &["20000 x 1", "16384"]),
            ("dtype", &dtype, &["`points` is F64"]),
            ("shape", &shape, &["`valid`", "[1, 16, 15]"]),
            ("rank", &rank, &["must be [T, H, W, 3]"]),
            ("plane", &plane, &["`valid` is missing"]),
            ("half", &half, &["`world_from_camera` is missing"]),
            ("lens", &lens, &["camera of frame 0", "focal"]),
            ("meta", &meta, &["`fps`"]),
        ],
    );
}

#[test]
fn a_foreign_scene_with_nan_points_opens_with_them_marked() -> Result<()> {
    let bench = Bench::new();
    let (header, data) = scene_header("1", &[POINTS, RGB, VALID]);
    let mut bytes = tensors(&header, data);
    let start = bytes.len() - data;
    bytes[start + 12 * 7..start + 12 * 7 + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    let valid = bytes.len() - 256;
    bytes[valid..].fill(31);
    let opened = scene::open(bench.file("nan.one4d", &bytes))?;
    let marked: Vec<usize> = (0..256)
        .filter(|&i| opened.valid.as_slice()[i] == 0)
        .collect();
    assert_eq!(marked, [7]);
    Ok(())
}

#[test]
fn bad_models_are_refused_by_name_and_reason() {
    let bench = Bench::new();
    let folder = bench.path("model");
    std::fs::create_dir(&folder).unwrap();
    let manifest = folder.join("model.json");
    refused(&manifest, BundleManifest::read(&folder), &["No such file"]);
    refused(&folder, inspect(&folder), &["neither model.json"]);
    std::fs::write(&manifest, b"{\"format\": 1, \"name\"").unwrap();
    refused(
        &manifest,
        BundleManifest::read(&folder),
        &["not a model manifest"],
    );
    std::fs::write(&manifest, b"[1, 2]").unwrap();
    refused(
        &manifest,
        BundleManifest::read(&folder),
        &["not a model manifest"],
    );
    let weights = |path: &Path| {
        Weights::from_files(&[path], DType::F32, &Device::Cpu).and_then(|weights| {
            weights.get(&[2, 2], "a.weight", Init::Const(0.0))?;
            weights.finish()
        })
    };
    let missing = bench.path("missing.safetensors");
    refused(&missing, weights(&missing), &["No such file"]);
    let good = tensors(
        &json!({ "b": { "dtype": "F32", "shape": [2], "data_offsets": [0, 8] } }),
        8,
    );
    let cases: [(&str, &[u8], &[&str]); 4] = [
        ("empty.safetensors", b"", &["empty"]),
        ("cut.safetensors", &good[..good.len() - 4], &["safetensors"]),
        (
            "text.safetensors",
            b"<html>404 not found</html>",
            &["safetensors"],
        ),
        (
            "other.safetensors",
            &good,
            &["a.weight [2, 2] is missing", "b is unexpected"],
        ),
    ];
    for (name, bytes, reasons) in cases {
        let path = bench.file(name, bytes);
        refused(&path, weights(&path), reasons);
    }
    let page = bench.path("text.safetensors");
    refused(&page, inspect(&page), &["web page"]);
}

fn export_to(out: &Path) -> Result<Vec<PathBuf>> {
    let request = ExportRequest {
        brought: Vec::new(),
        scene: Arc::new(sample_scene()),
        formats: vec![
            ExportFormat::Ply,
            ExportFormat::GlbAnimated,
            ExportFormat::Scene,
        ],
        out: out.to_owned(),
        first: 0,
        end: 3,
        stride: 1,
        required_validity: 0,
        min_confidence: 0.0,
    };
    export::run(&request, &JobCtx::silent())
}

#[test]
fn outputs_that_cannot_be_written_are_refused() {
    let bench = Bench::new();
    let file = bench.file("taken", b"a file where a folder should be");
    refused(&file, export_to(&file), &["is a file"]);
    let inside = file.join("scene.one4d");
    refused(&inside, sample_scene().save(&inside), &["Not a directory"]);
    let folder = bench.path("folder.one4d");
    std::fs::create_dir(&folder).unwrap();
    refused(
        &folder,
        sample_scene().save(&folder),
        &["not a regular file"],
    );
    let nowhere = bench.path("no/such/folder.one4d");
    refused(&nowhere, sample_scene().save(&nowhere), &["No such file"]);
    if Path::new("/dev/full").exists() {
        refused(
            Path::new("/dev/full"),
            sample_scene().save("/dev/full"),
            &["not a regular file"],
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_named_and_left_empty() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let folder = bench.path("locked");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write anywhere but on a disk that is mounted read-only.
    let disk = if std::fs::write(folder.join("probe"), b"").is_ok() {
        std::fs::remove_file(folder.join("probe")).unwrap();
        let Some(disk) = SmallDisk::mount(&bench.path("disk"), "size=64k,ro") else {
            readers::skip("this user may write into read-only folders and not mount a disk");
            return;
        };
        Some(disk)
    } else {
        None
    };
    let folder = disk.as_ref().map_or(folder, |disk| disk.0.clone());
    let path = folder.join("scene.one4d");
    let reason = if disk.is_some() {
        "Read-only"
    } else {
        "ermission denied"
    };
    refused(&path, sample_scene().save(&path), &[reason]);
    assert!(export_to(&folder).is_err());
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    let bench = Bench::new();
    let Some(disk) = SmallDisk::mount(&bench.path("disk"), "size=64k") else {
        readers::skip("mounting a small disk needs root");
        return;
    };
    let path = disk.0.join("scene.one4d");
    std::fs::write(&path, b"old").unwrap();
    // Told the size, the lack of room is noticed before writing; not told, while writing.
    let told = AtomicFile::create(&path, 1 << 20);
    assert!(matches!(told, Err(Error::Limit { .. })), "{told:?}");
    let mut untold = AtomicFile::create(&path, 0).unwrap();
    let block = vec![7; 1 << 16];
    let written = (0..64).try_for_each(|_| untold.write_all(&block));
    refused(
        &path,
        written.and_then(|()| untold.commit()),
        &["No space left"],
    );
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(files(&disk.0), 1, "files beside the old one");

    let tiny = SmallDisk::mount(&bench.path("tiny"), "size=16k").unwrap();
    let message = export_to(&tiny.0).unwrap_err().to_string();
    assert!(
        message.contains("disk space") && message.contains("available"),
        "{message}"
    );
    assert_eq!(files(&tiny.0), 0);
}

/// A disk in memory, unmounted at the end.
#[cfg(target_os = "linux")]
struct SmallDisk(PathBuf);

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir(at).ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}
