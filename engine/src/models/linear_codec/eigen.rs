//! Leading eigenvectors of a symmetric matrix by subspace iteration, in f64.
//!
//! A block of vectors is multiplied by the matrix and made orthonormal again until it spans the
//! leading eigenspace; a small Jacobi problem then turns it to the eigenvectors (Rayleigh-Ritz).

use candle_core::{Device, Tensor};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// Vectors beyond those asked for; the gap that they open speeds convergence.
const GUARD: usize = 24;
const ITERATIONS: usize = 80;

/// The `count` largest eigenvalues, falling, and their eigenvectors as rows.
///
/// Signs are fixed: the entry of largest magnitude of each vector is positive.
///
/// # Shapes
/// - `matrix`: `[n, n]` row-major, symmetric, positive semi-definite
/// - returns `count` values and `count` rows of length `n`
///
/// # Errors
/// [`Error::Invalid`] if `count` exceeds `n`.
pub(super) fn leading(matrix: &[f64], n: usize, count: usize) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    if count > n || matrix.len() != n * n {
        let reason = format!(
            "{count} eigenvectors of a matrix with {} entries",
            matrix.len()
        );
        return Err(Error::invalid("principal components", reason));
    }
    let size = (count + GUARD).min(n);
    let matrix = Tensor::from_slice(matrix, (n, n), &Device::Cpu)?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut rows: Vec<Vec<f64>> = (0..size)
        .map(|_| (0..n).map(|_| rng.random::<f64>() - 0.5).collect())
        .collect();
    orthonormalise(&mut rows);
    for _ in 0..ITERATIONS {
        rows = multiply(&matrix, &rows, n)?;
        orthonormalise(&mut rows);
    }
    let image = multiply(&matrix, &rows, n)?;
    let small: Vec<f64> = (0..size * size)
        .map(|at| dot(&rows[at / size], &image[at % size]))
        .collect();
    let (values, turns) = jacobi(small, size);
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let vectors = order
        .iter()
        .take(count)
        .map(|&k| {
            let mut vector = vec![0.0; n];
            for (j, row) in rows.iter().enumerate() {
                let weight = turns[j * size + k];
                vector
                    .iter_mut()
                    .zip(row)
                    .for_each(|(v, r)| *v += weight * r);
            }
            positive(vector)
        })
        .collect();
    let values = order
        .iter()
        .take(count)
        .map(|&k| values[k].max(0.0))
        .collect();
    Ok((values, vectors))
}

fn positive(vector: Vec<f64>) -> Vec<f64> {
    let largest = vector.iter().copied().fold(
        0.0_f64,
        |best, v| if v.abs() > best.abs() { v } else { best },
    );
    if largest < 0.0 {
        vector.into_iter().map(|v| -v).collect()
    } else {
        vector
    }
}

fn multiply(matrix: &Tensor, rows: &[Vec<f64>], n: usize) -> Result<Vec<Vec<f64>>> {
    let flat: Vec<f64> = rows.iter().flatten().copied().collect();
    let block = Tensor::from_vec(flat, (rows.len(), n), &Device::Cpu)?;
    Ok(block.matmul(matrix)?.to_vec2::<f64>()?)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Modified Gram-Schmidt, twice: once loses orthogonality among nearly parallel vectors.
fn orthonormalise(rows: &mut [Vec<f64>]) {
    for k in 0..rows.len() {
        let (done, rest) = rows.split_at_mut(k);
        let row = &mut rest[0];
        for _ in 0..2 {
            for other in done.iter() {
                let along = dot(row, other);
                for (v, o) in row.iter_mut().zip(other) {
                    *v -= along * o;
                }
            }
        }
        let length = dot(row, row).sqrt();
        if length > 1e-300 {
            for v in row.iter_mut() {
                *v /= length;
            }
        }
    }
}

/// Cyclic Jacobi rotations of a small symmetric matrix: eigenvalues and eigenvectors as columns.
fn jacobi(mut a: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    for _ in 0..30 {
        let off: f64 = (0..n * n)
            .filter(|at| at / n != at % n)
            .map(|at| a[at] * a[at])
            .sum();
        let all: f64 = a.iter().map(|x| x * x).sum();
        if off <= 1e-28 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, n, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), v)
}

fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = (t * t + 1.0).sqrt().recip();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
        let (x, y) = (v[k * n + p], v[k * n + q]);
        v[k * n + p] = c * x - s * y;
        v[k * n + q] = s * x + c * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_eigenvectors_come_back() -> Result<()> {
        let n = 60;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut basis: Vec<Vec<f64>> = (0..n)
            .map(|_| (0..n).map(|_| rng.random::<f64>() - 0.5).collect())
            .collect();
        orthonormalise(&mut basis);
        let value = |k: usize| 100.0 * 0.8_f64.powi(k as i32);
        let matrix: Vec<f64> = (0..n * n)
            .map(|at| {
                (0..n)
                    .map(|k| value(k) * basis[k][at / n] * basis[k][at % n])
                    .sum()
            })
            .collect();
        let (values, vectors) = leading(&matrix, n, 12)?;
        for k in 0..12 {
            assert!((values[k] / value(k) - 1.0).abs() < 1e-9, "value {k}");
            assert!(
                (dot(&vectors[k], &basis[k]).abs() - 1.0).abs() < 1e-6,
                "vector {k}"
            );
        }
        Ok(())
    }
}
