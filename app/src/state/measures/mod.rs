//! Measures: distances and angles between points of the scene, the scale that lengths are shown in,
//! and measures over time.

mod lengths;
mod series;

use glam::DVec3;
use one4d_engine::scene::Scene4d;
use serde::{Deserialize, Serialize};

pub use lengths::{KnownScale, LengthUnit, Lengths, figures};
pub use series::{Followed, Plots, Series};

/// A pixel of a frame and its point.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anchor {
    /// Frame of the clip.
    pub frame_idx: usize,
    /// Column of the pixel.
    pub column: usize,
    /// Row of the pixel.
    pub row: usize,
    /// Its point in the world, scene units.
    pub point: [f64; 3],
}

impl Anchor {
    /// The point in the world.
    pub fn position(&self) -> DVec3 {
        DVec3::from_array(self.point)
    }

    /// The point of a pixel; `None` outside the clip and where there is no point.
    pub fn of(scene: &Scene4d, frame_idx: usize, column: usize, row: usize) -> Option<Self> {
        if frame_idx >= scene.num_frames || column >= scene.width || row >= scene.height {
            return None;
        }
        let first = (frame_idx * scene.pixels_per_frame() + row * scene.width + column) * 3;
        let point = scene.points.range(first, first + 3);
        let point = [0, 1, 2].map(|i| f64::from(point[i]));
        point.iter().all(|v| v.is_finite()).then_some(Self {
            frame_idx,
            column,
            row,
            point,
        })
    }
}

/// What clicks in the view do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    /// They choose a point.
    #[default]
    Select,
    /// They place the points of a measure.
    Measure(MeasureKind),
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureKind {
    /// From one point to another.
    Distance,
    /// At the second of three points.
    Angle,
}

impl MeasureKind {
    /// Points that it takes.
    pub fn num_points(self) -> usize {
        match self {
            Self::Distance => 2,
            Self::Angle => 3,
        }
    }

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Distance => "Distance",
            Self::Angle => "Angle",
        }
    }

    /// Scene units between two points, or radians at the second of three; `None` for fewer.
    pub fn value(self, points: &[DVec3]) -> Option<f64> {
        match (self, points) {
            (Self::Distance, [a, b]) => Some(a.distance(*b)),
            (Self::Angle, [a, apex, b]) => Some((*a - *apex).angle_between(*b - *apex)),
            _ => None,
        }
    }
}

/// A measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Tells it from the others.
    pub id: u64,
    /// Its name for people.
    pub name: String,
    /// What it measures.
    pub kind: MeasureKind,
    /// Its points, as many as its kind takes.
    pub anchors: Vec<Anchor>,
}

impl Measure {
    /// Scene units, or radians.
    pub fn value(&self) -> f64 {
        let points: Vec<_> = self.anchors.iter().map(Anchor::position).collect();
        self.kind.value(&points).unwrap_or(f64::NAN)
    }

    /// The value as people read it: "1.24 m", "31.4°".
    pub fn words(&self, lengths: &Lengths) -> String {
        lengths.words(self.kind, self.value())
    }
}

/// A change of the measures.
#[derive(Clone, Debug, PartialEq)]
pub enum MeasureEdit {
    /// Marks one, or none.
    Select(Option<u64>),
    /// Gives it a name.
    Rename(u64, String),
    /// Takes it away.
    Delete(u64),
    /// The known length of a distance, in a unit: sets the scale of all lengths.
    KnownLength(u64, f64, LengthUnit),
    /// Goes back to the scene's own unit.
    ForgetScale,
    /// Shows it over time, or closes the plot.
    Plot(Option<u64>),
}

/// All measures of a scene, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    list: Vec<Measure>,
    /// The marked one.
    pub selected: Option<u64>,
    /// Points of a measure that is being placed.
    pub pending: Vec<Anchor>,
}

impl Measures {
    /// Measures that were stored.
    pub fn restored(list: Vec<Measure>) -> Self {
        let whole = |m: &Measure| m.anchors.len() == m.kind.num_points();
        Self {
            list: list.into_iter().filter(whole).collect(),
            ..Self::default()
        }
    }

    /// Puts others in their place.
    pub(super) fn replace(&mut self, list: Vec<Measure>) {
        self.list = list;
        self.pending.clear();
    }

    /// Oldest first.
    pub fn list(&self) -> &[Measure] {
        &self.list
    }

    /// One of them.
    pub fn measure(&self, id: u64) -> Option<&Measure> {
        self.list.iter().find(|measure| measure.id == id)
    }

    /// Places the next point; returns the measure's id once it is whole.
    pub fn place(&mut self, kind: MeasureKind, anchor: Anchor) -> Option<u64> {
        self.pending.push(anchor);
        if self.pending.len() < kind.num_points() {
            return None;
        }
        let id = self.list.iter().map(|m| m.id).max().unwrap_or(0) + 1;
        self.list.push(Measure {
            id,
            name: format!("{} {id}", kind.label()),
            kind,
            anchors: std::mem::take(&mut self.pending),
        });
        self.selected = Some(id);
        Some(id)
    }

    /// Gives one a name; a blank one stays as it was.
    pub fn rename(&mut self, id: u64, name: String) {
        if let Some(measure) = self.list.iter_mut().find(|measure| measure.id == id) {
            measure.name = name;
        }
    }

    /// Takes one away.
    pub fn delete(&mut self, id: u64) {
        self.list.retain(|measure| measure.id != id);
        self.selected = self.selected.filter(|&selected| selected != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(x: f64, y: f64) -> Anchor {
        Anchor {
            frame_idx: 0,
            column: 0,
            row: 0,
            point: [x, y, 0.0],
        }
    }

    #[test]
    fn a_distance_takes_two_points_and_an_angle_three() {
        let mut measures = Measures::default();
        assert_eq!(
            measures.place(MeasureKind::Distance, anchor(0.0, 0.0)),
            None
        );
        let id = measures.place(MeasureKind::Distance, anchor(3.0, 4.0));
        let distance = measures.measure(id.unwrap()).unwrap();
        assert_eq!(
            (distance.value(), distance.name.as_str()),
            (5.0, "Distance 1")
        );
        for (x, y) in [(2.0, 0.0), (0.0, 0.0), (0.0, 7.0)] {
            measures.place(MeasureKind::Angle, anchor(x, y));
        }
        let right = measures.list()[1].value();
        assert!((right.to_degrees() - 90.0).abs() < 1e-9);
        assert!(measures.pending.is_empty());
    }
}
