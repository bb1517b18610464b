//! Published figures, to stand beside one's own. One4D's tables, arXiv 2511.18922v1.

use serde::Serialize;

use crate::datasets::benchmark::Benchmark;

/// Where the comparison of methods was read.
const COMPARISON: &str = "One4D (arXiv 2511.18922v1), comparison of methods";
const SPARSE: &str = "One4D (arXiv 2511.18922v1), table 5, sparse conditions";
const SETTINGS: &str = "One4D (arXiv 2511.18922v1), table 6, settings";

/// A published row of depth figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PublishedDepth {
    /// Method or setting.
    pub method: &'static str,
    /// Mean relative error.
    pub abs_rel: f64,
    /// Share of pixels within a factor of 1.25, percent.
    pub delta_percent: f64,
    /// Where it was read.
    pub source: &'static str,
}

/// A published row of camera figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PublishedPose {
    /// Method.
    pub method: &'static str,
    /// ATE after similarity alignment, units of the truth.
    pub ate: f64,
    /// RPE, translation.
    pub rpe_t: f64,
    /// RPE, rotation, degrees.
    pub rpe_r_deg: f64,
    /// Where it was read.
    pub source: &'static str,
}

/// Published agreement with ViPE on the validation half of SpatialVID (WorldReel, geometry table).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PublishedAgreement {
    /// Method or ablation.
    pub method: &'static str,
    /// Root mean square of `ln d - ln g`.
    pub log_rmse: f64,
    /// Share of pixels within a factor of 1.25, percent.
    pub delta_percent: f64,
    /// ATE.
    pub ate: f64,
    /// RPE, translation; "RTE".
    pub rpe_t: f64,
    /// RPE, rotation, degrees; "RRE".
    pub rpe_r_deg: f64,
    /// Length of the predicted path.
    pub path: f64,
    /// How far the predicted camera turns, degrees.
    pub turn_deg: f64,
}

const fn agreement(method: &'static str, figures: [f64; 7]) -> PublishedAgreement {
    let [
        log_rmse,
        delta_percent,
        ate,
        rpe_t,
        rpe_r_deg,
        path,
        turn_deg,
    ] = figures;
    PublishedAgreement {
        method,
        log_rmse,
        delta_percent,
        ate,
        rpe_t,
        rpe_r_deg,
        path,
        turn_deg,
    }
}

/// WorldReel's geometry table.
pub const WORLDREEL_AGREEMENT: [PublishedAgreement; 5] = [
    agreement("4DNeX", [0.479, 39.9, 0.006, 0.017, 0.378, 0.034, 0.55]),
    agreement("GeoVideo", [0.353, 63.4, 0.011, 0.012, 0.443, 0.331, 4.61]),
    agreement(
        "WorldReel without geo-motion",
        [0.352, 67.2, 0.010, 0.013, 0.372, 0.379, 5.34],
    ),
    agreement(
        "WorldReel without joint training",
        [0.399, 57.6, 0.006, 0.014, 0.410, 0.294, 5.86],
    ),
    agreement("WorldReel", [0.287, 71.1, 0.005, 0.007, 0.317, 0.358, 3.83]),
];

type DepthRow = (&'static str, f64, f64);
type PoseRow = (&'static str, f64, f64, f64);

const SINTEL_METHODS: [DepthRow; 11] = [
    ("Marigold", 0.532, 51.5),
    ("Depth-Anything-V2", 0.367, 55.4),
    ("NVDS", 0.408, 48.3),
    ("ChronoDepth", 0.687, 48.6),
    ("DepthCrafter", 0.270, 69.7),
    ("Robust-CVD", 0.703, 47.8),
    ("CasualSAM", 0.387, 54.7),
    ("MonST3R", 0.335, 58.5),
    ("CUT3R", 0.311, 62.0),
    ("Geo4D", 0.205, 73.5),
    ("One4D", 0.273, 70.4),
];
const SINTEL_SPARSE: [DepthRow; 4] = [
    ("One4D, 50 % of frames", 0.314, 70.3),
    ("One4D, 25 % of frames", 0.443, 67.7),
    ("One4D, 10 % of frames", 0.453, 64.0),
    ("One4D, 5 % of frames", 0.641, 57.6),
];
const SINTEL_SETTINGS: [DepthRow; 4] = [
    ("One4D, guidance 4", 0.257, 71.5),
    ("One4D, guidance 5", 0.259, 70.9),
    ("One4D, 1000 training steps", 0.331, 65.4),
    ("One4D, 3000 training steps", 0.284, 68.1),
];
const BONN_METHODS: [DepthRow; 10] = [
    ("Marigold", 0.091, 93.1),
    ("Depth-Anything-V2", 0.106, 92.1),
    ("NVDS", 0.167, 76.6),
    ("ChronoDepth", 0.100, 91.1),
    ("DepthCrafter", 0.071, 97.2),
    ("CasualSAM", 0.169, 73.7),
    ("MonST3R", 0.063, 96.4),
    ("CUT3R", 0.070, 96.7),
    ("Geo4D", 0.059, 97.2),
    ("One4D", 0.092, 93.7),
];
const BONN_SPARSE: [DepthRow; 6] = [
    ("One4D, 50 % of frames", 0.094, 93.5),
    ("One4D, 25 % of frames", 0.094, 93.3),
    ("One4D, 10 % of frames", 0.099, 92.9),
    ("One4D, 5 % of frames", 0.151, 87.2),
    ("One4D, 4 % of frames", 0.191, 82.5),
    ("One4D, 3 % of frames", 0.277, 71.1),
];
const BONN_SETTINGS: [DepthRow; 4] = [
    ("One4D, guidance 4", 0.092, 94.0),
    ("One4D, guidance 5", 0.090, 94.1),
    ("One4D, 1000 training steps", 0.114, 88.9),
    ("One4D, 3000 training steps", 0.097, 91.8),
];
const SINTEL_POSE: [PoseRow; 6] = [
    ("Robust-CVD", 0.360, 0.154, 3.443),
    ("CasualSAM", 0.141, 0.035, 0.615),
    ("MonST3R", 0.108, 0.042, 0.732),
    ("CUT3R", 0.208, 0.062, 0.610),
    ("Geo4D", 0.185, 0.063, 0.547),
    ("One4D", 0.213, 0.057, 0.818),
];
const TUM_POSE: [PoseRow; 6] = [
    ("Robust-CVD", 0.153, 0.026, 3.528),
    ("CasualSAM", 0.071, 0.010, 1.712),
    ("MonST3R", 0.063, 0.009, 1.217),
    ("CUT3R", 0.046, 0.014, 0.446),
    ("Geo4D", 0.073, 0.020, 0.635),
    ("One4D", 0.129, 0.022, 1.447),
];

/// Published depth figures of a data set; empty where none is known.
pub fn published_depth(set: Benchmark) -> Vec<PublishedDepth> {
    let tables: [(&[DepthRow], &'static str); 3] = match set {
        Benchmark::Sintel => [
            (&SINTEL_METHODS, COMPARISON),
            (&SINTEL_SPARSE, SPARSE),
            (&SINTEL_SETTINGS, SETTINGS),
        ],
        Benchmark::Bonn => [
            (&BONN_METHODS, COMPARISON),
            (&BONN_SPARSE, SPARSE),
            (&BONN_SETTINGS, SETTINGS),
        ],
        Benchmark::TumDynamics | Benchmark::Kitti | Benchmark::Scannet => return Vec::new(),
    };
    let rows = tables
        .into_iter()
        .flat_map(|(rows, source)| rows.iter().map(move |row| (row, source)));
    rows.map(
        |(&(method, abs_rel, delta_percent), source)| PublishedDepth {
            method,
            abs_rel,
            delta_percent,
            source,
        },
    )
    .collect()
}

/// Published camera figures of a data set; empty where none is known.
pub fn published_pose(set: Benchmark) -> Vec<PublishedPose> {
    let rows: &[PoseRow] = match set {
        Benchmark::Sintel => &SINTEL_POSE,
        Benchmark::TumDynamics => &TUM_POSE,
        Benchmark::Bonn | Benchmark::Kitti | Benchmark::Scannet => &[],
    };
    rows.iter()
        .map(|&(method, ate, rpe_t, rpe_r_deg)| PublishedPose {
            method,
            ate,
            rpe_t,
            rpe_r_deg,
            source: COMPARISON,
        })
        .collect()
}
