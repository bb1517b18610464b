//! One small clip in the formats of other tools, written as they write it.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::Path;

use exr::prelude::{
    AnyChannel, AnyChannels, Encoding, FlatSamples, Image, Layer, LayerAttributes, SmallVec,
    WritableImage as _,
};
use glam::{DMat3, DQuat, DVec3};
use image::{ImageBuffer, ImageFormat, Luma, Rgb};
use one4d_engine::geometry::{Camera, Intrinsics, WorldFromCamera, rotation_exp};

use crate::foreign_pickle::pointmap_pickle;
use crate::npy::npy;
use crate::zip::{npz, zip};

/// Files by name.
pub type Files = Vec<(String, Vec<u8>)>;

/// Frames, height and width of the clip.
pub const SIZE: (usize, usize, usize) = (3, 24, 32);

/// The clip: everything in the house's conventions, in a world that is nobody's camera.
#[derive(Debug)]
pub struct Truth {
    /// `[T]`, pixel centres at +0.5.
    pub cameras: Vec<Camera>,
    /// `[T, H, W]`, multiples of 1/256 below 4, so that half precision holds them.
    pub depth: Vec<f32>,
    /// `[T, H, W, 3]`.
    pub rgb: Vec<u8>,
}

impl Default for Truth {
    fn default() -> Self {
        let (t, h, w) = SIZE;
        let cameras = (0..t)
            .map(|i| {
                let i = i as f64;
                Camera {
                    intrinsics: Intrinsics {
                        fx_px: 30.0,
                        fy_px: 31.0,
                        cx_px: 15.5,
                        cy_px: 12.25,
                    },
                    world_from_camera: WorldFromCamera {
                        rotation: rotation_exp(DVec3::new(0.4 + 0.1 * i, -0.3 * i, 0.2)),
                        translation: DVec3::new(1.0 + 0.3 * i, -2.0, 0.5 * i),
                    },
                }
            })
            .collect();
        let depth = (0..t * h * w)
            .map(|i| {
                let x = (i % w) as f64 * 0.2;
                let y = ((i / w) % h) as f64 * 0.17;
                ((2.5 + 0.7 * x.sin() + 0.5 * y.cos() + 0.1 * (i / (w * h)) as f64) * 256.0).round()
                    as f32
                    / 256.0
            })
            .collect();
        let rgb = (0..t * h * w * 3)
            .map(|i| (i * 37 + i / 96 * 11) as u8)
            .collect();
        Self {
            cameras,
            depth,
            rgb,
        }
    }
}

impl Truth {
    /// `[T * H * W]` points in the clip's own world.
    pub fn world_points(&self) -> Vec<DVec3> {
        let (_, h, w) = SIZE;
        self.depth
            .iter()
            .enumerate()
            .map(|(i, d)| {
                let camera = self.cameras[i / (h * w)];
                let ray = camera.intrinsics.ray(i % w, i / w % h);
                camera.world_from_camera.transform(ray * f64::from(*d))
            })
            .collect()
    }

    fn png(&self, i: usize) -> Vec<u8> {
        rgb_png(frame_of(&self.rgb, i))
    }

    fn depth_npy(&self, i: usize) -> Vec<u8> {
        npy(&[SIZE.1, SIZE.2], frame_of(&self.depth, i))
    }

    /// Rows of K with the principal point moved by `shift`.
    fn k(&self, i: usize, shift: f64) -> [f64; 9] {
        let k = self.cameras[i].intrinsics;
        [
            k.fx_px,
            0.0,
            k.cx_px + shift,
            0.0,
            k.fy_px,
            k.cy_px + shift,
            0.0,
            0.0,
            1.0,
        ]
    }

    fn c2w(&self, i: usize) -> [f64; 16] {
        rows(
            self.cameras[i].world_from_camera.rotation,
            self.cameras[i].world_from_camera.translation,
        )
    }

    fn w2c(&self, i: usize) -> (DMat3, DVec3) {
        let pose = self.cameras[i].world_from_camera.inverse();
        (pose.rotation, pose.translation)
    }
}

/// One frame of a plane.
fn frame_of<T>(plane: &[T], i: usize) -> &[T] {
    let n = plane.len() / SIZE.0;
    &plane[i * n..(i + 1) * n]
}

/// A rigid matrix, 4 x 4 by rows.
fn rows(r: DMat3, t: DVec3) -> [f64; 16] {
    let r = r.transpose().to_cols_array();
    [
        r[0], r[1], r[2], t.x, r[3], r[4], r[5], t.y, r[6], r[7], r[8], t.z, 0.0, 0.0, 0.0, 1.0,
    ]
}

fn encoded(write: impl FnOnce(&mut Cursor<Vec<u8>>) -> image::ImageResult<()>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    write(&mut bytes).map_or_else(|_| Vec::new(), |()| bytes.into_inner())
}

fn rgb_png(rgb: &[u8]) -> Vec<u8> {
    let picture: Option<ImageBuffer<Rgb<u8>, _>> =
        ImageBuffer::from_raw(SIZE.2 as u32, SIZE.1 as u32, rgb.to_vec());
    encoded(|out| picture.map_or(Ok(()), |p| p.write_to(out, ImageFormat::Png)))
}

/// A 16-bit grey picture of `SIZE`.
pub fn grey16_png(values: Vec<u16>) -> Vec<u8> {
    let picture: Option<ImageBuffer<Luma<u16>, _>> =
        ImageBuffer::from_raw(SIZE.2 as u32, SIZE.1 as u32, values);
    encoded(|out| picture.map_or(Ok(()), |p| p.write_to(out, ImageFormat::Png)))
}

fn grey_png(values: Vec<u8>) -> Vec<u8> {
    let picture: Option<ImageBuffer<Luma<u8>, _>> =
        ImageBuffer::from_raw(SIZE.2 as u32, SIZE.1 as u32, values);
    encoded(|out| picture.map_or(Ok(()), |p| p.write_to(out, ImageFormat::Png)))
}

/// Writes files into a folder.
///
/// # Errors
/// What the system said.
pub fn write_to(folder: &Path, files: &Files) -> std::io::Result<()> {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

/// MonST3R: quaternions with w first, confidences as logarithms.
pub fn monst3r(truth: &Truth) -> Files {
    let (mut path, mut lenses) = (String::new(), String::new());
    let mut files = Files::new();
    for (i, camera) in truth.cameras.iter().enumerate() {
        let pose = camera.world_from_camera;
        let ([x, y, z, w], t) = (
            DQuat::from_mat3(&pose.rotation).to_array(),
            pose.translation,
        );
        let _ = writeln!(path, "{i} {} {} {} {w} {x} {y} {z}", t.x, t.y, t.z);
        let _ = writeln!(
            lenses,
            "{}",
            truth.k(i, -0.5).map(|x| x.to_string()).join(" ")
        );
        files.push((format!("frame_{i:04}.npy"), truth.depth_npy(i)));
        files.push((format!("frame_{i:04}.png"), truth.png(i)));
        let log: Vec<f32> = (0..SIZE.1 * SIZE.2).map(|p| (p % 5) as f32 * 0.5).collect();
        files.push((format!("conf_{i}.npy"), npy(&[SIZE.1, SIZE.2], &log)));
        let moving = (0..SIZE.1 * SIZE.2)
            .map(|p| if p < 40 { 255 } else { 0 })
            .collect();
        files.push((format!("dynamic_mask_{i}.png"), grey_png(moving)));
    }
    files.push(("pred_traj.txt".to_owned(), path.into_bytes()));
    files.push(("pred_intrinsics.txt".to_owned(), lenses.into_bytes()));
    files
}

/// Geo4D: as MonST3R without masks, with coloured depth.
pub fn geo4d(truth: &Truth) -> Files {
    let mut files = monst3r(truth);
    files.retain(|(name, _)| !name.starts_with("conf_") && !name.starts_with("dynamic_"));
    files.extend((0..SIZE.0).map(|i| (format!("frame_colordepth_{i:04}.png"), truth.png(i))));
    files
}

/// CUT3R's evaluation: only depth, path and pictures.
pub fn cut3r_eval(truth: &Truth) -> Files {
    let mut files = geo4d(truth);
    files.retain(|(name, _)| !name.starts_with("frame_colordepth"));
    files
}

/// CUT3R's demo.
pub fn cut3r(truth: &Truth) -> Files {
    let mut files = Files::new();
    for i in 0..SIZE.0 {
        let confidence = vec![2.0_f32; SIZE.1 * SIZE.2];
        files.push((format!("depth/{i:06}.npy"), truth.depth_npy(i)));
        files.push((
            format!("conf/{i:06}.npy"),
            npy(&[SIZE.1, SIZE.2], &confidence),
        ));
        files.push((format!("color/{i:06}.png"), truth.png(i)));
        let camera = [
            ("pose", npy(&[4, 4], &truth.c2w(i))),
            ("intrinsics", npy(&[3, 3], &truth.k(i, -0.5))),
        ];
        files.push((format!("camera/{i:06}.npz"), npz(&camera, false)));
    }
    files
}

/// VGGT: world to camera, pictures by planes in 0..1.
pub fn vggt(truth: &Truth) -> Files {
    let (t, h, w) = SIZE;
    let points: Vec<f32> = truth
        .world_points()
        .iter()
        .flat_map(|p| p.as_vec3().to_array())
        .collect();
    let extrinsic: Vec<f64> = (0..t)
        .flat_map(|i| {
            let (r, s) = truth.w2c(i);
            rows(r, s)[..12].to_vec()
        })
        .collect();
    let lenses: Vec<f64> = (0..t).flat_map(|i| truth.k(i, -0.5)).collect();
    let images: Vec<f32> = (0..t)
        .flat_map(|i| {
            let rgb = frame_of(&truth.rgb, i);
            (0..3 * h * w).map(|at| f32::from(rgb[at % (h * w) * 3 + at / (h * w)]) / 255.0)
        })
        .collect();
    let arrays = [
        ("world_points", npy(&[t, h, w, 3], &points)),
        (
            "world_points_conf",
            npy(&[t, h, w], &vec![7.0_f32; t * h * w]),
        ),
        ("depth", npy(&[t, h, w, 1], &truth.depth)),
        ("extrinsic", npy(&[t, 3, 4], &extrinsic)),
        ("intrinsic", npy(&[t, 3, 3], &lenses)),
        ("images", npy(&[t, 3, h, w], &images)),
    ];
    vec![("predictions.npz".to_owned(), npz(&arrays, true))]
}

/// MegaSaM's npz.
pub fn mega_sam(truth: &Truth) -> Files {
    let (t, h, w) = SIZE;
    let c2w: Vec<f64> = (0..t).flat_map(|i| truth.c2w(i)).collect();
    let arrays = [
        ("images", npy(&[t, h, w, 3], &truth.rgb)),
        ("depths", npy(&[t, h, w], &truth.depth)),
        ("intrinsic", npy(&[3, 3], &truth.k(0, -0.5))),
        ("cam_c2w", npy(&[t, 4, 4], &c2w)),
    ];
    vec![("clip_sgd_cvd_hr.npz".to_owned(), npz(&arrays, true))]
}

/// Kinema4D: MegaSaM's keys with placeholder cameras.
pub fn kinema4d(truth: &Truth) -> Files {
    let (t, h, w) = SIZE;
    let standing: Vec<f64> = (0..t)
        .flat_map(|_| rows(DMat3::IDENTITY, DVec3::ZERO))
        .collect();
    let (wf, hf) = (w as f64, h as f64);
    let guess = [
        1.2 * wf,
        0.0,
        wf / 2.0,
        0.0,
        1.2 * hf,
        hf / 2.0,
        0.0,
        0.0,
        1.0,
    ];
    let arrays = [
        ("images", npy(&[t, h, w, 3], &truth.rgb)),
        ("depths", npy(&[t, h, w], &truth.depth)),
        ("intrinsic", npy(&[3, 3], &guess)),
        ("cam_c2w", npy(&[t, 4, 4], &standing)),
    ];
    vec![("clip.npz".to_owned(), npz(&arrays, false))]
}

/// MegaSaM's reconstruction folder: BGR, disparity, world to camera, motion low where it moves.
pub fn mega_sam_reconstruction(truth: &Truth) -> Files {
    let (t, h, w) = SIZE;
    let images: Vec<u8> = (0..t)
        .flat_map(|i| {
            let rgb = frame_of(&truth.rgb, i);
            (0..3 * h * w).map(|at| rgb[at % (h * w) * 3 + 2 - at / (h * w)])
        })
        .collect();
    let disparity: Vec<f32> = truth.depth.iter().map(|d| 1.0 / (d + 1e-6)).collect();
    let poses: Vec<f64> = (0..t)
        .flat_map(|i| {
            let (r, s) = truth.w2c(i);
            let [x, y, z, w] = DQuat::from_mat3(&r).to_array();
            [s.x, s.y, s.z, x, y, z, w]
        })
        .collect();
    let lenses: Vec<f64> = (0..t)
        .flat_map(|i| {
            let k = truth.k(i, -0.5);
            [k[0], k[4], k[2], k[5]]
        })
        .collect();
    let still: Vec<f32> = (0..t * 3 * 4)
        .map(|i| if i % 12 == 0 { 0.0 } else { 1.0 })
        .collect();
    [
        ("images", npy(&[t, 3, h, w], &images)),
        ("disps", npy(&[t, h, w], &disparity)),
        ("poses", npy(&[t, 7], &poses)),
        ("intrinsics", npy(&[t, 4], &lenses)),
        ("motion_prob", npy(&[t, 3, 4], &still)),
    ]
    .map(|(name, bytes)| (format!("reconstructions/clip/{name}.npy"), bytes))
    .to_vec()
}

/// A one-channel EXR of `SIZE`, half precision.
pub fn exr_half(channel: &str, values: &[f32]) -> Vec<u8> {
    let samples = values.iter().map(|v| half::f16::from_f32(*v)).collect();
    let channels = AnyChannels::sort(SmallVec::from_iter([AnyChannel::new(
        channel,
        FlatSamples::F16(samples),
    )]));
    let layer = Layer::new(
        (SIZE.2, SIZE.1),
        LayerAttributes::named("depth"),
        Encoding::SMALL_LOSSLESS,
        channels,
    );
    let mut bytes = Cursor::new(Vec::new());
    let written = Image::from_layer(layer).write().to_buffered(&mut bytes);
    written.map_or_else(|_| Vec::new(), |()| bytes.into_inner())
}

/// ViPE without its video.
pub fn vipe(truth: &Truth) -> Files {
    let maps: Files = (0..SIZE.0)
        .map(|i| {
            let map = exr_half("Z", frame_of(&truth.depth, i));
            (format!("{i:05}.exr"), map)
        })
        .collect();
    let c2w: Vec<f64> = (0..SIZE.0).flat_map(|i| truth.c2w(i)).collect();
    let lenses: Vec<f64> = (0..SIZE.0)
        .flat_map(|i| {
            let k = truth.k(i, -0.5);
            [k[0], k[4], k[2], k[5]]
        })
        .collect();
    let frames: Vec<i64> = (0..SIZE.0 as i64).collect();
    let inds = npy(&[SIZE.0], &frames);
    let pose = [("data", npy(&[SIZE.0, 4, 4], &c2w)), ("inds", inds.clone())];
    let lens = [("data", npy(&[SIZE.0, 4], &lenses)), ("inds", inds)];
    vec![
        ("depth/dog.zip".to_owned(), zip(&maps, true)),
        ("pose/dog.npz".to_owned(), npz(&pose, true)),
        ("intrinsics/dog.npz".to_owned(), npz(&lens, true)),
    ]
}

/// ViPE with the video that it keeps beside.
pub fn vipe_with_video(truth: &Truth, mp4: &[u8]) -> Files {
    let mut files = vipe(truth);
    files.push(("rgb/dog.mp4".to_owned(), mp4.to_vec()));
    files
}

/// DepthCrafter: disparity in 0..1 under the name depth.
pub fn depth_crafter(truth: &Truth, offset: f32) -> Files {
    let (t, h, w) = SIZE;
    let disparity: Vec<f32> = truth.depth.iter().map(|d| 1.0 / d - offset).collect();
    let arrays = [("depth", npy(&[t, h, w], &disparity))];
    vec![("clip.npz".to_owned(), npz(&arrays, true))]
}

/// GeometryCrafter: points in each frame's own camera.
pub fn geometry_crafter(truth: &Truth) -> Files {
    let (t, h, w) = SIZE;
    let points: Vec<f32> = truth
        .depth
        .iter()
        .enumerate()
        .flat_map(|(i, d)| {
            let ray = truth.cameras[0].intrinsics.ray(i % w, i / w % h);
            (ray * f64::from(*d)).as_vec3().to_array()
        })
        .collect();
    let mask: Vec<bool> = (0..t * h * w).map(|i| i % 7 != 0).collect();
    let arrays = [
        ("point_map", npy(&[t, h, w, 3], &points)),
        ("mask", npy(&[t, h, w], &mask)),
    ];
    vec![("clip.npz".to_owned(), npz(&arrays, true))]
}

/// World points brought into 0..1 with one centre and one scale.
pub fn four_d_nex_points(truth: &Truth) -> Vec<f32> {
    truth
        .world_points()
        .iter()
        .flat_map(|p| {
            ((*p - DVec3::new(1.0, -1.5, 2.0)) * 0.1 + DVec3::splat(0.5))
                .as_vec3()
                .to_array()
        })
        .collect()
}

/// 4DNeX's pickle.
pub fn four_d_nex(truth: &Truth) -> Files {
    let (t, h, w) = SIZE;
    let colours: Vec<f32> = truth.rgb.iter().map(|c| f32::from(*c) / 255.0).collect();
    let pickle = pointmap_pickle(
        ("core.dataclass", "Pointmap"),
        &[
            ("pcd", vec![t, h * w, 3], four_d_nex_points(truth)),
            ("rgb", vec![t, h, w, 3], colours),
        ],
    );
    vec![("00000.pkl".to_owned(), pickle)]
}

/// zero-MSF: two frames in the first camera, the second as flow.
pub fn zero_msf(truth: &Truth) -> Files {
    let (_, h, w) = SIZE;
    let points: Vec<f32> = truth.world_points()[..h * w]
        .iter()
        .flat_map(|p| p.as_vec3().to_array())
        .collect();
    let flow: Vec<f32> = (0..h * w * 3).map(|i| (i % 3) as f32 * 0.01).collect();
    [
        ("points_3d", npy(&[h, w, 3], &points)),
        ("scene_flow", npy(&[h, w, 3], &flow)),
        ("img_colors", npy(&[h, w, 3], frame_of(&truth.rgb, 0))),
    ]
    .map(|(name, bytes)| (format!("{name}.npy"), bytes))
    .to_vec()
}
