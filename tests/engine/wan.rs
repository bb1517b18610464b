//! Tests: wan.
