//! The inputs of the next scene, and the request that they make.

use std::path::{Path, PathBuf};

use one4d_engine::pipeline::{Observed, ObservedFrame, Preset, Request, SamplingDefaults};

use super::loras::{LoraEdit, LoraList};
use super::model::ModelFacts;
pub use super::placing::PlacedFrame;

/// What the scene is made from; the modes differ in what is observed and in nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputMode {
    /// One image, the first frame.
    #[default]
    Image,
    /// A few images at chosen frames.
    Frames,
    /// A whole video or folder of frames.
    Video,
    /// The prompt alone.
    Text,
}

impl InputMode {
    /// Every mode, in the order of the tabs.
    pub const ALL: [Self; 4] = [Self::Image, Self::Frames, Self::Video, Self::Text];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Image => "Image",
            Self::Frames => "Frames",
            Self::Video => "Video",
            Self::Text => "Text",
        }
    }
}

/// The Create panel's values. Inputs of modes that are not shown are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateForm {
    /// Which kind of input counts.
    pub mode: InputMode,
    /// The image of [`InputMode::Image`].
    pub image: Option<PathBuf>,
    /// The images of [`InputMode::Frames`], sorted by frame, no two at the same one.
    pub placed: Vec<PlacedFrame>,
    /// The video or folder of [`InputMode::Video`].
    pub video: Option<PathBuf>,
    /// What the scene shows.
    pub prompt: String,
    /// Frames, `4k + 1`.
    pub num_frames: usize,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance scale, 1 = off.
    pub guidance: f64,
    /// Threshold of the step cache, 0 = off.
    pub step_cache: f64,
    /// Where steps and guidance come from.
    pub preset: Preset,
    /// Time shift of the schedule; `None` for the model's own.
    pub shift: Option<f64>,
    /// LoRA files beside the model's own.
    pub loras: LoraList,
    /// Seed of the noise.
    pub seed: u64,
    /// Folder of the model bundle; `None` for the bundled one.
    pub model: Option<PathBuf>,
}

impl CreateForm {
    /// An empty form with a model's defaults.
    pub fn new(model: &ModelFacts) -> Self {
        Self {
            mode: InputMode::Image,
            image: None,
            placed: Vec::new(),
            video: None,
            prompt: String::new(),
            num_frames: model.num_frames,
            steps: model.steps,
            guidance: model.guidance,
            step_cache: 0.0,
            preset: Preset::Standard,
            shift: None,
            loras: LoraList::default(),
            seed: 1,
            model: None,
        }
    }

    /// The sampling of the preset "fast": the model's own, or that of a file which is taken for distilled.
    pub fn fast(&self, model: &ModelFacts) -> Option<SamplingDefaults> {
        model.fast.or_else(|| self.loras.few_steps())
    }

    /// Steps and guidance that the preset in force stands for.
    pub fn defaults(&self, model: &ModelFacts) -> (usize, f64) {
        let fast = self.fast(model).filter(|_| self.preset == Preset::Fast);
        fast.map_or((model.steps, model.guidance), |way| {
            (way.steps.max(1), way.guidance)
        })
    }

    /// Chooses where steps, guidance and time shift come from, and takes them from there. Without a
    /// distilled LoRA, the model's or a file's, the preset stays the model's own.
    pub fn set_preset(&mut self, preset: Preset, model: &ModelFacts) {
        let fast = self.fast(model).filter(|_| preset == Preset::Fast);
        self.preset = if fast.is_some() {
            Preset::Fast
        } else {
            Preset::Standard
        };
        (self.steps, self.guidance) = self.defaults(model);
        let from_file = fast.filter(|_| model.fast.is_none());
        self.shift = from_file.map(|way| way.shift);
    }

    /// Carries out an edit of a LoRA file; the preset "fast" ends with the last file that it rests on.
    pub fn edit_lora(&mut self, path: &Path, edit: &LoraEdit, model: &ModelFacts) {
        self.loras.edit(path, edit);
        if self.preset == Preset::Fast && self.fast(model).is_none() {
            self.set_preset(Preset::Standard, model);
        }
    }

    /// Takes over what another model does best.
    pub fn adopt(&mut self, model: &ModelFacts) {
        self.set_preset(Preset::Standard, model);
        self.set_num_frames(model.num_frames);
    }

    /// True if nothing has been given yet.
    pub fn is_untouched(&self) -> bool {
        self.image.is_none()
            && self.placed.is_empty()
            && self.video.is_none()
            && self.loras.is_empty()
            && self.prompt.trim().is_empty()
            && self.mode == InputMode::Image
    }

    /// Rounds to the nearest `4k + 1` and moves placed frames inside.
    pub fn set_num_frames(&mut self, frames: usize) {
        self.num_frames = nearest_clip_length(frames);
        let placed = std::mem::take(&mut self.placed);
        for frame in placed {
            self.place(frame.path, frame.at.min(self.num_frames - 1));
        }
    }

    /// Why the form makes no request yet, in words for the person; `None` if it does.
    pub fn missing(&self) -> Option<&'static str> {
        match self.mode {
            InputMode::Image if self.image.is_none() => Some("Add an image first"),
            InputMode::Frames if self.placed.is_empty() => Some("Place at least one image first"),
            InputMode::Video if self.video.is_none() => Some("Add a video first"),
            InputMode::Text if self.prompt.trim().is_empty() => Some("Write a prompt first"),
            _ if self.loras.misfit(self.preset).is_some() => {
                Some("A LoRA file does not fit; leave it out")
            }
            _ => None,
        }
    }

    /// The request that the form stands for.
    pub fn request(&self) -> Option<Request> {
        if self.missing().is_some() {
            return None;
        }
        let observed = match self.mode {
            InputMode::Image => Observed::Frames(vec![ObservedFrame {
                path: self.image.clone()?,
                at: 0,
            }]),
            InputMode::Frames => Observed::Frames(
                self.placed
                    .iter()
                    .map(|frame| ObservedFrame {
                        path: frame.path.clone(),
                        at: frame.at,
                    })
                    .collect(),
            ),
            InputMode::Video => Observed::Video(self.video.clone()?),
            InputMode::Text => Observed::Nothing,
        };
        Some(Request {
            observed,
            prompt: self.prompt.trim().to_owned(),
            model: self.model.clone(),
            frames: Some(self.num_frames),
            steps: Some(self.steps),
            guidance: Some(self.guidance),
            step_cache: self.step_cache,
            shift: self.shift,
            preset: self.preset,
            loras: self.loras.choices(self.preset),
            seed: self.seed,
            ..Request::default()
        })
    }

    /// Fills the form from a request, so that a job can be varied.
    pub fn take_over(&mut self, request: &Request) {
        match &request.observed {
            Observed::Nothing => self.mode = InputMode::Text,
            Observed::Video(path) => {
                self.mode = InputMode::Video;
                self.video = Some(path.clone());
            }
            Observed::Frames(frames) => {
                let single = frames.len() == 1 && frames[0].at == 0;
                self.mode = if single {
                    InputMode::Image
                } else {
                    InputMode::Frames
                };
                if single {
                    self.image = Some(frames[0].path.clone());
                } else {
                    self.placed = frames
                        .iter()
                        .map(|frame| PlacedFrame {
                            path: frame.path.clone(),
                            at: frame.at,
                        })
                        .collect();
                }
            }
        }
        self.prompt.clone_from(&request.prompt);
        self.num_frames = request.frames.unwrap_or(self.num_frames);
        self.steps = request.steps.unwrap_or(self.steps);
        self.guidance = request.guidance.unwrap_or(self.guidance);
        self.step_cache = request.step_cache;
        self.preset = request.preset;
        self.shift = request.shift;
        self.loras.take_over(&request.loras, request.preset);
        if request.preset == Preset::Fast && request.shift.is_some() {
            self.loras.mark_distilled();
        }
        self.seed = request.seed;
        self.model.clone_from(&request.model);
    }

    /// Frames that the inputs hold on to, with their files, in order; empty for a video.
    pub fn observed(&self) -> Vec<PlacedFrame> {
        match self.mode {
            InputMode::Image => self
                .image
                .iter()
                .map(|path| PlacedFrame {
                    path: path.clone(),
                    at: 0,
                })
                .collect(),
            InputMode::Frames => self.placed.clone(),
            InputMode::Video | InputMode::Text => Vec::new(),
        }
    }

    /// The file that stands for the inputs in the middle of the window.
    pub fn leading_file(&self) -> Option<&PathBuf> {
        match self.mode {
            InputMode::Image => self.image.as_ref(),
            InputMode::Frames => self.placed.first().map(|frame| &frame.path),
            InputMode::Video => self.video.as_ref(),
            InputMode::Text => None,
        }
    }
}

/// The number `4k + 1` nearest to `frames`, from 1 to 161.
pub fn nearest_clip_length(frames: usize) -> usize {
    (frames.clamp(1, 161) + 1) / 4 * 4 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> CreateForm {
        CreateForm::new(&ModelFacts::default())
    }

    #[test]
    fn clip_lengths_are_one_more_than_a_multiple_of_four() {
        let lengths: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 80, 81, 9999]
            .map(nearest_clip_length)
            .to_vec();
        assert_eq!(lengths, [1, 1, 1, 5, 5, 5, 5, 9, 17, 17, 17, 81, 81, 161]);
    }

    #[test]
    fn a_form_asks_for_what_it_lacks_and_becomes_a_request() {
        let mut form = form();
        assert_eq!(form.missing(), Some("Add an image first"));
        form.image = Some("a.png".into());
        form.prompt = "  a red ball ".into();
        let request = form.request().unwrap();
        assert_eq!(request.prompt, "a red ball");
        assert_eq!(
            request.observed,
            Observed::Frames(vec![ObservedFrame {
                path: "a.png".into(),
                at: 0
            }])
        );
        form.mode = InputMode::Text;
        assert_eq!(form.request().unwrap().observed, Observed::Nothing);
        form.prompt.clear();
        assert!(form.request().is_none());
    }

    #[test]
    fn the_fast_preset_is_there_for_models_that_bring_it() {
        let mut form = form();
        let plain = ModelFacts::default();
        form.set_preset(Preset::Fast, &plain);
        assert_eq!((form.preset, form.steps), (Preset::Standard, plain.steps));
        let distilled = ModelFacts {
            fast: Some(SamplingDefaults::distilled()),
            ..plain
        };
        form.set_preset(Preset::Fast, &distilled);
        form.image = Some("a.png".into());
        let request = form.request().unwrap();
        assert_eq!((request.preset, request.steps), (Preset::Fast, Some(4)));
        assert_eq!((request.guidance, request.shift), (Some(1.0), None));
        form.set_preset(Preset::Standard, &distilled);
        assert_eq!(
            (form.steps, form.guidance),
            (distilled.steps, distilled.guidance)
        );
    }

    #[test]
    fn a_file_taken_for_distilled_gives_the_fast_preset_and_takes_it_along() {
        let (mut form, model) = (form(), ModelFacts::default());
        form.image = Some("a.png".into());
        for name in ["style", "causvid"] {
            form.loras.add(name.into());
        }
        assert_eq!(form.request().unwrap().loras.len(), 1);
        form.set_preset(Preset::Fast, &model);
        let request = form.request().unwrap();
        assert_eq!((request.steps, request.guidance), (Some(4), Some(1.0)));
        assert_eq!((request.shift, request.loras.len()), (Some(8.0), 2));
        form.edit_lora(Path::new("causvid"), &LoraEdit::On(false), &model);
        let request = form.request().unwrap();
        assert_eq!((request.preset, request.shift), (Preset::Standard, None));
        assert_eq!(request.steps, Some(model.steps));
        assert_eq!(request.loras.len(), 1);
    }

    #[test]
    fn a_request_with_loras_put_back_gives_the_same_request() {
        let (mut form, model) = (form(), ModelFacts::default());
        form.image = Some("a.png".into());
        form.loras.add("unnamed".into());
        form.edit_lora(Path::new("unnamed"), &LoraEdit::Distilled(true), &model);
        form.edit_lora(Path::new("unnamed"), &LoraEdit::Strength(0.75), &model);
        form.set_preset(Preset::Fast, &model);
        let request = form.request().unwrap();
        let mut other = CreateForm::new(&model);
        other.loras.add("lightx2v".into());
        other.take_over(&request);
        assert_eq!(other.request().unwrap(), request);
        let standard = Request {
            preset: Preset::Standard,
            shift: None,
            ..request
        };
        other.take_over(&standard);
        assert_eq!(other.request().unwrap(), standard);
    }

    #[test]
    fn a_request_put_back_gives_the_same_request() {
        let mut form = form();
        form.mode = InputMode::Frames;
        form.place_evenly(vec!["a".into(), "b".into(), "c".into()]);
        form.step_cache = 0.08;
        let request = form.request().unwrap();
        let mut other = CreateForm::new(&ModelFacts::default());
        other.take_over(&request);
        assert_eq!(other.request().unwrap(), request);
    }
}
