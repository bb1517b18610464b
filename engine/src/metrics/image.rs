//! Picture errors: PSNR and SSIM.

use crate::{Error, Result};

/// Peak signal-to-noise ratio of two 8-bit pictures or clips, decibels.
///
/// `10 log10(255^2 / mean (a - b)^2)` over all values; 0 (black against white) and up, infinite
/// for equal inputs, higher is better.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ or are zero.
pub fn psnr_db(a: &[u8], b: &[u8]) -> Result<f64> {
    check_equal_length(a, b)?;
    let sum: u64 = a
        .iter()
        .zip(b)
        .map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2))
        .sum();
    let mse = sum as f64 / a.len() as f64;
    Ok(10.0 * (255.0 * 255.0 / mse).log10())
}

/// Side and standard deviation of the Gaussian window, pixels.
const WINDOW: usize = 11;
const WINDOW_SIGMA: f64 = 1.5;

/// Structural similarity of two 8-bit RGB pictures, mean over channels and window positions.
///
/// `(2 mx my + C1)(2 sxy + C2) / ((mx^2 + my^2 + C1)(sx^2 + sy^2 + C2))` with an 11 x 11 Gaussian
/// window of sigma 1.5, `C1 = (0.01 * 255)^2`, `C2 = (0.03 * 255)^2`, at positions where the window
/// fits (Wang, Bovik, Sheikh, Simoncelli, TIP 13(4), 2004). -1..1, 1 for equal inputs, higher is
/// better.
///
/// # Shapes
/// `a`, `b`: `[H, W, 3]`
///
/// # Errors
/// [`Error::Shape`] if the lengths do not fit or a side is below 11 pixels.
pub fn ssim(a: &[u8], b: &[u8], height: usize, width: usize) -> Result<f64> {
    check_equal_length(a, b)?;
    if height < WINDOW || width < WINDOW || a.len() != height * width * 3 {
        let required = format!("[H, W, 3] with sides of {WINDOW} or more");
        return Err(Error::shape(
            "pictures for SSIM",
            required,
            (height, width, a.len()),
        ));
    }
    let total: f64 = (0..3)
        .map(|channel| {
            let plane = |image: &[u8]| -> Vec<f64> {
                image
                    .iter()
                    .skip(channel)
                    .step_by(3)
                    .map(|&v| f64::from(v))
                    .collect()
            };
            plane_ssim(&plane(a), &plane(b), width)
        })
        .sum();
    Ok(total / 3.0)
}

fn plane_ssim(x: &[f64], y: &[f64], width: usize) -> f64 {
    let c1 = (0.01_f64 * 255.0).powi(2);
    let c2 = (0.03_f64 * 255.0).powi(2);
    let product =
        |p: &[f64], q: &[f64]| -> Vec<f64> { p.iter().zip(q).map(|(a, b)| a * b).collect() };
    let (mx, my) = (blur(x, width), blur(y, width));
    let (xx, yy, xy) = (
        blur(&product(x, x), width),
        blur(&product(y, y), width),
        blur(&product(x, y), width),
    );
    let sum: f64 = (0..mx.len())
        .map(|i| {
            let (m1, m2) = (mx[i], my[i]);
            let (s1, s2, s12) = (xx[i] - m1 * m1, yy[i] - m2 * m2, xy[i] - m1 * m2);
            (2.0 * m1 * m2 + c1) * (2.0 * s12 + c2) / ((m1 * m1 + m2 * m2 + c1) * (s1 + s2 + c2))
        })
        .sum();
    sum / mx.len() as f64
}

/// Separable Gaussian at the positions where the window fits.
fn blur(plane: &[f64], width: usize) -> Vec<f64> {
    let radius = (WINDOW / 2) as f64;
    let mut kernel: Vec<f64> = (0..WINDOW)
        .map(|i| (-(i as f64 - radius).powi(2) / (2.0 * WINDOW_SIGMA * WINDOW_SIGMA)).exp())
        .collect();
    let norm: f64 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= norm);
    let weigh = |values: &mut dyn Iterator<Item = f64>| -> f64 {
        values.zip(&kernel).map(|(v, k)| v * k).sum()
    };
    let inner = width - WINDOW + 1;
    let rows: Vec<f64> = plane
        .chunks_exact(width)
        .flat_map(|row| row.windows(WINDOW).map(|w| weigh(&mut w.iter().copied())))
        .collect();
    let height = rows.len() / inner;
    (0..(height - WINDOW + 1) * inner)
        .map(|start| weigh(&mut rows[start..].iter().step_by(inner).copied()))
        .collect()
}

fn check_equal_length(a: &[u8], b: &[u8]) -> Result<()> {
    if a.is_empty() || a.len() != b.len() {
        let actual = (a.len(), b.len());
        return Err(Error::shape(
            "pictures to compare",
            "equal lengths above 0",
            actual,
        ));
    }
    Ok(())
}
