//! The export that is being set up.

use std::path::PathBuf;
use std::sync::Arc;

use one4d_engine::export::BroughtFormat;
use one4d_engine::scene::{Scene4d, validity};
use one4d_engine::worker::{ExportFormat, ExportRequest, JobRequest};

use super::command::ExportEdit;
use super::notices::{Notice, Severity};
use super::saving::look_of;
use super::scene::OpenScene;
use super::{AppState, apply};
use crate::services::{MediaTask, Preparation, Services};
use crate::video::{ORBIT_PX, OrbitShot, VideoFormat, VideoKind, estimate_bytes, frame_rate};
use crate::viewport::filter::PointFilter;
use crate::viewport::{MaskMode, ViewOptions};

/// Opens the dialog for the scene on screen, set up as the view shows it.
pub(super) fn open(state: &mut AppState) {
    if state.scene.is_some() {
        let options = &state.view.options;
        let folder = state.settings.export_folder.clone();
        let usual = PointFilter::of(&ViewOptions::default());
        state.export = Some(ExportForm {
            min_confidence: options.min_confidence,
            as_shown: PointFilter::of(options) != usual,
            ..ExportForm::new(state.clock.range(), folder)
        });
    }
}

/// Applies an edit of the dialog.
pub(super) fn edit(state: &mut AppState, services: &Services, edit: &ExportEdit) {
    let Some(form) = &mut state.export else {
        return;
    };
    form.edit(edit, state.clock.num_frames());
    match edit {
        ExportEdit::Cancel => state.export = None,
        ExportEdit::Start => {
            let form = form.clone();
            let request = state.scene.as_ref().and_then(|open| form.request(open));
            let Some(mut request) = request else {
                return;
            };
            state.export = None;
            match videos(state, services, &form) {
                Ok(videos) => {
                    request.brought = videos;
                    hand_over(state, services, &form, request);
                }
                Err(error) => {
                    let title = "The export cannot start";
                    let notice = Notice::new(Severity::Error, title, error.to_string());
                    state.notices.post(notice, state.now_secs);
                }
            }
        }
        _ => {}
    }
}

/// The videos of an export; the one around the scene swings about the view as it is now.
fn videos(
    state: &AppState,
    services: &Services,
    form: &ExportForm,
) -> one4d_engine::Result<Vec<Arc<dyn BroughtFormat>>> {
    let shot = || {
        let open = state.scene.as_ref()?;
        Some(OrbitShot {
            gpu: services.shots.device()?,
            scene: Arc::clone(&open.scene),
            orbit: Some(state.view.goal()),
            size_px: ORBIT_PX,
            look: look_of(state),
        })
    };
    let kinds = VideoKind::ALL.into_iter();
    let kinds = kinds.filter(|kind| form.videos.contains(kind));
    kinds
        .map(|kind| Ok(Arc::new(VideoFormat::new(kind, shot())?) as Arc<dyn BroughtFormat>))
        .collect()
}

/// Hands an export to the engine, at once or after its scene has been made what it shall be.
fn hand_over(state: &mut AppState, services: &Services, form: &ExportForm, request: ExportRequest) {
    let known = state.lengths.known.filter(|_| form.in_metres);
    let preparation = Preparation {
        filter: form.as_shown.then(|| PointFilter::of(&state.view.options)),
        metres: known.map(|known| known.metres()),
    };
    if preparation == Preparation::default() {
        start(state, services, request);
    } else {
        let task = MediaTask::Prepare(Box::new(request), preparation);
        services.media.ask(task);
    }
}

/// Hands an export to the engine.
pub(super) fn start(state: &mut AppState, services: &Services, request: ExportRequest) {
    apply::submit(state, services, JobRequest::Export(request));
}

/// What a view hides, a few words each.
pub fn words_of_filter(options: &ViewOptions) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(edge) = options.edge_threshold {
        words.push(format!("flying pixels from {:.0} %", edge * 100.0));
    }
    if options.min_confidence > 0.0 {
        words.push(format!("confidence below {:.2}", options.min_confidence));
    }
    match options.mask {
        MaskMode::OnlyMoving => words.push("what stands still".to_owned()),
        MaskMode::OnlyStill => words.push("what moves".to_owned()),
        MaskMode::Off | MaskMode::Tint => {}
    }
    if options.clip_box.is_some() {
        words.push("what lies outside the clip box".to_owned());
    }
    if options.required_valid & !validity::FINITE != 0 {
        words.push("marked points".to_owned());
    }
    words
}

/// The formats, in the order in which the dialog lists them.
pub const FORMATS: [ExportFormat; 4] = [
    ExportFormat::Scene,
    ExportFormat::Ply,
    ExportFormat::GlbAnimated,
    ExportFormat::GlbFrames,
];

/// The export dialog's values.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportForm {
    /// Formats to write.
    pub formats: Vec<ExportFormat>,
    /// Videos to write.
    pub videos: Vec<VideoKind>,
    /// First frame.
    pub first: usize,
    /// Last frame, inclusive.
    pub last: usize,
    /// Every n-th pixel in both directions.
    pub stride: usize,
    /// Only pixels that are fit for measuring.
    pub only_good: bool,
    /// Least confidence, 0..1.
    pub min_confidence: f32,
    /// Only points that the view shows.
    pub as_shown: bool,
    /// In metres, where a scale was set from a known length.
    pub in_metres: bool,
    /// Where to write; `None` until chosen.
    pub folder: Option<PathBuf>,
}

impl ExportForm {
    /// A form for the frames that play.
    pub fn new(range: (usize, usize), folder: Option<PathBuf>) -> Self {
        Self {
            formats: vec![ExportFormat::GlbAnimated],
            videos: Vec::new(),
            first: range.0,
            last: range.1,
            stride: 1,
            only_good: true,
            min_confidence: 0.0,
            as_shown: false,
            in_metres: true,
            folder,
        }
    }

    /// Applies an edit that changes values.
    pub fn edit(&mut self, edit: &ExportEdit, num_frames: usize) {
        match *edit {
            ExportEdit::Folder(ref folder) => self.folder = Some(folder.clone()),
            ExportEdit::Toggle(format) => {
                if self.formats.contains(&format) {
                    self.formats.retain(|&f| f != format);
                } else {
                    self.formats.push(format);
                }
            }
            ExportEdit::ToggleVideo(kind) => {
                if self.videos.contains(&kind) {
                    self.videos.retain(|&k| k != kind);
                } else {
                    self.videos.push(kind);
                }
            }
            ExportEdit::Range(first, last) => {
                let top = num_frames.saturating_sub(1);
                self.first = first.min(last).min(top);
                self.last = last.max(first).min(top);
            }
            ExportEdit::Stride(stride) => self.stride = stride.clamp(1, 16),
            ExportEdit::OnlyGood(only_good) => self.only_good = only_good,
            ExportEdit::MinConfidence(least) => self.min_confidence = least.clamp(0.0, 1.0),
            ExportEdit::AsShown(as_shown) => self.as_shown = as_shown,
            ExportEdit::InMetres(in_metres) => self.in_metres = in_metres,
            ExportEdit::Start | ExportEdit::Cancel => {}
        }
    }

    /// Frames that will be written.
    pub fn num_frames(&self) -> usize {
        self.last + 1 - self.first
    }

    /// Why the export cannot start yet.
    pub fn missing(&self) -> Option<&'static str> {
        if self.formats.is_empty() && self.videos.is_empty() {
            Some("Choose at least one format")
        } else if self.folder.is_none() {
            Some("Choose a folder first")
        } else {
            None
        }
    }

    /// Bytes that will be written, from what each format stores per point.
    pub fn estimate_bytes(&self, open: &OpenScene) -> u64 {
        let scene = &open.scene;
        let whole = scene.pixels_per_frame() as u64 * self.num_frames() as u64;
        let share = match (self.only_good, &open.facts) {
            (true, Some(facts)) => facts.good_share,
            (false, Some(facts)) => facts.finite_share,
            (_, None) => 1.0,
        };
        let stride = (self.stride * self.stride) as f64;
        let points = (whole as f64 / stride * share) as u64;
        let size_px = [scene.width as u64, scene.height as u64];
        let (frames, fps) = (self.num_frames() as u64, frame_rate(scene.meta.fps));
        let videos = self.videos.iter();
        let videos = videos.map(|&kind| estimate_bytes(kind, size_px, frames, fps));
        self.formats
            .iter()
            .map(|format| match format {
                ExportFormat::Scene => whole * scene_bytes_per_pixel(scene),
                // Three floats and three bytes; glTF pads colours to four.
                ExportFormat::Ply => points * 15,
                ExportFormat::GlbFrames | ExportFormat::GlbAnimated => points * 16,
            })
            .chain(videos)
            .sum()
    }

    /// The request that the form stands for.
    pub fn request(&self, open: &OpenScene) -> Option<ExportRequest> {
        if self.missing().is_some() {
            return None;
        }
        Some(ExportRequest {
            scene: open.scene.clone(),
            formats: FORMATS
                .into_iter()
                .filter(|format| self.formats.contains(format))
                .collect(),
            brought: Vec::new(),
            out: self.folder.clone()?,
            first: self.first,
            end: self.last + 1,
            stride: self.stride,
            required_validity: if self.only_good {
                validity::GOOD
            } else {
                validity::FINITE
            },
            min_confidence: self.min_confidence,
        })
    }
}

fn scene_bytes_per_pixel(scene: &Scene4d) -> u64 {
    let optional = |present: bool, bytes: u64| if present { bytes } else { 0 };
    // rgb, points in f32, validity.
    3 + 12
        + 1
        + optional(scene.confidence.is_some(), 2)
        + optional(scene.depth.is_some(), 4)
        + optional(scene.scene_flow.is_some(), 6)
        + optional(scene.dynamic.is_some(), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_asks_for_what_it_lacks() {
        let mut form = ExportForm::new((0, 16), None);
        assert_eq!(form.missing(), Some("Choose a folder first"));
        form.folder = Some("/tmp".into());
        assert_eq!(form.missing(), None);
        form.edit(&ExportEdit::Toggle(ExportFormat::GlbAnimated), 17);
        assert_eq!(form.missing(), Some("Choose at least one format"));
    }

    #[test]
    fn what_a_view_hides_is_named() {
        let options = ViewOptions {
            edge_threshold: None,
            required_valid: validity::FINITE,
            ..ViewOptions::default()
        };
        assert!(words_of_filter(&options).is_empty());
        let all = ViewOptions {
            min_confidence: 0.3,
            mask: MaskMode::OnlyMoving,
            ..ViewOptions::default()
        };
        let words = words_of_filter(&all).join(", ");
        assert!(
            words.starts_with("flying pixels from 10 %, confidence below 0.30"),
            "{words}"
        );
    }

    #[test]
    fn ranges_stay_inside_the_scene() {
        let mut form = ExportForm::new((0, 16), None);
        form.edit(&ExportEdit::Range(99, 3), 17);
        assert_eq!((form.first, form.last, form.num_frames()), (3, 16, 14));
        form.edit(&ExportEdit::Stride(0), 17);
        assert_eq!(form.stride, 1);
    }
}
