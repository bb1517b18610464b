//! Ids of the visibility buffer: which scene, which drawn frame, which pixel.

/// How far from the pointer a pick looks, pixels of the picture in each direction.
pub const PICK_REACH_PX: u32 = 4;

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

/// The part of a picture in which a pick looks.
///
/// What is drawn at the pixel under the pointer is picked. Where that is background, the nearest
/// pixel at most [`PICK_REACH_PX`] columns and rows away counts, so that a lone point need not be
/// hit exactly: the distance is measured between centres of pixels, and of equally near ones the
/// upper wins, then the left one. Further out there is nothing to pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PickWindow {
    /// First column and row.
    pub first: [u32; 2],
    /// Columns and rows.
    pub count: [u32; 2],
    at_px: [u32; 2],
}

impl PickWindow {
    /// The window around a pixel of a picture; a pixel beside it counts as the nearest one on it.
    pub fn around(at_px: [u32; 2], size_px: [u32; 2]) -> Self {
        let at_px = [0, 1].map(|i| at_px[i].min(size_px[i].max(1) - 1));
        let first = at_px.map(|at| at.saturating_sub(PICK_REACH_PX));
        let after = [0, 1].map(|i| (at_px[i] + PICK_REACH_PX + 1).min(size_px[i].max(1)));
        Self {
            first,
            count: [0, 1].map(|i| after[i] - first[i]),
            at_px,
        }
    }

    /// The words of the window out of a whole visibility buffer of rows `width` long.
    pub fn cut(&self, visibility: &[u64], width: u32) -> Vec<u64> {
        (0..self.count[1])
            .flat_map(|row| {
                let start = (self.first[1] + row) * width + self.first[0];
                &visibility[start as usize..(start + self.count[0]) as usize]
            })
            .copied()
            .collect()
    }

    /// The word that is picked out of those of the window, row-major; `None` where all of it is
    /// background.
    pub fn choose(&self, words: &[u64]) -> Option<u64> {
        let away = |i: usize| {
            let at = [
                self.first[0] + i as u32 % self.count[0],
                self.first[1] + i as u32 / self.count[0],
            ];
            let [x, y] = [0, 1].map(|axis| at[axis].abs_diff(self.at_px[axis]));
            x * x + y * y
        };
        // The first of equal ones is taken.
        words
            .iter()
            .enumerate()
            .filter(|(_, word)| **word != 0)
            .min_by_key(|(i, _)| away(*i))
            .map(|(_, word)| *word)
    }
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
    fn a_pick_takes_the_pixel_itself_then_the_nearest_then_the_upper_left() {
        let size = [12, 10];
        let at = |x: u32, y: u32| (y * 12 + x) as usize;
        let choose = |drawn: &[(u32, u32)], pointer| {
            let mut words = vec![0; 120];
            for (name, (x, y)) in drawn.iter().enumerate() {
                words[at(*x, *y)] = name as u64 + 1;
            }
            let window = PickWindow::around(pointer, size);
            window.choose(&window.cut(&words, 12))
        };
        assert_eq!(choose(&[(4, 4), (5, 5)], [5, 5]), Some(2));
        assert_eq!(choose(&[(8, 5), (5, 7)], [5, 5]), Some(2));
        assert_eq!(choose(&[(4, 5), (5, 4)], [5, 5]), Some(2), "the upper one");
        assert_eq!(choose(&[(6, 5), (4, 5)], [5, 5]), Some(2), "the left one");
        assert_eq!(
            choose(&[(9, 9)], [5, 5]),
            Some(1),
            "the corner of the window"
        );
        assert_eq!(choose(&[(10, 5), (5, 0)], [5, 5]), None);
        assert_eq!(choose(&[(11, 9)], [99, 99]), Some(1), "beside the picture");
        assert_eq!(choose(&[(5, 0)], [0, 0]), None, "no further at a border");
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
