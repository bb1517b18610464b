//! The pipeline from a request to files, on a tiny model: every kind of input, the same seed twice,
//! cancellation, and requests that cannot be carried out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

use image::RgbImage;
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Preview, Progress, Stage};
use one4d_engine::pipeline::{Observed, ObservedFrame, PipelineRunner, Request};
use one4d_engine::scene::{self, Scene4d};
use one4d_engine::worker::{JobRequest, JobRunner as _, Output};
use one4d_engine::{Error, Result};
use one4d_tests::bundle::{SIZE, tiny_bundle};
use tempfile::TempDir;

/// One model for all tests of this file; the folder is left to the system's cleaning.
pub(crate) static MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap().keep();
    tiny_bundle(&folder)
});

pub(crate) fn request(observed: Observed) -> Request {
    Request {
        observed,
        prompt: "a red ball bounces".to_owned(),
        model: Some(MODEL.clone()),
        steps: Some(2),
        seed: 7,
        ..Request::default()
    }
}

pub(crate) fn run(
    request: Request,
    out: Option<&Path>,
    ctx: &JobCtx,
) -> Result<(Output, Arc<Scene4d>)> {
    let shown = Mutex::new(None);
    let job = JobRequest::Generate {
        request,
        out: out.map(Path::to_owned),
    };
    let output = PipelineRunner::default().run(job, ctx, &|scene| {
        *shown.lock().unwrap() = Some(scene);
    })?;
    let scene = shown.into_inner().unwrap().unwrap();
    Ok((output, scene))
}

pub(crate) fn picture(folder: &TempDir, name: &str, size: (u32, u32)) -> PathBuf {
    let path = folder.path().join(name);
    let pixel = |x: u32, y: u32| image::Rgb([(x * 7) as u8, (y * 5) as u8, 90]);
    RgbImage::from_fn(size.0, size.1, pixel)
        .save(&path)
        .unwrap();
    path
}

pub(crate) fn files_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_kind_of_input_becomes_a_scene_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let tall = picture(&folder, "tall.png", (40, 300));
    let wide = picture(&folder, "wide.jpg", (700, 90));
    let frames = folder.path().join("frames");
    std::fs::create_dir(&frames).unwrap();
    for i in 0..5 {
        std::fs::copy(&tall, frames.join(format!("{i}.png"))).unwrap();
    }
    let at = |path: &PathBuf, at| ObservedFrame {
        path: path.clone(),
        at,
    };
    let cases = [
        (Observed::Nothing, vec![]),
        (Observed::Frames(vec![at(&tall, 0)]), vec![0]),
        (
            Observed::Frames(vec![at(&wide, 8), at(&tall, 0)]),
            vec![0, 8],
        ),
        (Observed::Video(frames), (0..SIZE[0]).collect()),
    ];
    for (i, (observed, expected)) in cases.into_iter().enumerate() {
        let out = folder.path().join(format!("out{i}"));
        let (output, shown) = run(request(observed), Some(&out), &JobCtx::silent()).unwrap();
        let names = ["depth.png", "frames.png", "report.json", "scene.one4d"];
        assert_eq!(files_in(&out), names);
        let read = scene::open(out.join("scene.one4d")).unwrap();
        assert_eq!([read.num_frames, read.height, read.width], SIZE);
        assert_eq!(read.rgb.as_slice(), shown.rgb.as_slice());
        assert_eq!(read.meta.observed, expected);
        let stages: Vec<&str> = output.report["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| stage["stage"].as_str().unwrap())
            .collect();
        let all = [
            "load",
            "media",
            "condition",
            "text",
            "sample",
            "decode",
            "optimise",
            "save",
        ];
        assert_eq!(stages, all);
    }
}

#[test]
fn a_seed_names_a_clip() {
    let points = |seed| {
        let request = Request {
            seed,
            ..request(Observed::Nothing)
        };
        let (_, scene) = run(request, None, &JobCtx::silent()).unwrap();
        scene.rgb.as_slice().to_vec()
    };
    assert_eq!(points(3), points(3));
    assert_ne!(points(3), points(4));
}

#[test]
fn the_prompt_and_the_guidance_reach_the_picture() {
    let rgb = |prompt: &str, guidance| {
        let request = Request {
            prompt: prompt.to_owned(),
            guidance: Some(guidance),
            ..request(Observed::Nothing)
        };
        let (_, scene) = run(request, None, &JobCtx::silent()).unwrap();
        scene.rgb.as_slice().to_vec()
    };
    assert_ne!(rgb("a red ball bounces", 1.0), rgb("snow", 1.0));
    assert_ne!(
        rgb("a red ball bounces", 1.0),
        rgb("a red ball bounces", 9.0)
    );
}

/// Cancels at the first report of a stage; counts previews.
struct Watcher {
    cancel_at: Option<Stage>,
    token: CancelToken,
    previews: Mutex<Vec<(usize, usize)>>,
}

impl JobSink for Watcher {
    fn progress(&self, progress: Progress) {
        if self.cancel_at == Some(progress.stage) {
            self.token.cancel();
        }
    }

    fn preview(&self, preview: Preview) {
        assert_eq!(preview.rgb.len(), preview.width * preview.height * 3);
        self.previews
            .lock()
            .unwrap()
            .push((preview.width, preview.height));
    }
}

fn watched(cancel_at: Option<Stage>) -> (JobCtx, Arc<Watcher>) {
    let watcher = Arc::new(Watcher {
        cancel_at,
        token: CancelToken::default(),
        previews: Mutex::default(),
    });
    let sink: Arc<dyn JobSink> = watcher.clone();
    (JobCtx::new(watcher.token.clone(), sink), watcher)
}

#[test]
fn every_step_shows_a_frame() {
    let (ctx, watcher) = watched(None);
    run(request(Observed::Nothing), None, &ctx).unwrap();
    assert_eq!(
        *watcher.previews.lock().unwrap(),
        vec![(SIZE[2], SIZE[1]); 2]
    );
}

#[test]
fn a_job_cancelled_in_any_stage_leaves_no_file() {
    for stage in [
        Stage::Load,
        Stage::Condition,
        Stage::Sample,
        Stage::Decode,
        Stage::Optimise,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (ctx, _watcher) = watched(Some(stage));
        let result = run(request(Observed::Nothing), Some(folder.path()), &ctx);
        assert!(matches!(result, Err(Error::Cancelled)), "{stage:?}");
        assert_eq!(files_in(folder.path()), Vec::<String>::new(), "{stage:?}");
    }
}

#[test]
fn requests_that_cannot_be_carried_out_say_what_would_be_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let image = picture(&folder, "a.png", (64, 64));
    let twice = |at: [usize; 2]| {
        let frame = |at| ObservedFrame {
            path: image.clone(),
            at,
        };
        request(Observed::Frames(at.map(frame).to_vec()))
    };
    let text = || request(Observed::Nothing);
    let cases = [
        (
            Request {
                frames: Some(8),
                ..text()
            },
            "1, 5, 9",
        ),
        (
            Request {
                frames: Some(13),
                ..text()
            },
            "up to 9",
        ),
        (
            Request {
                steps: Some(0),
                ..text()
            },
            "between 1 and 1000",
        ),
        (
            Request {
                guidance: Some(f64::NAN),
                ..text()
            },
            "between 0 and 50",
        ),
        (twice([0, 9]), "0 to 8"),
        (twice([4, 4]), "stands there already"),
        (
            Request {
                model: Some(folder.path().join("none")),
                ..text()
            },
            "none",
        ),
    ];
    for (request, expected) in cases {
        let out = folder.path().join("out");
        let error = run(request, Some(&out), &JobCtx::silent())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(expected), "{expected:?} not in {error:?}");
    }
}
