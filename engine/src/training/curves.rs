//! Curves of a run: rows of a CSV file that survive a resume, and their picture.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};

use crate::atomic_file;
use crate::{Error, Result};

/// A table over steps; its first column is the step.
#[derive(Clone, Debug)]
pub struct Curve {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<Vec<f64>>,
}

impl Curve {
    /// Opens the table at `path`, keeping the rows before `step`; a missing file is an empty table.
    ///
    /// # Errors
    /// [`Error::Format`] if the file has other columns.
    pub fn open(path: PathBuf, columns: &[&str], step: u64) -> Result<Self> {
        let mut curve = Self {
            path,
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        };
        let Ok(text) = std::fs::read_to_string(&curve.path) else {
            return Ok(curve);
        };
        let mut lines = text.lines();
        if lines.next() != Some(curve.columns.join(",").as_str()) {
            return Err(Error::format(
                &curve.path,
                "has other columns; move it away",
            ));
        }
        for line in lines {
            let row: Vec<f64> = line
                .split(',')
                .filter_map(|cell| cell.parse().ok())
                .collect();
            if row.len() == columns.len() && row[0] < step as f64 {
                curve.rows.push(row);
            }
        }
        Ok(curve)
    }

    /// Appends a row; the file is written by [`Self::save`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the row has another number of columns.
    pub fn push(&mut self, row: Vec<f64>) -> Result<()> {
        if row.len() != self.columns.len() {
            let required = format!("{} columns", self.columns.len());
            return Err(Error::shape("row of a curve", required, row.len()));
        }
        self.rows.push(row);
        Ok(())
    }

    /// The last row.
    pub fn last(&self) -> Option<&[f64]> {
        self.rows.last().map(Vec::as_slice)
    }

    /// Writes the CSV and, beside it, a picture of the columns named in `drawn`.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file.
    pub fn save(&self, drawn: &[&str]) -> Result<()> {
        let mut text = self.columns.join(",") + "\n";
        for row in &self.rows {
            for (k, value) in row.iter().enumerate() {
                let _ = write!(text, "{}{value}", if k == 0 { "" } else { "," });
            }
            text.push('\n');
        }
        atomic_file::write(&self.path, text.as_bytes())?;
        let lines: Vec<Vec<(f64, f64)>> = drawn
            .iter()
            .filter_map(|name| self.columns.iter().position(|column| column == name))
            .map(|k| self.rows.iter().map(|row| (row[0], row[k])).collect())
            .collect();
        save_png(&self.path.with_extension("png"), &plot(&lines))
    }
}

fn save_png(path: &Path, picture: &RgbImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|e| Error::format(path, e.to_string()))?;
    atomic_file::write(path, bytes.get_ref())
}

const WIDTH: u32 = 720;
const HEIGHT: u32 = 400;
/// Left, right, top and bottom margin.
const MARGIN: [u32; 4] = [56, 14, 14, 26];
const GROUND: Rgb<u8> = Rgb([21, 24, 28]);
const LINE: Rgb<u8> = Rgb([42, 47, 54]);
const TEXT: Rgb<u8> = Rgb([152, 161, 172]);
const COLOURS: [Rgb<u8>; 6] = [
    Rgb([77, 163, 255]),
    Rgb([76, 195, 138]),
    Rgb([242, 184, 75]),
    Rgb([242, 104, 107]),
    Rgb([178, 132, 255]),
    Rgb([120, 220, 232]),
];

/// Draws lines over a logarithmic axis, each smoothed over a fiftieth of its length.
fn plot(lines: &[Vec<(f64, f64)>]) -> RgbImage {
    let mut picture = RgbImage::from_pixel(WIDTH, HEIGHT, GROUND);
    let lines: Vec<Vec<(f64, f64)>> = lines.iter().map(|line| smooth(line)).collect();
    let points = || lines.iter().flatten();
    let range = |pick: fn(&(f64, f64)) -> f64| {
        points()
            .map(pick)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            })
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1.ln()));
    if !(x0.is_finite() && y0.is_finite()) {
        return picture;
    }
    let [left, right, top, bottom] = MARGIN.map(f64::from);
    let (wide, tall) = (
        f64::from(WIDTH) - left - right,
        f64::from(HEIGHT) - top - bottom,
    );
    let to_px = |(x, y): (f64, f64)| {
        let u = (x - x0) / (x1 - x0).max(1e-9);
        let v = (y.ln() - y0) / (y1 - y0).max(1e-9);
        (left + u * wide, top + (1.0 - v) * tall)
    };
    for k in 0..=4 {
        let share = f64::from(k) / 4.0;
        let (value, step) = ((y0 + share * (y1 - y0)).exp(), x0 + share * (x1 - x0));
        let (_, y) = to_px((x0, value));
        stroke(&mut picture, (left, y), (left + wide, y), LINE);
        write(&mut picture, (4.0, y - 4.0), &short(value));
        let x = left + share * wide;
        stroke(&mut picture, (x, top), (x, top + tall), LINE);
        let label = short(step);
        let shift = share * 6.0 * label.len() as f64;
        write(&mut picture, (x - shift, top + tall + 8.0), &label);
    }
    for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        for pair in line.windows(2) {
            stroke(&mut picture, to_px(pair[0]), to_px(pair[1]), *colour);
        }
    }
    picture
}

fn smooth(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let known: Vec<(f64, f64)> = line
        .iter()
        .copied()
        .filter(|(_, y)| y.is_finite() && *y > 0.0)
        .collect();
    let size = (known.len() / 50).max(1);
    known
        .chunks(size)
        .map(|part| {
            let sum = part.iter().fold((0.0, 0.0), |s, p| (s.0 + p.0, s.1 + p.1));
            (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
        })
        .collect()
}

fn short(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.0}k", value / 1000.0)
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

fn stroke(picture: &mut RgbImage, from: (f64, f64), to: (f64, f64), colour: Rgb<u8>) {
    let steps = (to.0 - from.0)
        .abs()
        .max((to.1 - from.1).abs())
        .ceil()
        .max(1.0);
    for k in 0..=steps as usize {
        let t = k as f64 / steps;
        let x = (from.0 + t * (to.0 - from.0)).round();
        let y = (from.1 + t * (to.1 - from.1)).round();
        put(picture, x, y, colour);
    }
}

fn put(picture: &mut RgbImage, x: f64, y: f64, colour: Rgb<u8>) {
    if x >= 0.0 && y >= 0.0 && x < f64::from(WIDTH) && y < f64::from(HEIGHT) {
        picture.put_pixel(x as u32, y as u32, colour);
    }
}

/// Digits, point and k as 3 x 5 bits, top row first.
fn glyph(character: char) -> u16 {
    match character {
        '0' => 0b111_101_101_101_111,
        '1' => 0b010_110_010_010_111,
        '2' => 0b111_001_111_100_111,
        '3' => 0b111_001_111_001_111,
        '4' => 0b101_101_111_001_001,
        '5' => 0b111_100_111_001_111,
        '6' => 0b111_100_111_101_111,
        '7' => 0b111_001_001_001_001,
        '8' => 0b111_101_111_101_111,
        '9' => 0b111_101_111_001_111,
        '.' => 0b000_000_000_000_010,
        'k' => 0b100_101_110_101_101,
        _ => 0,
    }
}

fn write(picture: &mut RgbImage, at: (f64, f64), text: &str) {
    for (k, character) in text.chars().enumerate() {
        let bits = glyph(character);
        for cell in 0..15 {
            if bits >> (14 - cell) & 1 == 0 {
                continue;
            }
            let x = at.0 + 8.0 * k as f64 + f64::from(cell % 3) * 2.0;
            let y = at.1 + f64::from(cell / 3) * 2.0;
            for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
                put(picture, x + dx, y + dy, TEXT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_after_the_resumed_step_are_dropped() -> Result<()> {
        let folder = tempfile::tempdir().map_err(|e| Error::io("temporary folder", e))?;
        let path = folder.path().join("loss.csv");
        let mut curve = Curve::open(path.clone(), &["step", "loss"], 0)?;
        for step in 0..200 {
            curve.push(vec![f64::from(step), 2.0 / f64::from(step + 1)])?;
        }
        curve.save(&["loss"])?;
        let resumed = Curve::open(path.clone(), &["step", "loss"], 150)?;
        assert_eq!(resumed.rows.len(), 150);
        assert_eq!(resumed.last(), Some([149.0, 2.0 / 150.0].as_slice()));
        assert!(Curve::open(path, &["step", "other"], 0).is_err());
        let picture = plot(&[(0..50).map(|k| (f64::from(k), f64::from(50 - k))).collect()]);
        assert!(picture.pixels().any(|p| *p == COLOURS[0]));
        Ok(())
    }
}
