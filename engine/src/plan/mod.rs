//! Where each part of a model lives during a run, how much memory that takes, and how long it takes.
//!
//! [`choose`] is a pure function of a model's sizes, a run and a machine. The pipeline follows the
//! [`Holding`] that it gives; front ends show the rest before anything is loaded.

mod activations;
mod choose;
mod lora_bytes;
mod machine;
mod parts;
mod table;
mod time;

pub use activations::decode_bytes;
pub use choose::{alternatives, choose, with_holding};
pub use machine::{Machine, Rates, bytes_for_people, parse_bytes};
pub use parts::{
    AdapterParts, CodecParts, DitParts, ModelParts, NetworkParts, StoredParts, TextParts,
};

use serde::{Deserialize, Serialize};

use crate::nn::WeightForm;

/// How the denoiser is held: what the pipeline follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Holding {
    /// Form of the linear weights of the blocks.
    pub form: WeightForm,
    /// Blocks are read from the mapped file when they are needed, two in memory at a time.
    pub streamed: bool,
    /// Tokens of a row that pass the feed-forward at a time; `None` for all.
    pub hidden_tokens: Option<usize>,
    /// Longest side of what passes the codec at a time, in latent cells; `None` for whole pictures.
    #[serde(default)]
    pub codec_tile: Option<usize>,
}

/// A run, as far as memory and time depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunShape {
    /// Frames, `4k + 1`.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Denoising steps.
    pub steps: usize,
    /// Guidance is on: every branch has a row with and a row without the prompt.
    pub guided: bool,
    /// Threshold of the step cache, 0 for none.
    #[serde(default)]
    pub step_cache: f64,
    /// An image is observed, so that a model with an image path reads its tower.
    pub has_image: bool,
}

/// One term of an estimate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Term {
    /// What takes the memory.
    pub what: String,
    /// How much.
    pub bytes: u64,
}

impl Term {
    fn new(what: impl Into<String>, bytes: u64) -> Self {
        Self {
            what: what.into(),
            bytes,
        }
    }
}

/// The most memory that one stage holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageMemory {
    /// Which stage: "text", "image", "load", "denoise", "decode".
    pub stage: &'static str,
    /// What it is made of.
    pub terms: Vec<Term>,
}

impl StageMemory {
    /// Sum of the terms.
    pub fn bytes(&self) -> u64 {
        self.terms.iter().map(|term| term.bytes).sum()
    }
}

/// One part of the model and where it lives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Placement {
    /// Which part.
    pub part: String,
    /// Its parameters.
    pub parameters: u64,
    /// Where it lives and in which form.
    pub place: String,
    /// What it takes while it is there.
    pub held_bytes: u64,
}

/// Estimated seconds of the stages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TimeEstimate {
    /// Reading the prompt, both guidance halves, and the image.
    pub text_secs: f64,
    /// Encoding the observed frames.
    pub encode_secs: f64,
    /// One denoising step.
    pub step_secs: f64,
    /// Of it, waiting for weights that are read more slowly than they are used.
    pub waiting_secs: f64,
    /// Steps that the step cache is taken to reuse; how many it does is seen in the run.
    pub reused_steps: usize,
    /// All steps.
    pub denoise_secs: f64,
    /// Decoding both branches.
    pub decode_secs: f64,
    /// Sum.
    pub total_secs: f64,
}

/// Where everything lives, and what that comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Name of the model.
    pub model: String,
    /// The run it is for.
    pub run: RunShape,
    /// The machine it is for.
    pub machine: Machine,
    /// What the pipeline follows.
    pub holding: Holding,
    /// Part by part.
    pub placements: Vec<Placement>,
    /// Stage by stage.
    pub stages: Vec<StageMemory>,
    /// The largest stage.
    pub peak_bytes: u64,
    /// What the machine may give.
    pub limit_bytes: u64,
    /// True if the peak lies below the limit.
    pub fits: bool,
    /// An estimate, from operations counted and rates measured.
    pub time: TimeEstimate,
    /// What to do if it does not fit: what is missing, then what would fit.
    pub advice: Vec<String>,
    /// The longest clip that fits, where this one does not.
    pub fitting_frames: Option<usize>,
}
