//! What a test tells the process that measures a memory plan, and the model it runs on.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::models::one4d::{
    AdapterConfig, AdapterMeta, ConditioningKind, Coupling, DenoiserSpec, One4d, Prediction,
    save_adapters,
};
use one4d_engine::models::wan::vae::WanVaeConfig;
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::{Init, ShapeStore, Weights};
use one4d_engine::plan::Holding;
use serde::{Deserialize, Serialize};

/// One run of `plan_probe`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProbeJob {
    /// Stem of the result's file.
    pub name: String,
    /// The denoiser; its files lie beside the job.
    pub spec: DenoiserSpec,
    /// How it is held.
    pub holding: Holding,
    /// LoRA files beside the job, with strengths.
    pub loras: Vec<(String, f64)>,
    /// Latents along t, h, w.
    pub grid: [usize; 3],
    /// How the run samples: steps, guidance, threshold of the step cache.
    pub run: ProbeRun,
    /// Most bytes that the process may hold.
    pub limit_bytes: Option<u64>,
}

/// How a probe samples.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ProbeRun {
    /// Steps of Euler.
    pub steps: usize,
    /// Guidance scale; 1 is one row a branch.
    pub guidance: f64,
    /// Threshold of the step cache, 0 for none.
    pub step_cache: f64,
}

/// Large pieces of memory that are freed while small ones between them stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PiecesJob {
    /// How many large pieces.
    pub pieces: usize,
    /// Bytes of each.
    pub piece_bytes: usize,
}

/// One clip decoded by a codec of random weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DecodeJob {
    /// Channels at full resolution.
    pub base_channels: usize,
    /// Frames, `4k + 1`.
    pub frames: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Longest side of a tile in latent cells.
    pub tile: Option<usize>,
}

impl DecodeJob {
    /// Shape of the codec.
    pub fn config(&self) -> WanVaeConfig {
        WanVaeConfig {
            base_dim: self.base_channels,
            ..WanVaeConfig::wan21()
        }
    }
}

/// Shape of a denoiser that is small but whose weights weigh: 12 blocks, 50 million parameters.
pub fn probe_config() -> WanConfig {
    WanConfig {
        dim: 512,
        ffn_dim: 2048,
        num_heads: 8,
        num_layers: 12,
        in_dim: 36,
        out_dim: 16,
        freq_dim: 64,
        text_dim: 64,
        text_len: 32,
        image_dim: None,
        ..WanConfig::tiny()
    }
}

/// Adapters of such a denoiser.
pub fn probe_adapters(cfg: &WanConfig) -> AdapterConfig {
    AdapterConfig::new(Coupling::Decoupled, 8, cfg.num_layers)
}

/// Which products a LoRA file has.
#[derive(Clone, Copy, Debug)]
pub enum ProbeLora {
    /// Low-rank pairs of a rank.
    Pairs(usize),
    /// Entry-wise products of two pairs of a rank.
    Hadamard(usize),
    /// Kronecker products with a coarse factor of so many rows and columns.
    Kronecker(usize),
    /// Pairs of a rank with magnitudes of rows.
    Magnitudes(usize),
}

impl ProbeLora {
    /// Parts of a layer's change with their shapes.
    fn parts(self, outputs: usize, inputs: usize) -> Vec<(&'static str, [usize; 2])> {
        match self {
            Self::Pairs(rank) => vec![
                ("lora_A.weight", [rank, inputs]),
                ("lora_B.weight", [outputs, rank]),
            ],
            Self::Hadamard(rank) => vec![
                ("hada_w1_a", [outputs, rank]),
                ("hada_w1_b", [rank, inputs]),
                ("hada_w2_a", [outputs, rank]),
                ("hada_w2_b", [rank, inputs]),
            ],
            Self::Kronecker(side) => vec![
                ("lokr_w1", [side, side]),
                ("lokr_w2", [outputs / side, inputs / side]),
            ],
            Self::Magnitudes(rank) => {
                let mut parts = Self::Pairs(rank).parts(outputs, inputs);
                parts.push(("dora_scale", [outputs, 1]));
                parts
            }
        }
    }
}

/// Writes a LoRA file of rank `rank` for every linear layer of the blocks, f32; returns its values.
///
/// # Errors
/// Those of writing.
pub fn write_probe_lora(path: &Path, cfg: &WanConfig, kind: ProbeLora) -> Result<u64> {
    let shapes = ShapeStore::default();
    WanDit::from_weights(cfg, &Weights::dry(&shapes, DType::F32, &Device::Cpu))?;
    let pairs = ShapeStore::default();
    let weights = Weights::dry(&pairs, DType::F32, &Device::Cpu);
    let mut values = 0;
    for (name, shape) in shapes.shapes() {
        let module = name.strip_suffix(".weight");
        let module = module.filter(|_| name.starts_with("blocks.") && shape.len() == 2);
        let Some(module) = module else { continue };
        for (part, shape) in kind.parts(shape[0], shape[1]) {
            weights.get(&shape, &format!("{module}.{part}"), Init::Const(0.0))?;
            values += (shape[0] * shape[1]) as u64;
        }
    }
    candle_core::safetensors::save(&tensors(&pairs, DType::F32, 3)?, path)?;
    Ok(values)
}

/// Writes base (in `dtype`) and adapters (f32) of random values into a folder.
///
/// # Errors
/// Those of writing.
pub fn write_probe_model(folder: &Path, cfg: &WanConfig, dtype: DType) -> Result<DenoiserSpec> {
    let adapters = probe_adapters(cfg);
    let dry = |shapes: &ShapeStore| Weights::dry(shapes, DType::F32, &Device::Cpu);
    let (base, on_top) = (ShapeStore::default(), ShapeStore::default());
    WanDit::from_weights(cfg, &dry(&base))?;
    One4d::from_weights(cfg, &adapters, &dry(&ShapeStore::default()), &dry(&on_top))?;
    let base = tensors(&base, dtype, 1)?;
    candle_core::safetensors::save(&base, folder.join("base.safetensors"))?;
    let meta = AdapterMeta {
        adapters,
        ..AdapterMeta::default()
    };
    let on_top = tensors(&on_top, DType::F32, 2)?.into_iter().collect();
    save_adapters(&folder.join("adapters.safetensors"), &on_top, &meta)?;
    Ok(DenoiserSpec {
        config: cfg.clone(),
        base: "base.safetensors".to_owned(),
        adapters: "adapters.safetensors".to_owned(),
        coupling: Coupling::Decoupled,
        prediction: Prediction::default(),
        conditioning: ConditioningKind::default(),
        adapter_scale: None,
    })
}

/// Values that let signals through layers without growing: uniform, scaled by the fan-in.
fn tensors(shapes: &ShapeStore, dtype: DType, seed: u32) -> Result<HashMap<String, Tensor>> {
    let mut state = seed;
    let mut tensors = HashMap::new();
    for (name, shape) in shapes.shapes() {
        let fan_in: usize = shape.iter().skip(1).product();
        let is_norm = name.contains("norm") && name.ends_with("weight");
        let (centre, spread) = match (is_norm, shape.len()) {
            (true, _) => (1.0, 0.1),
            (false, 1) => (0.0, 0.02),
            (false, _) => (0.0, (1.5 / fan_in as f32).sqrt()),
        };
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                centre + spread * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
            })
            .collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}
