//! Ids of the visibility buffer: which scene, which drawn frame, which pixel.

/// How the 32 bits of an id are shared: `scene:6 | frame:7 | pixel:19` for frames of up to 2^19
/// pixels, and more pixel bits at the cost of the others for larger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdLayout {
    pixel_bits: u32,
    frame_bits: u32,
}

/// What an id stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PointId {
    /// Position of the scene in the list of scenes drawn.
    pub scene: u32,
    /// Position of the frame in the list of frames drawn, which is not its index in the clip.
    pub frame: u32,
    /// Row-major pixel of the frame.
    pub pixel: u32,
}

/// One pixel of the picture, read back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// The frame of the clip that was on the picture.
    pub frame_idx: usize,
    /// Column of the point's pixel.
    pub column: usize,
    /// Row of the point's pixel.
    pub row: usize,
    /// Distance from the eye along the view axis, scene units.
    pub distance: f64,
}

impl IdLayout {
    /// The layout for frames of `pixels` pixels; `None` above 2^26 pixels.
    pub fn for_pixels(pixels: usize) -> Option<Self> {
        let needed = usize::BITS - pixels.saturating_sub(1).leading_zeros();
        let pixel_bits = needed.max(19);
        (pixel_bits <= 26).then(|| Self {
            pixel_bits,
            frame_bits: (26 - pixel_bits).clamp(3, 7),
        })
    }

    /// Mask of the bits that hold the pixel.
    pub fn pixel_mask(self) -> u32 {
        (1 << self.pixel_bits) - 1
    }

    /// The id without its pixel; `None` where scene or frame need more bits than there are.
    pub fn base(self, scene: u32, frame: u32) -> Option<u32> {
        let scene_bits = 32 - self.pixel_bits - self.frame_bits;
        (scene < 1 << scene_bits && frame < 1 << self.frame_bits)
            .then(|| ((scene << self.frame_bits) | frame) << self.pixel_bits)
    }

    /// Takes an id apart.
    pub fn unpack(self, id: u32) -> PointId {
        let above = id >> self.pixel_bits;
        PointId {
            scene: above >> self.frame_bits,
            frame: above & ((1 << self.frame_bits) - 1),
            pixel: id & self.pixel_mask(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_apart_as_they_were_put_together() {
        let layout = IdLayout::for_pixels(480 * 832).unwrap();
        assert_eq!(layout.pixel_mask(), (1 << 19) - 1);
        for (scene, frame, pixel) in [(0, 0, 0), (63, 127, 480 * 832 - 1), (5, 80, 7)] {
            let id = layout.base(scene, frame).unwrap() | pixel;
            let expected = PointId {
                scene,
                frame,
                pixel,
            };
            assert_eq!(layout.unpack(id), expected);
        }
        assert!(layout.base(64, 0).is_none());
        assert!(layout.base(0, 128).is_none());
    }

    #[test]
    fn large_frames_take_bits_from_scene_and_frame() {
        let layout = IdLayout::for_pixels(3840 * 2160).unwrap();
        assert!(layout.pixel_mask() as usize >= 3840 * 2160 - 1);
        let id = layout.base(1, 2).unwrap() | 0x7a_1200;
        assert_eq!(layout.unpack(id).pixel, 0x7a_1200);
        assert_eq!(layout.unpack(id).frame, 2);
        assert!(IdLayout::for_pixels(20_000 * 20_000).is_none());
        assert!(IdLayout::for_pixels(1 << 26).is_some());
    }
}
