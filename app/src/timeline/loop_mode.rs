//! What playback does at the end of its range.

/// What happens at the end of the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoopMode {
    /// Stop on the last frame.
    Once,
    /// Start over.
    #[default]
    Loop,
    /// Turn around.
    PingPong,
}

impl LoopMode {
    /// The next mode, in the order in which the button offers them.
    pub fn next(self) -> Self {
        match self {
            Self::Once => Self::Loop,
            Self::Loop => Self::PingPong,
            Self::PingPong => Self::Once,
        }
    }

    /// For people: "Loop".
    pub fn label(self) -> &'static str {
        match self {
            Self::Once => "Play once",
            Self::Loop => "Loop",
            Self::PingPong => "Back and forth",
        }
    }

    /// Index inside a range of `length` frames for the `position`-th frame of playback.
    pub(super) fn fold(self, position: usize, length: usize) -> usize {
        match self {
            Self::Once => position.min(length - 1),
            Self::Loop => position % length,
            Self::PingPong => {
                let cycle = (2 * length).saturating_sub(2).max(1);
                let phase = position % cycle;
                if phase < length { phase } else { cycle - phase }
            }
        }
    }
}
