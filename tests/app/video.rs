//! Exported videos, read back by the engine's own decoder.

use std::path::Path;
use std::sync::Arc;

use one4d_engine::Error;
use one4d_engine::export::{self, BroughtFormat};
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress};
use one4d_engine::media::{Clip, ClipRequest, Sampling, load_video};
use one4d_engine::scene::{Scene4d, validity};
use one4d_engine::worker::{ExportFormat, ExportRequest};
use one4d_studio::video::{OrbitShot, VideoFormat, VideoKind};
use one4d_studio::viewport::headless::Look;
use one4d_studio::viewport::{ColourMap, SceneRanges, headless_device};
use one4d_tests::scenes::room;

fn request(scene: &Arc<Scene4d>, video: VideoFormat, out: &Path) -> ExportRequest {
    ExportRequest {
        scene: Arc::clone(scene),
        formats: Vec::new(),
        brought: vec![Arc::new(video) as Arc<dyn BroughtFormat>],
        out: out.to_owned(),
        first: 0,
        end: scene.num_frames,
        stride: 1,
        required_validity: validity::GOOD,
        min_confidence: 0.0,
    }
}

fn load(path: &Path, frames: usize) -> Clip {
    let wanted = ClipRequest {
        frames,
        sampling: Sampling::Even,
        size: None,
    };
    load_video(path, &wanted, &JobCtx::silent()).unwrap()
}

/// `10 log10(255^2 / mean square)`, decibels.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
    let mean = a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64;
    10.0 * (255.0_f64.powi(2) / mean.max(1e-12)).log10()
}

#[test]
fn frames_come_back_as_they_were_in_order_and_at_their_rate() {
    // Not a multiple of 16, as coded pictures are; at 720 lines the colours follow another standard.
    for (height, width) in [(74, 102), (720, 1280)] {
        let folder = tempfile::tempdir().unwrap();
        let mut scene = room(if height == 74 { 7 } else { 2 }, height, width);
        scene.meta.fps = 12.5;
        let scene = Arc::new(scene);
        let request = request(&scene, VideoFormat::Frames, folder.path());
        let files = export::run(&request, &JobCtx::silent()).unwrap();
        assert_eq!(files, [folder.path().join("frames.mp4")]);
        let clip = load(&files[0], scene.num_frames);
        assert!((clip.fps - 12.5).abs() < 1e-6, "{}", clip.fps);
        for (frame_idx, frame) in clip.frames.iter().enumerate() {
            assert_eq!((frame.width, frame.height), (width, height));
            let own = psnr(&frame.rgb, scene.frame_rgb(frame_idx));
            assert!(
                own > 33.0,
                "frame {frame_idx} of {height} lines: {own:.1} dB"
            );
        }
        let (first, last) = (&clip.frames[0].rgb, scene.frame_rgb(scene.num_frames - 1));
        assert!(psnr(first, last) < 31.0, "another frame is further away");
        let bytes = std::fs::metadata(&files[0]).unwrap().len();
        let estimate = export::estimate_bytes(&request);
        assert!(bytes < 4 * estimate, "{bytes} of {estimate}");
    }
}

#[test]
fn a_part_of_a_clip_is_a_video_of_that_part() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Arc::new(room(7, 64, 96));
    let mut request = request(&scene, VideoFormat::Frames, folder.path());
    (request.first, request.end) = (4, 6);
    let files = export::run(&request, &JobCtx::silent()).unwrap();
    let clip = load(&files[0], 2);
    assert_eq!(clip.info.num_frames, 2);
    assert!(psnr(&clip.frames[0].rgb, scene.frame_rgb(4)) > 33.0);
}

#[test]
fn depth_has_the_colours_of_the_view() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Arc::new(room(3, 64, 96));
    let request = request(&scene, VideoFormat::Depth, folder.path());
    let files = export::run(&request, &JobCtx::silent()).unwrap();
    let clip = load(&files[0], 3);
    let [near, far] = SceneRanges::of(&scene).depth;
    let depth = scene.depth.as_ref().unwrap().as_slice();
    let n = scene.pixels_per_frame();
    let expected: Vec<u8> = depth[2 * n..]
        .iter()
        .flat_map(|&z| {
            if z.is_finite() {
                ColourMap::Turbo.at(f64::from((z - near) / (far - near)))
            } else {
                [0; 3]
            }
        })
        .collect();
    let found = psnr(&clip.frames[2].rgb, &expected);
    assert!(found > 26.0, "{found:.1} dB");
}

#[test]
fn odd_sides_lose_a_line_and_say_so() {
    #[derive(Default)]
    struct Warnings(std::sync::Mutex<Vec<String>>);
    impl JobSink for Warnings {
        fn progress(&self, _progress: Progress) {}
        fn warn(&self, warning: one4d_engine::job::Warning) {
            self.0.lock().unwrap().push(warning.message);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let scene = Arc::new(room(2, 33, 47));
    let sink = Arc::new(Warnings::default());
    let ctx = JobCtx::new(CancelToken::default(), sink.clone());
    let request = request(&scene, VideoFormat::Frames, folder.path());
    let files = export::run(&request, &ctx).unwrap();
    let frame = &load(&files[0], 1).frames[0];
    assert_eq!((frame.width, frame.height), (46, 32));
    let warnings = sink.0.lock().unwrap();
    assert!(
        warnings
            .iter()
            .any(|w| w.contains("46 x 32 of the scene's 47 x 33"))
    );
}

#[test]
fn a_cancelled_video_leaves_no_file() {
    struct CancelAt(usize, CancelToken);
    impl JobSink for CancelAt {
        fn progress(&self, progress: Progress) {
            if progress.done == self.0 {
                self.1.cancel();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let scene = Arc::new(room(5, 32, 48));
    let token = CancelToken::default();
    let ctx = JobCtx::new(token.clone(), Arc::new(CancelAt(3, token)));
    let mut request = request(&scene, VideoFormat::Frames, folder.path());
    request.formats = vec![ExportFormat::Scene];
    let error = export::run(&request, &ctx).unwrap_err();
    assert!(error.is_cancelled());
    assert!(folder.path().join("scene.one4d").is_file());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_video_around_the_scene_needs_a_device_and_moves() {
    let refused = VideoFormat::new(VideoKind::Orbit, None);
    assert!(matches!(refused, Err(Error::Invalid { .. })));
    let Ok(Some(gpu)) = headless_device() else {
        println!("skipped: no graphics adapter");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut scene = room(6, 24, 32);
    // Few pictures: six frames at a slow rate are a whole swing.
    scene.meta.fps = 1.0;
    let scene = Arc::new(scene);
    let shot = OrbitShot {
        gpu,
        scene: Arc::clone(&scene),
        orbit: None,
        size_px: [160, 96],
        look: Look::default(),
    };
    let video = VideoFormat::new(VideoKind::Orbit, Some(shot)).unwrap();
    let request = request(&scene, video, folder.path());
    let files = export::run(&request, &JobCtx::silent()).unwrap();
    let clip = load(&files[0], 5);
    assert_eq!(
        (clip.info.num_frames, clip.info.fps.unwrap().round() as i64),
        (144, 24)
    );
    let first = &clip.frames[0];
    assert_eq!((first.width, first.height), (160, 96));
    let turned = psnr(&first.rgb, &clip.frames[1].rgb);
    assert!(
        turned < 25.0,
        "a quarter of the swing later the eye is elsewhere: {turned:.1} dB"
    );
}
