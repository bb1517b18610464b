//! Tests: postopt.
