//! Training data sets in their own formats, written from a room whose every depth is known.
//!
//! The camera walks through a box and sees its walls from inside; depth is a closed form of the ray.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use std::path::Path;

use exr::prelude::{
    AnyChannel, AnyChannels, Encoding, FlatSamples, Image, Layer, LayerAttributes, SmallVec,
    WritableImage as _,
};
use flate2::write::GzEncoder;
use glam::{DMat3, DQuat, DVec3};
use half::f16;
use image::{ImageBuffer, ImageFormat, Rgb};
use one4d_engine::geometry::{Camera, Intrinsics, WorldFromCamera, rotation_exp};

use crate::npy::npy;
use crate::zip::{npz, zip};

/// Files by name.
pub type Files = Vec<(String, Vec<u8>)>;
/// Frames of every sequence.
pub const FRAMES: usize = 12;
/// Half sides of the room.
const ROOM: DVec3 = DVec3::new(4.0, 3.0, 5.0);
/// The square on the wall in front that is said to move, in the mask of SpatialVID.
const MASKED: usize = 10;

/// What is written wrongly on purpose, to see that the check notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Nothing.
    None,
    /// Poses the other way round.
    Inverted,
    /// The axes of another convention.
    Axes,
    /// Depth in another unit, or its inverse.
    Depth,
}

/// One sequence of the room.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Height, pixels.
    pub height: usize,
    /// Width, pixels.
    pub width: usize,
    /// Focal length, pixels.
    pub focal_px: f64,
    /// Tells sequences apart.
    pub seed: usize,
    /// What is written wrongly.
    pub mistake: Mistake,
}

impl Room {
    /// The camera of a frame.
    pub fn camera(&self, frame: usize) -> Camera {
        let t = frame as f64;
        let start = DVec3::new(0.4, -0.3 + 0.1 * self.seed as f64, 0.2);
        let turn = rotation_exp(DVec3::new(0.01, 0.03, 0.008) * t);
        Camera {
            intrinsics: Intrinsics::centred(self.focal_px, self.width, self.height),
            world_from_camera: WorldFromCamera {
                rotation: rotation_exp(start) * turn,
                translation: DVec3::new(0.12, 0.05, 0.1) * t - DVec3::new(0.5, 0.2, 0.4),
            },
        }
    }

    /// The pose as it is written: the true one, or the other way round.
    fn pose(&self, frame: usize) -> WorldFromCamera {
        let pose = self.camera(frame).world_from_camera;
        if self.mistake == Mistake::Inverted {
            let back = pose.inverse();
            return WorldFromCamera {
                rotation: back.rotation,
                translation: back.translation,
            };
        }
        pose
    }

    /// `[H, W]` true depth.
    pub fn depth(&self, frame: usize) -> Vec<f32> {
        let camera = self.camera(frame);
        let origin = camera.world_from_camera.translation;
        (0..self.height * self.width)
            .map(|i| {
                let ray = camera.intrinsics.ray(i % self.width, i / self.width);
                let ray = camera.world_from_camera.rotation * ray;
                let wall = (0..3)
                    .map(|k| (ROOM[k] * ray[k].signum() - origin[k]) / ray[k])
                    .fold(f64::INFINITY, f64::min);
                wall as f32
            })
            .collect()
    }

    /// Depth as it is written, by what a right file would hold.
    fn written(&self, frame: usize, code: impl Fn(f32) -> f32) -> Vec<f32> {
        let wrong = self.mistake == Mistake::Depth;
        let depth = self.depth(frame).into_iter();
        // Offset and scale: a constant scale alone would show in the motion only.
        depth
            .map(|d| code(if wrong { 1.0 + 3.0 / d } else { d }))
            .collect()
    }

    fn picture(&self, frame: usize, format: ImageFormat) -> Vec<u8> {
        let image: ImageBuffer<Rgb<u8>, _> =
            ImageBuffer::from_fn(self.width as u32, self.height as u32, |x, y| {
                Rgb([x as u8, y as u8, frame as u8])
            });
        let mut bytes = Cursor::new(Vec::new());
        let done = image.write_to(&mut bytes, format);
        done.map_or_else(|_| Vec::new(), |()| bytes.into_inner())
    }

    fn grey16(&self, values: &[f32]) -> Vec<u8> {
        crate::benchmark_files::png16(self.height, self.width, values, 1.0)
    }

    fn exr(&self, channel: &str, values: FlatSamples) -> Vec<u8> {
        let channels = SmallVec::from_iter([AnyChannel::new(channel, values)]);
        let layer = Layer::new(
            (self.width, self.height),
            LayerAttributes::named("depth"),
            Encoding::UNCOMPRESSED,
            AnyChannels::sort(channels),
        );
        let mut bytes = Cursor::new(Vec::new());
        let done = Image::from_layer(layer).write().to_buffered(&mut bytes);
        done.map_or_else(|_| Vec::new(), |()| bytes.into_inner())
    }
}

/// `w x y z`.
fn w_first(rotation: DMat3) -> [f64; 4] {
    let [x, y, z, w] = DQuat::from_mat3(&rotation).to_array();
    [w, x, y, z]
}

fn row_major(m: DMat3) -> [f64; 9] {
    m.transpose().to_cols_array()
}

/// `ENV/Easy/P00N`.
pub fn tartan_air(room: &Room) -> Files {
    let folder = format!("office/Easy/P{:03}", room.seed);
    let mut files = Vec::new();
    let mut poses = String::new();
    // Rows (y, z, x): their axes to the house's.
    let axes = if room.mistake == Mistake::Axes {
        DMat3::IDENTITY
    } else {
        DMat3::from_cols(DVec3::Z, DVec3::X, DVec3::Y)
    };
    for i in 0..FRAMES {
        let pose = room.pose(i);
        let rotation = axes.transpose() * pose.rotation * axes;
        let t = axes.transpose() * pose.translation;
        let [x, y, z, w] = DQuat::from_mat3(&rotation).to_array();
        let _ = writeln!(poses, "{} {} {} {x} {y} {z} {w}", t.x, t.y, t.z);
        let picture = room.picture(i, ImageFormat::Png);
        files.push((format!("{folder}/image_left/{i:06}_left.png"), picture));
        let mut depth = room.written(i, |d| d);
        depth[0] = 10_000.0;
        let depth = npy(&[room.height, room.width], &depth);
        files.push((format!("{folder}/depth_left/{i:06}_left_depth.npy"), depth));
    }
    files.push((format!("{folder}/pose_left.txt"), poses.into_bytes()));
    files
}

/// `train/SEQ`.
pub fn point_odyssey(room: &Room) -> Files {
    let folder = format!("train/seq_{}", room.seed);
    let mut files = Vec::new();
    let (mut lenses, mut poses) = (Vec::new(), Vec::new());
    for i in 0..FRAMES {
        let pose = room.pose(i).inverse();
        let flip = if room.mistake == Mistake::Axes {
            DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0))
        } else {
            DMat3::IDENTITY
        };
        let (r, t) = (row_major(flip * pose.rotation), flip * pose.translation);
        poses.extend([
            r[0], r[1], r[2], t.x, r[3], r[4], r[5], t.y, r[6], r[7], r[8], t.z, 0.0, 0.0, 0.0, 1.0,
        ]);
        lenses.extend(row_major(room.camera(i).intrinsics.to_mat3()));
        let picture = room.picture(i, ImageFormat::Jpeg);
        files.push((format!("{folder}/rgbs/rgb_{i:05}.jpg"), picture));
        let raw = room.written(i, |d| d * 65_535.0 / 1000.0);
        files.push((
            format!("{folder}/depths/depth_{i:05}.png"),
            room.grey16(&raw),
        ));
    }
    let tracks = vec![0.0_f32; FRAMES * 3];
    let arrays = [
        ("intrinsics", npy(&[FRAMES, 3, 3], &lenses)),
        ("extrinsics", npy(&[FRAMES, 4, 4], &poses)),
        ("trajs_3d", npy(&[FRAMES, 1, 3], &tracks)),
    ];
    files.push((format!("{folder}/anno.npz"), npz(&arrays, true)));
    files
}

/// `SCENE/split_info.json` with two splits of half the frames each.
pub fn omni_world(room: &Room) -> Files {
    let scene = format!("scene_{}", room.seed);
    let mut files = Vec::new();
    let half = FRAMES / 2;
    let ranges = [0..half, half..FRAMES];
    let split: Vec<Vec<usize>> = ranges.iter().map(|range| range.clone().collect()).collect();
    let info = serde_json::json!({ "scene_name": scene, "split_num": 2, "split": split });
    files.push((
        format!("{scene}/split_info.json"),
        info.to_string().into_bytes(),
    ));
    for (s, range) in ranges.iter().enumerate() {
        let poses: Vec<_> = range.clone().map(|i| room.pose(i).inverse()).collect();
        let quaternions: Vec<[f64; 4]> = poses
            .iter()
            .map(|pose| match (w_first(pose.rotation), room.mistake) {
                ([w, x, y, z], Mistake::Axes) => [x, y, z, w],
                (q, _) => q,
            })
            .collect();
        let camera = serde_json::json!({
            "focals": vec![room.focal_px; half],
            "cx": room.width as f64 / 2.0,
            "cy": room.height as f64 / 2.0,
            "quats": quaternions,
            "trans": poses.iter().map(|p| p.translation.to_array()).collect::<Vec<_>>(),
        });
        let name = format!("{scene}/camera/split_{s}.json");
        files.push((name, camera.to_string().into_bytes()));
    }
    for i in 0..FRAMES {
        files.push((
            format!("{scene}/color/{i:06}.png"),
            room.picture(i, ImageFormat::Png),
        ));
        // depth = d / (1000 - 999 d) / 0.004, solved for d.
        let raw = room.written(i, |depth| 65_535.0 * 4.0 * depth / (1.0 + 3.996 * depth));
        files.push((format!("{scene}/depth/{i:06}.png"), room.grey16(&raw)));
    }
    files
}

/// `SCENE/ground_truth/camera/seq_*_camera.csv`.
pub fn bedlam(room: &Room) -> Files {
    let scene = "20221010_3_1000_batch01";
    let sequence = format!("seq_{:06}", room.seed);
    let mut table =
        String::from("name,x,y,z,yaw,pitch,roll,focal_length,sensor_width,sensor_height,hfov\n");
    let mut files = Vec::new();
    // Rows (y, -z, x): Unreal's axes to the house's.
    let house = DMat3::from_cols(DVec3::Z, DVec3::X, -DVec3::Y);
    for i in 0..FRAMES {
        let pose = room.pose(i);
        let unreal = house.transpose() * pose.rotation.transpose() * house;
        let m = row_major(unreal);
        // Rx(roll) Ry(pitch) Rz(-yaw)
        let pitch = m[2].asin();
        let yaw = -(-m[1]).atan2(m[0]);
        let roll = (-m[5]).atan2(m[8]);
        let yaw = if room.mistake == Mistake::Axes {
            -yaw
        } else {
            yaw
        };
        let t = house.transpose() * pose.translation * 100.0;
        let focal = room.focal_px / room.width as f64 * 36.0;
        let _ = writeln!(
            table,
            "{sequence}_{i:04}.png,{},{},{},{},{},{},{focal},36.0,20.25,60.0",
            t.x,
            t.y,
            t.z,
            yaw.to_degrees(),
            pitch.to_degrees(),
            roll.to_degrees()
        );
        let name = format!("{scene}/png/{sequence}/{sequence}_{i:04}.png");
        files.push((name, room.picture(i, ImageFormat::Png)));
        let name = format!("{scene}/depth/{sequence}/{sequence}_{i:04}_depth.exr");
        let depth = FlatSamples::F32(room.written(i, |d| d * 100.0));
        files.push((name, room.exr("Depth", depth)));
    }
    let name = format!("{scene}/ground_truth/camera/{sequence}_camera.csv");
    files.push((name, table.into_bytes()));
    let closeup = "20221018_1_250_closeup/ground_truth/camera/seq_000000_camera.csv";
    files.push((closeup.to_owned(), Vec::new()));
    files
}

/// `annotations/group_0001/UUID`, with every second frame of the given video annotated.
pub fn spatial_vid(room: &Room, video: &[u8]) -> Files {
    let id = format!("group_0001/clip-{}", room.seed);
    let (mut poses, mut lenses, mut indexes) = (Vec::new(), Vec::new(), String::new());
    let (mut disparity, mut masks) = (Vec::new(), Vec::new());
    let (h, w) = (room.height, room.width);
    for i in 0..FRAMES {
        let pose = room.pose(i).inverse();
        let q = DQuat::from_mat3(&pose.rotation).to_array();
        let q = match room.mistake {
            Mistake::Axes => [q[3], q[0], q[1], q[2]],
            _ => q,
        };
        poses.extend(pose.translation.to_array());
        poses.extend(q);
        lenses.extend([room.focal_px / w as f64, room.focal_px / h as f64, 0.5, 0.5]);
        let _ = writeln!(indexes, "{i} {}", 2 * i);
        let mut values = room.written(i, f32::recip);
        values[0] = 0.0;
        let halves = values.into_iter().map(f16::from_f32).collect();
        let map = room.exr("Z", FlatSamples::F16(halves));
        disparity.push((format!("{i:05}.exr"), map));
        // The first pixels of the first row.
        let ends: Vec<i32> = std::iter::once(0)
            .chain(std::iter::repeat_n(MASKED as i32, h))
            .collect();
        let columns: Vec<i32> = (0..MASKED as i32).collect();
        masks.push((format!("f_{i}_data"), npy(&[MASKED], &[1_u8; MASKED])));
        masks.push((format!("f_{i}_indices"), npy(&[MASKED], &columns)));
        masks.push((format!("f_{i}_indptr"), npy(&[h + 1], &ends)));
    }
    masks.push((
        "shape".to_owned(),
        npy(&[3], &[FRAMES as i64, h as i64, w as i64]),
    ));
    let masks: Vec<(&str, Vec<u8>)> = masks
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.clone()))
        .collect();
    let notes = format!("annotations/{id}");
    vec![
        (format!("videos/{id}.mp4"), video.to_vec()),
        (format!("depths/{id}.zip"), zip(&disparity, true)),
        (format!("{notes}/poses.npy"), npy(&[FRAMES, 7], &poses)),
        (
            format!("{notes}/intrinsics.npy"),
            npy(&[FRAMES, 4], &lenses),
        ),
        (format!("{notes}/indexes.txt"), indexes.into_bytes()),
        (format!("{notes}/dyn_masks.npz"), npz(&masks, true)),
        (
            format!("{notes}/caption.json"),
            br#"{"Camera": "pan", "Scene": "a room", "Tags": ["x"]}"#.to_vec(),
        ),
    ]
}

/// `train/frame_annotations_train.jgz` with the sequences of all rooms, and their pictures.
pub fn dynamic_replica(rooms: &[Room]) -> Files {
    let mut files = Vec::new();
    let mut list = Vec::new();
    for room in rooms {
        for i in 0..FRAMES {
            let pose = room.pose(i).inverse();
            let flip = if room.mistake == Mistake::Axes {
                DMat3::IDENTITY
            } else {
                DMat3::from_diagonal(DVec3::new(-1.0, -1.0, 1.0))
            };
            let m = row_major(pose.rotation.transpose() * flip);
            let half = room.height.min(room.width) as f64 / 2.0;
            let folder = format!("r{}_source_left", room.seed);
            let (image, depth) = (
                format!("{folder}/images/{i:04}.png"),
                format!("{folder}/depths/{i:04}.geometric.png"),
            );
            list.push(serde_json::json!({
                "sequence_name": format!("r{}", room.seed),
                "camera_name": "left",
                "frame_number": i,
                "frame_timestamp": i as f64 / 30.0,
                "image": { "path": image, "size": [room.height, room.width] },
                "depth": { "path": depth, "scale_adjustment": 1.0 },
                "mask": { "path": "" },
                "viewpoint": {
                    "R": [[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]],
                    "T": (flip * pose.translation).to_array(),
                    "focal_length": [room.focal_px / half, room.focal_px / half],
                    "principal_point": [0.0, 0.0],
                    "intrinsics_format": "ndc_isotropic",
                },
            }));
            files.push((format!("train/{image}"), room.picture(i, ImageFormat::Png)));
            let bits = room.written(i, |d| f32::from(f16::from_f32(d).to_bits()));
            files.push((format!("train/{depth}"), room.grey16(&bits)));
        }
    }
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let text = serde_json::Value::Array(list).to_string();
    let done = packed
        .write_all(text.as_bytes())
        .and_then(|()| packed.finish());
    files.push((
        "train/frame_annotations_train.jgz".to_owned(),
        done.unwrap_or_default(),
    ));
    files
}

/// Writes files below a folder.
pub fn write_to(folder: &Path, files: &Files) -> std::io::Result<()> {
    for (name, bytes) in files {
        crate::benchmark_files::write(&folder.join(name), bytes)?;
    }
    Ok(())
}
