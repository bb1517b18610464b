//! Procedural 4D scenes with exact geometry.
