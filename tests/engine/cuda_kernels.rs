//! Tests: the CUDA sources, run thread by thread on the processor, against the operations of the CPU.
//!
//! The launches are those that the driver would get, so kernel names, grids, shared memory and the order
//! of arguments are proven too. Unwritten results are not numbers and fail every comparison.

use candle_core::{DType, Device, Tensor};
use one4d_engine::kernels::launch::{
    self, Argument, AttentionShape, ConvShape, Element, Launch, NormShape, Pointwise, RopeShape,
};
use one4d_engine::nn::{self, RopeTable, composed};
use one4d_tests::draw;
use one4d_tests::emulation::Emulator;

const ELEMENTS: [Element; 3] = [Element::F32, Element::Bf16, Element::F16];

/// Largest relative error of one rounding.
fn rounding(element: Element) -> f64 {
    match element {
        Element::F32 => 1e-6,
        Element::Bf16 => 1.0 / 256.0,
        Element::F16 => 1.0 / 2048.0,
    }
}

/// Normal values that the element holds exactly.
fn random(dims: &[usize], element: Element) -> Tensor {
    draw::normal(1.0, dims).to_dtype(element.dtype()).unwrap()
}

fn wide(x: &Tensor) -> Tensor {
    x.to_dtype(DType::F32).unwrap()
}

/// `out` is `truth` within so many roundings of its largest value (ten for f32: 1e-5).
fn assert_close(what: &str, out: &Tensor, truth: &Tensor, element: Element, roundings: f64) {
    assert_eq!(out.dims(), truth.dims(), "{what}");
    let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (out, truth) = (values(out), values(truth));
    let scale = truth.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
    // What is not a number is further away than anything.
    let worst = out.iter().zip(&truth).map(|(a, b)| (a - b).abs());
    let worst = worst.fold(0.0_f32, |m, d| if d <= m { m } else { d }) / scale;
    let roundings = if element == Element::F32 {
        10.0
    } else {
        roundings
    };
    let bound = roundings * rounding(element);
    assert!(
        f64::from(worst) < bound,
        "{what} {element:?}: off by {worst:e}"
    );
}

#[test]
fn the_emulation_finds_every_planted_mistake() {
    let Some(emulator) = Emulator::compile("emulation/broken") else {
        return;
    };
    let x: Vec<u8> = (0..64).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let run = |kernel: &str| {
        let launch = Launch {
            source: "emulation/broken",
            kernel: kernel.to_owned(),
            grid: [1, 1, 1],
            threads: 64,
            shared_bytes: 256,
            arguments: vec![Argument::Buffer(0), Argument::Buffer(1)],
        };
        // The input fills a page to its end, behind which nothing may be read.
        emulator.run(&launch, &[Some(x.clone()), Some(vec![0xff; 256])])
    };
    let passed_on = run("sound").unwrap();
    assert_eq!(passed_on[..4], 1.0_f32.to_le_bytes());
    for (kernel, finding) in [
        ("without_barrier", "a race"),
        ("warp_runs_ahead", "a race"),
        ("without_wait", "a race"),
        ("half_a_barrier", "never come"),
        ("half_a_warp", "never come"),
        ("beyond_the_end", "signal"),
    ] {
        let message = run(kernel).unwrap_err();
        assert!(message.contains(finding), "{kernel}: {message}");
    }
}

#[test]
fn activations_equal_those_of_the_cpu() {
    let Some(emulator) = Emulator::compile("activation") else {
        return;
    };
    let functions: [(Pointwise, fn(&Tensor) -> one4d_engine::Result<Tensor>); 3] = [
        (Pointwise::Silu, nn::silu),
        (Pointwise::GeluTanh, nn::gelu_tanh),
        (Pointwise::GeluErf, nn::gelu_erf),
    ];
    for (function, reference) in functions {
        for element in ELEMENTS {
            for count in [1, 7, 2048, 4099] {
                let x = (random(&[count], element) * 3.0).unwrap();
                let launch = launch::activation(function, count, element).unwrap();
                let y = emulator.tensor(&launch, &[Some(&x)], element, &[count]);
                let truth = reference(&wide(&x)).unwrap();
                assert_close(
                    &format!("{function:?} of {count}"),
                    &y,
                    &truth,
                    element,
                    1.0,
                );
            }
        }
    }
}

#[test]
fn norms_equal_those_of_the_cpu() {
    let Some(emulator) = Emulator::compile("norm") else {
        return;
    };
    // Rows, groups of rows and width; odd widths go value by value.
    for [rows, groups, width] in [[1, 1, 1], [3, 1, 5], [4, 2, 64], [2, 2, 1032], [6, 3, 2050]] {
        for element in ELEMENTS {
            let x = random(&[groups, rows / groups, width], element);
            for of_weight in [element, Element::F32] {
                let (w, b) = (
                    random(&[groups, 1, width], of_weight),
                    random(&[groups, 1, width], of_weight),
                );
                let shape = |centred, offset| NormShape {
                    rows,
                    width,
                    rows_per_group: rows / groups,
                    centred,
                    eps: 1e-6,
                    offset,
                };
                let run = |shape: NormShape, w: Option<&Tensor>, b: Option<&Tensor>| {
                    let launch = launch::norm(&shape, element, of_weight).unwrap();
                    emulator.tensor(&launch, &[Some(&x), w, b], element, x.dims())
                };
                let what =
                    format!("{rows} rows of {width} in {groups} groups, weight {of_weight:?}");
                let (xs, ws, bs) = (wide(&x), wide(&w), wide(&b));

                let modulated = run(shape(true, 1.0), Some(&w), Some(&b));
                let truth = composed::modulated_layer_norm(&xs, &bs, &ws, 1e-6).unwrap();
                assert_close(&what, &modulated, &truth, element, 1.0);

                let plain = run(shape(true, 0.0), None, None);
                let truth = nn::layer_norm(&xs, 1e-6, None).unwrap();
                assert_close(&what, &plain, &truth, element, 1.0);

                let rms = run(shape(false, 0.0), Some(&w), None);
                let ones = Tensor::ones(width, DType::F32, &Device::Cpu).unwrap();
                let truth = nn::rms_norm(&xs, &ones, 1e-6).unwrap();
                let truth = truth.broadcast_mul(&ws).unwrap();
                assert_close(&what, &rms, &truth, element, 1.0);
            }
        }
    }
}

#[test]
fn rotations_and_gated_residuals_equal_those_of_the_cpu() {
    let (Some(rope), Some(modulate)) = (Emulator::compile("rope"), Emulator::compile("modulate"))
    else {
        return;
    };
    for (grid, [rows, heads, width]) in [
        ([1, 1, 1], [1, 1, 2]),
        ([2, 3, 2], [2, 3, 12]),
        ([1, 5, 1], [1, 2, 128]),
    ] {
        let table = RopeTable::grid(grid, width, 10_000.0, &Device::Cpu).unwrap();
        let shape = RopeShape {
            rows,
            tokens: grid.iter().product(),
            heads,
            width,
        };
        for element in ELEMENTS {
            let x = random(&[rows, shape.tokens, heads, width], element);
            let launch = launch::rope(&shape, element).unwrap();
            let slots = [Some(&x), Some(&table.cos), Some(&table.sin)];
            let y = rope.tensor(&launch, &slots, element, x.dims());
            let truth = nn::apply_rope(&wide(&x), &table).unwrap();
            assert_close(&format!("rope {shape:?}"), &y, &truth, element, 1.0);
        }
    }
    for [rows, gates, width] in [[1, 1, 1], [6, 2, 40], [3, 3, 37], [2, 1, 2056]] {
        for element in ELEMENTS {
            let dims = [gates, rows / gates, width];
            let (x, y) = (random(&dims, element), random(&dims, element));
            let gate = random(&[gates, 1, width], Element::F32);
            let launch = launch::gated_add(rows, width, rows / gates, element).unwrap();
            let out = modulate.tensor(&launch, &[Some(&x), Some(&y), Some(&gate)], element, &dims);
            let truth = nn::gated_add(&wide(&x), &wide(&y), &gate).unwrap();
            assert_close(&format!("{rows} gated rows"), &out, &truth, element, 1.0);
        }
    }
}

/// Rows, queries, keys, heads and width.
const HEADS: [[usize; 5]; 6] = [
    [1, 1, 1, 1, 64],
    [2, 5, 70, 2, 16],
    [1, 130, 65, 1, 128],
    [1, 67, 129, 3, 80],
    [2, 3, 9, 2, 12],
    [1, 64, 64, 1, 37],
];

/// A bias that masks one key whole, one tile of keys of one query, and all but one key of another.
fn masking_bias(dims: [usize; 4]) -> Tensor {
    let [rows, heads, n, m] = dims;
    let mut values = draw::normal(1.0, &dims)
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    for (i, value) in values.iter_mut().enumerate() {
        let (query, key) = (i / m % n, i % m);
        let masked = (key == m / 2 && m > 1)
            || (query == 1 && key < 64 && m > 64)
            || (query == 2 && key != m - 1);
        if masked {
            *value = f32::NEG_INFINITY;
        }
    }
    Tensor::from_vec(values, &[rows, heads, n, m], &Device::Cpu).unwrap()
}

#[test]
fn attention_equals_that_of_the_cpu() {
    let Some(emulator) = Emulator::compile("attention") else {
        return;
    };
    for [rows, n, m, heads, width] in HEADS {
        for element in ELEMENTS {
            let q = random(&[rows, n, heads, width], element);
            let [k, v] = [(); 2].map(|()| random(&[rows, m, heads, width], element));
            let scale = (width as f64).sqrt().recip();
            for bias_rows in [None, Some(1), Some(rows)] {
                let shape = AttentionShape {
                    rows,
                    queries: n,
                    keys: m,
                    heads,
                    width,
                    bias_rows,
                };
                let bias = bias_rows.map(|rows| {
                    let bias = masking_bias([rows, heads, n, m]);
                    bias.to_dtype(element.dtype()).unwrap()
                });
                let launch = launch::attention(&shape, element, scale).unwrap();
                let slots = [Some(&q), Some(&k), Some(&v), bias.as_ref()];
                let out = emulator.tensor(&launch, &slots, element, q.dims());
                let bias = bias.as_ref().map(wide);
                let truth = nn::attention(&wide(&q), &wide(&k), &wide(&v), scale, bias.as_ref());
                // Weights are rounded before they meet the values, and so is the result.
                let what = format!("{} {shape:?}", launch.kernel);
                assert_close(&what, &out, &truth.unwrap(), element, 2.0);
            }
        }
    }
}

#[test]
fn attention_in_pieces_is_attention() {
    let [q, k, v] = [(); 3].map(|()| draw::normal(1.0, &[2, 11, 3, 8]));
    let bias = draw::normal(1.0, &[1, 3, 11, 11]);
    let whole = composed::attention(&q, &k, &v, 0.3, Some(&bias)).unwrap();
    for most in [1, 2 * 3 * 11 * 4, usize::MAX] {
        let pieces = composed::attention_in_pieces(&q, (&k, &v), 0.3, Some(&bias), most).unwrap();
        assert_close(
            &format!("{most} scores"),
            &pieces,
            &whole,
            Element::F32,
            10.0,
        );
    }
}

#[test]
fn causal_convolutions_equal_those_of_the_cpu() {
    let Some(emulator) = Emulator::compile("causal_conv3d") else {
        return;
    };
    // Batch, channels, outputs; frames, height, width; past frames; taps.
    let cases = [
        ([1, 1, 1], [1, 1, 1], 0, [1, 1]),
        ([1, 3, 70], [2, 5, 7], 0, [3, 3]),
        ([2, 5, 4], [1, 4, 3], 1, [3, 3]),
        ([1, 16, 3], [3, 9, 11], 2, [3, 1]),
        ([1, 7, 65], [1, 12, 11], 5, [1, 3]),
    ];
    for ([batch, channels, outputs], size, past_frames, taps) in cases {
        let [t, h, w] = size;
        let shape = ConvShape {
            batch,
            channels,
            outputs,
            size,
            past_frames,
            taps,
        };
        for element in ELEMENTS {
            let x = random(&[batch, channels, t, h, w], element);
            let past = random(&[batch, channels, past_frames.max(1), h, w], element);
            let past = Some(&past).filter(|_| past_frames > 0);
            let weight = random(&[outputs, channels, taps[0], taps[1], taps[1]], element);
            let bias = random(&[outputs], element);
            let bias = Some(&bias).filter(|_| outputs != 3);
            let launch = launch::causal_conv3d(&shape, element).unwrap();
            let slots = [Some(&x), past, Some(&weight), bias];
            let y = emulator.tensor(&launch, &slots, element, &[batch, outputs, t, h, w]);
            let (bias, past) = (bias.map(wide), past.map(wide));
            let truth = nn::causal_conv3d(&wide(&x), &wide(&weight), bias.as_ref(), past.as_ref());
            assert_close(&format!("{shape:?}"), &y, &truth.unwrap(), element, 1.0);
        }
    }
}
