//! Tests: panels.
