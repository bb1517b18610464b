//! What other tools leave on disk, made into scenes of the house's conventions.
//!
//! A folder, a zip archive or one file is recognised by the names of its files, an npz by the names of
//! its arrays (`layout`). Every reader undoes its tool's habits: quaternions
//! with w first, logarithms of confidences, disparities called depth, world-to-camera matrices,
//! pictures in BGR, rays through whole pixel numbers. Nothing in a file is run, and what a file
//! declares is taken from a [`Budget`] before memory is.
//!
//! | tool | recognised by | poses | rays at |
//! |---|---|---|---|
//! | MonST3R, Geo4D, CUT3R evaluation | `pred_traj.txt`, `frame_*.npy` | camera to world, w first | 0 |
//! | CUT3R | `camera/*.npz`, `depth/*.npy` | camera to world | 0 |
//! | VGGT | npz with `extrinsic`, `intrinsic` | world to camera | 0 |
//! | MegaSaM, Kinema4D | npz with `cam_c2w`, `depths` | camera to world; Kinema4D's are placeholders | 0 |
//! | MegaSaM reconstruction | `disps.npy`, `poses.npy` | world to camera, w last | 0 |
//! | ViPE | `pose/*.npz`, `depth/*.zip` | camera to world | 0 |
//! | DepthCrafter, GeometryCrafter | npz with `depth` alone, `point_map` | none | – |
//! | 4DNeX | `*.pkl`, else a folder with `00000.mp4` | none, solved for | – |
//! | zero-MSF | `scene_flow.npy`, `points_3d.npy` | none, solved for | – |
//! | COLMAP | `cameras.bin` or `.txt` | world to camera, w first | 0.5 |
//! | nerfstudio | `transforms.json` | OpenGL, camera to world | 0.5 |

pub(crate) mod archive;
mod budget;
mod clip;
mod colmap;
mod colmap_records;
mod cut3r;
mod files;
mod four_d_nex;
mod layout;
mod mega_sam;
mod monst3r;
mod nerfstudio;
mod npy;
pub(crate) mod npz;
mod npz_clips;
pub(crate) mod numbers;
mod pickle;
pub(crate) mod pictures;
mod series;
mod sintel;
mod trajectory;
mod video;
mod vipe;
mod zero_msf;

pub use budget::{Budget, Reason};
pub use npy::{NpyArray, NpyType};
pub use npz_clips::DISPARITY_OFFSET;
pub use sintel::read_depth_dpt;
pub(crate) use sintel::tagged_plane;
pub use trajectory::{QuaternionOrder, Stamps, TrajectoryFile, read_cam, read_trajectory};
pub(crate) use trajectory::{rotation_of, rotation_of_rows};

use std::path::{Path, PathBuf};

use crate::Result;
use crate::job::{JobCtx, Stage};
use crate::scene::Scene4d;

/// What to import and how.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// A folder, a zip archive, or one npz or pickle.
    pub path: PathBuf,
    /// Where in its square a pixel's ray passes, 0 or 0.5; the tool's habit if not given.
    pub pixel_centre: Option<f64>,
    /// Memory that it may take, bytes; 8 GiB if not given.
    pub budget_bytes: Option<u64>,
}

impl ImportRequest {
    /// Everything by the tool's habits.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            pixel_centre: None,
            budget_bytes: None,
        }
    }
}

/// A scene and whose files it was made of.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The scene; `meta.settings.notes` says what was assumed.
    pub scene: Scene4d,
    /// The tool.
    pub tool: &'static str,
    /// What was assumed, for people.
    pub notes: Vec<String>,
}

/// True if a path looks like something that [`import`] reads: by names, without reading contents.
pub fn is_importable(path: &Path) -> bool {
    // A video by itself is an input, whatever its name.
    let is_video = path.is_file() && path.extension().is_some_and(|e| e == "mp4");
    !is_video && files::Files::open(path).is_ok_and(|files| layout::is_known(&files))
}

/// Reads what another tool left.
///
/// # Errors
/// [`crate::Error::Io`]; [`crate::Error::Format`] naming the file and what is wrong with it;
/// [`crate::Error::Cancelled`].
pub fn import(request: &ImportRequest, ctx: &JobCtx) -> Result<Imported> {
    ctx.step(Stage::Media, 0, 2)?;
    let budget = request
        .budget_bytes
        .map_or_else(Budget::default, Budget::new);
    let files = files::Files::open(&request.path)?;
    let with = layout::Reading {
        budget: &budget,
        pixel_centre: request.pixel_centre,
        ctx,
    };
    let (tool, clip) = layout::read(&files, &with)?;
    ctx.step(Stage::Media, 1, 2)?;
    let scene = clip.into_scene(&request.path, tool, &budget, ctx)?;
    let notes = scene.meta.settings["notes"]
        .as_array()
        .map(|notes| {
            notes
                .iter()
                .filter_map(|note| note.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    ctx.step(Stage::Media, 2, 2)?;
    Ok(Imported { scene, tool, notes })
}
