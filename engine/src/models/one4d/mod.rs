//! One4D: a Wan DiT under Decoupled LoRA Control.
