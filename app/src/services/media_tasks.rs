//! What the media thread does, one function a task.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::ColorImage;
use image::RgbImage;
use image::imageops::thumbnail;
use one4d_engine::device::DeviceChoice;
use one4d_engine::job::JobCtx;
use one4d_engine::media::{self, ClipRequest, Frame, Sampling};
use one4d_engine::pipeline::{
    BundleManifest, LoraWish, Preset, bundle_parts, bundled_model, check_lora,
};
use one4d_engine::plan::Machine;
use one4d_engine::scene::{Scene4d, validity};

use super::kinds::{VIDEO_ENDINGS, classify, ending};
use super::media::{MediaResult, MediaTask, Preparation};
use super::{follow, ground, hide, rescale, store};
use crate::samples::SAMPLES;
use crate::state::loras::LoraState;
use crate::state::media::SourcePicture;
use crate::state::model::{ModelFacts, ModelState, Planner};
use crate::state::scene::SceneFacts;

/// Largest side of a picture of an input, pixels.
const PICTURE_SIDE: u32 = 640;
/// Height of the small pictures of a timeline at twice the usual resolution, pixels.
const STRIP_HEIGHT: usize = 112;

/// Does a task; some have nothing to say.
pub(super) fn perform(task: MediaTask) -> Option<MediaResult> {
    Some(match task {
        MediaTask::Classify(paths, target) => {
            MediaResult::Classified(paths.iter().map(|path| classify(path)).collect(), target)
        }
        MediaTask::Picture(path) => {
            let picture = source_picture(&path);
            MediaResult::Picture(path, picture)
        }
        MediaTask::SavePasted(pixels, folder) => MediaResult::Pasted(save_pasted(&pixels, &folder)),
        MediaTask::SaveSample(index, folder) => {
            MediaResult::Sample(index, save_sample(index, &folder))
        }
        MediaTask::SamplePicture(index) => {
            let picture = image::load_from_memory(SAMPLES.get(index)?.png).ok()?;
            MediaResult::SamplePicture(index, Arc::new(color_image(&picture.to_rgb8())))
        }
        MediaTask::Model(folder) => {
            let model = read_model(folder.as_deref());
            MediaResult::Model(folder, model)
        }
        MediaTask::CheckLora(model, path) => {
            let checked = checked_lora(model.as_deref(), &path);
            MediaResult::LoraChecked(model, path, checked)
        }
        MediaTask::Facts(serial, scene) => MediaResult::Facts(serial, scene_facts(&scene)),
        MediaTask::Write(path, value) => {
            let error = store::write_json(&path, &value).err()?;
            MediaResult::WriteFailed(path, error.to_string())
        }
        MediaTask::WriteText(path, text) => match store::write_whole(&path, &text) {
            Ok(()) => MediaResult::Written(path),
            Err(error) => MediaResult::WriteFailed(path, error.to_string()),
        },
        MediaTask::Follow(serial, scene, measure) => {
            let series = follow::series(&scene, measure.kind, &measure.anchors);
            MediaResult::Followed(serial, measure.id, Arc::new(series))
        }
        MediaTask::Ground(serial, scene) => MediaResult::Ground(serial, ground::up_of(&scene)),
        MediaTask::Prepare(mut request, Preparation { filter, metres }) => {
            if let Some(filter) = filter {
                let frames = request.first..request.end;
                request.scene = Arc::new(hide::only_kept(&request.scene, &filter, frames));
            }
            if let Some(metres) = metres {
                request.scene = Arc::new(rescale::in_metres(&request.scene, metres));
            }
            MediaResult::Prepared(request)
        }
        MediaTask::Strip(..) => return None,
    })
}

fn source_picture(path: &Path) -> Result<SourcePicture, String> {
    read_source(path).map_err(|error| reason(&error))
}

/// The picture of an image, or the first one of a video or folder.
fn read_source(path: &Path) -> one4d_engine::Result<SourcePicture> {
    let is_image = !path.is_dir() && !VIDEO_ENDINGS.contains(&ending(path).as_str());
    if is_image {
        let frame = media::load_image(path)?;
        return Ok(picture_of(&frame, None));
    }
    let info = media::probe(path)?;
    let request = ClipRequest {
        frames: 1,
        sampling: Sampling::Even,
        size: None,
    };
    let clip = media::load_video(path, &request, &JobCtx::silent())?;
    let first = clip
        .frames
        .first()
        .ok_or_else(|| one4d_engine::Error::format(path, "holds no frames"))?;
    Ok(picture_of(first, Some(info.num_frames)))
}

fn picture_of(frame: &Frame, num_frames: Option<usize>) -> SourcePicture {
    let size_px = (frame.width, frame.height);
    let rgb = RgbImage::from_raw(frame.width as u32, frame.height as u32, frame.rgb.clone())
        .unwrap_or_default();
    let scale = PICTURE_SIDE as f32 / rgb.width().max(rgb.height()).max(1) as f32;
    let small = if scale < 1.0 {
        let side = |length: u32| ((length as f32 * scale) as u32).max(1);
        thumbnail(&rgb, side(rgb.width()), side(rgb.height()))
    } else {
        rgb
    };
    SourcePicture {
        picture: Arc::new(color_image(&small)),
        size_px,
        num_frames,
    }
}

/// The reason alone, where the sentence around it names the file already.
fn reason(error: &one4d_engine::Error) -> String {
    match error {
        one4d_engine::Error::Format { reason, .. }
        | one4d_engine::Error::Weights { reason, .. } => reason.clone(),
        one4d_engine::Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

fn color_image(image: &RgbImage) -> ColorImage {
    let size = [image.width() as usize, image.height() as usize];
    ColorImage::from_rgb(size, image.as_raw())
}

fn save_pasted(pixels: &ColorImage, folder: &Path) -> Result<PathBuf, String> {
    let [width, height] = pixels.size;
    let rgb = pixels
        .pixels
        .iter()
        .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()])
        .collect();
    let image = RgbImage::from_raw(width as u32, height as u32, rgb)
        .ok_or("the pasted image has no pixels")?;
    let path = free_name(folder, "pasted");
    save_png(&image, &path)?;
    Ok(path)
}

fn save_png(image: &RgbImage, path: &Path) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    image.save(path).map_err(|error| error.to_string())
}

/// The first `stem-N.png` that is not taken.
fn free_name(folder: &Path, stem: &str) -> PathBuf {
    (1..10_000_u32)
        .map(|n| folder.join(format!("{stem}-{n}.png")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| folder.join(format!("{stem}.png")))
}

fn save_sample(index: usize, folder: &Path) -> Result<PathBuf, String> {
    let sample = SAMPLES.get(index).ok_or("there is no such sample")?;
    let path = folder.join(sample.file);
    if std::fs::metadata(&path).is_ok_and(|data| data.len() == sample.png.len() as u64) {
        return Ok(path);
    }
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    std::fs::write(&path, sample.png).map_err(|error| error.to_string())?;
    Ok(path)
}

fn read_model(folder: Option<&Path>) -> ModelState {
    let manifest = folder
        .map_or_else(bundled_model, |folder| Ok(folder.to_owned()))
        .and_then(|folder| Ok((BundleManifest::read(&folder)?, folder)));
    match manifest {
        Ok((manifest, folder)) => ModelState {
            facts: ModelFacts::from(&manifest),
            planner: planner(&folder)
                .inspect_err(|e| tracing::debug!("no plan: {e}"))
                .ok()
                .map(Arc::new),
            folder: Some(folder),
            problem: None,
        },
        Err(error) => ModelState {
            facts: ModelFacts::default(),
            folder: folder.map(Path::to_owned),
            problem: Some(error.to_string()),
            planner: None,
        },
    }
}

fn checked_lora(model: Option<&Path>, file: &Path) -> LoraState {
    let error = match check_lora(model, file) {
        Ok(fit) => return LoraState::Fits(fit),
        Err(error) => error,
    };
    let said = reason(&error);
    let of_file = error.to_string().starts_with(&file.display().to_string());
    if of_file {
        return LoraState::Bad(said.split("; ").map(str::to_owned).collect());
    }
    LoraState::Bad(vec![format!("the model cannot be read: {error}")])
}

/// Sizes of a model from the headers of its files, and of the machine. Its speed is not measured: files
/// to be opened wait behind this, and after a first run its own time is shown.
fn planner(folder: &Path) -> one4d_engine::Result<Planner> {
    let device = DeviceChoice::Auto.open()?;
    let with = |preset| {
        let wish = LoraWish {
            preset,
            ..LoraWish::default()
        };
        bundle_parts(folder, &wish)
    };
    let has_fast = BundleManifest::read(folder)?.fast.is_some();
    Ok(Planner {
        parts: with(Preset::Standard)?,
        fast: has_fast.then(|| with(Preset::Fast)).transpose()?,
        machine: Machine::detect(&device, None),
    })
}

/// A frame of a scene at the height of the timeline, by averaging whole blocks of pixels.
pub(super) fn frame_picture(scene: &Scene4d, frame_idx: usize) -> ColorImage {
    let rgb = scene.frame_rgb(frame_idx);
    let factor = (scene.height / STRIP_HEIGHT).max(1);
    let (width, height) = (
        (scene.width / factor).max(1),
        (scene.height / factor).max(1),
    );
    let mut small = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let sum: u32 = (0..factor * factor)
                    .map(|i| {
                        let (row, column) = (y * factor + i / factor, x * factor + i % factor);
                        u32::from(rgb[(row * scene.width + column) * 3 + channel])
                    })
                    .sum();
                small.push((sum / (factor * factor) as u32) as u8);
            }
        }
    }
    ColorImage::from_rgb([width, height], &small)
}

/// Counts over every pixel; distances over at most some tens of thousands of them.
fn scene_facts(scene: &Scene4d) -> SceneFacts {
    let pixels = scene.num_frames * scene.pixels_per_frame();
    let every = (pixels / 50_000).max(1);
    let (mut good, mut finite) = (0_usize, 0_usize);
    let mut distances = Vec::new();
    let mut empty_frames = Vec::new();
    for frame_idx in 0..scene.num_frames {
        let finite_before = finite;
        let valid = scene.frame_valid(frame_idx);
        let points = scene.frame_points(frame_idx);
        for (i, &bits) in valid.iter().enumerate() {
            good += usize::from(bits & validity::GOOD == validity::GOOD);
            let is_finite = bits & validity::FINITE != 0;
            finite += usize::from(is_finite);
            if is_finite && (frame_idx * valid.len() + i).is_multiple_of(every) {
                let [x, y, z] = [points[3 * i], points[3 * i + 1], points[3 * i + 2]];
                distances.push((x * x + y * y + z * z).sqrt());
            }
        }
        if finite == finite_before {
            empty_frames.push(frame_idx);
        }
    }
    distances.retain(|distance| distance.is_finite());
    distances.sort_by(f32::total_cmp);
    let at = |share: f64| {
        distances
            .get((distances.len() as f64 * share) as usize)
            .copied()
    };
    SceneFacts {
        good_share: good as f64 / pixels as f64,
        finite_share: finite as f64 / pixels as f64,
        distance: at(0.05).zip(at(0.95)),
        empty_frames,
    }
}
