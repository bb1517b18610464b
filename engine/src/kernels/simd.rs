//! Loops compiled for the widest vectors of the machine, and functions that vectorise in them.
//!
//! The functions are branch-free scalar code; the compiler turns loops over them into vector code
//! for the instruction set that [`vectorised`] selects at run time.

/// Independent partial sums of a reduction: two vectors of the widest kind.
const LANES: usize = 32;

/// Runs `work` with the widest vector instructions that this machine has.
///
/// `work` and what it calls must be marked `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        if has_avx512() {
            #[expect(unsafe_code, reason = "calls a function with target features")]
            // SAFETY: the features have just been detected.
            return unsafe { with_avx512(work) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            #[expect(unsafe_code, reason = "calls a function with target features")]
            // SAFETY: the features have just been detected.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("fma")
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
fn with_avx512<R>(work: impl FnOnce() -> R) -> R {
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}

/// `e^x` to 2 ulp; 0 below -87.3, the value at 88.3 above it.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // e^x = 2^n e^r with |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds n into the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let clamped = if x > 88.3 { 88.3 } else { x };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    let mut p = 1.0 / 5040.0;
    for c in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = r.mul_add(p, c);
    }
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits() - 127) << 23;
    let y = p * f32::from_bits(exponent);
    if x < -87.3 { 0.0 } else { y }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `1 - erf(z)`, relative error 1.2e-7: Press et al., Numerical Recipes §6.2, `erfcc`.
#[inline(always)]
pub(super) fn erfc(z: f32) -> f32 {
    const C: [f32; 10] = [
        0.170_872_77,
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    let a = z.abs();
    let t = 1.0 / (1.0 + 0.5 * a);
    let mut p = C[0];
    for c in &C[1..] {
        p = t.mul_add(p, *c);
    }
    let tail = t * exp((-a).mul_add(a, p));
    if z < 0.0 { 2.0 - tail } else { tail }
}

/// Sum of `f(x, y)` over pairs.
#[inline(always)]
pub(super) fn sum_pairs(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (xs, x_rest) = x.as_chunks::<LANES>();
    let (ys, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in xs.iter().zip(ys) {
        for i in 0..LANES {
            lanes[i] += f(x[i], y[i]);
        }
    }
    for (i, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
        lanes[i] += f(x, y);
    }
    fold(lanes, |a, b| a + b)
}

/// Sum of `f(x)`.
#[inline(always)]
pub(super) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    sum_pairs(x, x, |x, _| f(x))
}

/// Largest value, passing over what is not a number.
#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (xs, rest) = x.as_chunks::<LANES>();
    for x in xs {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], x[i]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, x);
    }
    fold(lanes, larger)
}

#[inline(always)]
fn fold(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_match_double_precision() {
        let inputs: Vec<f32> = (-17_400..17_600).map(|i| i as f32 * 0.005).collect();
        let mut y = inputs.clone();
        vectorised(
            #[inline(always)]
            || y.iter_mut().for_each(|y| *y = exp(*y)),
        );
        for (x, y) in inputs.iter().zip(y) {
            let truth = f64::from(*x).exp();
            assert!(
                (f64::from(y) / truth - 1.0).abs() < 2.5e-7,
                "e^{x} = {truth}, not {y}"
            );
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::NAN).is_nan());
        for (z, truth) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122),
            (-2.0, 1.995_322_265),
            (3.0, 2.209_049_7e-5),
        ] {
            assert!((erfc(z) / truth - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn reductions_take_every_length() {
        for n in 0..100 {
            let x: Vec<f32> = (0..n).map(|i| ((i * 37) % 101) as f32).collect();
            assert_eq!(sum(&x, |x| x), x.iter().sum::<f32>());
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&x), largest);
        }
    }
}
