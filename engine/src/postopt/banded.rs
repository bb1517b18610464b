//! Symmetric positive definite systems whose entries lie near the diagonal.

/// A symmetric matrix of which the diagonal and `band` diagonals below it are kept.
#[derive(Clone, Debug)]
pub(super) struct Banded {
    size: usize,
    band: usize,
    /// Row `i`: entries `(i, i)`, `(i, i - 1)`, ... `(i, i - band)`.
    rows: Vec<f64>,
}

impl Banded {
    /// Zeros.
    pub(super) fn new(size: usize, band: usize) -> Self {
        Self {
            size,
            band,
            rows: vec![0.0; size * (band + 1)],
        }
    }

    /// Adds to entry `(i, j)` and its mirror; entries above the diagonal are passed over, so that a
    /// symmetric block may be added whole.
    pub(super) fn add(&mut self, i: usize, j: usize, value: f64) {
        if j <= i {
            self.rows[i * (self.band + 1) + i - j] += value;
        }
    }

    /// Multiplies the diagonal by `1 + damping` and adds a little of the largest entry, so that what
    /// nothing measures stays where it is.
    pub(super) fn damp(&mut self, damping: f64) {
        let step = self.band + 1;
        let largest = self
            .rows
            .iter()
            .step_by(step)
            .fold(0.0, |a: f64, x| a.max(*x));
        for i in 0..self.size {
            let diagonal = &mut self.rows[i * step];
            *diagonal += *diagonal * damping + largest * 1e-12;
        }
    }

    /// Replaces the matrix by its Cholesky factor; false if it is not positive definite.
    pub(super) fn factor(&mut self) -> bool {
        let step = self.band + 1;
        for i in 0..self.size {
            let first = i.saturating_sub(self.band);
            for j in first..=i {
                let common = first.max(j.saturating_sub(self.band));
                let mut sum = self.rows[i * step + i - j];
                for k in common..j {
                    sum -= self.rows[i * step + i - k] * self.rows[j * step + j - k];
                }
                if i == j {
                    if !(sum > 0.0 && sum.is_finite()) {
                        return false;
                    }
                    self.rows[i * step] = sum.sqrt();
                } else {
                    self.rows[i * step + i - j] = sum / self.rows[j * step];
                }
            }
        }
        true
    }

    /// Solves with the factor, in place.
    pub(super) fn solve(&self, x: &mut [f64]) {
        let step = self.band + 1;
        for i in 0..self.size {
            for k in i.saturating_sub(self.band)..i {
                x[i] -= self.rows[i * step + i - k] * x[k];
            }
            x[i] /= self.rows[i * step];
        }
        for i in (0..self.size).rev() {
            x[i] /= self.rows[i * step];
            for k in i.saturating_sub(self.band)..i {
                x[k] -= self.rows[i * step + i - k] * x[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solution_satisfies_the_system() {
        let (size, band) = (14, 4);
        let entry = |i: usize, j: usize| match i.abs_diff(j) {
            0 => 6.0 + (i as f64).sin(),
            d if d <= band => ((i + j) as f64 * 0.7).cos() / d as f64,
            _ => 0.0,
        };
        let mut matrix = Banded::new(size, band);
        for i in 0..size {
            for j in i.saturating_sub(band)..=i {
                matrix.add(i, j, entry(i, j));
            }
        }
        let right: Vec<f64> = (0..size).map(|i| (i as f64).cos()).collect();
        let mut x = right.clone();
        assert!(matrix.factor());
        matrix.solve(&mut x);
        for (i, b) in right.iter().enumerate() {
            let sum: f64 = (0..size).map(|j| entry(i, j) * x[j]).sum();
            assert!((sum - b).abs() < 1e-12);
        }
    }

    #[test]
    fn an_indefinite_matrix_is_refused() {
        let mut matrix = Banded::new(2, 1);
        matrix.add(0, 0, 1.0);
        matrix.add(1, 0, 2.0);
        matrix.add(1, 1, 1.0);
        assert!(!matrix.factor());
    }
}
