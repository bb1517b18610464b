//! Tests: videos longer than the model through the worker, and scene files joined into one.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image::RgbImage;
use one4d_engine::datasets::synthetic::{Clip, ClipSpec, WorldWidth, render};
use one4d_engine::geometry::{Camera, WorldFromCamera};
use one4d_engine::job::{JobCtx, Stage};
use one4d_engine::pipeline::{Observed, PipelineRunner, Request};
use one4d_engine::scene::{Plane, Points, Scene4d};
use one4d_engine::worker::{EngineHandle, Event, JobRequest, JobRunner as _, JoinRequest, Outcome};
use tempfile::TempDir;

fn clip(frames: usize) -> Clip {
    let spec = ClipSpec {
        seed: 4,
        frames,
        height: 96,
        width: 160,
        world: WorldWidth::Medium,
    };
    render(&spec).unwrap()
}

/// The frames of a clip as pictures in a folder.
fn pictures(clip: &Clip) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (height, width) = (clip.spec.height as u32, clip.spec.width as u32);
    for (i, rgb) in clip
        .rgb
        .chunks_exact((height * width * 3) as usize)
        .enumerate()
    {
        let picture = RgbImage::from_raw(width, height, rgb.to_vec()).unwrap();
        picture
            .save(folder.path().join(format!("{i:04}.png")))
            .unwrap();
    }
    folder
}

/// A job of the bundled model, of few steps.
fn job(video: &Path, frames: usize) -> JobRequest {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/mini");
    JobRequest::Generate {
        request: Request {
            observed: Observed::Video(video.to_owned()),
            model: Some(model),
            frames: Some(frames),
            steps: Some(3),
            guidance: Some(1.0),
            ..Request::default()
        },
        out: None,
    }
}

#[test]
fn a_video_of_two_lengths_becomes_one_scene() {
    let folder = pictures(&clip(33));
    let engine = EngineHandle::start(|| {}).unwrap();
    let job = engine.submit(job(folder.path(), 33));
    let mut scene: Option<Arc<Scene4d>> = None;
    let output = loop {
        match engine.wait(Duration::from_mins(2)).unwrap().unwrap() {
            Event::Scene { scene: shown, .. } => scene = Some(shown),
            Event::Ended {
                job: ended,
                outcome,
            } => {
                assert_eq!(ended, job);
                match outcome {
                    Outcome::Done(output) => break output,
                    other => panic!("{other:?}"),
                }
            }
            Event::Started { .. } | Event::Planned { .. } | Event::Warning { .. } => {}
        }
    };
    let scene = scene.unwrap();
    scene.check().unwrap();
    assert_eq!((scene.num_frames, scene.height, scene.width), (33, 64, 96));
    assert_eq!(scene.cameras.as_ref().unwrap().len(), 33);
    assert_eq!(scene.meta.observed, (0..33).collect::<Vec<_>>());
    // Windows of 17 that share 5: 0..17, 12..29, 16..33.
    let joins = output.report["joins"].as_array().unwrap();
    assert_eq!(joins.len(), 2);
    assert_eq!(scene.meta.settings["joins"], output.report["joins"]);
    assert_eq!(joins[0]["at"], 12);
    assert_eq!(joins[1]["at"], 16);
    for join in joins {
        println!("{join}");
        let scale = join["scale"].as_f64().unwrap();
        assert!(scale.is_finite() && scale > 0.0);
        assert!(join["residual"].as_f64().unwrap() < 0.15, "{join}");
    }
}

#[test]
fn a_long_job_is_cancelled_between_windows_too() {
    let folder = pictures(&clip(33));
    let engine = EngineHandle::start(|| {}).unwrap();
    let job = engine.submit(job(folder.path(), 33));
    // Three steps a window, nine in all: the fourth belongs to the second window.
    let mut totals = Vec::new();
    for _ in 0..60_000 {
        let progress = engine.status().map(|s| s.progress);
        if let Some(progress) = progress.filter(|p| p.stage == Stage::Sample) {
            totals.push(progress.total);
            if progress.done >= 3 {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    engine.cancel(job);
    let outcome = loop {
        let event = engine.wait(Duration::from_mins(1)).unwrap().unwrap();
        if let Event::Ended { outcome, .. } = event {
            break outcome;
        }
    };
    assert!(matches!(outcome, Outcome::Cancelled), "{outcome:?}");
    assert!(totals.iter().all(|total| *total == 9), "{totals:?}");
}

#[test]
fn only_a_video_may_be_longer_than_the_model() {
    let request = |observed, frames| match job(Path::new("none"), frames) {
        JobRequest::Generate { request, .. } => JobRequest::Generate {
            request: Request {
                observed,
                prompt: "a ball".to_owned(),
                ..request
            },
            out: None,
        },
        other => other,
    };
    let ctx = JobCtx::silent();
    let error = PipelineRunner::default()
        .run(request(Observed::Nothing, 33), &ctx, &|_| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("33 frames") && error.contains("windows"),
        "{error}"
    );
}

/// Some frames of a clip as a scene in the world of its own first camera.
fn part(clip: &Clip, frames: Range<usize>) -> Scene4d {
    let n = clip.spec.height * clip.spec.width;
    let first = clip.cameras[frames.start].world_from_camera;
    let camera_from_world = first.inverse();
    let cut = |values: &[f32], each: usize| {
        values[frames.start * n * each..frames.end * n * each].to_vec()
    };
    let points = cut(&clip.points, 3)
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|p| {
            let p = glam::DVec3::from(p.map(f64::from));
            camera_from_world.transform(p).as_vec3().to_array()
        })
        .collect::<Vec<f32>>();
    let cameras: Vec<Camera> = clip.cameras[frames.clone()]
        .iter()
        .map(|camera| Camera {
            world_from_camera: camera.world_from_camera.relative_to(first),
            ..*camera
        })
        .collect();
    Scene4d {
        num_frames: frames.len(),
        rgb: Plane::new(clip.rgb[frames.start * n * 3..frames.end * n * 3].to_vec()),
        points: Points::F32(Plane::new(points)),
        valid: Plane::new(clip.valid[frames.start * n..frames.end * n].to_vec()),
        depth: Some(Plane::new(cut(&clip.depth, 1))),
        cameras: Some(cameras.into()),
        scene_flow: None,
        dynamic: None,
        ..clip.to_scene()
    }
}

fn join(windows: Vec<PathBuf>, overlap: usize, out: &Path) -> one4d_engine::Result<Arc<Scene4d>> {
    let shown = Mutex::new(None);
    let request = JobRequest::Join(JoinRequest {
        windows,
        overlap,
        out: out.to_owned(),
    });
    PipelineRunner::default().run(request, &JobCtx::silent(), &|scene| {
        *shown.lock().unwrap() = Some(scene);
    })?;
    Ok(shown.into_inner().unwrap().unwrap())
}

#[test]
fn scene_files_join_to_the_clip_they_were_cut_from() {
    let clip = clip(14);
    let folder = tempfile::tempdir().unwrap();
    let windows: Vec<PathBuf> = [0..6, 4..10, 8..14]
        .into_iter()
        .enumerate()
        .map(|(i, frames)| {
            let path = folder.path().join(format!("{i}.one4d"));
            part(&clip, frames).save(&path).unwrap();
            path
        })
        .collect();
    let out = folder.path().join("whole.one4d");
    let scene = join(windows.clone(), 2, &out).unwrap();
    assert_eq!(scene.num_frames, 14);
    assert!(scene.rgb.as_slice() == clip.rgb);
    let poses = |cameras: &[Camera]| -> Vec<WorldFromCamera> {
        cameras.iter().map(|c| c.world_from_camera).collect()
    };
    let found = poses(scene.cameras.as_ref().unwrap());
    for (pose, truth) in found.iter().zip(poses(&clip.cameras)) {
        assert!((pose.translation - truth.translation).length() < 1e-4);
    }
    let opened = one4d_engine::scene::open(&out).unwrap();
    assert_eq!(opened.meta.settings["joins"].as_array().unwrap().len(), 2);
    let refused =
        |windows: Vec<PathBuf>, overlap| join(windows, overlap, &out).unwrap_err().to_string();
    assert!(refused(windows.clone(), 0).contains("between 1 and 5"));
    assert!(refused(windows.clone(), 6).contains("between 1 and 5"));
    assert!(refused(windows[..1].to_vec(), 2).contains("at least two"));
    let folder_of_other = refused(vec![windows[0].clone(), folder.path().to_owned()], 2);
    assert!(folder_of_other.contains("import"), "{folder_of_other}");
}
