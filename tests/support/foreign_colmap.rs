//! The clip of `foreign` as COLMAP and nerfstudio write it.

use std::fmt::Write as _;

use glam::{DMat3, DQuat};
use serde_json::json;

use crate::foreign::{Files, SIZE, Truth, grey16_png, monst3r};

/// Every pixel of every frame sees a point of its own.
fn observations(i: usize) -> impl Iterator<Item = (f64, f64, u64)> {
    let (_, h, w) = SIZE;
    (0..h * w).map(move |p| {
        let (u, v) = ((p % w) as f64 + 0.5, (p / w) as f64 + 0.5);
        (u, v, (i * h * w + p) as u64)
    })
}

/// `cameras.bin`, `images.bin`, `points3D.bin`.
pub fn colmap_binary(truth: &Truth) -> Files {
    let k = truth.cameras[0].intrinsics;
    let mut cameras = 1_u64.to_le_bytes().to_vec();
    cameras.extend(7_u32.to_le_bytes());
    cameras.extend(1_u32.to_le_bytes());
    cameras.extend((SIZE.2 as u64).to_le_bytes());
    cameras.extend((SIZE.1 as u64).to_le_bytes());
    for x in [k.fx_px, k.fy_px, k.cx_px, k.cy_px] {
        cameras.extend(x.to_le_bytes());
    }
    let mut images = (SIZE.0 as u64).to_le_bytes().to_vec();
    for (i, camera) in truth.cameras.iter().enumerate() {
        let pose = camera.world_from_camera.inverse();
        let [x, y, z, w] = DQuat::from_mat3(&pose.rotation).to_array();
        let t = pose.translation;
        images.extend((i as u32 + 1).to_le_bytes());
        for number in [w, x, y, z, t.x, t.y, t.z] {
            images.extend(number.to_le_bytes());
        }
        images.extend(7_u32.to_le_bytes());
        images.extend(format!("frame_{i:04}.png\0").as_bytes());
        images.extend(((SIZE.1 * SIZE.2) as u64).to_le_bytes());
        for (u, v, id) in observations(i) {
            images.extend(u.to_le_bytes());
            images.extend(v.to_le_bytes());
            images.extend(id.to_le_bytes());
        }
    }
    let world = truth.world_points();
    let mut points = (world.len() as u64).to_le_bytes().to_vec();
    for (id, (p, rgb)) in world.iter().zip(truth.rgb.as_chunks::<3>().0).enumerate() {
        points.extend((id as u64).to_le_bytes());
        for x in p.to_array() {
            points.extend(x.to_le_bytes());
        }
        points.extend(rgb);
        points.extend(0.5_f64.to_le_bytes());
        points.extend(1_u64.to_le_bytes());
        points.extend([0; 8]);
    }
    vec![
        ("sparse/0/cameras.bin".to_owned(), cameras),
        ("sparse/0/images.bin".to_owned(), images),
        ("sparse/0/points3D.bin".to_owned(), points),
    ]
}

/// COLMAP's dense workspace: the model, undistorted pictures, and a depth map an image, the second
/// one photometric only.
pub fn colmap_dense(truth: &Truth) -> Files {
    let (frames, h, w) = SIZE;
    let mut files: Files = colmap_binary(truth)
        .into_iter()
        .map(|(name, bytes)| (name.replace("sparse/0/", "sparse/"), bytes))
        .collect();
    for (name, bytes) in monst3r(truth) {
        if name.starts_with("frame_") && name.rsplit('.').next() == Some("png") {
            files.push((format!("images/{name}"), bytes));
        }
    }
    for i in 0..frames {
        let kind = if i == 1 { "photometric" } else { "geometric" };
        let mut map = format!("{w}&{h}&1&").into_bytes();
        for d in &truth.depth[i * h * w..(i + 1) * h * w] {
            map.extend(d.to_le_bytes());
        }
        let name = format!("stereo/depth_maps/frame_{i:04}.png.{kind}.bin");
        files.push((name, map));
    }
    files
}

/// The same as text; two lines an image.
pub fn colmap_text(truth: &Truth) -> Files {
    let k = truth.cameras[0].intrinsics;
    let (_, h, w) = SIZE;
    let cameras = format!(
        "# Camera list\n7 PINHOLE {w} {h} {} {} {} {}\n",
        k.fx_px, k.fy_px, k.cx_px, k.cy_px
    );
    let mut images = String::from("# Image list\n");
    for (i, camera) in truth.cameras.iter().enumerate() {
        let pose = camera.world_from_camera.inverse();
        let [x, y, z, qw] = DQuat::from_mat3(&pose.rotation).to_array();
        let t = pose.translation;
        let _ = writeln!(
            images,
            "{} {qw} {x} {y} {z} {} {} {} 7 frame_{i:04}.png",
            i + 1,
            t.x,
            t.y,
            t.z
        );
        for (u, v, id) in observations(i) {
            let _ = write!(images, "{u} {v} {id} ");
        }
        images.push_str("3.5 4.5 -1\n");
    }
    let mut points = String::new();
    for (id, (p, [r, g, b])) in truth
        .world_points()
        .iter()
        .zip(truth.rgb.as_chunks::<3>().0)
        .enumerate()
    {
        let _ = writeln!(points, "{id} {} {} {} {r} {g} {b} 0.5 1 0", p.x, p.y, p.z);
    }
    vec![
        ("sparse/cameras.txt".to_owned(), cameras.into_bytes()),
        ("sparse/images.txt".to_owned(), images.into_bytes()),
        ("sparse/points3D.txt".to_owned(), points.into_bytes()),
    ]
}

/// `transforms.json` with pictures and 16-bit depth, 1/256 a unit.
pub fn nerfstudio(truth: &Truth) -> Files {
    let k = truth.cameras[0].intrinsics;
    let mut files: Files = monst3r(truth)
        .into_iter()
        .filter(|(name, _)| name.starts_with("frame_") && name.contains(".png"))
        .map(|(name, bytes)| (format!("images/{name}"), bytes))
        .collect();
    let flip = DMat3::from_diagonal(glam::DVec3::new(1.0, -1.0, -1.0));
    let frames: Vec<_> = truth
        .cameras
        .iter()
        .enumerate()
        .map(|(i, camera)| {
            let n = SIZE.1 * SIZE.2;
            let raw = truth.depth[i * n..(i + 1) * n]
                .iter()
                .map(|d| (d * 256.0) as u16);
            files.push((format!("depths/{i}.png"), grey16_png(raw.collect())));
            let r = (camera.world_from_camera.rotation * flip)
                .transpose()
                .to_cols_array();
            let t = camera.world_from_camera.translation;
            json!({
                "file_path": format!("./images/frame_{i:04}.png"),
                "depth_file_path": format!("depths/{i}.png"),
                "time": i as f64 / 2.0,
                "transform_matrix": [
                    [r[0], r[1], r[2], t.x],
                    [r[3], r[4], r[5], t.y],
                    [r[6], r[7], r[8], t.z],
                    [0.0, 0.0, 0.0, 1.0],
                ],
            })
        })
        .collect();
    let document = json!({
        "camera_model": "OPENCV",
        "fl_x": k.fx_px, "fl_y": k.fy_px, "cx": k.cx_px, "cy": k.cy_px,
        "w": SIZE.2, "h": SIZE.1,
        "depth_unit_scale_factor": 1.0 / 256.0,
        "frames": frames,
    });
    files.push((
        "transforms.json".to_owned(),
        document.to_string().into_bytes(),
    ));
    files
}
