//! The inputs of the next scene, and the request that they make.

use std::path::PathBuf;

use one4d_engine::pipeline::{LoraChoice, Observed, ObservedFrame, Preset, Request};

use super::model::ModelFacts;

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

/// An image and the frame it stands at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedFrame {
    /// The image file.
    pub path: PathBuf,
    /// Frame index.
    pub at: usize,
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
    /// LoRA files beside the model's own, as a request brought them.
    pub loras: Vec<LoraChoice>,
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
            loras: Vec::new(),
            seed: 1,
            model: None,
        }
    }

    /// Chooses where steps and guidance come from, and takes them from there. A model without a
    /// fast preset stays with its own.
    pub fn set_preset(&mut self, preset: Preset, model: &ModelFacts) {
        self.preset = match (preset, model.fast) {
            (Preset::Fast, Some(_)) => Preset::Fast,
            _ => Preset::Standard,
        };
        (self.steps, self.guidance) = model.defaults(self.preset);
    }

    /// Takes over what another model does best. LoRA files were made for the model before.
    pub fn adopt(&mut self, model: &ModelFacts) {
        self.loras.clear();
        self.set_preset(Preset::Standard, model);
        self.set_num_frames(model.num_frames);
    }

    /// True if nothing has been given yet.
    pub fn is_untouched(&self) -> bool {
        self.image.is_none()
            && self.placed.is_empty()
            && self.video.is_none()
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

    /// Places an image at the free frame nearest to `at`; drops it if every frame is taken.
    pub fn place(&mut self, path: PathBuf, at: usize) -> bool {
        let Some(at) = self.nearest_free(at) else {
            return false;
        };
        self.placed.push(PlacedFrame { path, at });
        self.placed.sort_by_key(|frame| frame.at);
        true
    }

    /// Moves a placed frame; takes the nearest free frame if that one is taken.
    pub fn move_placed(&mut self, index: usize, at: usize) {
        if index < self.placed.len() {
            let frame = self.placed.remove(index);
            self.place(frame.path, at);
        }
    }

    /// Places images evenly over what is still free, the first at frame 0 if that is free.
    pub fn place_evenly(&mut self, paths: Vec<PathBuf>) -> usize {
        let count = paths.len();
        let last = self.num_frames - 1;
        let mut placed = 0;
        for (i, path) in paths.into_iter().enumerate() {
            let at = if !self.placed.is_empty() && count == 1 {
                self.widest_gap()
            } else {
                (i * last).checked_div(count - 1).unwrap_or(0)
            };
            placed += usize::from(self.place(path, at));
        }
        placed
    }

    /// Why the form makes no request yet, in words for the person; `None` if it does.
    pub fn missing(&self) -> Option<&'static str> {
        match self.mode {
            InputMode::Image if self.image.is_none() => Some("Add an image first"),
            InputMode::Frames if self.placed.is_empty() => Some("Place at least one image first"),
            InputMode::Video if self.video.is_none() => Some("Add a video first"),
            InputMode::Text if self.prompt.trim().is_empty() => Some("Write a prompt first"),
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
            preset: self.preset,
            loras: self.loras.clone(),
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
        self.loras.clone_from(&request.loras);
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

    fn nearest_free(&self, at: usize) -> Option<usize> {
        let at = at.min(self.num_frames - 1);
        let taken = |candidate| self.placed.iter().any(|frame| frame.at == candidate);
        (0..self.num_frames)
            .filter(|&candidate| !taken(candidate))
            .min_by_key(|&candidate| (candidate.abs_diff(at), candidate))
    }

    /// The free frame that is farthest from every placed one.
    fn widest_gap(&self) -> usize {
        (0..self.num_frames)
            .max_by_key(|&candidate| {
                self.placed
                    .iter()
                    .map(|frame| frame.at.abs_diff(candidate))
                    .min()
                    .unwrap_or(usize::MAX)
            })
            .unwrap_or(0)
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
            fast: Some((4, 1.0)),
            ..plain
        };
        form.set_preset(Preset::Fast, &distilled);
        form.image = Some("a.png".into());
        let request = form.request().unwrap();
        assert_eq!((request.preset, request.steps), (Preset::Fast, Some(4)));
        assert_eq!(request.guidance, Some(1.0));
        form.set_preset(Preset::Standard, &distilled);
        assert_eq!(
            (form.steps, form.guidance),
            (distilled.steps, distilled.guidance)
        );
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

    #[test]
    fn placed_images_never_share_a_frame_and_never_leave_the_clip() {
        let mut form = form();
        form.set_num_frames(17);
        assert_eq!(
            form.place_evenly(vec!["a".into(), "b".into(), "c".into()]),
            3
        );
        let at = |form: &CreateForm| form.placed.iter().map(|f| f.at).collect::<Vec<_>>();
        assert_eq!(at(&form), [0, 8, 16]);
        form.move_placed(1, 16);
        assert_eq!(at(&form), [0, 15, 16]);
        form.set_num_frames(5);
        assert_eq!(at(&form), [0, 3, 4]);
        form.place_evenly(vec!["d".into()]);
        assert_eq!(form.placed.len(), 4);
        form.place_evenly(vec!["e".into(), "f".into()]);
        assert_eq!(at(&form), [0, 1, 2, 3, 4]);
    }
}
