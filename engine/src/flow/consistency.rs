//! Forward against backward flow.

use rayon::prelude::*;

use super::FlowField;

/// Whether following the flow there and back returns to the pixel:
/// `|F + B(q)|^2 < 0.01 (|F|^2 + |B(q)|^2) + 0.5`, px^2.
///
/// The channels are squared before they are summed, so opposite errors do not cancel.
///
/// # Shapes
/// Returns `[H, W]`; false where either flow is unknown or leads out of the picture.
pub fn consistent(forward: &FlowField, backward: &FlowField) -> Vec<bool> {
    forward
        .vectors
        .par_iter()
        .enumerate()
        .map(|(i, &[du, dv])| {
            let column = (i % forward.width) as f32 + du;
            let row = (i / forward.width) as f32 + dv;
            backward.sample(column, row).is_some_and(|[bu, bv]| {
                let square = |x: f32, y: f32| x * x + y * y;
                square(du + bu, dv + bv) < 0.01 * (square(du, dv) + square(bu, bv)) + 0.5
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opposite_errors_of_the_channels_do_not_cancel() {
        let field = |vector| FlowField {
            height: 5,
            width: 5,
            vectors: vec![vector; 25],
        };
        let forward = field([1.0, 0.0]);
        let right = consistent(&forward, &field([-1.0, 0.0]));
        assert!(right[0] && right[12] && !right[4]);
        let wrong = consistent(&forward, &field([1.0, -2.0]));
        assert!(wrong.iter().all(|ok| !ok));
    }
}
