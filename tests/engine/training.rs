//! Tests: training.
