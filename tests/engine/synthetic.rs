//! Procedural clips: their geometry satisfies the identities that define it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use glam::DVec3;
use one4d_engine::datasets::synthetic::{Clip, ClipSpec, WorldWidth, contact_sheet, render};
use one4d_engine::geometry::WorldFromCamera;
use one4d_engine::scene::validity;

const WIDTHS: [WorldWidth; 3] = [WorldWidth::Narrow, WorldWidth::Medium, WorldWidth::Wide];

fn clips(count: u64) -> impl Iterator<Item = Clip> {
    (0..count).map(|seed| {
        let spec = ClipSpec {
            seed: 100 + seed,
            frames: 5,
            height: 36,
            width: 60,
            world: WIDTHS[seed as usize % 3],
        };
        render(&spec).unwrap()
    })
}

fn vec3(values: &[f32], at: usize) -> DVec3 {
    let v = &values[at * 3..at * 3 + 3];
    DVec3::new(v[0].into(), v[1].into(), v[2].into())
}

#[test]
fn points_project_to_their_pixels_at_their_depth() {
    for clip in clips(12) {
        let (h, w) = (clip.spec.height, clip.spec.width);
        for (at, &depth) in clip.depth.iter().enumerate() {
            if clip.valid[at] & validity::FINITE == 0 {
                assert!(depth.is_nan() && vec3(&clip.points, at).x.is_nan());
                continue;
            }
            let camera = &clip.cameras[at / (h * w)];
            let in_camera = camera
                .world_from_camera
                .inverse()
                .transform(vec3(&clip.points, at));
            assert!((in_camera.z - f64::from(depth)).abs() < 1e-5 * in_camera.z.max(1.0));
            let image = camera.intrinsics.project(in_camera).unwrap();
            let (column, row) = (at % w, at / w % h);
            assert!(
                (image.x - column as f64 - 0.5).abs() < 2e-3,
                "column {column}: {image}"
            );
            assert!(
                (image.y - row as f64 - 0.5).abs() < 2e-3,
                "row {row}: {image}"
            );
        }
    }
}

#[test]
fn flow_is_the_projection_of_the_moved_point() {
    let mut checked = 0;
    for clip in clips(12) {
        let (h, w) = (clip.spec.height, clip.spec.width);
        for at in 0..clip.flow.len() / 2 {
            if clip.valid[at] & validity::FINITE == 0 {
                assert!(clip.scene_flow[at * 3].is_nan());
                continue;
            }
            let next = &clip.cameras[at / (h * w) + 1];
            let moved = vec3(&clip.points, at) + vec3(&clip.scene_flow, at);
            let in_next = next.world_from_camera.inverse().transform(moved);
            let Some(image) = next
                .intrinsics
                .project(in_next)
                .filter(|_| in_next.z > 0.05)
            else {
                continue;
            };
            let flow = (
                f64::from(clip.flow[at * 2]),
                f64::from(clip.flow[at * 2 + 1]),
            );
            let (column, row) = (at % w, at / w % h);
            assert!((image.x - column as f64 - 0.5 - flow.0).abs() < 5e-3);
            assert!((image.y - row as f64 - 0.5 - flow.1).abs() < 5e-3);
            checked += 1;
        }
    }
    assert!(checked > 50_000);
}

/// Where the moved point lands, the next frame must see it, or something nearer, or it left the image.
#[test]
fn nothing_farther_is_seen_where_a_point_went() {
    let (mut seen, mut total) = (0, 0);
    for clip in clips(12) {
        let (h, w) = (clip.spec.height, clip.spec.width);
        for at in 0..clip.flow.len() / 2 {
            if clip.valid[at] != validity::GOOD || clip.flow[at * 2].is_nan() {
                continue;
            }
            let u = (at % w) as f32 + 0.5 + clip.flow[at * 2];
            let v = (at / w % h) as f32 + 0.5 + clip.flow[at * 2 + 1];
            if u < 0.0 || v < 0.0 || u >= w as f32 || v >= h as f32 {
                continue;
            }
            let frame = at / (h * w) + 1;
            let to = (frame * h + v as usize) * w + u as usize;
            if clip.valid[to] != validity::GOOD {
                continue;
            }
            let camera = &clip.cameras[frame];
            let moved = vec3(&clip.points, at) + vec3(&clip.scene_flow, at);
            let expected = camera.world_from_camera.inverse().transform(moved).z;
            total += 1;
            seen += u32::from(f64::from(clip.depth[to]) < expected * 1.1 + 0.02);
        }
    }
    assert!(
        total > 30_000 && f64::from(seen) > 0.995 * f64::from(total),
        "{seen} of {total}"
    );
}

#[test]
fn what_does_not_move_is_not_masked() {
    let mut still_clips = 0;
    for clip in clips(60) {
        let pixels = clip.spec.height * clip.spec.width;
        let words = [
            "sliding",
            "spinning",
            "rolling",
            "bouncing",
            "tumbling",
            "circling",
            "pulsating",
            "wobbling",
            "swinging",
            "driving",
        ];
        if !words.iter().any(|word| clip.caption.contains(word)) {
            still_clips += 1;
            assert!(clip.dynamic.iter().all(|&m| m == 0), "{}", clip.caption);
        }
        for at in 0..clip.scene_flow.len() / 3 {
            let motion = vec3(&clip.scene_flow, at).length();
            if !motion.is_nan() {
                assert_eq!(clip.dynamic[at] == 255, motion > 0.0);
            }
        }
        assert_eq!(clip.dynamic.len(), pixels * clip.spec.frames);
    }
    assert!(still_clips >= 2, "{still_clips} clips without motion");
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let spec = ClipSpec {
        seed: 9,
        frames: 5,
        height: 32,
        width: 48,
        world: WorldWidth::Wide,
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| render(&spec).unwrap())
    };
    let (one, two) = (on(1), on(2));
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(one.rgb, two.rgb);
    assert_eq!(bits(&one.points), bits(&two.points));
    assert_eq!(bits(&one.flow), bits(&two.flow));
    assert_eq!(bits(&one.scene_flow), bits(&two.scene_flow));
    assert_eq!((one.valid, one.dynamic), (two.valid, two.dynamic));
    let other = render(&ClipSpec { seed: 10, ..spec }).unwrap();
    assert_ne!(one.rgb, other.rgb);
}

#[test]
fn the_first_camera_is_the_origin_and_a_longer_clip_begins_the_same() {
    for clip in clips(6) {
        assert_eq!(clip.cameras[0].world_from_camera, WorldFromCamera::IDENTITY);
        let short = ClipSpec {
            frames: 2,
            ..clip.spec
        };
        let short = render(&short).unwrap();
        assert_eq!(short.rgb[..], clip.rgb[..short.rgb.len()]);
    }
}

#[test]
fn captions_are_short_and_scenes_are_whole() {
    for clip in clips(40) {
        assert!(clip.caption.len() <= 120 && clip.caption.contains("The camera"));
        let scene = clip.to_scene();
        scene.check().unwrap();
        assert_eq!(scene.meta.prompt.as_deref(), Some(clip.caption.as_str()));
        let known = clip
            .valid
            .iter()
            .filter(|&&v| v & validity::FINITE != 0)
            .count();
        assert!(
            known * 5 > clip.valid.len(),
            "{} is mostly sky",
            clip.caption
        );
    }
}

#[test]
fn bad_sizes_are_refused() {
    let spec = ClipSpec {
        seed: 0,
        frames: 0,
        height: 8,
        width: 8,
        world: WorldWidth::Wide,
    };
    assert!(render(&spec).is_err());
    assert!(contact_sheet(&[], 6).is_err());
}

#[test]
fn a_ray_along_a_wall_meets_the_other_walls() {
    // In this clip a pixel's direction has an exact zero, which once gave a depth of minus infinity.
    let spec = ClipSpec {
        seed: 100_149,
        frames: 17,
        height: 64,
        width: 96,
        world: WorldWidth::Narrow,
    };
    let clip = render(&spec).unwrap();
    assert!(
        clip.depth
            .iter()
            .all(|depth| depth.is_finite() && *depth > 0.0)
    );
    assert!(clip.points.iter().all(|value| value.is_finite()));
}
