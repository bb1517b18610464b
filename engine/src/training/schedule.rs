//! Learning rate over steps and noise level over draws.

use super::config::StageConfig;

/// Learning rate of step `step`, counted from 0: linear warm-up, then half a cosine to its end.
pub fn learning_rate(config: &StageConfig, step: u64) -> f64 {
    if step < config.warmup {
        return config.lr * (step + 1) as f64 / config.warmup as f64;
    }
    let span = config.steps.saturating_sub(config.warmup).max(1);
    let done = ((step - config.warmup) as f64 / span as f64).min(1.0);
    let cosine = 0.5 + 0.5 * (std::f64::consts::PI * done).cos();
    config.lr * (config.final_lr + (1.0 - config.final_lr) * cosine)
}

/// Noise level of a uniform draw `u` in `[0, 1)`: pure noise for the share `pure_noise`, else
/// `shift u / (1 + (shift - 1) u)`, Wan's time shift.
pub fn noise_level(config: &StageConfig, u: f64) -> f64 {
    let flowing = 1.0 - config.pure_noise;
    if u >= flowing {
        return 1.0;
    }
    let u = u / flowing;
    (config.shift * u / (1.0 + (config.shift - 1.0) * u)).clamp(1e-3, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_peaks_and_falls_to_its_end() {
        let config = StageConfig {
            steps: 100,
            warmup: 10,
            lr: 1.0,
            final_lr: 0.1,
            ..StageConfig::default()
        };
        assert!((learning_rate(&config, 0) - 0.1).abs() < 1e-12);
        assert!((learning_rate(&config, 10) - 1.0).abs() < 1e-12);
        assert!((learning_rate(&config, 55) - 0.55).abs() < 1e-12);
        assert!((learning_rate(&config, 100) - 0.1).abs() < 1e-12);
        assert!((learning_rate(&config, 900) - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_shift_moves_the_median_noise_up() {
        let config = StageConfig {
            shift: 4.0,
            pure_noise: 0.0,
            ..StageConfig::default()
        };
        assert!((noise_level(&config, 0.5) - 0.8).abs() < 1e-12);
        assert!(
            (noise_level(
                &StageConfig {
                    shift: 1.0,
                    ..config.clone()
                },
                0.3
            ) - 0.3)
                .abs()
                < 1e-12
        );
        let half = StageConfig {
            pure_noise: 0.5,
            ..config
        };
        assert_eq!(noise_level(&half, 0.75), 1.0);
        assert!(noise_level(&half, 0.49) < 1.0);
    }
}
