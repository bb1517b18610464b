//! Turning frames by the matrix of an MP4 track.

use super::Frame;

/// A turn by quarters, perhaps mirrored: a signed permutation of the axes.
///
/// Maps stored to shown coordinates: `x' = a x + c y`, `y' = b x + d y` (y down).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Orientation {
    a: i8,
    b: i8,
    c: i8,
    d: i8,
}

impl Orientation {
    pub(super) const UPRIGHT: Self = Self {
        a: 1,
        b: 0,
        c: 0,
        d: 1,
    };

    /// Reads the 16.16 fixed-point entries of a track matrix; `None` if they are no quarter turn.
    pub(super) fn from_matrix([a, b, c, d]: [i32; 4]) -> Option<Self> {
        let turn = Self {
            a: a.signum() as i8,
            b: b.signum() as i8,
            c: c.signum() as i8,
            d: d.signum() as i8,
        };
        let straight = turn.a != 0 && turn.d != 0 && turn.b == 0 && turn.c == 0;
        let crossed = turn.b != 0 && turn.c != 0 && turn.a == 0 && turn.d == 0;
        (straight || crossed).then_some(turn)
    }

    /// Width and height of the shown frame.
    pub(super) fn shown_size(self, width: usize, height: usize) -> (usize, usize) {
        if self.a == 0 {
            (height, width)
        } else {
            (width, height)
        }
    }

    /// Turns a frame.
    pub(super) fn apply(self, frame: Frame) -> Frame {
        if self == Self::UPRIGHT {
            return frame;
        }
        let (width, height) = self.shown_size(frame.width, frame.height);
        let pixels = frame.rgb.as_chunks::<3>().0;
        // The inverse of a signed permutation is its transpose; a negative sign counts from the far end.
        let along = |sign: i8, shown: usize, last: usize| match sign {
            1 => shown,
            -1 => last - shown,
            _ => 0,
        };
        let (last_x, last_y) = (frame.width - 1, frame.height - 1);
        let rgb = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                let stored_x = along(self.a, x, last_x) + along(self.b, y, last_x);
                let stored_y = along(self.c, x, last_y) + along(self.d, y, last_y);
                pixels[stored_y * frame.width + stored_x]
            })
            .collect();
        Frame { width, height, rgb }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 x 3 pixels named 0 to 5.
    fn turned(matrix: [i32; 4]) -> (usize, Vec<u8>) {
        let frame = Frame {
            width: 3,
            height: 2,
            rgb: (0..6).flat_map(|i| [i; 3]).collect(),
        };
        let shown = Orientation::from_matrix(matrix.map(|v| v << 16))
            .map(|turn| turn.apply(frame))
            .unwrap();
        (shown.width, shown.rgb.into_iter().step_by(3).collect())
    }

    #[test]
    fn quarter_turns_go_clockwise() {
        assert_eq!(turned([1, 0, 0, 1]), (3, vec![0, 1, 2, 3, 4, 5]));
        assert_eq!(turned([0, 1, -1, 0]), (2, vec![3, 0, 4, 1, 5, 2]));
        assert_eq!(turned([-1, 0, 0, -1]), (3, vec![5, 4, 3, 2, 1, 0]));
        assert_eq!(turned([0, -1, 1, 0]), (2, vec![2, 5, 1, 4, 0, 3]));
        assert_eq!(turned([-1, 0, 0, 1]), (3, vec![2, 1, 0, 5, 4, 3]));
    }

    #[test]
    fn shears_are_no_orientation() {
        assert_eq!(Orientation::from_matrix([1, 1, 0, 1]), None);
        assert_eq!(Orientation::from_matrix([0; 4]), None);
    }
}
