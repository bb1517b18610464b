//! The camera solver on the noisy analytic clip at full size: errors beside the prototype's, time.
//!
//! `cargo bench -p one4d-tests --bench solver`; with `-- adam` also 300 steps of Adam over all pixels
//! of each clip, which takes minutes a clip.

mod adam;

use std::process::ExitCode;
use std::time::Instant;

use one4d_engine::job::JobCtx;
use one4d_engine::postopt::{Refinement, SolveOptions, solve};
use one4d_tests::analytic_clip::{AnalyticClip, Disturbance, Errors, PRIOR_ROWS, rows};

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
        let within = errors.within(&bar, 1.0);
        all_within &= within;
        println!("\n{name}: {best_secs:.3} s, flags {:?}", solution.flags);
        println!("  found      {errors}");
        println!(
            "  from 0     {}",
            clip.errors_from_first(&solution, &disturbance)
        );
        println!("  prototype  {bar}   within: {within}");
    }
    print_priors();
    if std::env::args().any(|argument| argument == "adam") {
        for row in rows() {
            print_adam(&clip, &row);
        }
    }
    if all_within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The table of priors: mean errors over the frames of a clip whose clouds jitter.
#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn print_priors() {
    let clip = AnalyticClip {
        frames: 81,
        height: 22,
        width: 39,
        focal_px: 32.5,
    };
    println!("\npriors, 858 pixels a frame: turn deg, centre, step turn deg, step");
    for (turn_deg, shift) in [(0.3, 0.01), (0.05, 0.002)] {
        println!("jitter {turn_deg} deg, {shift}, 2 cm of noise, 10 % outliers");
        // The prototype's draw is not known: the mean of three.
        let draws =
            [40, 41, 42].map(|seed| clip.jittered_points((turn_deg, shift), &rows()[2].1, seed));
        for (prior, weight, heavy, light) in PRIOR_ROWS {
            let options = SolveOptions {
                known_intrinsics: Some(clip.camera(0).intrinsics),
                refinement: prior.map(|prior| Refinement {
                    prior,
                    weight,
                    ..Refinement::OURS
                }),
                ..SolveOptions::default()
            };
            let mut found = [0.0; 4];
            for points in &draws {
                let Ok(solution) = solve(&clip.pointmaps(points), &options, &JobCtx::silent())
                else {
                    println!("  {prior:?} {weight}: no solution");
                    continue;
                };
                for (sum, x) in found.iter_mut().zip(clip.path_errors(&solution)) {
                    *sum += x / draws.len() as f64;
                }
            }
            let bar = if turn_deg > 0.1 { heavy } else { light };
            println!("  {prior:?} {weight}: {found:.4?}   prototype {bar:?}");
        }
    }
}

/// Both solvers on one clip: Adam with every depth, pose and the focal length as unknowns.
#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn print_adam(clip: &AnalyticClip, (name, disturbance, _): &(&str, Disturbance, Errors)) {
    let points = clip.points(disturbance, 7);
    println!("\nAdam over all pixels, {} steps, {name}", adam::STEPS);
    let own = || {
        let start = Instant::now();
        let solved = solve(
            &clip.pointmaps(&points),
            &SolveOptions::default(),
            &JobCtx::silent(),
        );
        (start.elapsed().as_secs_f64(), solved)
    };
    // On both sides of Adam's minutes, so that both see the same machine.
    let (before_secs, _) = own();
    let start = Instant::now();
    let cameras = adam::solve(clip, &points);
    let secs = start.elapsed().as_secs_f64();
    let (after_secs, solved) = own();
    let own_secs = before_secs.min(after_secs);
    println!("  Adam  {}", clip.errors_of(&cameras, disturbance));
    if let Ok(solution) = solved {
        println!("  ours  {}", clip.errors(&solution, disturbance));
    }
    println!(
        "  Adam {secs:.1} s, ours {own_secs:.3} s: {:.0} times",
        secs / own_secs
    );
}
