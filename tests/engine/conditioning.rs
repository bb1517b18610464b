//! Unified Masked Conditioning: one rule for text, image, sparse frames and video.

use candle_core::{Device, Tensor};
use one4d_engine::Result;
use one4d_engine::conditioning::{encode_known_frames, encode_known_rows, fold_mask};
use one4d_engine::job::JobCtx;
use one4d_engine::models::VideoVae;
use one4d_tests::draw;

const CPU: &Device = &Device::Cpu;

/// Means over 8 x 8 pixels, the first frame alone and then the four frames of a group as channels;
/// grey becomes something else than zero, so that encoding nothing would show.
struct MeanCodec;

const GREY: f64 = 0.25;

impl VideoVae for MeanCodec {
    fn latent_channels(&self) -> usize {
        4
    }

    fn encode(&self, video: &Tensor, _ctx: &JobCtx) -> Result<Tensor> {
        let (b, _c, frames, h, w) = video.dims5()?;
        let grey = video.mean(1)?; // [B, F, H, W]
        let cells = grey.reshape(vec![b, frames, h / 8, 8, w / 8, 8])?;
        let means = cells.mean(5)?.mean(3)?; // [B, F, H', W']
        let first = means.narrow(1, 0, 1)?;
        let repeated = Tensor::cat(&[&first, &first, &first, &means], 1)?; // [B, 4 T', H', W']
        let groups = repeated.reshape((b, frames.div_ceil(4), 4, h / 8, w / 8))?;
        Ok((groups.transpose(1, 2)?.contiguous()? + GREY)?) // [B, 4, T', H', W']
    }

    fn decode(&self, latents: &Tensor, _ctx: &JobCtx) -> Result<Tensor> {
        Ok(latents.clone())
    }
}

fn video(frames: usize) -> Tensor {
    draw::uniform(&[1, 3, frames, 16, 24])
}

fn column(mask: &Tensor, frame: usize) -> Result<Vec<f32>> {
    Ok(mask
        .get(0)?
        .narrow(1, frame, 1)?
        .narrow(2, 0, 1)?
        .narrow(3, 0, 1)?
        .flatten_all()?
        .to_vec1()?)
}

fn largest(x: &Tensor) -> Result<f32> {
    Ok(x.abs()?.max_all()?.to_scalar::<f32>()?)
}

#[test]
fn five_frames_with_both_ends_known_fold_as_in_the_reference() -> Result<()> {
    let mask = fold_mask(&[true, false, false, false, true], [2, 3], CPU)?;
    assert_eq!(mask.dims(), [1, 4, 2, 2, 3]);
    assert_eq!(column(&mask, 0)?, [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(column(&mask, 1)?, [0.0, 0.0, 0.0, 1.0]);
    Ok(())
}

#[test]
fn a_known_frame_sets_its_own_channel() -> Result<()> {
    for at in 1..17 {
        let mut known = [false; 17];
        known[at] = true;
        let mask = fold_mask(&known, [1, 1], CPU)?;
        assert_eq!(mask.sum_all()?.to_scalar::<f32>()?, 1.0);
        assert_eq!(
            column(&mask, 1 + (at - 1) / 4)?[(at - 1) % 4],
            1.0,
            "frame {at}"
        );
    }
    Ok(())
}

#[test]
fn all_known_is_the_reconstruction_mask_and_the_whole_video() -> Result<()> {
    let (video, ctx) = (video(9), JobCtx::silent());
    let given = encode_known_frames(&MeanCodec, &video, &[true; 9], &ctx)?;
    assert_eq!(given.mask.dims(), [1, 4, 3, 2, 3]);
    assert_eq!(given.mask.mean_all()?.to_scalar::<f32>()?, 1.0);
    let whole = MeanCodec.encode(&video, &ctx)?;
    assert_eq!(largest(&(given.condition - whole)?)?, 0.0);
    Ok(())
}

#[test]
fn first_known_is_the_image_mask_and_the_rest_is_grey() -> Result<()> {
    let (video, ctx) = (video(9), JobCtx::silent());
    let known: Vec<bool> = (0..9).map(|i| i == 0).collect();
    let given = encode_known_frames(&MeanCodec, &video, &known, &ctx)?;
    assert_eq!(column(&given.mask, 0)?, [1.0; 4]);
    assert_eq!(largest(&given.mask.narrow(2, 1, 2)?)?, 0.0);
    let whole = MeanCodec.encode(&video, &ctx)?;
    let first = (given.condition.narrow(2, 0, 1)? - whole.narrow(2, 0, 1)?)?;
    assert_eq!(largest(&first)?, 0.0);
    let rest = (given.condition.narrow(2, 1, 2)? - GREY)?;
    assert_eq!(largest(&rest)?, 0.0);
    Ok(())
}

#[test]
fn nothing_known_is_exact_zeros_and_no_encoded_grey() -> Result<()> {
    let given = encode_known_frames(&MeanCodec, &video(9), &[false; 9], &JobCtx::silent())?;
    assert_eq!(largest(&given.mask)?, 0.0);
    assert_eq!(largest(&given.condition)?, 0.0);
    assert_eq!(given.condition.dims(), [1, 4, 3, 2, 3]);
    Ok(())
}

#[test]
fn unknown_frames_do_not_leak_whatever_they_hold() -> Result<()> {
    let (clean, ctx) = (video(5), JobCtx::silent());
    let known = [true, false, false, false, true];
    let hole = (clean.narrow(2, 1, 3)?.zeros_like()? + f64::NAN)?;
    let dirty = Tensor::cat(&[clean.narrow(2, 0, 1)?, hole, clean.narrow(2, 4, 1)?], 2)?;
    let a = encode_known_frames(&MeanCodec, &clean, &known, &ctx)?;
    let b = encode_known_frames(&MeanCodec, &dirty, &known, &ctx)?;
    assert_eq!(largest(&(a.condition - b.condition)?)?, 0.0);
    Ok(())
}

#[test]
fn rows_of_a_batch_have_masks_of_their_own() -> Result<()> {
    let (one, two, ctx) = (video(5), video(5), JobCtx::silent());
    let (ends, none) = ([true, false, false, false, true], [false; 5]);
    let batch = Tensor::cat(&[&one, &two], 0)?;
    let given = encode_known_rows(&MeanCodec, &batch, &[&ends, &none], &ctx)?;
    let alone = encode_known_frames(&MeanCodec, &one, &ends, &ctx)?;
    assert_eq!(
        largest(&(given.condition.narrow(0, 0, 1)? - alone.condition)?)?,
        0.0
    );
    assert_eq!(largest(&(given.mask.narrow(0, 0, 1)? - alone.mask)?)?, 0.0);
    assert_eq!(largest(&given.condition.narrow(0, 1, 1)?)?, 0.0);
    Ok(())
}

#[test]
fn clips_that_do_not_fold_are_refused() {
    let ctx = JobCtx::silent();
    assert!(encode_known_frames(&MeanCodec, &video(6), &[true; 6], &ctx).is_err());
    assert!(encode_known_frames(&MeanCodec, &video(5), &[true; 4], &ctx).is_err());
    assert!(fold_mask(&[], [1, 1], CPU).is_err());
}
