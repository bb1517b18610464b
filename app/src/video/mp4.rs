//! An MP4 file of one H.264 track, its index before its pictures, so that it plays while it loads.
//!
//! Boxes by ISO/IEC 14496-12 (base format), 14496-15 (`avc1`, `avcC`) and H.273 (codes of colours).

use std::path::Path;

use one4d_engine::atomic_file::AtomicFile;
use one4d_engine::{Error, Result};

use super::encoder::CodedPicture;
use super::planes::BT709_LINES;

/// Ticks of a picture; the rate is told to a thousandth.
const TICKS: u32 = 1000;
/// Unit matrix of a track in fixed point.
const UPRIGHT: [u32; 9] = [1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30];

/// What the file's index tells.
pub(super) struct Track<'a> {
    /// Columns.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
    /// Pictures a second.
    pub(super) fps: f64,
    /// Sequence and picture parameter set.
    pub(super) parameter_sets: &'a [Vec<u8>; 2],
}

/// Writes a file whole.
///
/// # Errors
/// [`Error::Invalid`] beyond 4 GB, where offsets of this kind of index end; [`Error::Io`].
pub(super) fn write(path: &Path, track: &Track<'_>, pictures: &[CodedPicture]) -> Result<()> {
    let data: u64 = pictures.iter().map(|p| p.bytes.len() as u64).sum();
    let head = boxed(*b"ftyp", &[b"isom\0\0\x02\0", b"isomiso2avc1mp41"]);
    // The index is as long whatever offset stands in it.
    let index_bytes = index(track, pictures, 0).len();
    let first = (head.len() + index_bytes + 8) as u64;
    let whole = first + data;
    let (Ok(offset), Ok(data_box)) = (u32::try_from(first), u32::try_from(data + 8)) else {
        return Err(too_long(path, whole));
    };
    if u32::try_from(whole).is_err() {
        return Err(too_long(path, whole));
    }
    let mut file = AtomicFile::create(path, whole)?;
    file.write_all(&head)?;
    file.write_all(&index(track, pictures, offset))?;
    file.write_all(&data_box.to_be_bytes())?;
    file.write_all(b"mdat")?;
    for picture in pictures {
        file.write_all(&picture.bytes)?;
    }
    file.commit()
}

fn too_long(path: &Path, bytes: u64) -> Error {
    let reason = format!("would have {bytes} bytes, and 4 GB are possible; export fewer frames");
    Error::invalid(path.display().to_string(), reason)
}

/// A box: its length, its name, its content in parts.
fn boxed(name: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(8 + content);
    bytes.extend(((8 + content) as u32).to_be_bytes());
    bytes.extend(name);
    parts.iter().for_each(|part| bytes.extend(*part));
    bytes
}

/// A box of big-endian words.
fn words(name: [u8; 4], words: &[u32]) -> Vec<u8> {
    boxed(name, &[&big_endian(words)])
}

fn big_endian(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn index(track: &Track<'_>, pictures: &[CodedPicture], offset: u32) -> Vec<u8> {
    let ticks_a_second = (track.fps * f64::from(TICKS)).round().max(1.0) as u32;
    let duration = TICKS.saturating_mul(pictures.len() as u32);
    let times = [0, 0, 0, ticks_a_second, duration];
    // Rate 1, volume of a film without sound, the next track's number.
    let rest = [&[0x1_0000, 0, 0, 0][..], &UPRIGHT, &[0; 6], &[2]].concat();
    let movie = words(*b"mvhd", &[&times[..], &rest].concat());
    let (width, height) = ((track.width as u32) << 16, (track.height as u32) << 16);
    // Shown and part of the film (flags 3), track 1.
    let head = [&[3, 0, 0, 1, 0, duration, 0, 0, 0, 0][..], &UPRIGHT].concat();
    let header = words(*b"tkhd", &[&head[..], &[width, height]].concat());
    // Language "und".
    let media = words(*b"mdhd", &[0, 0, 0, ticks_a_second, duration, 0x55c4_0000]);
    let handler = boxed(*b"hdlr", &[&[0; 8], b"vide", &[0; 12], b"One4D Studio\0"]);
    let video = words(*b"vmhd", &[1, 0, 0]);
    // The pictures lie in this file (flag 1).
    let place = words(*b"url ", &[1]);
    let references = boxed(*b"dref", &[&big_endian(&[0, 1]), &place]);
    let place = boxed(*b"dinf", &[&references]);
    let table = sample_table(track, pictures, offset);
    let information = boxed(*b"minf", &[&video, &place, &table]);
    let media = boxed(*b"mdia", &[&media, &handler, &information]);
    let track = boxed(*b"trak", &[&header, &media]);
    boxed(*b"moov", &[&movie, &track])
}

fn sample_table(track: &Track<'_>, pictures: &[CodedPicture], offset: u32) -> Vec<u8> {
    let count = pictures.len() as u32;
    let description = boxed(*b"stsd", &[&big_endian(&[0, 1]), &sample_entry(track)]);
    let times = words(*b"stts", &[0, 1, count, TICKS]);
    let keys: Vec<u32> = (1..=count)
        .zip(pictures)
        .filter(|(_, picture)| picture.is_key)
        .map(|(number, _)| number)
        .collect();
    let keys = words(*b"stss", &[&[0, keys.len() as u32], &keys[..]].concat());
    // All pictures in one chunk.
    let chunks = words(*b"stsc", &[0, 1, 1, count, 1]);
    let sizes: Vec<u32> = pictures.iter().map(|p| p.bytes.len() as u32).collect();
    let sizes = words(*b"stsz", &[&[0, 0, count], &sizes[..]].concat());
    let offsets = words(*b"stco", &[0, 1, offset]);
    boxed(
        *b"stbl",
        &[&description, &times, &keys, &chunks, &sizes, &offsets],
    )
}

/// How the pictures are coded: size, parameter sets, colours.
fn sample_entry(track: &Track<'_>) -> Vec<u8> {
    let [sequence, picture] = track.parameter_sets;
    let size = |set: &[u8]| (set.len() as u16).to_be_bytes();
    let profile = sequence.get(1..4).unwrap_or(&[66, 0xc0, 30]);
    // Version 1, profile and level, lengths of four bytes, one set of each kind.
    let sets = boxed(
        *b"avcC",
        &[
            &[1],
            profile,
            &[0xff, 0xe1],
            &size(sequence),
            sequence,
            &[1],
            &size(picture),
            picture,
        ],
    );
    // Primaries of BT.709 with sRGB's curve; the matrix as players assume by the number of lines.
    let matrix = if track.height >= BT709_LINES { 1 } else { 6 };
    let colours = boxed(*b"colr", &[b"nclx", &[0, 1, 0, 13, 0, matrix, 0]]);
    let side = |pixels: usize| (pixels as u16).to_be_bytes();
    let mut name = [0; 32];
    name[..13].copy_from_slice(b"\x0cOne4D Studio");
    boxed(
        *b"avc1",
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 16],
            &side(track.width),
            &side(track.height),
            // 72 dots per inch in both directions, then a picture a sample.
            &big_endian(&[72 << 16, 72 << 16, 0]),
            &[0, 1],
            &name,
            &[0, 24, 0xff, 0xff],
            &sets,
            &colours,
        ],
    )
}
