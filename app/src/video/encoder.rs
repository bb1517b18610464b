//! Pictures to H.264, one coded picture each, in the form that MP4 stores.

use one4d_engine::{Error, Result};
use rusty_h264_common::YuvPlanes;
use rusty_h264_encoder::{Encoder, EncoderConfig, Preset};

use super::planes;

/// Quantiser: about 40 dB, beyond which the eye sees no difference.
const QUANTISER: u8 = 20;
/// Most pictures from one that can be sought to the next.
const PICTURES_BETWEEN_KEYS: u32 = 48;

/// Level by macroblocks a picture and a second: Table A-1 of ITU-T H.264.
const LEVELS: [(u8, usize, f64); 13] = [
    (10, 99, 1_485.0),
    (11, 396, 3_000.0),
    (12, 396, 6_000.0),
    (13, 396, 11_880.0),
    (21, 792, 19_800.0),
    (22, 1_620, 20_250.0),
    (30, 1_620, 40_500.0),
    (31, 3_600, 108_000.0),
    (32, 5_120, 216_000.0),
    (40, 8_192, 245_760.0),
    (50, 22_080, 589_824.0),
    (51, 36_864, 983_040.0),
    (62, 139_264, 16_711_680.0),
];

/// A coded picture.
pub(super) struct CodedPicture {
    /// Units with their lengths before them, four bytes each.
    pub(super) bytes: Vec<u8>,
    /// Whether decoding can start here.
    pub(super) is_key: bool,
}

/// Encodes pictures of one size, in the order in which they are shown.
pub(super) struct H264Encoder {
    encoder: Encoder,
    width: usize,
    height: usize,
    /// Sequence and picture parameter set, once there was a picture.
    pub(super) parameter_sets: [Vec<u8>; 2],
}

impl H264Encoder {
    /// An encoder for pictures of even sides at a rate.
    ///
    /// # Errors
    /// [`Error::Invalid`] for odd sides and for pictures larger than H.264 knows.
    pub(super) fn new(width: usize, height: usize, fps: f64) -> Result<Self> {
        let macroblocks = width.div_ceil(16) * height.div_ceil(16);
        let level = LEVELS.iter().find(|(_, most, a_second)| {
            macroblocks <= *most && macroblocks as f64 * fps <= *a_second
        });
        let (level_idc, ..) = *level.ok_or_else(|| {
            Error::invalid(
                format!("a video of {width} x {height} pixels at {fps} per second"),
                "is more than H.264 holds at its highest level",
            )
        })?;
        let config = EncoderConfig {
            level_idc,
            qp: QUANTISER,
            gop_size: PICTURES_BETWEEN_KEYS,
            preset: Preset::Balanced,
            ..EncoderConfig::baseline(width, height)
        };
        let encoder = Encoder::new(config).map_err(|error| refused(&error))?;
        Ok(Self {
            encoder,
            width,
            height,
            parameter_sets: [Vec::new(), Vec::new()],
        })
    }

    /// Encodes a picture, `[H, W, 3]` sRGB.
    ///
    /// # Errors
    /// [`Error::Shape`] for a picture of another size.
    pub(super) fn encode(&mut self, rgb: &[u8]) -> Result<CodedPicture> {
        let (width, height) = (self.width, self.height);
        if rgb.len() != 3 * width * height {
            return Err(Error::Shape {
                what: "a picture of a video".to_owned(),
                required: format!("[{height}, {width}, 3]"),
                actual: format!("{} bytes", rgb.len()),
            });
        }
        let planes = planes::from_rgb(rgb, width, height);
        let picture = YuvPlanes {
            width,
            height,
            y: &planes.luma,
            u: &planes.cb,
            v: &planes.cr,
            stride_y: width,
            stride_c: width / 2,
        };
        let stream = self.encoder.encode_planes(&picture);
        Ok(self.packed(&stream.map_err(|error| refused(&error))?))
    }

    /// Takes parameter sets out of a stream and puts lengths where start codes were.
    fn packed(&mut self, stream: &[u8]) -> CodedPicture {
        let mut bytes = Vec::with_capacity(stream.len() + 16);
        let mut is_key = false;
        for unit in units(stream) {
            match unit[0] & 0x1f {
                7 => self.parameter_sets[0] = unit.to_vec(),
                8 => self.parameter_sets[1] = unit.to_vec(),
                kind => {
                    is_key |= kind == 5;
                    bytes.extend((unit.len() as u32).to_be_bytes());
                    bytes.extend(unit);
                }
            }
        }
        CodedPicture { bytes, is_key }
    }
}

fn refused(error: &rusty_h264_encoder::EncodeError) -> Error {
    Error::invalid("video", error.to_string())
}

/// The units between the start codes (`00 00 01`) of Annex B, without trailing zeros.
fn units(stream: &[u8]) -> Vec<&[u8]> {
    let code = [0, 0, 1];
    let starts: Vec<usize> = stream
        .windows(code.len())
        .enumerate()
        .filter(|(_, window)| *window == code)
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| {
            let unit = &stream[start + code.len()..end];
            let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
            &unit[..unit.len() - zeros]
        })
        .filter(|unit| !unit.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_lie_between_start_codes() {
        let stream = [0, 0, 0, 1, 7, 1, 0, 0, 0, 1, 8, 2, 0, 0, 1, 5, 3];
        assert_eq!(units(&stream), [&[7, 1][..], &[8, 2], &[5, 3]]);
        assert!(units(&[]).is_empty());
    }

    #[test]
    fn sizes_that_no_level_holds_are_refused() {
        assert!(H264Encoder::new(1280, 720, 24.0).is_ok());
        let error = H264Encoder::new(16384, 16384, 24.0).err();
        assert!(matches!(error, Some(Error::Invalid { .. })));
        let error = H264Encoder::new(15, 16, 24.0).err();
        assert!(matches!(error, Some(Error::Invalid { .. })));
    }
}
