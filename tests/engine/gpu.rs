//! Tests on an NVIDIA GPU, with the feature `cuda`: everything there equals the same on the CPU.
//!
//! Without a card each of them says so in a line and passes.

use std::collections::HashMap;

use candle_core::cuda_backend::cudarc::driver::result::mem_get_info;
use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::device::DeviceChoice;
use one4d_engine::job::JobCtx;
use one4d_engine::models::wan::vae::{WanVae, WanVaeConfig};
use one4d_engine::models::wan::{WanConfig, WanDit};
use one4d_engine::nn::{self, ParamStore, RopeTable, WeightForm, Weights};
use one4d_engine::plan::{self, Holding, Machine, ModelParts, RunShape};
use one4d_tests::draw;
use one4d_tests::probe::probe_config;

const CPU: &Device = &Device::Cpu;

fn gpu() -> Option<Device> {
    match DeviceChoice::Cuda.open() {
        Ok(device) => Some(device),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

/// Largest difference relative to the largest value; what is not a number is far.
fn distance(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let values = |x: &Tensor| -> Vec<f32> {
        let x = x.to_device(CPU).unwrap().to_dtype(DType::F32).unwrap();
        x.flatten_all().unwrap().to_vec1().unwrap()
    };
    let (a, b) = (values(a), values(b));
    let scale = b.iter().fold(1e-3_f32, |m, v| m.max(v.abs()));
    let worst = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    worst.fold(0.0_f32, |m, d| if d <= m { m } else { d }) / scale
}

/// `f` on the card, in every type, against f32 on the CPU. `bound` counts roundings of the 16-bit types.
fn check(
    name: &str,
    gpu: &Device,
    inputs: &[Tensor],
    bound: f32,
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    for (dtype, limit) in [
        (DType::F32, 2e-5),
        (DType::BF16, bound / 256.0),
        (DType::F16, bound / 2048.0),
    ] {
        let narrow: Vec<Tensor> = inputs.iter().map(|x| x.to_dtype(dtype).unwrap()).collect();
        let wide: Vec<Tensor> = narrow
            .iter()
            .map(|x| x.to_dtype(DType::F32).unwrap())
            .collect();
        let there: Vec<Tensor> = narrow.iter().map(|x| x.to_device(gpu).unwrap()).collect();
        let out = f(&there).unwrap();
        assert_eq!(out.dtype(), dtype, "{name}");
        let error = distance(&out, &f(&wide).unwrap());
        assert!(error < limit, "{name} in {dtype:?}: off by {error:e}");
    }
}

/// A tensor beside `x` in f32, whatever the type of `x`.
fn beside(x: &Tensor, values: &Tensor) -> Tensor {
    values.to_device(x.device()).unwrap()
}

#[test]
fn rowwise_operations_equal_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let x = draw::normal(1.0, &[3, 517, 5120]);
    let [shift, scale] = [(); 2].map(|()| draw::normal(1.0, &[3, 1, 5120]));
    let weight = draw::normal(1.0, &[5120]);
    let (x, w) = (&[x], &[draw::normal(1.0, &[3, 517, 5120]), weight]);
    check("silu", &gpu, x, 1.0, |t| nn::silu(&t[0]));
    check("gelu tanh", &gpu, x, 1.0, |t| nn::gelu_tanh(&t[0]));
    check("gelu erf", &gpu, x, 1.0, |t| nn::gelu_erf(&t[0]));
    check("layer norm", &gpu, x, 1.0, |t| {
        nn::layer_norm(&t[0], 1e-6, None)
    });
    check("rms norm", &gpu, w, 1.5, |t| {
        nn::rms_norm(&t[0], &t[1], 1e-6)
    });
    check("modulated", &gpu, x, 1.0, |t| {
        let (shift, scale) = (beside(&t[0], &shift), beside(&t[0], &scale));
        nn::modulated_layer_norm(&t[0], &shift, &scale, 1e-6)
    });
    check("gated add", &gpu, x, 1.0, |t| {
        nn::gated_add(&t[0], &t[0], &beside(&t[0], &scale))
    });
    // A view in the middle of a tensor does not start at 16 bytes.
    check("views", &gpu, x, 1.0, |t| {
        nn::silu(&t[0].narrow(2, 3, 1001)?)
    });
    let heads = [draw::normal(1.0, &[2, 60, 3, 128])];
    let table = RopeTable::grid([3, 4, 5], 128, 10_000.0, CPU).unwrap();
    check("rope", &gpu, &heads, 1.0, |t| {
        let table = RopeTable {
            cos: beside(&t[0], &table.cos),
            sin: beside(&t[0], &table.sin),
        };
        nn::apply_rope(&t[0], &table)
    });
}

#[test]
fn attention_of_every_width_equals_that_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    // The last two have no kernel and go in pieces.
    for [rows, n, m, heads, width] in [
        [2, 1000, 1000, 3, 128],
        [1, 1, 257, 4, 80],
        [2, 130, 77, 2, 64],
        [1, 300, 300, 2, 12],
        [1, 300, 300, 2, 37],
        [1, 700, 700, 1, 384],
        [1, 50, 60, 2, 136],
    ] {
        let q = draw::normal(1.0, &[rows, n, heads, width]);
        let [k, v] = [(); 2].map(|()| draw::normal(1.0, &[rows, m, heads, width]));
        let bias = draw::normal(1.0, &[1, heads, n, m]);
        let scale = (width as f64).sqrt().recip();
        let name = format!("attention {rows} x {n} x {m} x {heads} x {width}");
        let inputs = [q, k, v, bias];
        check(&name, &gpu, &inputs, 3.0, |t| {
            nn::attention(&t[0], &t[1], &t[2], scale, None)
        });
        check(&format!("{name}, bias"), &gpu, &inputs, 3.0, |t| {
            nn::attention(&t[0], &t[1], &t[2], scale, Some(&t[3]))
        });
    }
}

#[test]
fn causal_convolutions_equal_those_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for (channels, outputs, kt, k) in [
        (96, 96, 3, 3),
        (16, 3, 3, 3),
        (7, 130, 3, 1),
        (32, 64, 1, 3),
    ] {
        let inputs = [
            draw::normal(1.0, &[2, channels, 4, 30, 41]),
            draw::normal(1.0, &[2, channels, 2, 30, 41]),
            draw::normal(0.05, &[outputs, channels, kt, k, k]),
            draw::normal(1.0, &[outputs]),
        ];
        let name = format!("convolution {channels} to {outputs}, {kt} x {k} x {k}");
        check(&name, &gpu, &inputs, 1.5, |t| {
            nn::causal_conv3d(&t[0], &t[2], Some(&t[3]), Some(&t[1]))
        });
        check(&format!("{name}, alone"), &gpu, &inputs, 1.5, |t| {
            nn::causal_conv3d(&t[0], &t[2], None, None)
        });
    }
}

/// The values of a fresh network, none of them zero.
fn tensors(build: impl FnOnce(&Weights)) -> HashMap<String, Tensor> {
    let store = ParamStore::default();
    build(&Weights::fresh(&store, 5, DType::F32, CPU));
    let values = store.vars().into_iter().map(|(name, var)| {
        let noise = draw::normal(0.02, var.dims());
        (name, (var.as_detached_tensor() + noise).unwrap())
    });
    values.collect()
}

/// One forward pass of a network with these values, held in `dtype` on `device`.
fn velocity(
    cfg: &WanConfig,
    values: &HashMap<String, Tensor>,
    (device, dtype, streamed): (&Device, DType, bool),
) -> Tensor {
    let values = values
        .iter()
        .map(|(name, value)| (name.clone(), value.to_device(device).unwrap()))
        .collect();
    let weights = Weights::from_tensors(values, "random", dtype, device);
    let weights = if streamed {
        weights.streamed()
    } else {
        weights
    };
    let dit = WanDit::from_weights(cfg, &weights).unwrap();
    let ramp = |dims: &[usize]| {
        let count: usize = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin()).collect();
        Tensor::from_vec(values, dims, device).unwrap()
    };
    let (x, text) = (
        ramp(&[2, cfg.in_dim, 3, 8, 10]),
        ramp(&[2, 9, cfg.text_dim]),
    );
    dit.forward(&x, &[400.0], &text, None).unwrap()
}

#[test]
fn a_small_network_equals_itself_on_the_cpu_and_streamed() {
    let Some(gpu) = gpu() else { return };
    for cfg in [WanConfig::tiny(), probe_config()] {
        let values = tensors(|fresh| {
            WanDit::from_weights(&cfg, fresh).unwrap();
        });
        let truth = velocity(&cfg, &values, (CPU, DType::F32, false));
        let wide = velocity(&cfg, &values, (&gpu, DType::F32, false));
        let error = distance(&wide, &truth);
        assert!(error < 1e-4, "f32: {error:e}");
        let half = velocity(&cfg, &values, (&gpu, DType::BF16, false));
        let error = distance(&half, &truth);
        assert!(error < 0.05, "bf16: {error:e}");
        let streamed = velocity(&cfg, &values, (&gpu, DType::F32, true));
        assert_eq!(distance(&streamed, &wide), 0.0, "streamed blocks");
    }
}

#[test]
fn a_small_codec_equals_itself_on_the_cpu() {
    let Some(gpu) = gpu() else { return };
    let config = WanVaeConfig::tiny();
    let values = tensors(|fresh| {
        WanVae::new(&config, fresh).unwrap();
    });
    let codec = |device: &Device| {
        let values = values
            .iter()
            .map(|(name, value)| (name.clone(), value.to_device(device).unwrap()))
            .collect();
        let weights = Weights::from_tensors(values, "random", DType::F32, device);
        WanVae::new(&config, &weights).unwrap()
    };
    let (here, there, ctx) = (codec(CPU), codec(&gpu), JobCtx::silent());
    let clip = draw::uniform(&[1, 3, 9, 48, 40]);
    let latents = here.posterior(&clip, 1, &ctx).unwrap().mean;
    let on_card = there
        .posterior(&clip.to_device(&gpu).unwrap(), 1, &ctx)
        .unwrap()
        .mean;
    let error = distance(&on_card, &latents);
    assert!(error < 1e-4, "encoder: {error:e}");
    let picture = here.decode_raw(&latents, 1, &ctx).unwrap();
    let on_card = there
        .decode_raw(&latents.to_device(&gpu).unwrap(), 1, &ctx)
        .unwrap();
    let error = distance(&on_card, &picture);
    assert!(error < 1e-4, "decoder: {error:e}");
}

#[test]
fn a_step_on_the_card_keeps_to_its_plan() {
    let Some(gpu) = gpu() else { return };
    let cfg = probe_config();
    let machine = Machine::detect(&gpu, None);
    assert!(machine.knows_memory());
    let run = RunShape {
        frames: 9,
        height: 512,
        width: 768,
        steps: 1,
        guided: true,
        step_cache: 0.0,
        has_image: false,
    };
    let parts = ModelParts::of_wan("probe", &cfg, WeightForm::Plain).unwrap();
    let plan = plan::with_holding(&parts, &run, &machine, Holding::default());
    let denoise = plan
        .stages
        .iter()
        .find(|stage| stage.stage == "denoise")
        .unwrap();

    let values = tensors(|fresh| {
        WanDit::from_weights(&cfg, fresh).unwrap();
    });
    gpu.synchronize().unwrap();
    let (free_before, _) = mem_get_info().unwrap();
    let weights = Weights::from_tensors(
        values
            .iter()
            .map(|(name, value)| {
                let value = value.to_dtype(DType::BF16).unwrap();
                (name.clone(), value.to_device(&gpu).unwrap())
            })
            .collect(),
        "random",
        DType::BF16,
        &gpu,
    );
    let dit = WanDit::from_weights(&cfg, &weights).unwrap();
    // Two branches, each with and without the prompt.
    let x = Tensor::ones((4, cfg.in_dim, 3, 64, 96), DType::BF16, &gpu).unwrap();
    let text = Tensor::ones((4, cfg.text_len, cfg.text_dim), DType::BF16, &gpu).unwrap();
    dit.forward(&x, &[500.0], &text, None).unwrap();
    gpu.synchronize().unwrap();
    // The driver keeps what it has once given out, so what is gone now is the peak.
    let (free_after, _) = mem_get_info().unwrap();
    let held = free_before.saturating_sub(free_after) as u64;
    // It gives memory out in pieces of 32 MiB; cuBLAS takes a workspace of its own.
    let slack = 128 << 20;
    let line = format!("planned {}, held {held}\n{plan}", denoise.bytes());
    println!("{line}");
    assert!(held <= denoise.bytes() * 21 / 20 + slack, "{line}");
}
