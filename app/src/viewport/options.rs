//! What a view shows and how: plain values, set by the studio.

use one4d_engine::scene::validity;

use super::frame_data::{MAX_EDGE_CODE, edge_code};

/// Ceiling of automatic sizes, pixels: beyond it a close-up shows single points.
const MAX_AUTO_PX: f32 = 16.0;

/// How large points are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PointSize {
    /// From the distance to the neighbouring point, times a factor (0.5 to 3): no holes in what the
    /// camera saw face on.
    Auto(f32),
    /// The same for all, 1 to 5 pixels.
    Pixels(u8),
}

impl PointSize {
    /// Factor, fixed size and ceiling as the shader takes them.
    pub(crate) fn to_uniforms(self) -> [f32; 3] {
        match self {
            Self::Auto(factor) => [factor.clamp(0.1, 10.0), 0.0, MAX_AUTO_PX],
            Self::Pixels(px) => [1.0, f32::from(px.clamp(1, 5)), 5.0],
        }
    }
}

/// Which attribute colours the points; chosen when ids become colours, so a change costs no raster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColourMode {
    /// The frame's own colours.
    #[default]
    Rgb,
}

impl ColourMode {
    /// The number that the shader switches on.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Rgb => 0,
        }
    }
}

/// Something drawn besides the points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// Frustums of all cameras, the current one in the accent colour.
    Frustums,
    /// The current frame on the image plane of its frustum.
    ImagePlane,
    /// The path of the cameras, coloured by time.
    Trajectory,
    /// A fading grid on the scene's floor.
    Grid,
    /// The axes of the world at its origin, and the cube of axes in the corner.
    Axes,
}

impl Overlay {
    /// All overlays, in the order of a menu.
    pub const ALL: [Self; 5] = [
        Self::Frustums,
        Self::ImagePlane,
        Self::Trajectory,
        Self::Grid,
        Self::Axes,
    ];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Frustums => "Cameras",
            Self::ImagePlane => "Image in camera",
            Self::Trajectory => "Camera path",
            Self::Grid => "Grid",
            Self::Axes => "Axes",
        }
    }
}

/// A set of overlays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlays(u8);

impl Overlays {
    /// Every overlay.
    pub const ALL: Self = Self(0b1_1111);
    /// Points only.
    pub const NONE: Self = Self(0);

    /// Whether an overlay is shown.
    pub fn has(self, overlay: Overlay) -> bool {
        self.0 & (1 << overlay as u8) != 0
    }

    /// The set with an overlay shown or hidden.
    pub fn with(self, overlay: Overlay, shown: bool) -> Self {
        let bit = 1 << overlay as u8;
        Self(if shown { self.0 | bit } else { self.0 & !bit })
    }
}

/// What a view shows and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ViewOptions {
    /// Size of points.
    pub point_size: PointSize,
    /// Points whose depth steps by more than this share towards a neighbour are hidden (flying
    /// pixels); `None` shows all.
    pub edge_threshold: Option<f32>,
    /// Bits of [`validity`] that a point must have.
    pub required_valid: u8,
    /// Which attribute colours the points.
    pub colour: ColourMode,
    /// What is drawn besides the points.
    pub overlays: Overlays,
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self {
            point_size: PointSize::Auto(1.0),
            edge_threshold: Some(0.1),
            required_valid: validity::FINITE | validity::NOT_EDGE | validity::NOT_CLIPPED,
            colour: ColourMode::Rgb,
            overlays: Overlays::ALL,
        }
    }
}

impl ViewOptions {
    /// Largest edge code that is drawn.
    pub(crate) fn max_edge(&self) -> u32 {
        u32::from(self.edge_threshold.map_or(MAX_EDGE_CODE, edge_code))
    }
}

/// Colours of a view, gamma-encoded; the studio fills them from its theme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// Background at the top.
    pub canvas_top: [u8; 3],
    /// Background at the bottom.
    pub canvas_bottom: [u8; 3],
    /// Lines of the grid.
    pub grid: [u8; 4],
    /// Every tenth line of the grid.
    pub grid_major: [u8; 4],
    /// Frustums of frames that are not shown.
    pub muted: [u8; 4],
    /// Frustum of the current frame.
    pub accent: [u8; 4],
    /// The axes x, y and z.
    pub axes: [[u8; 4]; 3],
}

impl Palette {
    /// On a dark canvas.
    pub const DARK: Self = Self {
        canvas_top: [0x0E, 0x10, 0x13],
        canvas_bottom: [0x17, 0x1A, 0x1F],
        grid: [0x98, 0xA1, 0xAC, 0x24],
        grid_major: [0x98, 0xA1, 0xAC, 0x4A],
        muted: [0x98, 0xA1, 0xAC, 0x8C],
        accent: [0x4D, 0xA3, 0xFF, 0xFF],
        axes: AXES,
    };

    /// On a light canvas.
    pub const LIGHT: Self = Self {
        canvas_top: [0xF4, 0xF5, 0xF7],
        canvas_bottom: [0xE8, 0xEA, 0xEE],
        grid: [0x5B, 0x65, 0x70, 0x26],
        grid_major: [0x5B, 0x65, 0x70, 0x50],
        muted: [0x5B, 0x65, 0x70, 0x9C],
        accent: [0x0B, 0x6B, 0xDB, 0xFF],
        axes: AXES,
    };
}

const AXES: [[u8; 4]; 3] = [
    [0xE8, 0x6A, 0x6A, 0xFF],
    [0x6C, 0xBF, 0x72, 0xFF],
    [0x5B, 0x9D, 0xF5, 0xFF],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlays_are_switched_one_by_one() {
        for overlay in Overlay::ALL {
            assert!(Overlays::ALL.has(overlay));
            let without = Overlays::ALL.with(overlay, false);
            assert!(!without.has(overlay));
            assert_eq!(without.with(overlay, true), Overlays::ALL);
            assert_eq!(Overlay::ALL.iter().filter(|o| without.has(**o)).count(), 4);
        }
    }

    #[test]
    fn no_threshold_lets_every_edge_through() {
        let options = ViewOptions {
            edge_threshold: None,
            ..ViewOptions::default()
        };
        assert_eq!(options.max_edge(), u32::from(MAX_EDGE_CODE));
        assert!(ViewOptions::default().max_edge() < options.max_edge());
    }
}
