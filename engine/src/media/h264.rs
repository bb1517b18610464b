//! H.264 samples of an MP4 track to frames, one access unit at a time.

use std::path::{Path, PathBuf};

use rusty_h264_decoder::{DecodeError, Decoder, au_is_idr};

use super::source::Refusal;
use super::sps::{Sps, Vui};
use super::yuv::{ColourSpace, to_rgb};
use super::{Frame, guarded};
use crate::Error;

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What a decoded picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It will be looked at.
    Shown,
    /// Other pictures may need it.
    Reference,
}

/// An H.264 decoder fed with length-prefixed samples.
pub(super) struct H264 {
    path: PathBuf,
    decoder: Decoder,
    nal_length_bytes: usize,
    vui: Vui,
}

impl H264 {
    /// A decoder that knows the track's parameter sets.
    pub(super) fn new(
        path: &Path,
        parameter_sets: &[Vec<u8>],
        nal_length_bytes: usize,
    ) -> std::result::Result<Self, Refusal> {
        let vui = parameter_sets
            .iter()
            .find_map(|nal| Sps::parse(nal))
            .map(|sps| sps.vui)
            .unwrap_or_default();
        let mut this = Self {
            path: path.to_owned(),
            decoder: Decoder::new(),
            nal_length_bytes,
            vui,
        };
        let mut stream = Vec::new();
        for nal in parameter_sets {
            stream.extend(START_CODE);
            stream.extend(nal);
        }
        this.feed(&stream, Kept::Reference)?;
        Ok(this)
    }

    /// Width to height of a pixel, where the stream tells and it is not 1.
    pub(super) fn pixel_aspect(&self) -> Option<f64> {
        self.vui.pixel_aspect
    }

    /// What the colours lose, for people.
    pub(super) fn warning(&self) -> Option<String> {
        let name = match self.vui.transfer {
            Some(16) => "PQ",
            Some(18) => "HLG",
            _ => return None,
        };
        Some(format!(
            "the video is HDR ({name}); it is shown without tone mapping and will look flat"
        ))
    }

    /// True if decoding can start at this sample with nothing before it.
    pub(super) fn is_restart(&self, sample: &[u8]) -> bool {
        self.nal_units(sample)
            .is_some_and(|nals| nals.iter().any(|nal| nal_type(nal) == 5))
            && self.to_annex_b(sample).is_some_and(|unit| au_is_idr(&unit))
    }

    /// Decodes one sample; a picture that is neither shown nor referred to is skipped.
    pub(super) fn decode(
        &mut self,
        sample: &[u8],
        kept: Kept,
    ) -> std::result::Result<Option<Frame>, Refusal> {
        let damaged = || Error::format(&self.path, "damaged: a frame's units overrun it");
        let nals = self.nal_units(sample).ok_or_else(damaged)?;
        let referred = nals
            .iter()
            .any(|nal| matches!(nal_type(nal), 1..=5) && (nal[0] >> 5) & 3 != 0);
        if kept == Kept::Reference && !referred {
            return Ok(None);
        }
        let unit = self.to_annex_b(sample).ok_or_else(damaged)?;
        self.feed(&unit, kept)
    }

    /// Decodes a unit of Annex B; its picture is converted only where it will be looked at.
    fn feed(&mut self, unit: &[u8], kept: Kept) -> std::result::Result<Option<Frame>, Refusal> {
        let decoder = &mut self.decoder;
        let picture = guarded(&self.path, "H.264", || decoder.decode(unit))?.map_err(|error| {
            match error {
                DecodeError::Unsupported(tool) => Refusal::Unsupported(format!(
                    "holds H.264 video with a coding tool that the built-in decoder lacks ({tool})"
                )),
                other => Error::format(&self.path, format!("damaged H.264 video: {other}")).into(),
            }
        })?;
        let Some(picture) = picture.filter(|_| kept == Kept::Shown) else {
            return Ok(None);
        };
        let space = ColourSpace::new(self.vui.matrix, self.vui.full_range, picture.height);
        let planes = [&*picture.y, &*picture.u, &*picture.v];
        to_rgb(picture.width, picture.height, planes, space)
            .map(Some)
            .ok_or_else(|| Error::format(&self.path, "damaged: planes of another size").into())
    }

    /// The units of a sample; `None` if their lengths overrun it.
    fn nal_units<'a>(&self, sample: &'a [u8]) -> Option<Vec<&'a [u8]>> {
        let mut units = Vec::new();
        let mut rest = sample;
        while !rest.is_empty() {
            let (prefix, after) = rest.split_at_checked(self.nal_length_bytes)?;
            let length = prefix
                .iter()
                .fold(0_usize, |n, &b| (n << 8) | usize::from(b));
            let (unit, after) = after.split_at_checked(length)?;
            if !unit.is_empty() {
                units.push(unit);
            }
            rest = after;
        }
        Some(units)
    }

    fn to_annex_b(&self, sample: &[u8]) -> Option<Vec<u8>> {
        let mut stream = Vec::with_capacity(sample.len() + 16);
        for unit in self.nal_units(sample)? {
            stream.extend(START_CODE);
            stream.extend(unit);
        }
        Some(stream)
    }
}

fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte & 0x1f)
}
