//! The records of COLMAP's models, binary and text (colmap/colmap doc/format.rst,
//! scene/reconstruction_io_binary.cc, sensor/models.h @ 5d968cf38).

use std::collections::BTreeMap;

use glam::DVec3;

use super::budget::{Budget, Reason};
use super::trajectory::rotation_of;
use crate::geometry::{CameraFromWorld, Intrinsics, WorldFromCamera};

/// Names and numbers of parameters of the camera models, by their number.
const MODELS: [(&str, usize); 17] = [
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
    ("SIMPLE_DIVISION", 4),
    ("DIVISION", 5),
    ("SIMPLE_FISHEYE", 3),
    ("FISHEYE", 4),
    ("EUCM", 6),
];

/// Largest side of an image.
const MAX_SIDE: u64 = 1 << 16;

/// A lens.
#[derive(Clone, Debug)]
pub(super) struct Lens {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) intrinsics: Intrinsics,
    /// True if parameters beyond focal length and principal point are not zero.
    pub(super) distorts: bool,
}

/// An image, its pose and what it sees.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    pub(super) name: String,
    pub(super) lens: u32,
    pub(super) pose: WorldFromCamera,
    /// Image position, centres at +0.5, and the point.
    pub(super) seen: Vec<(f64, f64, u64)>,
}

/// A point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) position: DVec3,
    pub(super) rgb: [u8; 3],
}

fn lens(model: usize, width: u64, height: u64, p: &[f64]) -> Reason<Lens> {
    let (name, count) = MODELS
        .get(model)
        .ok_or_else(|| format!("camera model {model} is not read"))?;
    if p.len() != *count {
        return Err(format!("{name} has {count} parameters, got {}", p.len()));
    }
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(format!("an image of {width} x {height} pixels"));
    }
    // One focal length where the name says SIMPLE and in the radial models, else two.
    let one = matches!(model, 0 | 2 | 3 | 8 | 9 | 12 | 14);
    let (fx_px, fy_px, rest) = if one {
        (p[0], p[0], &p[1..])
    } else {
        (p[0], p[1], &p[2..])
    };
    Ok(Lens {
        width: width as usize,
        height: height as usize,
        intrinsics: Intrinsics {
            fx_px,
            fy_px,
            cx_px: rest[0],
            cy_px: rest[1],
        },
        distorts: rest[2..].iter().any(|x| *x != 0.0),
    })
}

fn pose(q: [f64; 4], t: [f64; 3]) -> Reason<WorldFromCamera> {
    let [w, x, y, z] = q;
    Ok(CameraFromWorld {
        rotation: rotation_of([x, y, z, w])?,
        translation: DVec3::from(t),
    }
    .inverse())
}

/// Takes numbers off the front.
struct Records<'a>(&'a [u8]);

impl Records<'_> {
    fn bytes<const N: usize>(&mut self) -> Reason<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or("truncated")?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Reason<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Reason<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn f64(&mut self) -> Reason<f64> {
        Ok(f64::from_le_bytes(self.bytes()?))
    }

    fn f64s<const N: usize>(&mut self) -> Reason<[f64; N]> {
        let mut found = [0.0; N];
        for x in &mut found {
            *x = self.f64()?;
        }
        Ok(found)
    }

    /// A count of records of at least `bytes_each`, checked against what is left.
    fn count(&mut self, bytes_each: usize) -> Reason<usize> {
        let count = self.u64()?;
        usize::try_from(count)
            .ok()
            .filter(|n| n.checked_mul(bytes_each).is_some_and(|b| b <= self.0.len()))
            .ok_or_else(|| format!("truncated: {count} records declared"))
    }

    fn name(&mut self) -> Reason<String> {
        let end = self.0.iter().position(|b| *b == 0).ok_or("truncated")?;
        let name = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        Ok(name)
    }

    fn skip(&mut self, count: usize) -> Reason<()> {
        self.0 = self.0.get(count..).ok_or("truncated")?;
        Ok(())
    }
}

/// `cameras.bin`.
pub(super) fn lenses_binary(bytes: &[u8]) -> Reason<BTreeMap<u32, Lens>> {
    let mut records = Records(bytes);
    let mut lenses = BTreeMap::new();
    for _ in 0..records.count(24)? {
        let id = records.u32()?;
        let model = records.u32()? as usize;
        let (width, height) = (records.u64()?, records.u64()?);
        let count = MODELS
            .get(model)
            .ok_or_else(|| format!("camera model {model} is not read"))?
            .1;
        let p: Vec<f64> = (0..count).map(|_| records.f64()).collect::<Reason<_>>()?;
        lenses.insert(id, lens(model, width, height, &p)?);
    }
    Ok(lenses)
}

/// `images.bin`.
pub(super) fn shots_binary(bytes: &[u8], budget: &Budget) -> Reason<Vec<Shot>> {
    let mut records = Records(bytes);
    let mut shots = Vec::new();
    for _ in 0..records.count(73)? {
        let _id = records.u32()?;
        let (q, t) = (records.f64s()?, records.f64s()?);
        let lens = records.u32()?;
        let name = records.name()?;
        let count = records.count(24)?;
        budget.take("observations", count, 24)?;
        let mut seen = Vec::new();
        for _ in 0..count {
            let [x, y] = records.f64s()?;
            let point = records.u64()?;
            if point != u64::MAX {
                seen.push((x, y, point));
            }
        }
        shots.push(Shot {
            name,
            lens,
            pose: pose(q, t)?,
            seen,
        });
    }
    Ok(shots)
}

/// `points3D.bin`.
pub(super) fn points_binary(bytes: &[u8], budget: &Budget) -> Reason<BTreeMap<u64, Point>> {
    let mut records = Records(bytes);
    let mut points = BTreeMap::new();
    let count = records.count(51)?;
    budget.take("points", count, 64)?;
    for _ in 0..count {
        let id = records.u64()?;
        let position = DVec3::from(records.f64s::<3>()?);
        let rgb = records.bytes()?;
        let _error = records.f64()?;
        let track = records.count(8)?;
        records.skip(track * 8)?;
        points.insert(id, Point { position, rgb });
    }
    Ok(points)
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn number<T: std::str::FromStr>(word: &str) -> Reason<T> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn numbers<const N: usize>(words: &[&str]) -> Reason<[f64; N]> {
    let mut found = [0.0; N];
    for (x, word) in found.iter_mut().zip(words) {
        *x = number(word)?;
    }
    Ok(found)
}

/// `cameras.txt`.
pub(super) fn lenses_text(text: &str) -> Reason<BTreeMap<u32, Lens>> {
    let mut lenses = BTreeMap::new();
    for line in text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
    {
        let [id, model, width, height, parameters @ ..] = &words(line)[..] else {
            return Err(format!("`{line}` is no camera"));
        };
        let model = MODELS
            .iter()
            .position(|(name, _)| name == model)
            .ok_or_else(|| format!("camera model {model} is not read"))?;
        let p = parameters
            .iter()
            .map(|w| number(w))
            .collect::<Reason<Vec<f64>>>()?;
        lenses.insert(
            number(id)?,
            lens(model, number(width)?, number(height)?, &p)?,
        );
    }
    Ok(lenses)
}

/// `images.txt`: two lines an image, of which the second may be empty.
pub(super) fn shots_text(text: &str) -> Reason<Vec<Shot>> {
    let mut shots = Vec::new();
    let mut lines = text.lines().filter(|l| !l.starts_with('#'));
    while let Some(line) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let head = words(line);
        if head.len() < 10 {
            return Err(format!("`{line}` is no image"));
        }
        let observed = words(lines.next().unwrap_or_default());
        let mut seen = Vec::new();
        for triple in observed.as_chunks::<3>().0 {
            let id: i64 = number(triple[2])?;
            if let Ok(id) = u64::try_from(id) {
                seen.push((number(triple[0])?, number(triple[1])?, id));
            }
        }
        shots.push(Shot {
            pose: pose(numbers(&head[1..5])?, numbers(&head[5..8])?)?,
            lens: number(head[8])?,
            name: head[9..].join(" "),
            seen,
        });
    }
    Ok(shots)
}

/// `points3D.txt`.
pub(super) fn points_text(text: &str) -> Reason<BTreeMap<u64, Point>> {
    let mut points = BTreeMap::new();
    for line in text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.trim().is_empty())
    {
        let words = words(line);
        if words.len() < 8 {
            return Err(format!("`{line}` is no point"));
        }
        points.insert(
            number(words[0])?,
            Point {
                position: DVec3::from(numbers::<3>(&words[1..4])?),
                rgb: [number(words[4])?, number(words[5])?, number(words[6])?],
            },
        );
    }
    Ok(points)
}

/// A dense map: `width&height&channels&` and f32 values.
pub(super) fn dense_map(bytes: &[u8]) -> Reason<crate::metrics::DepthMap> {
    let mut rest = bytes;
    let mut sides = [0_usize; 3];
    for side in &mut sides {
        let end = rest
            .iter()
            .take(16)
            .position(|b| *b == b'&')
            .ok_or("no `width&height&channels&`")?;
        let word = std::str::from_utf8(&rest[..end]).map_err(|_| "no number")?;
        *side = number(word)?;
        rest = &rest[end + 1..];
    }
    let [width, height, channels] = sides;
    let count = width
        .checked_mul(height)
        .filter(|n| *n > 0 && channels == 1);
    let values = rest.as_chunks::<4>().0;
    match count {
        Some(count) if values.len() >= count => Ok(crate::metrics::DepthMap {
            height,
            width,
            values: values[..count]
                .iter()
                .map(|c| f32::from_le_bytes(*c))
                .collect(),
        }),
        _ => Err(format!(
            "truncated: {width} x {height} x {channels} with {} values",
            values.len()
        )),
    }
}
