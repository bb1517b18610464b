//! Still parts, arrows and tracks.

use one4d_engine::scene::Half;
use one4d_studio::viewport::Ghosts;
use one4d_studio::viewport::motion_lines::{flow_arrows, tracks};
use one4d_studio::viewport::still_cloud::still_cloud;
use one4d_studio::viewport::upload::{Uploads, Wish};

use super::*;

#[test]
fn the_still_cloud_holds_exact_points_that_do_not_move_once_a_voxel() {
    let scene = room(6, 60, 100);
    let chunks = still_cloud(&scene, &|| true).unwrap();
    assert_eq!(chunks.len(), 1);
    let chunk = &chunks[0];
    assert!(!chunk.data.is_grid);
    let finite = chunk.data.positions.iter().filter(|p| p[3] & 1 != 0);
    assert_eq!(finite.count(), chunk.sources.len());
    let count = chunk.sources.len();
    assert!(count > 3000 && count < 6 * 6000 * 9 / 10, "{count}");
    for (source, codes) in chunk.sources.iter().zip(&chunk.data.positions) {
        let (t, pixel) = (source.frame_idx as usize, source.pixel as usize);
        assert!(scene.frame_dynamic(t).unwrap()[pixel] < 128);
        let exact = &scene.frame_points(t)[pixel * 3..pixel * 3 + 3];
        let exact = DVec3::from_array([0, 1, 2].map(|i| f64::from(exact[i])));
        let [x, y, z, _] = *codes;
        let coded = chunk.data.quantiser.decode([x, y, z]);
        assert!(coded.distance(exact) < 0.01);
    }
    let again = still_cloud(&scene, &|| true).unwrap();
    assert_eq!(
        again[0].sources, chunk.sources,
        "it is the same in every run"
    );
    assert!(
        still_cloud(&scene, &|| false).is_none(),
        "it can be stopped"
    );
    let unmasked = Scene4d {
        dynamic: None,
        ..scene
    };
    assert!(still_cloud(&unmasked, &|| true).unwrap().is_empty());
}

#[test]
fn uploads_bring_ghosts_and_the_still_cloud_when_asked() {
    let Some((device, queue)) = gpu() else { return };
    let scene = Arc::new(room(8, 30, 40));
    let uploads = Uploads::start(device, queue, 1 << 24, || {}).unwrap();
    let options = ViewOptions {
        ghosts: Some(Ghosts {
            back: 4,
            forward: 2,
            stride: 2,
            fade: true,
        }),
        freeze_static: true,
        ..points_only()
    };
    let want = || uploads.want(&scene, Wish::of(4, &options));
    wait_until(|| {
        let resident = want();
        resident.ghosts.len() == 3 && !resident.still.is_empty()
    });
    let around: Vec<usize> = want().ghosts.iter().map(|g| g.ghost.frame_idx).collect();
    assert_eq!(around, [2, 6, 0]);
    let plain = uploads.want(&scene, Wish::frame(4));
    assert!(plain.ghosts.is_empty() && plain.still.is_empty());
}

/// A wall at z = 4 that moves right by 0.1 a frame, seen by a camera at rest.
fn sliding_wall(num_frames: usize) -> Scene4d {
    let (height, width) = (24, 32);
    let intrinsics = Intrinsics::centred(40.0, width, height);
    let frame = (0..height * width).flat_map(|pixel| {
        let at = intrinsics.ray(pixel % width, pixel / width) * 4.0;
        at.as_vec3().to_array()
    });
    let frame: Vec<f32> = frame.collect();
    let count = height * width;
    let flow = [0.1, 0.0, 0.0].map(Half::from_f64);
    let camera = Camera {
        intrinsics,
        world_from_camera: WorldFromCamera::IDENTITY,
    };
    Scene4d {
        num_frames,
        height,
        width,
        rgb: Plane::new(vec![100; num_frames * count * 3]),
        points: Points::F32(Plane::new(frame.repeat(num_frames))),
        valid: Plane::new(vec![validity::GOOD; num_frames * count]),
        confidence: None,
        depth: None,
        cameras: Some(vec![camera; num_frames].into()),
        scene_flow: Some(Plane::new(flow.repeat((num_frames - 1) * count))),
        dynamic: None,
        meta: SceneMeta::default(),
    }
}

#[test]
fn arrows_lead_where_the_flow_does() {
    let scene = sliding_wall(3);
    let arrows = flow_arrows(&scene, 0);
    assert!(arrows.len() >= 2 * 200);
    for arrow in arrows.chunks_exact(2) {
        let [start, end] = [arrow[0].start, arrow[1].end];
        assert!((end[0] - start[0] - 0.1).abs() < 1e-3);
        assert!(end[1] == start[1] && end[2] == start[2]);
    }
    assert!(
        flow_arrows(&scene, 2).is_empty(),
        "the last frame flows nowhere"
    );
}

#[test]
fn tracks_follow_the_flow_both_ways_and_are_whole() {
    let scene = sliding_wall(9);
    let segments = tracks(&scene, 4);
    assert!(segments.len() > 1000);
    for segment in &segments {
        assert!((segment.end[0] - segment.start[0] - 0.1).abs() < 1e-3);
        assert!((segment.start[2] - 4.0).abs() < 1e-3);
    }
    // Points in the middle of the wall are followed through all nine frames.
    let middle = segments.iter().filter(|s| s.start[0].abs() < 0.05);
    assert!(middle.count() >= 8);
}
