//! Exporters: PLY and GLB, one file a format.
