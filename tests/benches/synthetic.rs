//! Clips a second of the procedural renderer, many at once as the trainer asks for them; the bar is
//! 20 of 17 x 96 x 160 on two cores.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use one4d_engine::datasets::synthetic::{ClipSpec, WorldWidth, render};
use rayon::prelude::*;

fn clips(c: &mut Criterion) {
    let mut group = c.benchmark_group("synthetic");
    group.sample_size(10);
    for world in [WorldWidth::Narrow, WorldWidth::Medium, WorldWidth::Wide] {
        let batch = 16;
        group.throughput(Throughput::Elements(batch));
        let mut seed = 1;
        group.bench_function(format!("{world:?} 17x96x160"), |b| {
            b.iter(|| {
                (seed..seed + batch).into_par_iter().for_each(|seed| {
                    let spec = ClipSpec {
                        seed,
                        frames: 17,
                        height: 96,
                        width: 160,
                        world,
                    };
                    std::hint::black_box(render(&spec).ok());
                });
                seed += batch;
            });
        });
    }
    group.finish();
}

criterion_group!(benches, clips);
criterion_main!(benches);
