//! A tiny model bundle, trained for a moment by the real trainer.

use std::path::{Path, PathBuf};

use one4d_engine::datasets::synthetic::WorldWidth;
use one4d_engine::device::DeviceChoice;
use one4d_engine::job::JobCtx;
use one4d_engine::training::{
    CodecConfig, DataConfig, DataPart, ModelConfig, StageConfig, TrainConfig, run,
};

/// Frames, height and width of the tiny model.
pub const SIZE: [usize; 3] = [9, 32, 48];

/// Widths of a network of a few thousand parameters.
pub fn tiny_model() -> ModelConfig {
    ModelConfig {
        dim: 24,
        ffn_dim: 32,
        num_heads: 2,
        num_layers: 2,
        freq_dim: 16,
        text_dim: 16,
        text_ffn_dim: 16,
        text_heads: 2,
        text_layers: 1,
        text_len: 64,
        rank: 4,
        ..ModelConfig::default()
    }
}

/// A codec of eight channels, fitted to `clips` clips.
pub fn tiny_codec(clips: usize) -> CodecConfig {
    CodecConfig {
        channels: 8,
        floor: 0.05,
        clips,
    }
}

/// Trains a model of a few thousand parameters for two steps and returns its folder below `folder`.
///
/// # Panics
/// If training fails.
pub fn tiny_bundle(folder: &Path) -> PathBuf {
    let stage = StageConfig {
        steps: 2,
        batch: 2,
        warmup: 1,
        validate_every: 100,
        checkpoint_every: 100,
        ..StageConfig::default()
    };
    let config = TrainConfig {
        name: "tiny".to_owned(),
        device: DeviceChoice::Cpu,
        frames: SIZE[0],
        height: SIZE[1],
        width: SIZE[2],
        data: DataConfig {
            parts: vec![DataPart::world(WorldWidth::Narrow, 4)],
            validation_clips: 2,
            first_seed: 1,
        },
        codec: tiny_codec(4),
        model: tiny_model(),
        base: stage.clone(),
        dlc: stage,
        ..TrainConfig::default()
    };
    let report = run(&config, folder, None, &JobCtx::silent());
    let report = report.expect("a tiny model can be trained");
    report.bundle.expect("a finished run leaves a bundle")
}
