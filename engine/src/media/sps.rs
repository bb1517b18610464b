//! What an H.264 sequence parameter set says about colour and the shape of pixels (H.264 §7.3.2.1,
//! annex E); the decoder reads the rest.

/// Profiles whose parameter sets tell chroma format and scaling lists.
const HIGH_PROFILES: [u8; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// Width and height of a pixel by `aspect_ratio_idc` (table E-1).
const PIXEL_SHAPES: [(u32, u32); 17] = [
    (0, 0),
    (1, 1),
    (12, 11),
    (10, 11),
    (16, 11),
    (40, 33),
    (24, 11),
    (20, 11),
    (32, 11),
    (80, 33),
    (18, 11),
    (15, 11),
    (64, 33),
    (160, 99),
    (4, 3),
    (3, 2),
    (2, 1),
];

/// The parts of the video usability information that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Vui {
    /// Width to height of a pixel, where told and not 1.
    pub(super) pixel_aspect: Option<f64>,
    /// Luma spans 0..255 and not 16..235.
    pub(super) full_range: bool,
    /// `transfer_characteristics`.
    pub(super) transfer: Option<u8>,
    /// `matrix_coefficients`.
    pub(super) matrix: Option<u8>,
}

/// A sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sps {
    pub(super) vui: Vui,
}

impl Sps {
    /// Reads a unit; `None` if it is of another type or cut short.
    pub(super) fn parse(nal: &[u8]) -> Option<Self> {
        if nal.first()? & 0x1f != 7 {
            return None;
        }
        let payload = without_emulation_prevention(&nal[1..]);
        let mut bits = Bits::new(&payload);
        let profile = bits.take(8)? as u8;
        bits.take(16)?;
        bits.ue()?;
        if HIGH_PROFILES.contains(&profile) {
            skip_high_profile(&mut bits)?;
        }
        bits.ue()?;
        match bits.ue()? {
            0 => {
                bits.ue()?;
            }
            1 => {
                bits.take(1)?;
                bits.ue()?;
                bits.ue()?;
                for _ in 0..bits.ue()?.min(255) {
                    bits.ue()?;
                }
            }
            _ => {}
        }
        bits.ue()?;
        bits.take(1)?;
        bits.ue()?;
        bits.ue()?;
        if bits.take(1)? == 0 {
            bits.take(1)?;
        }
        bits.take(1)?;
        if bits.take(1)? == 1 {
            for _ in 0..4 {
                bits.ue()?;
            }
        }
        let vui = if bits.take(1)? == 1 {
            Vui::parse(&mut bits)?
        } else {
            Vui::default()
        };
        Some(Self { vui })
    }
}

impl Vui {
    fn parse(bits: &mut Bits<'_>) -> Option<Self> {
        let mut vui = Self::default();
        if bits.take(1)? == 1 {
            let shape = match bits.take(8)? as usize {
                255 => (bits.take(16)?, bits.take(16)?),
                idc => PIXEL_SHAPES.get(idc).copied().unwrap_or((0, 0)),
            };
            let aspect = f64::from(shape.0) / f64::from(shape.1);
            let told = shape.0 > 0 && shape.1 > 0 && shape.0 != shape.1;
            vui.pixel_aspect = (told && (0.25..4.0).contains(&aspect)).then_some(aspect);
        }
        if bits.take(1)? == 1 {
            bits.take(1)?;
        }
        if bits.take(1)? == 1 {
            bits.take(3)?;
            vui.full_range = bits.take(1)? == 1;
            if bits.take(1)? == 1 {
                bits.take(8)?;
                vui.transfer = Some(bits.take(8)? as u8);
                vui.matrix = Some(bits.take(8)? as u8);
            }
        }
        Some(vui)
    }
}

fn skip_high_profile(bits: &mut Bits<'_>) -> Option<()> {
    let chroma_format = bits.ue()?;
    if chroma_format == 3 {
        bits.take(1)?;
    }
    bits.ue()?;
    bits.ue()?;
    bits.take(1)?;
    if bits.take(1)? == 0 {
        return Some(());
    }
    let lists = if chroma_format == 3 { 12 } else { 8 };
    for list in 0..lists {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.se()? + 256) % 256;
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

fn without_emulation_prevention(bytes: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// Reads bits from the highest down.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = (value << 1) | u32::from((byte >> (7 - self.at % 8)) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// Exp-Golomb, unsigned.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1_u32 << zeros) - 1 + self.take(zeros)?)
    }

    /// Exp-Golomb, signed.
    fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -code / 2
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golomb_codes_are_read_as_the_standard_lists_them() {
        // 1, 010, 011, 00100, 00101 are 0, 1, 2, 3, 4.
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<u32> = (0..5).filter_map(|_| bits.ue()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<i64> = (0..5).filter_map(|_| bits.se()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn a_cut_parameter_set_says_nothing() {
        assert_eq!(Sps::parse(&[0x67, 100, 0, 31]), None);
        assert_eq!(Sps::parse(&[]), None);
        assert_eq!(Sps::parse(&[0x68, 1, 2, 3]), None);
    }

    #[test]
    fn emulation_prevention_is_undone() {
        assert_eq!(
            without_emulation_prevention(&[0, 0, 3, 1, 0, 0, 3]),
            [0, 0, 1, 0, 0]
        );
    }
}
