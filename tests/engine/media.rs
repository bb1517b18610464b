//! Media: images upright and whole, videos in display order, the built-in decoder against ffmpeg.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use one4d_engine::Result;
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress};
use one4d_engine::media::{
    Clip, ClipRequest, Frame, MediaKind, Sampling, load_image, load_video, probe,
};
use one4d_tests::readers;

/// 24 frames of 64 x 48 at 12 per second, H.264 High with B-frames and a restart at frame 12. Luma
/// of the background is `20 + 7 n`; rows from 24 on are tinted.
const PATTERN: &[u8] = include_bytes!("../golden/pattern.mp4");

fn pattern_in(folder: &Path) -> PathBuf {
    write(folder, "pattern.mp4", PATTERN)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn request(frames: usize, sampling: Sampling) -> ClipRequest {
    ClipRequest {
        frames,
        sampling,
        size: None,
    }
}

fn load(path: &Path, frames: usize) -> Result<Clip> {
    load_video(path, &request(frames, Sampling::Even), &JobCtx::silent())
}

/// The number of a frame of the pattern, from the grey of its top right corner.
fn number(frame: &Frame) -> usize {
    let corner = 3 * (frame.width - 2) + 3 * frame.width;
    let luma = 16.0 + f64::from(frame.rgb[corner]) * 219.0 / 255.0;
    ((luma - 20.0) / 7.0).round() as usize
}

fn numbers(clip: &Clip) -> Vec<usize> {
    clip.frames.iter().map(number).collect()
}

#[test]
fn frames_come_in_display_order_whatever_the_coding_order() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let clip = load(&pattern_in(folder.path()), 24)?;
    assert_eq!(numbers(&clip), (0..24).collect::<Vec<_>>());
    assert!((clip.times_secs[23] - 23.0 / 12.0).abs() < 1e-6);
    assert!((clip.fps - 12.0).abs() < 1e-6);
    assert_eq!(
        (clip.info.codec.as_str(), clip.info.num_frames),
        ("H.264", 24)
    );
    assert!(clip.warnings.is_empty(), "{:?}", clip.warnings);
    Ok(())
}

#[test]
fn a_few_frames_equal_the_same_ones_of_the_whole() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = pattern_in(folder.path());
    let whole = load(&path, 24)?;
    let six = load_video(&path, &request(6, Sampling::Fps(3.0)), &JobCtx::silent())?;
    assert_eq!(numbers(&six), [0, 4, 8, 12, 16, 20]);
    for (few, all) in six.frames.iter().zip(whole.frames.iter().step_by(4)) {
        assert!(few == all, "frame {} differs", number(few));
    }
    let ends = load(&path, 2)?;
    assert_eq!(ends.frames[1], whole.frames[23]);
    Ok(())
}

#[test]
fn tinted_rows_keep_their_colour() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let clip = load(&pattern_in(folder.path()), 24)?;
    // Y 104, Cb 90, Cr 160 in BT.601: 153.5, 91.4, 25.8.
    let at = 3 * (40 * 64 + 50);
    let pixel = &clip.frames[12].rgb[at..at + 3];
    for (value, expected) in pixel.iter().zip([153, 91, 26]) {
        assert!(value.abs_diff(expected) <= 6, "{pixel:?}");
    }
    Ok(())
}

#[test]
fn fitted_frames_report_their_crop() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = request(5, Sampling::Even);
    wanted.size = Some([32, 32]);
    let clip = load_video(pattern_in(folder.path()), &wanted, &JobCtx::silent())?;
    let crop = clip.crop.unwrap();
    assert_eq!((crop.x, crop.y, crop.width, crop.height), (8, 0, 48, 48));
    assert!(clip.frames.iter().all(|f| (f.width, f.height) == (32, 32)));
    assert_eq!((clip.info.width, clip.info.height), (64, 48));
    Ok(())
}

#[test]
fn a_rotated_track_is_shown_upright() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let one = 0x1_0000_i32;
    let identity: Vec<u8> = matrix([one, 0, 0, one]);
    let at = PATTERN.windows(36).rposition(|w| w == identity).unwrap();
    let mut turned = PATTERN.to_vec();
    // Phones held upright: the stored right becomes the shown bottom.
    turned[at..at + 36].copy_from_slice(&matrix([0, one, -one, 0]));
    let path = write(folder.path(), "turned.mp4", &turned);
    let info = probe(&path)?;
    assert_eq!(
        (info.kind, info.width, info.height),
        (MediaKind::Video, 48, 64)
    );
    let upright = load(&pattern_in(folder.path()), 3)?;
    let clip = load(&path, 3)?;
    let pixel = |f: &Frame, x: usize, y: usize| f.rgb[3 * (y * f.width + x)..][..3].to_vec();
    for (shown, stored) in clip.frames.iter().zip(&upright.frames) {
        for (x, y) in [(0, 0), (5, 40), (63, 10)] {
            assert_eq!(pixel(shown, 47 - y.min(47), x), pixel(stored, x, y.min(47)));
        }
    }
    Ok(())
}

/// The nine entries of a track matrix, big-endian.
fn matrix([a, b, c, d]: [i32; 4]) -> Vec<u8> {
    [a, b, 0, c, d, 0, 0, 0, 0x4000_0000]
        .iter()
        .flat_map(|v| v.to_be_bytes())
        .collect()
}

#[test]
fn the_built_in_decoder_agrees_with_ffmpeg() -> Result<()> {
    if !readers::has_ffmpeg() {
        return Ok(());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = pattern_in(folder.path());
    let clip = load(&path, 24)?;
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&path)
        .args(["-vf", "scale=flags=bilinear+accurate_rnd+full_chroma_int"])
        .args(["-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"])
        .output()
        .unwrap();
    let ours: Vec<u8> = clip.frames.iter().flat_map(|f| f.rgb.clone()).collect();
    assert_eq!(ours.len(), output.stdout.len());
    let squares = ours.iter().zip(&output.stdout);
    let squares = squares.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    let psnr = -10.0 * (squares.sum::<f64>() / ours.len() as f64 / 65025.0).log10();
    assert!(psnr > 38.0, "{psnr} dB");
    Ok(())
}

#[test]
fn other_codecs_go_through_ffmpeg() -> Result<()> {
    if !readers::has_ffmpeg() {
        return Ok(());
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [
        ("a.mp4", "mpeg4"),
        ("b.avi", "mjpeg"),
        ("with: colon.mkv", "ffv1"),
    ] {
        let path = folder.path().join(name);
        let status = Command::new("ffmpeg")
            .args(["-v", "error", "-i"])
            .arg(pattern_in(folder.path()))
            .args(["-c:v", codec, "-q:v", "2", "-strict", "-2"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success(), "{codec}");
        let clip = load(&path, 8)?;
        let expected: Vec<usize> = (0..8)
            .map(|i| (f64::from(i) * 23.0 / 7.0).round() as usize)
            .collect();
        assert_eq!(numbers(&clip), expected, "{codec}");
        assert_eq!(clip.info.codec, "read by ffmpeg");
    }
    Ok(())
}

#[test]
fn a_folder_is_a_video_in_natural_order() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for i in [10_u8, 9, 1] {
        let picture = RgbImage::from_pixel(20, 18, Rgb([i; 3]));
        picture
            .save(folder.path().join(format!("frame_{i}.png")))
            .unwrap();
    }
    write(folder.path(), "notes.txt", b"not a frame");
    write(folder.path(), ".hidden.png", b"not a frame");
    let clip = load(folder.path(), 3)?;
    let firsts: Vec<u8> = clip.frames.iter().map(|f| f.rgb[0]).collect();
    assert_eq!(firsts, [1, 9, 10]);
    assert_eq!(probe(folder.path())?.num_frames, 3);
    let more = load(folder.path(), 5)?;
    assert!(more.warnings[0].contains("repeated"), "{:?}", more.warnings);
    Ok(())
}

#[test]
fn an_animated_gif_is_a_video_and_its_first_frame_an_image() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moving.gif");
    let mut encoder = image::codecs::gif::GifEncoder::new(std::fs::File::create(&path).unwrap());
    for (grey, milliseconds) in [(0, 100), (100, 500), (200, 100)] {
        let picture = RgbaImage::from_pixel(16, 16, Rgba([grey, grey, grey, 255]));
        let delay = image::Delay::from_numer_denom_ms(milliseconds, 1);
        encoder
            .encode_frame(image::Frame::from_parts(picture, 0, 0, delay))
            .unwrap();
    }
    drop(encoder);
    let clip = load_video(&path, &request(4, Sampling::Fps(5.0)), &JobCtx::silent())?;
    let firsts: Vec<u8> = clip.frames.iter().map(|f| f.rgb[0]).collect();
    assert_eq!(firsts, [0, 100, 200, 200]);
    assert_eq!(probe(&path)?.kind, MediaKind::Video);
    assert_eq!(load_image(&path)?.rgb[0], 0);
    Ok(())
}

#[test]
fn images_of_every_kind_become_8_bit_rgb() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(24, 20, |x, y| Rgb([(10 * x) as u8, (12 * y) as u8, 90]));
    for format in ["png", "bmp", "tiff", "gif", "webp", "jpg"] {
        let path = folder.path().join(format!("a.{format}"));
        DynamicImage::from(picture.clone()).save(&path).unwrap();
        let frame = load_image(&path)?;
        assert_eq!((frame.width, frame.height), (24, 20), "{format}");
        let tolerance = match format {
            "jpg" => 24,
            "gif" => 60,
            _ => 0,
        };
        let worst = frame
            .rgb
            .iter()
            .zip(picture.as_raw())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(worst <= Some(tolerance), "{format}: {worst:?}");
        assert_eq!(probe(&path)?.kind, MediaKind::Image);
    }
    let deep = image::ImageBuffer::<Rgb<u16>, _>::from_pixel(16, 16, Rgb([65535, 32896, 0]));
    let path = folder.path().join("deep.png");
    DynamicImage::ImageRgb16(deep).save(&path).unwrap();
    assert_eq!(load_image(&path)?.rgb[..3], [255, 128, 0]);
    Ok(())
}

#[test]
fn transparent_pixels_lie_on_white() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("glass.png");
    RgbaImage::from_fn(16, 16, |x, _| {
        Rgba([200, 0, 0, if x == 0 { 0 } else { 128 }])
    })
    .save(&path)
    .unwrap();
    let frame = load_image(&path)?;
    assert_eq!(frame.rgb[..6], [255, 255, 255, 227, 127, 127]);
    Ok(())
}

#[test]
fn photographs_are_turned_by_their_exif_orientation() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let mut jpeg = Vec::new();
    let picture = RgbImage::from_fn(32, 16, |x, _| Rgb([if x < 16 { 250 } else { 5 }; 3]));
    DynamicImage::from(picture)
        .write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg)
        .unwrap();
    // APP1 after the start of image: TIFF header, one entry, orientation 6 (turn right).
    let mut exif = b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0");
    jpeg.splice(2..2, exif);
    let frame = load_image(write(folder.path(), "phone.jpg", &jpeg))?;
    assert_eq!((frame.width, frame.height), (16, 32));
    assert!(frame.rgb[0] > 200 && frame.rgb[3 * (31 * 16)] < 50);
    Ok(())
}

struct Quiet;

impl JobSink for Quiet {
    fn progress(&self, _: Progress) {}
}

#[test]
fn a_cancelled_job_stops_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancelToken::default();
    cancel.cancel();
    let ctx = JobCtx::new(cancel, std::sync::Arc::new(Quiet));
    let clip = load_video(pattern_in(folder.path()), &request(3, Sampling::Even), &ctx);
    assert!(clip.is_err_and(|e| e.is_cancelled()));
}
