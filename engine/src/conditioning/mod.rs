//! Unified Masked Conditioning: observed frames to mask and condition latents.
