//! What a method predicted for one sequence, in whatever form it lies under the predictions' folder.
//!
//! For a sequence the first of these that exists is taken, under each of the sequence's names:
//!
//! | path | depth | cameras |
//! |---|---|---|
//! | `SEQ/frame_%04d.npy`, `SEQ/%04d.npy`, `SEQ/depth/...` | `[H, W]` a frame | – |
//! | `SEQ/depth.npy`, `SEQ.npy` | `[T, H, W]` | – |
//! | `SEQ/pred_traj.txt`, `trajectory.txt`, `traj.txt`, `poses.txt`, `SEQ.txt` | – | every format of `one4d eval pose` |
//! | `SEQ/*.cam` | – | Sintel's |
//! | `SEQ/scene.one4d`, `SEQ.one4d` | the scene's | the scene's |
//! | `SEQ.npz` of one array `depth` | disparity, as DepthCrafter writes it | – |
//! | `SEQ/`, `SEQ.npz`, `SEQ.zip`, `SEQ.pkl` that an importer knows | the import's | the import's |

use std::path::{Path, PathBuf};

use crate::datasets::consecutive;
use crate::eval::read_depth_maps;
use crate::import::{
    Budget, ImportRequest, QuaternionOrder, Stamps, TrajectoryFile, import, is_importable,
    npz::Npz, read_trajectory,
};
use crate::job::JobCtx;
use crate::metrics::{DepthMap, Trajectory};
use crate::scene::{self, Scene4d};
use crate::{Error, Result};

/// Files with a whole sequence, by their endings.
const SCENE_ENDINGS: [&str; 4] = ["one4d", "npz", "zip", "pkl"];
/// Names of camera paths in a sequence's folder.
const PATH_NAMES: [&str; 4] = ["pred_traj.txt", "trajectory.txt", "traj.txt", "poses.txt"];
/// Memory that one file of an array may take, bytes.
const ARRAY_BYTES: u64 = 8 << 30;

/// Where a sequence's prediction lies.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A folder of its own.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
}

impl Place {
    /// The first of a sequence's names that is there, with one of the endings; `None` if none is.
    fn find(root: &Path, names: &[String], endings: &[&str]) -> Option<Self> {
        names.iter().find_map(|name| {
            let folder = root.join(name);
            if folder.is_dir() {
                return Some(Self::Folder(folder));
            }
            endings
                .iter()
                .map(|ending| root.join(format!("{name}.{ending}")))
                .find(|path| path.is_file())
                .map(Self::File)
        })
    }

    /// The folder or file.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::File(path) => path,
        }
    }

    /// Where depth of a sequence lies.
    pub(super) fn of_depth(root: &Path, names: &[String]) -> Option<Self> {
        let endings = [&SCENE_ENDINGS[..], &["npy"]].concat();
        Self::find(root, names, &endings)
    }

    /// Where the cameras of a sequence lie.
    pub(super) fn of_cameras(root: &Path, names: &[String]) -> Option<Self> {
        let endings = [&["txt"], &SCENE_ENDINGS[..]].concat();
        Self::find(root, names, &endings)
    }
}

/// What the values of a prediction are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Arrays in files of no tool: whatever the preset measures.
    AsMeasured,
    /// z-depth.
    Depth,
    /// A disparity of unknown scale and shift.
    Disparity,
}

/// Predicted depth of a sequence, read frame by frame where the files allow for it.
pub(super) struct DepthPrediction {
    source: Source,
    /// What the values are.
    pub(super) values: Values,
}

enum Source {
    /// A file a frame.
    Files(Vec<PathBuf>),
    /// One file with all frames.
    Maps(PathBuf, Vec<DepthMap>),
    /// Depth of a scene; mapped where it is a scene file.
    Scene(PathBuf, Box<Scene4d>),
}

impl DepthPrediction {
    /// Finds the frames of a prediction.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a folder or file without depth; [`Error::Cancelled`].
    pub(super) fn open(place: &Place, ctx: &JobCtx) -> Result<Self> {
        let of = |source, values| Self { source, values };
        match place {
            Place::Folder(folder) => {
                if let Some(files) = frame_files(folder)? {
                    return Ok(of(Source::Files(files), Values::AsMeasured));
                }
                let whole = folder.join("depth.npy");
                if whole.is_file() {
                    return Self::of_array(&whole);
                }
                Self::of_scene(folder, ctx)
            }
            Place::File(path) if has_ending(path, "npy") => Self::of_array(path),
            Place::File(path) if has_ending(path, "npz") => match disparity_of(path)? {
                Some(maps) => Ok(of(Source::Maps(path.clone(), maps), Values::Disparity)),
                None => Self::of_scene(path, ctx),
            },
            Place::File(path) => Self::of_scene(path, ctx),
        }
    }

    fn of_array(path: &Path) -> Result<Self> {
        let maps = read_depth_maps(path, &Budget::new(ARRAY_BYTES))?;
        Ok(Self {
            source: Source::Maps(path.to_owned(), maps),
            values: Values::AsMeasured,
        })
    }

    fn of_scene(path: &Path, ctx: &JobCtx) -> Result<Self> {
        let scene = scene_at(path, ctx)?;
        if scene.depth.is_none() {
            return Err(Error::format(path, "the scene has no depth"));
        }
        Ok(Self {
            source: Source::Scene(path.to_owned(), Box::new(scene)),
            values: Values::Depth,
        })
    }

    /// The scene that the depth is of, where it is a scene's.
    pub(super) fn scene(&self) -> Option<&Scene4d> {
        match &self.source {
            Source::Scene(_, scene) => Some(scene),
            Source::Files(_) | Source::Maps(..) => None,
        }
    }

    /// True for disparity of unknown scale and shift.
    pub(super) fn is_disparity(&self) -> bool {
        self.values == Values::Disparity
    }

    /// Number of frames.
    pub(super) fn len(&self) -> usize {
        match &self.source {
            Source::Files(files) => files.len(),
            Source::Maps(_, maps) => maps.len(),
            Source::Scene(_, scene) => scene.num_frames,
        }
    }

    /// The file or folder with a frame, for messages.
    pub(super) fn path(&self, frame_idx: usize) -> &Path {
        match &self.source {
            Source::Files(files) => &files[frame_idx.min(files.len() - 1)],
            Source::Maps(path, _) | Source::Scene(path, _) => path,
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`], naming the file.
    pub(super) fn read(&self, frame_idx: usize) -> Result<DepthMap> {
        match &self.source {
            Source::Files(files) => {
                let path = &files[frame_idx];
                let maps = read_depth_maps(path, &Budget::new(ARRAY_BYTES))?;
                let count = maps.len();
                maps.into_iter()
                    .next()
                    .filter(|_| count == 1)
                    .ok_or_else(|| {
                        Error::format(path, format!("holds {count} frames, one required"))
                    })
            }
            Source::Maps(_, maps) => Ok(maps[frame_idx].clone()),
            Source::Scene(path, scene) => Ok(DepthMap {
                height: scene.height,
                width: scene.width,
                values: scene
                    .frame_depth(frame_idx)
                    .ok_or_else(|| Error::format(path, "the scene has no depth"))?
                    .to_vec(),
            }),
        }
    }
}

/// Reads the cameras of a prediction.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a folder or file without cameras; [`Error::Cancelled`].
pub(super) fn read_cameras(
    place: &Place,
    names: &[String],
    order: Option<QuaternionOrder>,
    ctx: &JobCtx,
) -> Result<TrajectoryFile> {
    match place {
        Place::Folder(folder) => {
            let own = names.iter().map(|name| format!("{name}.txt"));
            let path = PATH_NAMES
                .iter()
                .map(|&name| name.to_owned())
                .chain(own)
                .map(|name| folder.join(name))
                .find(|path| path.is_file());
            if let Some(path) = path {
                return read_trajectory(&path, order);
            }
            if consecutive(folder, "frame_", ".cam").is_ok() {
                return read_trajectory(folder, order);
            }
            scene_cameras(folder, ctx)
        }
        Place::File(path) if has_ending(path, "txt") => read_trajectory(path, order),
        Place::File(path) => scene_cameras(path, ctx),
    }
}

fn scene_cameras(path: &Path, ctx: &JobCtx) -> Result<TrajectoryFile> {
    let scene = scene_at(path, ctx)?;
    let cameras = scene
        .cameras
        .ok_or_else(|| Error::format(path, "the scene has no cameras"))?;
    Ok(TrajectoryFile {
        trajectory: Trajectory::from_cameras(&cameras, scene.meta.fps),
        stamps: Stamps::None,
        format: "scene",
        notes: Vec::new(),
    })
}

/// A scene file, the one in a folder, or what an importer makes of either.
pub(super) fn scene_at(path: &Path, ctx: &JobCtx) -> Result<Scene4d> {
    if has_ending(path, "one4d") {
        return scene::open(path);
    }
    let inside = path.join("scene.one4d");
    if inside.is_file() {
        return scene::open(&inside);
    }
    if is_importable(path) {
        return Ok(import(&ImportRequest::new(path), &ctx.quiet())?.scene);
    }
    Err(Error::format(
        path,
        "holds no prediction: frame_0000.npy and on, depth.npy, pred_traj.txt, scene.one4d or what \
         one4d import reads",
    ))
}

/// One `.npy` a frame, by number without a gap; `None` where the folder has none.
fn frame_files(folder: &Path) -> Result<Option<Vec<PathBuf>>> {
    for below in ["", "depth"] {
        let folder = folder.join(below);
        if !folder.is_dir() {
            continue;
        }
        for prefix in ["frame_", ""] {
            if has_numbered(&folder, prefix)? {
                return consecutive(&folder, prefix, ".npy").map(Some);
            }
        }
    }
    Ok(None)
}

fn has_numbered(folder: &Path, prefix: &str) -> Result<bool> {
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let name = entry.map_err(|e| Error::io(folder, e))?.file_name();
        let name = name.to_string_lossy();
        let digits = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(".npy"));
        if digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The maps of an npz whose only array is `depth`: disparity, as DepthCrafter leaves it.
fn disparity_of(path: &Path) -> Result<Option<Vec<DepthMap>>> {
    let budget = Budget::new(ARRAY_BYTES);
    let length = path.metadata().map_err(|e| Error::io(path, e))?.len();
    let read = || {
        budget.take("the file", length as usize, 1)?;
        let npz = Npz::parse(std::fs::read(path).map_err(|e| e.to_string())?)?;
        if npz.keys() != ["depth"] {
            return Ok(None);
        }
        let (shape, values) = npz.f32("depth", &budget)?;
        let [_, height, width] = shape[..] else {
            return Err(format!("depth of shape [T, H, W] required, got {shape:?}"));
        };
        if height == 0 || width == 0 {
            return Err(format!("depth of shape {shape:?} has no pixel"));
        }
        let maps = values.chunks_exact(height * width).map(|values| DepthMap {
            height,
            width,
            values: values.to_vec(),
        });
        Ok(Some(maps.collect()))
    };
    read().map_err(|reason: String| Error::format(path, reason))
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case(ending))
}
