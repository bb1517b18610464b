//! Matrix products of strided f32 views, safe around `gemm`.

pub(super) use gemm::Parallelism;

/// A matrix in memory, read only.
#[derive(Clone, Copy)]
pub(super) struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// Row-major, without gaps.
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Row-major, with `row_stride` values from one row to the next; rows may overlap.
    pub(super) fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(extent(rows, cols, row_stride) <= data.len());
        Self {
            data,
            rows,
            cols,
            row_stride,
            col_stride: 1,
        }
    }

    /// The transposed view.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }
}

/// A row-major matrix in memory, written to.
pub(super) struct MatMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
}

impl<'a> MatMut<'a> {
    /// Row-major, without gaps.
    pub(super) fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::strided(data, rows, cols, cols)
    }

    /// Row-major, with `row_stride` values from one row to the next.
    pub(super) fn strided(
        data: &'a mut [f32],
        rows: usize,
        cols: usize,
        row_stride: usize,
    ) -> Self {
        assert!(rows <= 1 || row_stride >= cols);
        assert!(extent(rows, cols, row_stride) <= data.len());
        Self {
            data,
            rows,
            cols,
            row_stride,
        }
    }
}

/// What becomes of the values that the destination held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// They are overwritten.
    Dropped,
    /// The product is added to them.
    Kept,
}

/// `dst = [dst] + scale * a b`.
///
/// Each value of `dst` is summed in an order that depends on the shapes only, not on threads.
pub(super) fn matmul(
    dst: MatMut,
    held: Held,
    a: Mat,
    b: Mat,
    scale: f32,
    parallelism: Parallelism,
) {
    assert!(a.cols == b.rows && dst.rows == a.rows && dst.cols == b.cols);
    #[expect(unsafe_code, reason = "the matrix kernels take raw pointers")]
    // SAFETY: the constructors have checked that rows, columns and strides stay inside the slices,
    // and `dst` is borrowed mutably, so it overlaps neither operand.
    unsafe {
        gemm::gemm(
            dst.rows,
            dst.cols,
            a.cols,
            dst.data.as_mut_ptr(),
            1,
            dst.row_stride as isize,
            held == Held::Kept,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

fn extent(rows: usize, cols: usize, row_stride: usize) -> usize {
    if rows == 0 || cols == 0 {
        return 0;
    }
    (rows - 1) * row_stride + cols
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_transposes_and_accumulation() {
        let a = [1.0, 2.0, 0.0, 3.0, 4.0, 0.0]; // 2x2 with stride 3
        let b = [5.0, 6.0, 7.0, 8.0];
        let mut dst = [1.0; 4];
        let (a, b) = (Mat::strided(&a, 2, 2, 3), Mat::new(&b, 2, 2).t());
        let out = MatMut::new(&mut dst, 2, 2);
        matmul(out, Held::Kept, a, b, 2.0, Parallelism::None);
        assert_eq!(dst, [35.0, 47.0, 79.0, 107.0]);
    }
}
