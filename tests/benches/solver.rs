//! The camera solver on the noisy analytic clip at full size: errors beside the prototype's, time.
//!
//! `cargo bench -p one4d-tests --bench solver`

use std::process::ExitCode;
use std::time::Instant;

use one4d_engine::job::JobCtx;
use one4d_engine::postopt::{SolveOptions, solve};
use one4d_tests::analytic_clip::{AnalyticClip, rows};

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn main() -> ExitCode {
    let clip = AnalyticClip {
        frames: 81,
        height: 352,
        width: 624,
        focal_px: 520.0,
    };
    println!(
        "camera solver, {} x {} x {}",
        clip.frames, clip.height, clip.width
    );
    let mut all_within = true;
    for (name, disturbance, bar) in rows() {
        let points = clip.points(&disturbance, 7);
        let mut best_secs = f64::INFINITY;
        let mut last = None;
        for _ in 0..3 {
            let start = Instant::now();
            let solved = solve(
                &clip.pointmaps(&points),
                &SolveOptions::default(),
                &JobCtx::silent(),
            );
            best_secs = best_secs.min(start.elapsed().as_secs_f64());
            last = Some(solved);
        }
        let Some(Ok(solution)) = last else {
            println!("{name}: {last:?}");
            return ExitCode::FAILURE;
        };
        let errors = clip.errors(&solution, &disturbance);
        let within = errors.within(&bar, 2.0);
        all_within &= within;
        println!("\n{name}: {best_secs:.3} s, flags {:?}", solution.flags);
        println!("  found      {errors}");
        println!(
            "  from 0     {}",
            clip.errors_from_first(&solution, &disturbance)
        );
        println!("  prototype  {bar}   within 2x: {within}");
    }
    if all_within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
