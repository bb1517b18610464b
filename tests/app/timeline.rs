//! Tests: timeline.
