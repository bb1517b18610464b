//! The linear codec and the normalisation of pointmaps, on procedural clips.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use candle_core::{Device, Tensor};
use one4d_engine::datasets::synthetic::{Clip, ClipSpec, WorldWidth, render};
use one4d_engine::job::JobCtx;
use one4d_engine::models::VideoVae;
use one4d_engine::models::linear_codec::{LinearCodec, LinearCodecFit};
use one4d_engine::models::one4d::{PointmapView, normalise_pointmap};

const FRAMES: usize = 9;
const SIZE: [usize; 2] = [48, 80];

fn clip(seed: u64) -> Clip {
    let spec = ClipSpec {
        seed,
        frames: FRAMES,
        height: SIZE[0],
        width: SIZE[1],
        world: WorldWidth::Wide,
    };
    render(&spec).unwrap()
}

/// `[1, 3, T, H, W]` of a clip's frames and of its normalised points.
fn videos(clip: &Clip) -> [Tensor; 2] {
    let shape = (1, 3, FRAMES, SIZE[0], SIZE[1]);
    let pixels = clip.rgb.len() / 3;
    let rgb: Vec<f32> = (0..3)
        .flat_map(|k| (0..pixels).map(move |at| f32::from(clip.rgb[at * 3 + k]) / 127.5 - 1.0))
        .collect();
    let view = PointmapView {
        points: &clip.points,
        valid: &clip.valid,
        cameras: &clip.cameras,
        size: SIZE,
    };
    let xyz = normalise_pointmap(&view).unwrap().values;
    [rgb, xyz].map(|values| Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
}

fn fitted(channels: usize) -> LinearCodec {
    let mut fit = LinearCodecFit::default();
    for seed in 0..24 {
        for video in videos(&clip(seed)) {
            fit.add(&video).unwrap();
        }
    }
    fit.finish(channels, 0.02).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (values(a), values(b));
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(&b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f32::max)
}

#[test]
fn decoding_the_code_is_an_orthogonal_projection() {
    let (codec, ctx) = (fitted(48), JobCtx::silent());
    // Half amplitude, so that the clamp of the decoder stays out of the way.
    let video = (&videos(&clip(100))[0] * 0.5).unwrap();
    let latents = codec.encode(&video, &ctx).unwrap();
    assert_eq!(latents.dims(), [1, 48, 3, 6, 10]);
    let once = codec.decode(&latents, &ctx).unwrap();
    let again = codec.encode(&once, &ctx).unwrap();
    assert!(largest_difference(&latents, &again) < 1e-3);
    let twice = codec.decode(&again, &ctx).unwrap();
    assert!(largest_difference(&once, &twice) < 1e-4);
    let zero = video.zeros_like().unwrap();
    assert_eq!(
        largest_difference(
            &codec.encode(&zero, &ctx).unwrap(),
            &latents.zeros_like().unwrap()
        ),
        0.0
    );
}

#[test]
fn a_clip_in_pieces_gives_the_code_of_the_whole() {
    let (codec, ctx) = (fitted(16), JobCtx::silent());
    let video = &videos(&clip(101))[0];
    let whole = codec.encode(video, &ctx).unwrap();
    let begin = codec.encode(&video.narrow(2, 0, 5).unwrap(), &ctx).unwrap();
    assert!(largest_difference(&whole.narrow(2, 0, 2).unwrap(), &begin) < 1e-3);
    let short = codec.decode(&whole.narrow(2, 0, 2).unwrap(), &ctx).unwrap();
    let long = codec.decode(&whole, &ctx).unwrap();
    assert!(largest_difference(&long.narrow(2, 0, 5).unwrap(), &short) < 1e-5);
}

#[test]
fn latents_are_the_sum_of_the_shares_of_their_frames() {
    let (codec, ctx) = (fitted(16), JobCtx::silent());
    let video = &videos(&clip(102))[0];
    let whole = codec.encode(video, &ctx).unwrap();
    let shares = codec.encode_shares(video).unwrap();
    assert_eq!(shares.dims(), [1, 16, FRAMES, 6, 10]);
    for latent in 0..3 {
        let (first, count) = if latent == 0 {
            (0, 1)
        } else {
            (latent * 4 - 3, 4)
        };
        let sum = shares
            .narrow(2, first, count)
            .unwrap()
            .sum_keepdim(2)
            .unwrap();
        assert!(largest_difference(&whole.narrow(2, latent, 1).unwrap(), &sum) < 1e-4);
    }
}

#[test]
fn unseen_clips_survive_the_codec() {
    let (codec, ctx) = (fitted(48), JobCtx::silent());
    let mut psnr = [0.0; 2];
    let count = 6;
    for seed in 0..count {
        for (video, sum) in videos(&clip(200 + seed)).iter().zip(&mut psnr) {
            let back = codec
                .decode(&codec.encode(video, &ctx).unwrap(), &ctx)
                .unwrap();
            let (a, b) = (values(video), values(&back));
            let mse = a
                .iter()
                .zip(&b)
                .map(|(x, y)| f64::from(x - y).powi(2))
                .sum::<f64>()
                / a.len() as f64;
            *sum += 10.0 * (4.0 / mse).log10() / count as f64;
        }
    }
    println!(
        "held-out PSNR: RGB {:.2} dB, pointmaps {:.2} dB",
        psnr[0], psnr[1]
    );
    assert!(psnr[0] > 22.0 && psnr[1] > 24.0, "{psnr:?}");
}

#[test]
fn the_file_holds_the_codec() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("codec.safetensors");
    let (codec, ctx) = (fitted(16), JobCtx::silent());
    codec.save(&path).unwrap();
    let read = LinearCodec::load(&path, &Device::Cpu).unwrap();
    let video = &videos(&clip(103))[1];
    let (a, b) = (
        codec.encode(video, &ctx).unwrap(),
        read.encode(video, &ctx).unwrap(),
    );
    assert_eq!(values(&a), values(&b));
    std::fs::write(&path, b"not a codec").unwrap();
    assert!(LinearCodec::load(&path, &Device::Cpu).is_err());
    let odd = Tensor::zeros((1, 3, 4, 48, 80), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(codec.encode(&odd, &ctx).is_err());
}
