//! Tests: the fused operations against their composed forms and against finite differences.

use candle_core::{DType, Device, Tensor, Var};
use one4d_engine::Result;
use one4d_engine::nn::{self, RopeTable, composed};
use rand::{RngExt, SeedableRng};

type Operation<'a> = dyn Fn(&[Tensor]) -> Result<Tensor> + 'a;

/// Uniform values in -1..1.
fn random(dims: &[usize], seed: u64) -> Tensor {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let count = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f64> {
    let x = x.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    x.to_vec1().unwrap()
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum()
}

/// Largest difference relative to the largest value.
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (values(a), values(b));
    let scale = b.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    worst.fold(0.0, |m, d| if d <= m { m } else { d }) / scale
}

/// Gradients of `sum(f(inputs) * weights)`.
fn gradients(inputs: &[Tensor], weights: &Tensor, f: &Operation) -> Result<Vec<Tensor>> {
    let vars: Vec<Var> = inputs
        .iter()
        .map(Var::from_tensor)
        .collect::<candle_core::Result<_>>()?;
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let grads = (f(&tensors)? * weights)?.sum_all()?.backward()?;
    Ok(vars
        .iter()
        .map(|var| grads.get(var).expect("every input has a gradient").clone())
        .collect())
}

/// The fused form equals the composed one, and its gradients equal those of candle and the slope
/// measured along them.
fn check(name: &str, inputs: &[Tensor], fused: &Operation, composed: &Operation) -> Result<()> {
    let (out, reference) = (fused(inputs)?, composed(inputs)?);
    let error = distance(&out, &reference);
    assert!(error < 1e-5, "{name}: forward differs by {error:e}");
    let weights = random(out.dims(), 99);
    let ours = gradients(inputs, &weights, fused)?;
    let theirs = gradients(inputs, &weights, composed)?;
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        let error = distance(ours, theirs);
        assert!(error < 5e-5, "{name}: gradient {i} differs by {error:e}");
        let norm = dot(ours, ours).sqrt();
        if norm < 1e-3 {
            continue;
        }
        let step = 1e-2;
        let along = |sign: f64| -> Result<f64> {
            let mut moved = inputs.to_vec();
            moved[i] = (&inputs[i] + (ours * (sign * step / norm))?)?;
            Ok(dot(&fused(&moved)?, &weights))
        };
        let slope = (along(1.0)? - along(-1.0)?) / (2.0 * step);
        let error = (slope / norm - 1.0).abs();
        assert!(
            error < 2e-2,
            "{name}: gradient {i}: slope {slope}, norm {norm}"
        );
    }
    Ok(())
}

#[test]
fn linear_equals_its_composed_form() -> Result<()> {
    for (dims, outputs) in [
        (vec![2, 37, 19], 23),
        (vec![1, 5], 1),
        (vec![1, 1, 64], 48),
        (vec![1, 70], 130),
        (vec![2, 3, 4, 8], 16),
        (vec![300, 96], 64),
    ] {
        let inputs = dims[dims.len() - 1];
        let args = [
            random(&dims, 1),
            random(&[outputs, inputs], 2),
            random(&[outputs], 3),
        ];
        check(
            &format!("linear {dims:?} to {outputs}"),
            &args,
            &|t| nn::linear(&t[0], &t[1], Some(&t[2])),
            &|t| composed::linear(&t[0], &t[1], Some(&t[2])),
        )?;
        check(
            &format!("linear without bias {dims:?} to {outputs}"),
            &args[..2],
            &|t| nn::linear(&t[0], &t[1], None),
            &|t| composed::linear(&t[0], &t[1], None),
        )?;
    }
    Ok(())
}

#[test]
fn views_are_taken_as_they_are() -> Result<()> {
    let args = [
        random(&[9, 40, 3], 1),
        random(&[40, 21], 2),
        random(&[30], 3),
    ];
    let view = |t: &[Tensor]| -> Result<[Tensor; 3]> {
        Ok([
            t[0].transpose(1, 2)?.narrow(2, 5, 20)?,
            t[1].t()?.narrow(0, 1, 20)?.narrow(1, 3, 20)?,
            t[2].narrow(0, 4, 20)?,
        ])
    };
    check(
        "linear of views",
        &args,
        &|t| {
            let [x, w, b] = view(t)?;
            nn::linear(&x, &w, Some(&b))
        },
        &|t| {
            let [x, w, b] = view(t)?;
            composed::linear(&x.contiguous()?, &w, Some(&b))
        },
    )?;
    let x = [random(&[2, 6, 4, 5], 7)];
    let head = |t: &[Tensor]| -> Result<Tensor> { Ok(t[0].transpose(1, 3)?.narrow(1, 1, 3)?) };
    check(
        "attention of views",
        &x,
        &|t| nn::attention(&head(t)?, &head(t)?, &head(t)?, 0.3, None),
        &|t| composed::attention(&head(t)?, &head(t)?, &head(t)?, 0.3, None),
    )?;
    check(
        "norm and activation of views",
        &x,
        &|t| nn::silu(&nn::layer_norm(&head(t)?, 1e-6, None)?.narrow(3, 1, 2)?),
        &|t| composed::silu(&composed::layer_norm(&head(t)?, 1e-6, None)?.narrow(3, 1, 2)?),
    )
}

#[test]
fn frozen_weights_get_no_gradient() -> Result<()> {
    let var = |dims: &[usize], seed| Var::from_tensor(&random(dims, seed));
    let (x, w, b) = (var(&[6, 5], 1)?, var(&[4, 5], 2)?, var(&[4], 3)?);
    let frozen = nn::frozen_linear(&x, &w, Some(&b))?;
    let free = nn::linear(&x, &w, Some(&b))?;
    assert_eq!(values(&frozen), values(&free));
    let grads = frozen.sqr()?.sum_all()?.backward()?;
    let reference = free.sqr()?.sum_all()?.backward()?;
    assert!(grads.get(&w).is_none() && grads.get(&b).is_none());
    assert_eq!(
        values(grads.get(&x).unwrap()),
        values(reference.get(&x).unwrap())
    );
    // A plain tensor as weight costs no gradient either.
    let plain = random(&[4, 5], 2);
    let grads = nn::linear(&x, &plain, None)?.sum_all()?.backward()?;
    assert!(grads.get(&plain).is_none() && grads.get(&x).is_some());
    Ok(())
}

#[test]
fn attention_equals_its_composed_form() -> Result<()> {
    for [r, n, m, a, d] in [
        [2, 17, 17, 3, 8],
        [1, 1, 1, 1, 4],
        [1, 1, 9, 2, 6],
        [2, 5, 1, 1, 3],
        [1, 150, 70, 2, 16],
        [1, 131, 600, 1, 8],
    ] {
        let args = [
            random(&[r, n, a, d], 1),
            random(&[r, m, a, d], 2),
            random(&[r, m, a, d], 3),
        ];
        check(
            &format!("attention {r} {n} {m} {a} {d}"),
            &args,
            &|t| nn::attention(&t[0], &t[1], &t[2], 0.7, None),
            &|t| composed::attention(&t[0], &t[1], &t[2], 0.7, None),
        )?;
        for rows in [1, r] {
            let mut args = args.to_vec();
            args.push(random(&[rows, a, n, m], 4));
            check(
                &format!("attention with bias of {rows}: {r} {n} {m} {a} {d}"),
                &args,
                &|t| nn::attention(&t[0], &t[1], &t[2], 0.7, Some(&t[3])),
                &|t| composed::attention(&t[0], &t[1], &t[2], 0.7, Some(&t[3])),
            )?;
        }
    }
    Ok(())
}

#[test]
fn attention_is_safe_with_large_scores_and_masks() -> Result<()> {
    let (q, k, v) = (
        (random(&[1, 8, 1, 4], 1) * 100.0)?,
        (random(&[1, 700, 1, 4], 2) * 100.0)?,
        random(&[1, 700, 1, 4], 3),
    );
    let out = nn::attention(&q, &k, &v, 1.0, None)?;
    assert!(distance(&out, &composed::attention(&q, &k, &v, 1.0, None)?) < 1e-4);
    // The first 650 keys are masked: more than a whole tile.
    let mask: Vec<f32> = (0..8 * 700)
        .map(|i| {
            if i % 700 < 650 {
                f32::NEG_INFINITY
            } else {
                0.0
            }
        })
        .collect();
    let mask = Tensor::from_vec(mask, (1, 1, 8, 700), &Device::Cpu)?;
    let out = nn::attention(&q, &k, &v, 0.1, Some(&mask))?;
    let tail = |x: &Tensor| x.narrow(1, 650, 50);
    let reference = composed::attention(&q, &tail(&k)?, &tail(&v)?, 0.1, None)?;
    assert!(distance(&out, &reference) < 1e-5);
    Ok(())
}

#[test]
fn norms_equal_their_composed_forms() -> Result<()> {
    for [r, n, e] in [[2, 7, 33], [1, 1, 64], [3, 150, 130], [1, 5, 1], [4, 1, 8]] {
        let x = random(&[r, n, e], 1);
        let (weight, bias) = (random(&[e], 2), random(&[e], 3));
        let name = format!("{r} {n} {e}");
        check(
            &format!("layer norm {name}"),
            std::slice::from_ref(&x),
            &|t| nn::layer_norm(&t[0], 1e-2, None),
            &|t| composed::layer_norm(&t[0], 1e-2, None),
        )?;
        check(
            &format!("affine layer norm {name}"),
            &[x.clone(), weight.clone(), bias],
            &|t| nn::layer_norm(&t[0], 1e-2, Some((&t[1], &t[2]))),
            &|t| composed::layer_norm(&t[0], 1e-2, Some((&t[1], &t[2]))),
        )?;
        check(
            &format!("rms norm {name}"),
            &[x.clone(), weight],
            &|t| nn::rms_norm(&t[0], &t[1], 1e-2),
            &|t| composed::rms_norm(&t[0], &t[1], 1e-2),
        )?;
        for rows in [1, r] {
            let (shift, scale) = (random(&[rows, 1, e], 4), random(&[rows, 1, e], 5));
            check(
                &format!("modulated layer norm {name}, {rows}"),
                &[x.clone(), shift.clone(), scale],
                &|t| nn::modulated_layer_norm(&t[0], &t[1], &t[2], 1e-2),
                &|t| composed::modulated_layer_norm(&t[0], &t[1], &t[2], 1e-2),
            )?;
            check(
                &format!("gated add {name}, {rows}"),
                &[x.clone(), random(&[r, n, e], 6), shift],
                &|t| nn::gated_add(&t[0], &t[1], &t[2]),
                &|t| composed::gated_add(&t[0], &t[1], &t[2]),
            )?;
        }
    }
    Ok(())
}

#[test]
fn modulation_by_token_takes_the_composed_form() -> Result<()> {
    let args = [
        random(&[2, 3, 4], 1),
        random(&[2, 3, 4], 2),
        random(&[2, 3, 4], 3),
    ];
    check(
        "modulation by token",
        &args,
        &|t| {
            nn::gated_add(
                &t[0],
                &nn::modulated_layer_norm(&t[0], &t[1], &t[2], 1e-2)?,
                &t[1],
            )
        },
        &|t| {
            let y = composed::modulated_layer_norm(&t[0], &t[1], &t[2], 1e-2)?;
            composed::gated_add(&t[0], &y, &t[1])
        },
    )
}

#[test]
fn rope_equals_its_composed_form() -> Result<()> {
    for (r, grid, a, d) in [
        (2, [2, 3, 4], 3, 12),
        (1, [1, 1, 1], 1, 2),
        (1, [3, 5, 7], 2, 64),
    ] {
        let table = RopeTable::grid(grid, d, 10_000.0, &Device::Cpu)?;
        let x = random(&[r, grid.iter().product(), a, d], 1);
        check(
            &format!("rope {grid:?} {a} {d}"),
            &[x],
            &|t| nn::apply_rope(&t[0], &table),
            &|t| composed::apply_rope(&t[0], &table),
        )?;
    }
    Ok(())
}

#[test]
fn activations_equal_their_composed_forms() -> Result<()> {
    let x = (random(&[3, 41, 5], 1) * 4.0)?;
    type Activation = fn(&Tensor) -> Result<Tensor>;
    let pairs: [(&str, Activation, Activation); 3] = [
        ("silu", nn::silu, composed::silu),
        ("gelu_tanh", nn::gelu_tanh, composed::gelu_tanh),
        ("gelu_erf", nn::gelu_erf, composed::gelu_erf),
    ];
    for (name, fused, composed) in pairs {
        let x = std::slice::from_ref(&x);
        check(name, x, &|t| fused(&t[0]), &|t| composed(&t[0]))?;
        let extreme = Tensor::new(&[-1e4f32, -90.0, 0.0, 90.0, 1e4], &Device::Cpu)?;
        let limits = [0.0, 0.0, 0.0, 90.0, 1e4];
        for (y, limit) in fused(&extreme)?.to_vec1::<f32>()?.into_iter().zip(limits) {
            assert!((y - limit).abs() < 1e-30, "{name}: {y}, not {limit}");
        }
    }
    Ok(())
}

#[test]
fn causal_convolution_equals_its_composed_form() -> Result<()> {
    for ([b, c, o], [t, h, w], [kt, k], past) in [
        ([1, 3, 5], [3, 4, 6], [3, 3], 0),
        ([2, 2, 4], [2, 5, 3], [3, 3], 1),
        ([1, 4, 3], [1, 3, 3], [3, 3], 2),
        ([1, 17, 18], [2, 20, 33], [3, 3], 3),
        ([1, 3, 4], [4, 2, 5], [3, 1], 2),
        ([2, 5, 2], [2, 7, 1], [1, 3], 0),
        ([1, 4, 4], [2, 3, 3], [1, 1], 1),
        ([1, 2, 2], [1, 40, 60], [2, 5], 1),
    ] {
        let name = format!("convolution {b} {c}-{o} {t} {h} {w}, {kt} {k}, past {past}");
        let mut args = vec![
            random(&[b, c, t, h, w], 1),
            random(&[o, c, kt, k, k], 2),
            random(&[o], 3),
        ];
        check(
            &format!("{name}, no bias"),
            &args[..2],
            &|t| nn::causal_conv3d(&t[0], &t[1], None, None),
            &|t| composed::causal_conv3d(&t[0], &t[1], None, None),
        )?;
        if past == 0 {
            continue;
        }
        let frames = random(&[b, c, past, h, w], 4);
        check(
            &format!("{name}, fixed"),
            &args,
            &|t| nn::causal_conv3d(&t[0], &t[1], Some(&t[2]), Some(&frames)),
            &|t| composed::causal_conv3d(&t[0], &t[1], Some(&t[2]), Some(&frames)),
        )?;
        if kt > 1 {
            args.push(frames.narrow(2, 0, past.min(kt - 1))?.contiguous()?);
            check(
                &format!("{name}, learning"),
                &args,
                &|t| nn::causal_conv3d(&t[0], &t[1], Some(&t[2]), Some(&t[3])),
                &|t| composed::causal_conv3d(&t[0], &t[1], Some(&t[2]), Some(&t[3])),
            )?;
        }
    }
    Ok(())
}

/// A small DiT block: every operation once.
fn block(t: &[Tensor], table: &RopeTable) -> Result<Tensor> {
    let [x, modulation, qkv, qkv_bias, norm, out, up, down] = t else {
        panic!("a block has eight arguments");
    };
    let (r, n, e) = x.dims3()?;
    let chunk = |i| modulation.narrow(1, i, 1);
    let y = nn::modulated_layer_norm(x, &chunk(0)?, &chunk(1)?, 1e-6)?;
    let y = nn::linear(&y, qkv, Some(qkv_bias))?;
    let heads = |i: usize| y.narrow(2, i * e, e);
    let split = |x: Tensor| x.reshape((r, n, 4, e / 4));
    let q = nn::apply_rope(&split(nn::rms_norm(&heads(0)?, norm, 1e-6)?)?, table)?;
    let k = nn::apply_rope(&split(nn::rms_norm(&heads(1)?, norm, 1e-6)?)?, table)?;
    let v = split(heads(2)?.contiguous()?)?;
    let y = nn::attention(&q, &k, &v, 0.25, None)?.reshape((r, n, e))?;
    let x = nn::gated_add(x, &nn::linear(&y, out, None)?, &chunk(2)?)?;
    let y = nn::modulated_layer_norm(&x, &chunk(3)?, &chunk(4)?, 1e-6)?;
    let y = nn::linear(&nn::gelu_tanh(&nn::linear(&y, up, None)?)?, down, None)?;
    nn::gated_add(&x, &y, &chunk(5)?)
}

fn block_args(n: usize, e: usize) -> Vec<Tensor> {
    let dims: [&[usize]; 8] = [
        &[2, n, e],
        &[2, 6, e],
        &[3 * e, e],
        &[3 * e],
        &[e],
        &[e, e],
        &[4 * e, e],
        &[e, 4 * e],
    ];
    dims.iter()
        .zip(1..)
        .map(|(d, seed)| random(d, seed))
        .collect()
}

#[test]
fn results_do_not_depend_on_threads() -> Result<()> {
    let table = RopeTable::grid([1, 15, 20], 16, 10_000.0, &Device::Cpu)?;
    let args = block_args(300, 64);
    let weights = random(&[2, 300, 64], 50);
    let run = |threads: usize| -> Result<Vec<Vec<f64>>> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let f = |t: &[Tensor]| block(t, &table);
            let mut all = gradients(&args, &weights, &f)?;
            all.push(block(&args, &table)?);
            Ok(all.iter().map(values).collect())
        })
    };
    let one = run(1)?;
    for threads in [2, 3, 5] {
        assert!(one == run(threads)?, "{threads} threads differ from one");
    }
    Ok(())
}

#[test]
fn every_variable_of_a_block_learns() -> Result<()> {
    let table = RopeTable::grid([1, 2, 3], 4, 10_000.0, &Device::Cpu)?;
    let args = block_args(6, 16);
    let weights = random(&[2, 6, 16], 50);
    let grads = gradients(&args, &weights, &|t| block(t, &table))?;
    for (i, grad) in grads.iter().enumerate() {
        let norm = dot(grad, grad).sqrt();
        assert!(norm.is_finite() && norm > 1e-3, "argument {i}: {norm}");
    }
    Ok(())
}

#[test]
fn wrong_shapes_are_errors() {
    let x = random(&[2, 3, 4], 1);
    assert!(nn::linear(&x, &random(&[5, 3], 2), None).is_err());
    assert!(nn::linear(&x, &random(&[5, 4], 2), Some(&random(&[4], 3))).is_err());
    let q = random(&[1, 2, 3, 4], 1);
    let k = random(&[1, 5, 2, 4], 1);
    assert!(nn::attention(&q, &k, &k, 1.0, None).is_err());
    assert!(nn::attention(&q, &q, &q, 1.0, Some(&random(&[1, 3, 2, 5], 1))).is_err());
    let table = RopeTable::grid([1, 1, 3], 4, 10_000.0, &Device::Cpu).unwrap();
    assert!(nn::apply_rope(&q, &table).is_err());
    assert!(nn::rms_norm(&x, &random(&[3], 1), 1e-6).is_err());
    assert!(nn::gated_add(&x, &random(&[2, 4, 4], 1), &random(&[1, 1, 4], 2)).is_err());
}
