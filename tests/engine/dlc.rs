//! Tests: dlc.
