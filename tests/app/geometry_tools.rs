//! What the tools compute from a scene: points followed over time, the ground, another unit.

use glam::DVec3;
use one4d_engine::scene::{Half, Plane, ScaleTag, Scene4d};
use one4d_studio::services::{follow, ground, rescale};
use one4d_studio::state::measures::{Anchor, Followed, MeasureKind};
use one4d_tests::scenes::room;

/// The room, whose moving ball is followed by a flow that is known from its own points.
fn room_with_flow() -> Scene4d {
    let mut scene = room(4, 120, 200);
    let pixels = scene.pixels_per_frame();
    let flow = vec![Half::from_f32(0.0); (scene.num_frames - 1) * pixels * 3];
    scene.scene_flow = Some(Plane::new(flow));
    scene.check().unwrap();
    scene
}

#[test]
fn still_points_followed_by_flow_keep_their_distance_while_the_camera_moves() {
    let scene = room_with_flow();
    let anchors = [(60, 100), (140, 40)].map(|(x, y)| Anchor::of(&scene, 1, x, y).unwrap());
    let series = follow::series(&scene, MeasureKind::Distance, &anchors);
    assert_eq!(series.followed, Followed::SceneFlow);
    let (low, high) = series.extent().unwrap();
    let first = anchors[0].position().distance(anchors[1].position());
    assert!(series.values.iter().all(Option::is_some), "{series:?}");
    for (value, points) in series.values.iter().zip(&series.points) {
        assert_eq!(*value, Some(points[0].distance(points[1])));
    }
    assert!(
        (low - first).abs() < 0.03 * first && (high - first).abs() < 0.03 * first,
        "{low} to {high} around {first}"
    );
    let mut without = scene.clone();
    without.scene_flow = None;
    let drifting = follow::series(&without, MeasureKind::Distance, &anchors);
    let (low_drift, high_drift) = drifting.extent().unwrap();
    assert!(
        high_drift - low_drift > 2.0 * (high - low),
        "the same pixels see other points: {drifting:?} {series:?}"
    );
}

#[test]
fn up_is_found_from_the_floor_of_a_room() {
    let scene = room(2, 60, 100);
    let up = ground::up_of(&scene).unwrap();
    // World = first camera, which looks at the room with a tilt; its floor is flat.
    let floor: Vec<DVec3> = [(20, 55), (50, 55), (80, 57), (50, 58)]
        .into_iter()
        .map(|(x, y)| Anchor::of(&scene, 0, x, y).unwrap().position())
        .collect();
    for point in &floor[1..] {
        let along = (*point - floor[0]).normalize();
        assert!(up.dot(along).abs() < 0.02, "{}", up.dot(along));
    }
    assert!(up.y < -0.6 && (up.length() - 1.0).abs() < 1e-9);
}

#[test]
fn metres_scale_points_depth_cameras_and_flow_alike() {
    let scene = room_with_flow();
    let scaled = rescale::in_metres(&scene, 2.5);
    scaled.check().unwrap();
    let pairs = |frame: usize| {
        let (a, b) = (scene.frame_points(frame), scaled.frame_points(frame));
        a.iter()
            .zip(b.iter())
            .map(|(a, b)| (*a, *b))
            .collect::<Vec<_>>()
    };
    for (before, after) in pairs(2).into_iter().filter(|(a, _)| a.is_finite()) {
        assert!((after - 2.5 * before).abs() <= 1e-5 * after.abs());
    }
    let centre = |scene: &Scene4d| {
        scene.cameras.as_ref().unwrap()[3]
            .world_from_camera
            .centre()
    };
    assert!((centre(&scaled) - 2.5 * centre(&scene)).length() < 1e-12);
    assert_eq!(scaled.meta.scale, ScaleTag::Metric);
}
