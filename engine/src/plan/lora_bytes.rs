//! Memory of LoRA files: as they are read, and as the layers hold them.

use super::{Holding, Machine, ModelParts};
use crate::nn::WeightForm;

/// Bytes of LoRA files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoraBytes {
    /// As they were read, while the denoiser is loaded; as long as it lasts where blocks are streamed.
    read: u64,
    /// Copies of all pairs as the layers hold them.
    pub(super) beside: u64,
    /// Whether the pairs stay when the denoiser has been loaded.
    pub(super) stay: bool,
}

impl LoraBytes {
    /// Pairs are merged only into f32 that stays; see `pipeline::load`. Beside a layer they take its
    /// type. Those of one file in f32 are the very tensors that were read.
    pub(super) fn of(model: &ModelParts, machine: &Machine, holding: &Holding) -> Self {
        let stay = holding.form != WeightForm::Plain || holding.streamed || machine.value_bytes < 4;
        let is_half = model.dit.is_half(holding.form, machine.value_bytes);
        // Files are read into main memory; a device holds the layers' copies alone.
        let read = match machine.value_bytes {
            4 => 4 * model.lora_values,
            _ => 0,
        };
        let beside = match (stay, is_half) {
            (true, true) => 2 * model.lora_values,
            (true, false) if read == 0 || model.lora_files > 1 => 4 * model.lora_values,
            (true | false, _) => 0,
        };
        Self { read, beside, stay }
    }

    /// What stays beside resident blocks; at the side of streamed ones the files do.
    pub(super) fn resident(&self, holding: &Holding) -> u64 {
        match (self.stay, self.beside) {
            (false, _) => 0,
            (true, copies) if copies > 0 && !holding.streamed => copies,
            (true, _) => self.read,
        }
    }

    /// What loading takes more than that.
    pub(super) fn loading(&self, holding: &Holding) -> u64 {
        (self.read + self.beside).saturating_sub(self.resident(holding))
    }
}
