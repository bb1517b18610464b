//! What a view shows and how: plain values, set by the studio.

use one4d_engine::scene::validity;

use super::frame_data::{MAX_EDGE_CODE, edge_code};

/// How large points are drawn.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointSize {
    /// From the distance to the neighbouring point, times a factor (0.5 to 3): no holes in what the
    /// camera saw face on.
    Auto(f32),
    /// The same for all, 1 to 5 pixels.
    Pixels(u8),
    /// The same for all, scene units.
    World(f32),
}

/// How a frame becomes a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawMode {
    /// Every pixel a point.
    #[default]
    Points,
    /// The frame's grid as a surface, cut where depth steps by more than the edge threshold.
    Surface,
    /// Every pixel a point whose colours are averaged where several lie at the same depth.
    Smooth,
}

/// Which attribute colours the points; chosen when ids become colours, so a change costs no raster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColourMode {
    /// The frame's own colours.
    #[default]
    Rgb,
    /// z-depth in the frame's own camera.
    Depth,
    /// Height above the floor.
    Height,
    /// Confidence, 0..1.
    Confidence,
    /// Direction of the surface, from neighbouring points.
    Normal,
    /// Index of the frame.
    Frame,
    /// Direction and length of the scene flow.
    Flow,
    /// Probability that a point moves.
    Mask,
}

impl ColourMode {
    /// All modes, in the order of keys 1 to 8.
    pub const ALL: [Self; 8] = [
        Self::Rgb,
        Self::Depth,
        Self::Height,
        Self::Confidence,
        Self::Normal,
        Self::Frame,
        Self::Flow,
        Self::Mask,
    ];

    /// The number that the shader switches on.
    pub(crate) fn code(self) -> u32 {
        self as u32
    }

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rgb => "RGB",
            Self::Depth => "Depth",
            Self::Height => "Height",
            Self::Confidence => "Confidence",
            Self::Normal => "Normal",
            Self::Frame => "Frame",
            Self::Flow => "Flow",
            Self::Mask => "Moving",
        }
    }
}

/// Scale of colours for depth and height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColourMap {
    /// Rainbow with even steps (Mikhailov 2019).
    #[default]
    Turbo,
    /// Perceptually uniform, blue to yellow.
    Viridis,
    /// Perceptually uniform, also for colour-blind people.
    Cividis,
    /// Perceptually uniform, black to pale yellow.
    Magma,
}

/// Eye-dome lighting (Boucheny 2009): outlines from differences of depth.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EyeDome {
    /// Distance of the neighbours looked at, pixels, 1..=4.
    pub radius_px: f32,
    /// Darkness of outlines, 0..=2; 1 is usual.
    pub strength: f32,
}

impl Default for EyeDome {
    fn default() -> Self {
        Self {
            radius_px: 1.5,
            strength: 1.0,
        }
    }
}

/// Other frames drawn with the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ghosts {
    /// Frames before the current one, 0 = none.
    pub back: usize,
    /// Frames after the current one.
    pub forward: usize,
    /// Every stride-th frame, 1 or more.
    pub stride: usize,
    /// Older ghosts are fainter.
    pub fade: bool,
}

/// What the dynamic mask does to points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskMode {
    /// Nothing.
    #[default]
    Off,
    /// Moving points are tinted with the accent at 45 %.
    Tint,
    /// Only moving points are drawn.
    OnlyMoving,
    /// Only still points are drawn.
    OnlyStill,
}

/// A box outside of which nothing is drawn.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ClipBox {
    /// Middle, world.
    pub centre: [f64; 3],
    /// Half sides along the box's own axes, scene units, positive.
    pub half: [f64; 3],
    /// Turn about the world's y axis, radians.
    pub yaw_rad: f64,
}

impl ClipBox {
    /// Whether a point of the world lies inside.
    pub fn contains(&self, point_in_world: glam::DVec3) -> bool {
        let turn = glam::DMat3::from_rotation_y(-self.yaw_rad);
        let local = turn * (point_in_world - glam::DVec3::from_array(self.centre));
        local.abs().cmple(glam::DVec3::from_array(self.half)).all()
    }
}

/// What lies behind everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Background {
    /// The theme's canvas.
    #[default]
    Canvas,
    /// Black.
    Black,
    /// White.
    White,
    /// Nothing: pictures keep an alpha channel.
    Transparent,
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
    /// Arrows of the scene flow of the current frame.
    FlowArrows,
    /// Paths of points over the frames around the current one.
    Tracks,
}

impl Overlay {
    /// All overlays, in the order of a menu.
    pub const ALL: [Self; 7] = [
        Self::Frustums,
        Self::ImagePlane,
        Self::Trajectory,
        Self::Grid,
        Self::Axes,
        Self::FlowArrows,
        Self::Tracks,
    ];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Frustums => "Cameras",
            Self::ImagePlane => "Image in camera",
            Self::Trajectory => "Camera path",
            Self::Grid => "Grid",
            Self::Axes => "Axes",
            Self::FlowArrows => "Flow arrows",
            Self::Tracks => "Tracks",
        }
    }
}

/// A set of overlays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Overlays(u8);

impl Overlays {
    /// Every overlay.
    pub const ALL: Self = Self(0b111_1111);
    /// What a scene opens with: everything but flow and tracks.
    pub const USUAL: Self = Self(0b1_1111);
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
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ViewOptions {
    /// Points, surface or blended points.
    pub draw: DrawMode,
    /// Size of points.
    pub point_size: PointSize,
    /// Points whose depth steps by more than this share towards a neighbour are hidden (flying
    /// pixels); `None` shows all.
    pub edge_threshold: Option<f32>,
    /// Bits of [`validity`] that a point must have.
    pub required_valid: u8,
    /// Points of less confidence are hidden, 0..1; 0 shows all.
    pub min_confidence: f32,
    /// What the dynamic mask does.
    pub mask: MaskMode,
    /// Nothing is drawn outside of it.
    pub clip_box: Option<ClipBox>,
    /// Which attribute colours the points.
    pub colour: ColourMode,
    /// Scale of colours for depth and height.
    pub colour_map: ColourMap,
    /// Range of the scale of colours, in units of the attribute; `None` takes that of the scene.
    pub colour_range: Option<[f32; 2]>,
    /// Outlines from depth.
    pub eye_dome: Option<EyeDome>,
    /// Other frames drawn with the current one.
    pub ghosts: Option<Ghosts>,
    /// The still parts of the whole clip are drawn with every frame.
    pub freeze_static: bool,
    /// What is drawn besides the points.
    pub overlays: Overlays,
    /// What lies behind everything.
    pub background: Background,
}

impl Default for ViewOptions {
    fn default() -> Self {
        Self {
            draw: DrawMode::Points,
            point_size: PointSize::Auto(1.0),
            edge_threshold: Some(0.1),
            required_valid: validity::FINITE | validity::NOT_EDGE | validity::NOT_CLIPPED,
            min_confidence: 0.0,
            mask: MaskMode::Off,
            clip_box: None,
            colour: ColourMode::Rgb,
            colour_map: ColourMap::Turbo,
            colour_range: None,
            eye_dome: Some(EyeDome::default()),
            ghosts: None,
            freeze_static: false,
            overlays: Overlays::USUAL,
            background: Background::Canvas,
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
            assert_eq!(Overlay::ALL.iter().filter(|o| without.has(**o)).count(), 6);
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
