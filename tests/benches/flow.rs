//! Our own optical flow and the mask of what moves, at the size of generated clips: time a pair of
//! frames, errors beside the exact flow.
//!
//! `cargo bench -p one4d-tests --bench flow`

use std::sync::Arc;
use std::time::Instant;

use one4d_engine::datasets::synthetic::{ClipSpec, WorldWidth, render};
use one4d_engine::flow::{DenseFlow, ExactFlow, FlowProvider as _, find_motion};
use one4d_engine::job::JobCtx;

const FRAMES: usize = 5;

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn main() -> one4d_engine::Result<()> {
    println!("{FRAMES} x 352 x 624, seconds");
    for seed in [3, 6] {
        let clip = render(&ClipSpec {
            seed,
            frames: FRAMES,
            height: 352,
            width: 624,
            world: WorldWidth::Medium,
        })?;
        let scene = Arc::new(clip.to_scene());
        let mut flow = DenseFlow::new(Arc::clone(&scene));
        let mut best_secs = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            flow.forward(0)?;
            best_secs = best_secs.min(start.elapsed().as_secs_f64());
        }
        let found = flow.forward(0)?;
        let truth = ExactFlow(&clip).forward(0)?;
        let pairs = found.vectors.iter().zip(&truth.vectors);
        let mut misses: Vec<f32> = pairs
            .map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]))
            .filter(|miss| miss.is_finite())
            .collect();
        misses.sort_by(f32::total_cmp);
        let mean = misses.iter().sum::<f32>() / misses.len().max(1) as f32;
        let start = Instant::now();
        find_motion(&scene, &mut flow, &JobCtx::silent())?;
        let motion_secs = start.elapsed().as_secs_f64() / (FRAMES - 1) as f64;
        println!(
            "seed {seed}: flow of a pair {best_secs:.3}, off by {mean:.3} px in the mean and {:.3} at \
             90 %; mask and scene flow, both ways: {motion_secs:.3} a frame",
            misses.get(misses.len() * 9 / 10).copied().unwrap_or(0.0)
        );
    }
    Ok(())
}
