//! Latents to tokens and back.

use candle_core::Tensor;

use crate::{Error, Result};

/// Tokens along t, h, w of latents `[.., T', H', W']` under a patch.
///
/// # Errors
/// [`Error::Shape`] if a side is no multiple of the patch's.
pub fn patch_grid(sides: [usize; 3], patch: [usize; 3]) -> Result<[usize; 3]> {
    let fits = sides.iter().zip(patch).all(|(s, p)| p > 0 && s % p == 0);
    if !fits {
        let required = format!("multiples of the patch {patch:?}");
        return Err(Error::shape("latents T', H', W'", required, sides));
    }
    Ok([
        sides[0] / patch[0],
        sides[1] / patch[1],
        sides[2] / patch[2],
    ])
}

/// Cuts latents into patches, each a vector with the channel slowest: `((c * pt + t) * ph + h) * pw + w`,
/// the order of a convolution's kernel. Tokens run w fastest, then h, then t.
///
/// # Shapes
/// - `x`: `[B, C, T', H', W']`; returns `[B, N, C pt ph pw]`
pub fn patchify(x: &Tensor, patch: [usize; 3]) -> Result<Tensor> {
    let (b, c, t, h, w) = x.dims5()?;
    let [gt, gh, gw] = patch_grid([t, h, w], patch)?;
    let [pt, ph, pw] = patch;
    let split = x.reshape(vec![b, c, gt, pt, gh, ph, gw, pw])?; // [B, C, gt, pt, gh, ph, gw, pw]
    let moved = split.permute(vec![0, 2, 4, 6, 1, 3, 5, 7])?; // [B, gt, gh, gw, C, pt, ph, pw]
    Ok(moved.reshape((b, gt * gh * gw, c * pt * ph * pw))?) // [B, N, C pt ph pw]
}

/// Puts patches back in place, each a vector with the channel **fastest**:
/// `((t * ph + h) * pw + w) * C + c`. Not the order of [`patchify`]: that is how Wan's head writes.
///
/// # Shapes
/// - `x`: `[B, N, pt ph pw C]`, `grid`: tokens along t, h, w; returns `[B, C, T', H', W']`
pub fn unpatchify(x: &Tensor, grid: [usize; 3], patch: [usize; 3]) -> Result<Tensor> {
    let (b, tokens, width) = x.dims3()?;
    let volume = patch.iter().product::<usize>().max(1);
    let [gt, gh, gw] = grid;
    if tokens != gt * gh * gw || width % volume != 0 {
        let required = format!("[B, {}, {volume} C]", gt * gh * gw);
        return Err(Error::shape("patches", required, x.dims()));
    }
    let [pt, ph, pw] = patch;
    let c = width / volume;
    let split = x.reshape(vec![b, gt, gh, gw, pt, ph, pw, c])?; // [B, gt, gh, gw, pt, ph, pw, C]
    let moved = split.permute(vec![0, 7, 1, 4, 2, 5, 3, 6])?; // [B, C, gt, pt, gh, ph, gw, pw]
    Ok(moved.reshape((b, c, gt * pt, gh * ph, gw * pw))?) // [B, C, T', H', W']
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn unpatchify_undoes_patchify_once_the_channel_is_moved() -> Result<()> {
        let (c, patch, grid) = (3, [1, 2, 2], [2, 2, 3]);
        let x = Tensor::arange(0f32, (2 * c * 2 * 4 * 6) as f32, &Device::Cpu)?
            .reshape((2, c, 2, 4, 6))?;
        let patches = patchify(&x, patch)?.reshape((2, 12, c, 4))?;
        let channel_fastest = patches.transpose(2, 3)?.reshape((2, 12, 4 * c))?;
        let back = unpatchify(&channel_fastest, grid, patch)?;
        assert_eq!(
            back.flatten_all()?.to_vec1::<f32>()?,
            x.flatten_all()?.to_vec1::<f32>()?
        );
        Ok(())
    }

    #[test]
    fn odd_sides_are_refused() {
        assert!(patch_grid([1, 3, 4], [1, 2, 2]).is_err());
    }
}
