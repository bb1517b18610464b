//! Fused operations as custom ops, one a file; `cpu_fwd` is the reference.
