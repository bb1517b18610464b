//! The trainer: codec, base and Decoupled LoRA Control stages.
