//! Tests: viewport.
