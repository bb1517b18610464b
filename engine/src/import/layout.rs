//! The table of layouts: what files tell a tool apart, and who reads them.

use std::ffi::OsStr;
use std::path::Path;

use super::budget::Budget;
use super::clip::Clip;
use super::files::Files;
use super::npz::Npz;
use super::npz_clips::{self, NpzKind};
use super::{colmap, cut3r, four_d_nex, mega_sam, monst3r, nerfstudio, vipe, zero_msf};
use crate::job::JobCtx;
use crate::{Error, Result};

/// What every reader is given.
pub(super) struct Reading<'a> {
    pub(super) budget: &'a Budget,
    /// The user's word on where in its square a pixel's ray passes.
    pub(super) pixel_centre: Option<f64>,
    pub(super) ctx: &'a JobCtx,
}

impl Reading<'_> {
    /// Where rays pass: the user's word, else the tool's habit.
    pub(super) fn pixel_centre(&self, of_tool: f64) -> f64 {
        self.pixel_centre.unwrap_or(of_tool)
    }
}

type Reader = fn(&Files, &str, &Reading<'_>) -> Result<Clip>;

struct Layout {
    tool: &'static str,
    /// Files that must all stand in one folder; `*` stands for part of one name, `#` for a digit in
    /// a name without `*`.
    signature: &'static [&'static str],
    read: Reader,
}

/// In the order in which they are tried: the more telling signature first.
const LAYOUTS: [Layout; 14] = [
    Layout {
        tool: "MegaSaM reconstruction",
        signature: &["images.npy", "disps.npy", "poses.npy", "intrinsics.npy"],
        read: mega_sam::read,
    },
    Layout {
        tool: "ViPE",
        signature: &["pose/*.npz", "depth/*.zip"],
        read: vipe::read,
    },
    Layout {
        tool: "CUT3R",
        signature: &["camera/*.npz", "depth/*.npy"],
        read: cut3r::read,
    },
    Layout {
        tool: "Geo4D",
        signature: &["frame_colordepth_*.png", "pred_traj.txt", "frame_*.npy"],
        read: monst3r::read,
    },
    Layout {
        tool: "MonST3R",
        signature: &["pred_traj.txt", "conf_0.npy", "frame_*.npy"],
        read: monst3r::read,
    },
    Layout {
        tool: "CUT3R evaluation",
        signature: &["pred_traj.txt", "frame_*.npy"],
        read: monst3r::read,
    },
    Layout {
        tool: "MonST3R pairs",
        signature: &["pts3d1_p0.npy", "pts3d2_p0.npy"],
        read: monst3r::read_pairs,
    },
    Layout {
        tool: "zero-MSF",
        signature: &["scene_flow.npy", "points_3d.npy"],
        read: zero_msf::read,
    },
    Layout {
        tool: "COLMAP",
        signature: &["cameras.bin", "images.bin"],
        read: colmap::read_binary,
    },
    Layout {
        tool: "COLMAP",
        signature: &["cameras.txt", "images.txt"],
        read: colmap::read_text,
    },
    Layout {
        tool: "nerfstudio",
        signature: &["transforms.json"],
        read: nerfstudio::read,
    },
    Layout {
        tool: "4DNeX",
        signature: &["*.pkl"],
        read: four_d_nex::read,
    },
    Layout {
        tool: "4DNeX",
        signature: &["#####.mp4"],
        read: four_d_nex::read_video,
    },
    Layout {
        tool: "npz",
        signature: &["*.npz"],
        read: read_npz,
    },
];

/// Names of the tools whose files are read.
fn tools() -> String {
    let mut tools: Vec<&str> = LAYOUTS.iter().map(|l| l.tool).collect();
    tools.dedup();
    tools.join(", ")
}

/// What makes something of a file that no tool left.
fn way_out(file: &Path) -> &'static str {
    let ending = file.extension().map(OsStr::to_ascii_lowercase);
    match ending.as_deref().and_then(OsStr::to_str) {
        Some("mp4" | "mov" | "png" | "jpg" | "jpeg" | "webp" | "gif") => {
            "; `one4d generate` makes scenes of pictures and videos"
        }
        Some("txt" | "tum" | "kitti") => "; `one4d eval pose` compares camera paths",
        _ => "",
    }
}

/// Tool and clip of the files.
pub(super) fn read(files: &Files, with: &Reading<'_>) -> Result<(&'static str, Clip)> {
    let Some((layout, prefix)) = recognise(files)? else {
        return Err(Error::format(
            files.root(),
            format!(
                "is in no layout that is read ({}){}",
                tools(),
                way_out(files.root())
            ),
        ));
    };
    let clip = (layout.read)(files, &prefix, with)?;
    Ok((clip.tool.unwrap_or(layout.tool), clip))
}

/// True if the files are in a layout that is read; says nothing about their contents.
pub(super) fn is_known(files: &Files) -> bool {
    !matches!(recognise(files), Ok(None))
}

fn recognise(files: &Files) -> Result<Option<(&'static Layout, String)>> {
    for layout in &LAYOUTS {
        let prefixes = prefixes_of(files, layout.signature);
        match &prefixes[..] {
            [] => {}
            [prefix] => return Ok(Some((layout, prefix.clone()))),
            several => {
                return Err(Error::format(
                    files.root(),
                    format!(
                        "holds {} clips of {} ({}); open one of them",
                        several.len(),
                        layout.tool,
                        several.join(", ")
                    ),
                ));
            }
        }
    }
    Ok(None)
}

/// Folders (with the slash) in which every file of a signature stands.
fn prefixes_of(files: &Files, signature: &[&str]) -> Vec<String> {
    let mut prefixes: Vec<String> = files
        .names()
        .filter_map(|name| folder_if_matches(name, signature[0]))
        .map(str::to_owned)
        .collect();
    prefixes.dedup();
    prefixes.retain(|prefix| {
        signature[1..].iter().all(|pattern| {
            files
                .names()
                .any(|name| folder_if_matches(name, pattern) == Some(prefix))
        })
    });
    prefixes
}

/// What stands before the part of a name that matches the pattern.
fn folder_if_matches<'n>(name: &'n str, pattern: &str) -> Option<&'n str> {
    let depth = pattern.matches('/').count();
    let cut = name
        .rmatch_indices('/')
        .nth(depth)
        .map_or(0, |(at, _)| at + 1);
    if name[cut..].matches('/').count() != depth {
        return None;
    }
    let all = name[cut..]
        .split('/')
        .zip(pattern.split('/'))
        .all(|(part, pattern)| match pattern.split_once('*') {
            Some((before, after)) => {
                part.len() >= before.len() + after.len()
                    && part.starts_with(before)
                    && part.ends_with(after)
            }
            None => {
                let fits = |(a, b): (u8, u8)| a == b || (b == b'#' && a.is_ascii_digit());
                part.len() == pattern.len() && part.bytes().zip(pattern.bytes()).all(fits)
            }
        });
    all.then(|| &name[..cut])
}

/// The one npz of a folder; the arrays' names tell the tool.
fn read_npz(files: &Files, prefix: &str, with: &Reading<'_>) -> Result<Clip> {
    let names = files.ending(prefix, ".npz");
    // MegaSaM leaves the coarse clip beside the fine one.
    let fine = names.iter().find(|name| name.ends_with("_sgd_cvd_hr.npz"));
    let name = match (fine, &names[..]) {
        (Some(fine), _) => fine,
        (None, [only]) => only,
        _ => {
            return Err(Error::format(
                files.root(),
                format!(
                    "holds {} npz files ({}); open one of them",
                    names.len(),
                    names.join(", ")
                ),
            ));
        }
    };
    let mut clip = files.parse(name, with.budget, |bytes| {
        let npz = Npz::parse(bytes.to_vec())?;
        let kind = NpzKind::of(&npz)?;
        let mut clip = npz_clips::read(&npz, kind, with)?;
        clip.tool = clip.tool.or(Some(kind.tool()));
        Ok(clip)
    })?;
    let video = name.replace(".npz", "_input.mp4");
    if clip.rgb.is_none() && files.has(&video) {
        let size = (clip.frames, clip.height, clip.width);
        let (rgb, fps) = super::video::frames(files, &video, size, with)?;
        clip.rgb = Some(rgb);
        clip.fps = Some(fps);
    }
    Ok(clip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_tool_left_is_told_where_it_belongs() {
        assert!(way_out(Path::new("a/Holiday.MP4")).contains("one4d generate"));
        assert!(way_out(Path::new("path.txt")).contains("one4d eval pose"));
        assert_eq!(way_out(Path::new("a/folder")), "");
    }

    #[test]
    fn patterns_match_names_below_a_folder() {
        assert_eq!(
            folder_if_matches("a/b/pose/x.npz", "pose/*.npz"),
            Some("a/b/")
        );
        assert_eq!(folder_if_matches("pose/x.npz", "pose/*.npz"), Some(""));
        assert_eq!(folder_if_matches("x.npz", "pose/*.npz"), None);
        assert_eq!(folder_if_matches("frame_0.npy", "frame_*.npy"), Some(""));
        assert_eq!(folder_if_matches("frame_.npy", "frame_0*.npy"), None);
        assert_eq!(
            folder_if_matches("out/00003.mp4", "#####.mp4"),
            Some("out/")
        );
        assert_eq!(folder_if_matches("holiday.mp4", "#####.mp4"), None);
    }
}
