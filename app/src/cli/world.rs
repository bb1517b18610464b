//! The option `--world` of the commands that render procedural scenes.

use one4d_engine::datasets::synthetic::WorldWidth;

/// How varied procedural worlds are.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum World {
    /// Rooms of three sizes, one lens, level camera.
    Narrow,
    /// Rooms of any size and some outdoor scenes.
    Medium,
    /// Everything.
    #[default]
    Wide,
}

impl World {
    /// The engine's name for it.
    pub(super) fn width(self) -> WorldWidth {
        match self {
            Self::Narrow => WorldWidth::Narrow,
            Self::Medium => WorldWidth::Medium,
            Self::Wide => WorldWidth::Wide,
        }
    }
}
