//! MP4 and QuickTime files: the video track's samples in display order, with edit list and rotation.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use re_mp4::{Avc1Box, Mp4, StsdBoxContent, Track};

use super::h264::{H264, Kept};
use super::orient::Orientation;
use super::resize::{CropRect, resize};
use super::source::{Deadline, FrameSink, FrameSource, Refusal};
use super::{Frame, MAX_SIDE_PX, MediaInfo, MediaKind, PIXEL_ASPECT_TOLERANCE};
use super::{check_size, guarded, mp4_boxes};
use crate::job::JobCtx;
use crate::{Error, Result};

/// Largest coded frame that is read.
const MAX_SAMPLE_BYTES: u64 = 64 << 20;

/// One coded frame, in decode order.
#[derive(Clone, Copy, Debug)]
struct Sample {
    offset: u64,
    size: u64,
    is_sync: bool,
    /// Place in display order; `None` where the edit list hides it.
    shown: Option<usize>,
}

impl Sample {
    fn is_in(&self, wanted: &BTreeSet<usize>) -> bool {
        self.shown.is_some_and(|idx| wanted.contains(&idx))
    }
}

/// The H.264 track of an MP4 file.
pub(super) struct Mp4Video {
    path: PathBuf,
    file: BufReader<File>,
    samples: Vec<Sample>,
    times: Vec<f64>,
    parameter_sets: Vec<Vec<u8>>,
    nal_length_bytes: usize,
    orientation: Orientation,
    width: usize,
    height: usize,
    /// Width to height of a stored pixel.
    pixel_aspect: Option<f64>,
    warnings: Vec<String>,
}

impl Mp4Video {
    /// Reads the index of a file.
    pub(super) fn open(path: &Path) -> std::result::Result<Self, Refusal> {
        let io = |e| Error::io(path, e);
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        mp4_boxes::check(path, &mut file)?;
        let length = file.get_ref().metadata().map_err(io)?.len();
        let mp4 = guarded(path, "MP4", || Mp4::read(&mut file, length))?.map_err(|error| {
            Refusal::Unsupported(format!("its MP4 structure could not be read: {error}"))
        })?;
        let track = video_track(path, &mp4)?;
        let trak = track.trak(&mp4);
        let avc = match &trak.mdia.minf.stbl.stsd.contents {
            StsdBoxContent::Avc1(avc) => avc,
            other => return Err(Refusal::Unsupported(unreadable_codec(other))),
        };
        check_size(path, u32::from(avc.width), u32::from(avc.height))?;
        let (samples, times) = sample_table(path, &mp4, track, length)?;
        let matrix = &trak.tkhd.matrix;
        let orientation = Orientation::from_matrix([matrix.a, matrix.b, matrix.c, matrix.d]);
        let mut warnings = Vec::new();
        if orientation.is_none() {
            warnings.push("the track's matrix is no quarter turn and was ignored".to_owned());
        }
        let config = &avc.avcc.contents;
        Ok(Self {
            path: path.to_owned(),
            file,
            samples,
            times,
            parameter_sets: config
                .sequence_parameter_sets
                .iter()
                .chain(&config.picture_parameter_sets)
                .map(|nal| nal.bytes.clone())
                .collect(),
            nal_length_bytes: usize::from(config.length_size_minus_one & 3) + 1,
            orientation: orientation.unwrap_or(Orientation::UPRIGHT),
            width: usize::from(avc.width),
            height: usize::from(avc.height),
            pixel_aspect: track_pixel_aspect(track, avc),
            warnings,
        })
    }

    fn read_sample(&mut self, sample: Sample) -> Result<Vec<u8>> {
        let mut bytes = vec![0; sample.size as usize];
        self.file
            .seek(SeekFrom::Start(sample.offset))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|e| Error::io(&self.path, e))?;
        Ok(bytes)
    }

    /// Corrects oblong pixels, then turns the frame upright.
    fn finish(&self, frame: Frame, aspect: Option<f64>) -> Result<Frame> {
        let aspect = aspect.or(self.pixel_aspect).unwrap_or(1.0);
        let width = (frame.width as f64 * aspect).round() as usize;
        let is_square = (aspect - 1.0).abs() <= PIXEL_ASPECT_TOLERANCE;
        let frame = if is_square || width > MAX_SIDE_PX as usize {
            frame
        } else {
            let whole = CropRect {
                x: 0,
                y: 0,
                width: frame.width,
                height: frame.height,
            };
            resize(&frame, whole, frame.height, width)?
        };
        Ok(self.orientation.apply(frame))
    }

    /// How many samples have to be looked at for the wanted frames.
    fn samples_needed(&self, wanted: &BTreeSet<usize>) -> usize {
        self.samples
            .iter()
            .rposition(|sample| sample.is_in(wanted))
            .map_or(0, |position| position + 1)
    }

    /// The next sync sample from a position on, or the end.
    fn next_sync(&self, from: usize) -> usize {
        self.samples[from..]
            .iter()
            .position(|s| s.is_sync)
            .map_or(self.samples.len(), |offset| from + offset)
    }
}

impl FrameSource for Mp4Video {
    fn times_secs(&self) -> &[f64] {
        &self.times
    }

    fn info(&self) -> MediaInfo {
        let (width, height) = self.orientation.shown_size(self.width, self.height);
        let duration = self.times.last().copied().unwrap_or(0.0);
        MediaInfo {
            kind: MediaKind::Video,
            width,
            height,
            num_frames: self.times.len(),
            fps: (duration > 0.0).then(|| (self.times.len() - 1) as f64 / duration),
            codec: "H.264".to_owned(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        ctx: &JobCtx,
        sink: FrameSink<'_>,
    ) -> std::result::Result<(), Refusal> {
        let deadline = Deadline::start();
        let path = self.path.clone();
        let mut decoder = H264::new(&path, &self.parameter_sets, self.nal_length_bytes)?;
        self.warnings.extend(decoder.warning());
        let end = self.samples_needed(wanted);
        let mut position = 0;
        while position < end {
            deadline.check(&path, ctx)?;
            let sample = self.samples[position];
            let bytes = self.read_sample(sample)?;
            let is_wanted = sample.is_in(wanted);
            if sample.is_sync && !is_wanted && decoder.is_restart(&bytes) {
                // Nothing before a restart is needed after it: jump over runs without wanted frames.
                let next = self.next_sync(position + 1);
                let run = &self.samples[position..next];
                if !run.iter().any(|sample| sample.is_in(wanted)) {
                    position = next;
                    continue;
                }
            }
            position += 1;
            let kept = if is_wanted {
                Kept::Shown
            } else {
                Kept::Reference
            };
            let Some(frame) = decoder.decode(&bytes, kept)? else {
                continue;
            };
            if let Some(idx) = sample.shown.filter(|_| is_wanted) {
                let frame = self.finish(frame, decoder.pixel_aspect())?;
                sink(idx, frame)?;
            }
        }
        Ok(())
    }
}

/// The first video track that has samples.
fn video_track<'a>(path: &Path, mp4: &'a Mp4) -> Result<&'a Track> {
    let is_video = |track: &&Track| &track.trak(mp4).mdia.hdlr.handler_type.value == b"vide";
    let tracks: Vec<&Track> = mp4.tracks().values().filter(is_video).collect();
    if tracks.is_empty() {
        return Err(Error::format(path, "holds no video track"));
    }
    tracks
        .into_iter()
        .find(|track| !track.samples.is_empty())
        .ok_or_else(|| Error::format(path, "its video track holds 0 frames"))
}

fn unreadable_codec(contents: &StsdBoxContent) -> String {
    let name = match contents {
        StsdBoxContent::Hvc1(_) | StsdBoxContent::Hev1(_) => "HEVC (H.265)".to_owned(),
        StsdBoxContent::Av01(_) => "AV1".to_owned(),
        StsdBoxContent::Vp08(_) => "VP8".to_owned(),
        StsdBoxContent::Vp09(_) => "VP9".to_owned(),
        StsdBoxContent::Unknown(four) => format!("`{}`", four.value.escape_ascii()),
        _ => "another kind of".to_owned(),
    };
    format!("holds {name} video, which the built-in decoder does not read")
}

/// Samples in decode order with their place in display order, and the times of the shown ones.
fn sample_table(
    path: &Path,
    mp4: &Mp4,
    track: &Track,
    file_bytes: u64,
) -> Result<(Vec<Sample>, Vec<f64>)> {
    let (start, end) = edit_window(mp4, track);
    let mut shown: Vec<usize> = (0..track.samples.len())
        .filter(|&i| (start..end).contains(&track.samples[i].composition_timestamp))
        .collect();
    shown.sort_by_key(|&i| track.samples[i].composition_timestamp);
    let mut samples = Vec::with_capacity(track.samples.len());
    for (i, sample) in track.samples.iter().enumerate() {
        let end = sample.offset.checked_add(sample.size);
        if end.is_none_or(|end| end > file_bytes) || sample.size > MAX_SAMPLE_BYTES {
            return Err(Error::format(
                path,
                format!(
                    "truncated or damaged: frame {i} of {} lies past the end of the file",
                    track.samples.len()
                ),
            ));
        }
        samples.push(Sample {
            offset: sample.offset,
            size: sample.size,
            is_sync: sample.is_sync,
            shown: None,
        });
    }
    let first = shown
        .first()
        .map_or(0, |&i| track.samples[i].composition_timestamp);
    let timescale = track.timescale.max(1) as f64;
    let mut times = Vec::with_capacity(shown.len());
    for (place, &i) in shown.iter().enumerate() {
        samples[i].shown = Some(place);
        times.push((track.samples[i].composition_timestamp - first) as f64 / timescale);
    }
    Ok((samples, times))
}

/// The composition times that the first edit shows, on the clock of the demuxer's samples.
fn edit_window(mp4: &Mp4, track: &Track) -> (i64, i64) {
    /// A media time of -1 is a pause before the video, in 32 or 64 bits.
    const EMPTY: [u64; 2] = [u32::MAX as u64, u64::MAX];
    let all = (i64::MIN, i64::MAX);
    let trak = track.trak(mp4);
    let edits = trak.edts.as_ref().and_then(|edts| edts.elst.as_ref());
    let Some(edit) = edits.and_then(|list| {
        let mut entries = list.entries.iter();
        entries.find(|edit| !EMPTY.contains(&edit.media_time))
    }) else {
        return all;
    };
    // The demuxer shifts times so that the earliest is 0; undo that for the edit's clock.
    let offsets = trak.mdia.minf.stbl.ctts.as_ref();
    let first_offset = offsets
        .and_then(|ctts| ctts.entries.first())
        .map_or(0, |entry| i64::from(entry.sample_offset));
    let first = track.samples.first().map_or(0, |s| s.composition_timestamp);
    let shift = first_offset - first;
    let Some(start) = i64::try_from(edit.media_time)
        .ok()
        .and_then(|t| t.checked_sub(shift))
    else {
        return all;
    };
    let movie = f64::from(mp4.moov.mvhd.timescale.max(1));
    let duration = edit.segment_duration as f64 * track.timescale as f64 / movie;
    // The end is rounded to the movie's clock; half a tick of it keeps the last frame.
    let end = start.saturating_add((duration + 0.5 * track.timescale as f64 / movie) as i64);
    let (start, end) = if edit.segment_duration == 0 {
        (start, i64::MAX)
    } else {
        (start, end)
    };
    let any = track
        .samples
        .iter()
        .any(|s| (start..end).contains(&s.composition_timestamp));
    if any { (start, end) } else { all }
}

/// Width to height of a pixel, from the size that the track is to be shown at.
fn track_pixel_aspect(track: &Track, avc: &Avc1Box) -> Option<f64> {
    let shown = f64::from(track.width) / f64::from(track.height);
    let stored = f64::from(avc.width) / f64::from(avc.height);
    let aspect = shown / stored;
    (0.25..4.0).contains(&aspect).then_some(aspect)
}
