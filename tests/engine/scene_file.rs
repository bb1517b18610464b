//! Tests: scene_file.
