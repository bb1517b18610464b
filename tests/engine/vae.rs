//! The Wan codec: streaming, causality, lengths, names, gradients.

use candle_core::{DType, Device, Tensor};
use one4d_engine::Result;
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress};
use one4d_engine::models::VideoVae;
use one4d_engine::models::wan::vae::{Tiling, WanVae, WanVaeConfig};
use one4d_engine::nn::{ParamStore, ShapeStore, Weights};
use one4d_tests::draw;

/// A codec with biases that keep its channel norms away from the direction-less zero.
fn tiny() -> Result<(WanVae, ParamStore)> {
    let store = ParamStore::default();
    let weights = Weights::fresh(&store, 11, DType::F32, &Device::Cpu);
    let vae = WanVae::new(&WanVaeConfig::tiny(), &weights)?;
    for (name, var) in store.vars() {
        if name.ends_with("bias") {
            let offset = name.len() as f32;
            let count = var.elem_count();
            let values: Vec<f32> = (0..count)
                .map(|i| (offset + 2.3 * i as f32).sin())
                .collect();
            var.set(&Tensor::from_vec(values, count, &Device::Cpu)?)?;
        }
    }
    Ok((vae, store))
}

/// A smooth clip without symmetry, in [-1, 1].
fn clip(frames: usize, height: usize, width: usize) -> Result<Tensor> {
    let count = 3 * frames * height * width;
    let values: Vec<f32> = (0..count)
        .map(|i| (i as f32 * 0.37).sin() * (i as f32 * 0.0011).cos())
        .collect();
    Ok(Tensor::from_vec(
        values,
        (1, 3, frames, height, width),
        &Device::Cpu,
    )?)
}

fn max_difference(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar()?)
}

#[test]
fn streaming_equals_the_whole_both_ways() -> Result<()> {
    let (vae, _) = tiny()?;
    let ctx = JobCtx::silent();
    for latents in [1, 2, 6] {
        let video = clip(4 * latents - 3, 16, 24)?;
        let whole = vae.posterior(&video, latents, &ctx)?.mean;
        let decoded = vae.decode_raw(&whole, latents, &ctx)?;
        assert_eq!(whole.dims(), [1, 4, latents, 2, 3]);
        assert_eq!(decoded.dims(), video.dims());
        for per_piece in [1, 2, 4] {
            let streamed = vae.posterior(&video, per_piece, &ctx)?.mean;
            assert!(
                max_difference(&streamed, &whole)? < 1e-5,
                "encode {latents} {per_piece}"
            );
            let streamed = vae.decode_raw(&whole, per_piece, &ctx)?;
            assert!(
                max_difference(&streamed, &decoded)? < 1e-5,
                "decode {latents} {per_piece}"
            );
        }
    }
    Ok(())
}

#[test]
fn no_latent_sees_a_later_frame() -> Result<()> {
    let (vae, _) = tiny()?;
    let ctx = JobCtx::silent();
    let video = clip(13, 16, 16)?;
    let full = vae.encode(&video, &ctx)?;
    for frames in [1, 5, 9] {
        let prefix = vae.encode(&video.narrow(2, 0, frames)?, &ctx)?;
        let latents = prefix.dim(2)?;
        assert!(max_difference(&prefix, &full.narrow(2, 0, latents)?)? < 1e-5);
        let next = full.narrow(2, latents, 1)?;
        let last = prefix.narrow(2, latents - 1, 1)?;
        assert!(
            max_difference(&next, &last)? > 1e-3,
            "the codec ignores its input"
        );
    }
    let decoded = vae.decode(&full, &ctx)?;
    let prefix = vae.decode(&full.narrow(2, 0, 2)?, &ctx)?;
    let difference = max_difference(&prefix, &decoded.narrow(2, 0, 5)?)?;
    assert!(difference < 1e-5, "{difference}");
    Ok(())
}

/// `|a - b| / |b|`.
fn relative(a: &Tensor, b: &Tensor) -> Result<f32> {
    let norm = |x: &Tensor| -> Result<f32> { Ok(x.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt()) };
    Ok(norm(&(a - b)?)? / norm(b)?)
}

#[test]
fn one_tile_is_the_whole_and_many_are_near_it() -> Result<()> {
    let (vae, _) = tiny()?;
    let ctx = JobCtx::silent();
    let video = clip(5, 128, 256)?;
    let whole = vae.posterior(&video, 1, &ctx)?.mean;
    let decoded = vae.decode_raw(&whole, 1, &ctx)?;
    let tiling = |tile, overlap| Tiling { tile, overlap };
    let single = tiling(32, 4);
    assert!(max_difference(&vae.encode_tiled(&video, single, &ctx)?, &whole)? < 1e-5);
    assert!(max_difference(&vae.decode_tiled(&whole, single, &ctx)?, &decoded)? < 1e-5);
    // Random weights attend to everything, which trained ones do less: an upper bound of the error.
    let errors = |overlap| -> Result<[f32; 2]> {
        let cut = tiling(16, overlap);
        Ok([
            relative(&vae.encode_tiled(&video, cut, &ctx)?, &whole)?,
            relative(&vae.decode_tiled(&whole, cut, &ctx)?, &decoded)?,
        ])
    };
    let (close, wide) = (errors(0)?, errors(8)?);
    println!("relative error of tiles: {close:?} without overlap, {wide:?} with half a tile");
    for (close, wide) in close.into_iter().zip(wide) {
        assert!(
            wide < close && wide < 0.5,
            "{wide} with overlap, {close} without"
        );
    }
    Ok(())
}

#[test]
fn a_small_tile_cuts_the_picture_and_a_large_one_does_not() -> Result<()> {
    let ctx = JobCtx::silent();
    let latents = draw::normal(1.0, &[1, 4, 2, 20, 24]);
    let with = |tile| -> Result<Tensor> { tiny()?.0.with_tile(tile).decode(&latents, &ctx) };
    let whole = with(None)?;
    assert_eq!(max_difference(&with(Some(24))?, &whole)?, 0.0);
    let cut = with(Some(16))?;
    assert_eq!(cut.dims(), whole.dims());
    assert!(max_difference(&cut, &whole)? > 0.0);
    Ok(())
}

#[test]
fn the_full_codec_has_the_published_tensors() -> Result<()> {
    let shapes = ShapeStore::default();
    let weights = Weights::dry(&shapes, DType::F32, &Device::Cpu);
    WanVae::new(&WanVaeConfig::wan21(), &weights)?;
    assert_eq!(shapes.shapes().len(), 194);
    assert_eq!(shapes.num_scalars(), 126_892_531);
    Ok(())
}

#[test]
fn normalisation_goes_there_and_back() -> Result<()> {
    let (vae, _) = tiny()?;
    let raw = draw::normal(1.0, &[1, 4, 2, 3, 3]);
    let normal = vae.stats().normalise(&raw)?;
    let config = vae.config();
    let first = raw.flatten_all()?.to_vec1::<f32>()?[0];
    let expected = (f64::from(first) - config.latents_mean[0]) / config.latents_std[0];
    let actual = f64::from(normal.flatten_all()?.to_vec1::<f32>()?[0]);
    assert!((actual - expected).abs() < 1e-6, "{actual} {expected}");
    assert!(max_difference(&vae.stats().denormalise(&normal)?, &raw)? < 1e-6);
    Ok(())
}

#[test]
fn sides_that_do_not_fit_are_refused() -> Result<()> {
    let (vae, _) = tiny()?;
    let ctx = JobCtx::silent();
    for [t, h, w] in [[4, 16, 16], [5, 12, 16], [5, 16, 20], [1, 0, 8]] {
        let video = Tensor::zeros((1, 3, t, h, w), DType::F32, &Device::Cpu)?;
        let message = vae.encode(&video, &ctx).err().map(|e| e.to_string());
        let message = message.unwrap_or_default();
        assert!(message.contains("4 k + 1"), "{t} {h} {w}: {message:?}");
    }
    let latents = Tensor::zeros((1, 5, 1, 2, 2), DType::F32, &Device::Cpu)?;
    assert!(vae.decode(&latents, &ctx).is_err());
    Ok(())
}

struct Quiet;

impl JobSink for Quiet {
    fn progress(&self, _: Progress) {}
}

#[test]
fn cancelling_stops_between_pieces() -> Result<()> {
    let (vae, _) = tiny()?;
    let token = CancelToken::default();
    token.cancel();
    let ctx = JobCtx::new(token, std::sync::Arc::new(Quiet));
    let end = vae.encode(&clip(5, 16, 16)?, &ctx);
    assert!(end.is_err_and(|e| e.is_cancelled()));
    Ok(())
}

/// Every parameter has a gradient, and along the gradient the loss changes as it says.
#[test]
fn gradients_agree_with_finite_differences() -> Result<()> {
    let (vae, store) = tiny()?;
    let ctx = JobCtx::silent();
    let video = clip(5, 8, 8)?;
    let loss = || -> Result<Tensor> {
        let posterior = vae.posterior(&video, 1, &ctx)?;
        let moments = Tensor::cat(&[&posterior.mean, &posterior.log_variance], 1)?;
        let decoded = vae.decode_raw(&posterior.mean, 1, &ctx)?;
        Ok((moments.sqr()?.mean_all()? + (decoded - &video)?.sqr()?.mean_all()?)?)
    };
    let gradients = loss()?.backward()?;
    let step = 3e-3;
    for (name, var) in store.vars() {
        let gradient = gradients.get(&var);
        let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
        let slope = gradient.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt();
        let start = var.as_tensor().copy()?;
        let at = |by: f32| -> Result<f32> {
            let along = (gradient * f64::from(by / slope.max(1e-12)))?;
            var.set(&(&start + along)?)?;
            Ok(loss()?.to_scalar::<f32>()?)
        };
        let measured = (at(step)? - at(-step)?) / (2.0 * step);
        var.set(&start)?;
        assert!(
            (measured - slope).abs() < 0.03 * slope + 1e-3,
            "{name}: {measured} along the gradient, {slope} by it"
        );
    }
    Ok(())
}
