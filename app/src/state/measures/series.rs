//! Measures over time.

use std::collections::HashMap;
use std::sync::Arc;

use glam::DVec3;

use super::{Lengths, MeasureKind};

/// How points were followed over frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Along the scene flow, as the surface moves.
    SceneFlow,
    /// At the same pixel of every frame.
    SamePixels,
}

impl Followed {
    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::SceneFlow => "points followed by scene flow",
            Self::SamePixels => "same pixels in every frame",
        }
    }
}

/// A measure over all frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// A value a frame, scene units or radians; `None` where a point is missing or lost.
    pub values: Vec<Option<f64>>,
    /// Its points in the world, frame by frame; empty where one is missing or lost.
    pub points: Vec<Vec<DVec3>>,
    /// How its points were followed.
    pub followed: Followed,
}

impl Series {
    /// Least and greatest value; `None` if there is none.
    pub fn extent(&self) -> Option<(f64, f64)> {
        let known = || self.values.iter().flatten().copied();
        Some((known().reduce(f64::min)?, known().reduce(f64::max)?))
    }

    /// The table that is exported: frame from 1, seconds, value; a missing value is an empty field.
    pub fn csv(&self, kind: MeasureKind, lengths: &Lengths, fps: f64) -> String {
        let (head, factor) = match kind {
            MeasureKind::Distance => (format!("distance_{}", lengths.unit()), lengths.factor()),
            MeasureKind::Angle => ("angle_deg".to_owned(), 1.0_f64.to_degrees()),
        };
        let mut text = format!("frame,time_s,{head}\n");
        for (frame, value) in self.values.iter().enumerate() {
            let secs = frame as f64 / fps;
            let value = value.map_or_else(String::new, |v| format!("{:.6}", v * factor));
            text += &format!("{},{secs:.4},{value}\n", frame + 1);
        }
        text
    }
}

/// Measures over time as far as they have been computed, by measure.
#[derive(Clone, Debug, Default)]
pub struct Plots {
    /// The measure whose plot is open.
    pub open: Option<u64>,
    /// What has been computed.
    pub series: HashMap<u64, Arc<Series>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_becomes_a_table_with_gaps() {
        let series = Series {
            values: vec![Some(1.0), None, Some(2.5)],
            points: vec![Vec::new(); 3],
            followed: Followed::SamePixels,
        };
        let text = series.csv(MeasureKind::Distance, &Lengths::default(), 10.0);
        assert_eq!(
            text,
            "frame,time_s,distance_units\n1,0.0000,1.000000\n2,0.1000,\n3,0.2000,2.500000\n"
        );
        assert_eq!(series.extent(), Some((1.0, 2.5)));
    }
}
