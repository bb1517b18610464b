//! Tests: conditioning.
