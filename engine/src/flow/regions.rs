//! From evidence to a mask: thresholds with hysteresis, and connected regions that are kept or not.

/// Share of the high threshold that suffices beside a moving pixel.
const LOW_SHARE: f32 = 0.5;
/// Regions smaller than this share of the frame are noise.
const LEAST_AREA: f64 = 1e-3;
/// Share of a region that must have changed its depth where flow alone is not believed.
const WITNESSED: f64 = 0.15;

/// Pixels above the threshold, and those above a share of it that touch them.
pub(super) fn thresholded(evidence: &[f32], width: usize) -> Vec<bool> {
    let (high, low) = (1.0, LOW_SHARE);
    let mut mask = vec![false; evidence.len()];
    let mut open: Vec<usize> = (0..evidence.len())
        .filter(|&i| evidence[i] > high)
        .collect();
    open.iter().for_each(|&i| mask[i] = true);
    while let Some(i) = open.pop() {
        for j in neighbours(i, width, evidence.len()) {
            if !mask[j] && evidence[j] > low {
                mask[j] = true;
                open.push(j);
            }
        }
    }
    mask
}

/// The four neighbours of a pixel.
fn neighbours(i: usize, width: usize, n: usize) -> impl Iterator<Item = usize> {
    let column = i % width;
    [
        (column > 0).then(|| i - 1),
        (column + 1 < width).then_some(i + 1),
        i.checked_sub(width),
        Some(i + width).filter(|j| *j < n),
    ]
    .into_iter()
    .flatten()
}

/// Without regions below the least area.
pub(super) fn opened(mask: Vec<bool>, width: usize) -> Vec<bool> {
    let least = ((mask.len() as f64 * LEAST_AREA).ceil() as usize).max(2);
    with_regions(mask, width, |region| region.len() >= least)
}

/// Without regions of which too little has changed its depth; evidence in thresholds.
pub(super) fn witnessed(mask: Vec<bool>, depth: &[f32], width: usize) -> Vec<bool> {
    with_regions(mask, width, |region| {
        let changed = region.iter().filter(|i| depth[**i] > 1.0).count();
        changed as f64 >= WITNESSED * region.len() as f64
    })
}

/// Only the connected regions that are kept.
fn with_regions(
    mut mask: Vec<bool>,
    width: usize,
    is_kept: impl Fn(&[usize]) -> bool,
) -> Vec<bool> {
    let mut seen = vec![false; mask.len()];
    for start in 0..mask.len() {
        if !mask[start] || seen[start] {
            continue;
        }
        let mut region = vec![start];
        seen[start] = true;
        let mut next = 0;
        while next < region.len() {
            for j in neighbours(region[next], width, mask.len()) {
                if mask[j] && !seen[j] {
                    seen[j] = true;
                    region.push(j);
                }
            }
            next += 1;
        }
        if !is_kept(&region) {
            region.iter().for_each(|&i| mask[i] = false);
        }
    }
    mask
}

/// Dilated and eroded by a 3 x 3 square.
pub(super) fn closed(mask: &[bool], width: usize) -> Vec<bool> {
    let height = mask.len() / width;
    let any = |mask: &[bool], wanted: bool| -> Vec<bool> {
        (0..mask.len())
            .map(|i| {
                let (c, r) = (i % width, i / width);
                let rows = r.saturating_sub(1)..(r + 2).min(height);
                let found = rows
                    .flat_map(|y| {
                        (c.saturating_sub(1)..(c + 2).min(width)).map(move |x| y * width + x)
                    })
                    .any(|j| mask[j] == wanted);
                found == wanted
            })
            .collect()
    };
    // Eroding is asking whether any neighbour is off.
    let grown = any(mask, true);
    any(&grown, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_fills_a_hole_and_leaves_the_outline() {
        let (width, height) = (7, 7);
        let square = |i: usize| (2..5).contains(&(i % width)) && (2..5).contains(&(i / width));
        let holed: Vec<bool> = (0..width * height).map(|i| square(i) && i != 24).collect();
        let expected: Vec<bool> = (0..width * height).map(square).collect();
        assert_eq!(closed(&holed, width), expected);
    }

    #[test]
    fn a_speck_is_no_region() {
        let mut mask = vec![false; 100];
        mask[55] = true;
        assert!(opened(mask, 10).iter().all(|m| !m));
    }

    #[test]
    fn a_region_counts_if_the_depth_of_a_part_of_it_has_changed() {
        // Two blocks of 16 pixels; three pixels of the left one and one of the right have changed.
        let width = 12;
        let block = |first: usize, i: usize| (first..first + 4).contains(&(i % width));
        let mask: Vec<bool> = (0..4 * width).map(|i| block(1, i) || block(7, i)).collect();
        let mut depth = vec![f32::NAN; mask.len()];
        for i in [1, 2, 13, 7] {
            depth[i] = if i == 13 { f32::INFINITY } else { 1.5 };
        }
        let kept = witnessed(mask, &depth, width);
        assert!((0..kept.len()).all(|i| kept[i] == block(1, i)));
    }
}
