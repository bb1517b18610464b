//! The upload thread.

use one4d_studio::viewport::filter::PointFilter;
use one4d_studio::viewport::upload::{Uploads, Wish};

use super::*;

#[test]
fn uploads_bring_the_wanted_frame_then_those_ahead_and_stay_in_their_budget() {
    let Some((device, queue)) = gpu() else { return };
    let scene = Arc::new(room(12, 12, 16));
    let budget = 4 * FrameData::gpu_bytes(&scene);
    let uploads = Uploads::start(device, queue, budget, || {}).unwrap();
    assert!(
        uploads.want(&scene, Wish::frame(5)).frame.is_none(),
        "never waits"
    );
    wait_until(|| uploads.resident(&scene) == [5, 6, 7, 8]);
    uploads.want(&scene, Wish::frame(4));
    wait_until(|| uploads.resident(&scene) == [1, 2, 3, 4]);
    assert!(uploads.want(&scene, Wish::frame(4)).frame.is_some());
}

#[test]
fn a_scene_that_was_dropped_is_let_go() {
    let Some((device, queue)) = gpu() else { return };
    let uploads = Uploads::start(device, queue, 1 << 20, || {}).unwrap();
    let first = Arc::new(room(2, 8, 8));
    uploads.want(&first, Wish::frame(0));
    wait_until(|| uploads.resident(&first).len() == 2);
    let kept = Arc::downgrade(&first);
    drop(first);
    wait_until(|| kept.strong_count() == 0);
    wait_until(|| uploads.num_scenes() == 0);
}

#[test]
fn figures_and_the_hidden_share_come_with_a_frame() {
    let Some((device, queue)) = gpu() else { return };
    let scene = Arc::new(room(2, 60, 100));
    let uploads = Uploads::start(device, queue, 1 << 24, || {}).unwrap();
    let want = |options: &ViewOptions| uploads.want(&scene, Wish::of(1, options));
    let all = ViewOptions {
        edge_threshold: None,
        required_valid: 0,
        ..points_only()
    };
    wait_until(|| want(&all).hidden_share.is_some());
    let resident = want(&all);
    assert_eq!(resident.hidden_share, Some(0.0));
    let stats = resident.frame.unwrap().stats;
    let finite = scene.frame_valid(1).iter().filter(|v| **v != 0).count();
    assert_eq!(stats.points, finite);
    assert_eq!(stats.edges.iter().sum::<u32>() as usize, finite);
    assert!(stats.confidences.is_empty());
    let SceneRanges {
        depth,
        height,
        flow,
        ..
    } = stats.ranges;
    assert!(depth[0] > 1.0 && depth[1] < 8.0 && depth[0] < depth[1]);
    assert!(height[0] >= -0.1 && height[1] < 4.0);
    assert_eq!(flow, 0.0);

    let strict = ViewOptions {
        edge_threshold: Some(0.02),
        ..all
    };
    assert_eq!(want(&strict).hidden_share, None, "never waits");
    wait_until(|| want(&strict).hidden_share.is_some());
    let hidden = want(&strict).hidden_share.unwrap();
    let expected = PointFilter::of(&strict).hidden_share(&FrameData::encode(&scene, 1));
    assert!(hidden > 0.0 && hidden == expected);
}
