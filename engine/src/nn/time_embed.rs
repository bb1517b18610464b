//! The sinusoidal vector of a diffusion time.

use candle_core::{Device, Tensor};

use crate::Result;

/// `[cos(t f_0) .., sin(t f_0) ..]` with `f_j = 10000^(-j / (width / 2))`, cosines first.
///
/// Angles are taken in f64: in bf16 the time 998.39 would become 1000. Wan-Video/Wan2.1
/// `wan/modules/model.py` `sinusoidal_embedding_1d`.
///
/// # Shapes
/// - `times`: `R` times in `[0, 1000]`; returns `[R, width]`, f32
pub fn sinusoid(times: &[f64], width: usize, device: &Device) -> Result<Tensor> {
    let half = width / 2;
    let mut values = Vec::with_capacity(times.len() * half * 2);
    for &time in times {
        let angles: Vec<f64> = (0..half)
            .map(|j| time * 10_000_f64.powf(-(j as f64) / half as f64))
            .collect();
        values.extend(angles.iter().map(|a| a.cos() as f32));
        values.extend(angles.iter().map(|a| a.sin() as f32));
    }
    Ok(Tensor::from_vec(values, (times.len(), half * 2), device)?) // [R, width]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_999_has_the_reference_values() -> Result<()> {
        let vector = sinusoid(&[999.0], 256, &Device::Cpu)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        let expected = [
            (0, 0.999_649_8),
            (1, 0.963_782_5),
            (2, -0.398_991_8),
            (128, -0.026_460_7),
            (129, -0.266_689_6),
            (130, -0.916_954_5),
        ];
        for (index, value) in expected {
            assert!((vector[index] - value).abs() < 1e-6, "{index}");
        }
        Ok(())
    }
}
