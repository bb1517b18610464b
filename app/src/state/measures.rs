//! Measures: distances and angles between points of the scene, and the scale that lengths are shown in.

use std::collections::HashMap;
use std::sync::Arc;

use glam::DVec3;
use one4d_engine::scene::{ScaleTag, Scene4d};
use serde::{Deserialize, Serialize};

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

/// A unit of length that people know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// Metres.
    #[default]
    Metre,
    /// Centimetres.
    Centimetre,
    /// Millimetres.
    Millimetre,
    /// Feet of 0.3048 m.
    Foot,
    /// Inches of 0.0254 m.
    Inch,
}

impl LengthUnit {
    /// All units, in the order of a menu.
    pub const ALL: [Self; 5] = [
        Self::Metre,
        Self::Centimetre,
        Self::Millimetre,
        Self::Foot,
        Self::Inch,
    ];

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Metre => "m",
            Self::Centimetre => "cm",
            Self::Millimetre => "mm",
            Self::Foot => "ft",
            Self::Inch => "in",
        }
    }

    /// Metres in one of it.
    pub fn metres(self) -> f64 {
        match self {
            Self::Metre => 1.0,
            Self::Centimetre => 0.01,
            Self::Millimetre => 0.001,
            Self::Foot => 0.3048,
            Self::Inch => 0.0254,
        }
    }
}

/// A scale that a person has set from a known length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownScale {
    /// Units in a scene unit.
    pub factor: f64,
    /// The unit.
    pub unit: LengthUnit,
}

impl KnownScale {
    /// Metres in a scene unit.
    pub fn metres(&self) -> f64 {
        self.factor * self.unit.metres()
    }
}

/// What lengths are shown in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lengths {
    /// What the scene says of its unit.
    pub tag: ScaleTag,
    /// What a person said.
    pub known: Option<KnownScale>,
}

impl Lengths {
    /// The unit's sign: "m", or "units" where the size is unknown.
    pub fn unit(&self) -> &'static str {
        match (self.known, self.tag) {
            (Some(known), _) => known.unit.label(),
            (None, ScaleTag::Metric) => "m",
            (None, ScaleTag::UpToScale | ScaleTag::UpToScaleAndShift) => "units",
        }
    }

    /// Shown units in a scene unit.
    pub fn factor(&self) -> f64 {
        self.known.map_or(1.0, |known| known.factor)
    }

    /// The value of a measure as people read it.
    pub fn words(&self, kind: MeasureKind, value: f64) -> String {
        match kind {
            MeasureKind::Distance => {
                format!("{} {}", figures(value * self.factor()), self.unit())
            }
            MeasureKind::Angle => format!("{:.1}°", value.to_degrees()),
        }
    }
}

/// A length with four significant digits and no more than it needs.
pub fn figures(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 1000.0 => 0,
        v if v >= 100.0 => 1,
        v if v >= 10.0 => 2,
        v if v >= 1.0 || v == 0.0 => 3,
        _ => 4,
    };
    format!("{value:.digits$}")
}

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

    #[test]
    fn a_known_length_changes_what_is_shown_and_its_unit() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.words(MeasureKind::Distance, 2.0), "2.000 units");
        lengths.known = Some(KnownScale {
            factor: 45.0,
            unit: LengthUnit::Centimetre,
        });
        assert_eq!(lengths.words(MeasureKind::Distance, 2.0), "90.00 cm");
        assert!((lengths.known.unwrap().metres() - 0.45).abs() < 1e-12);
        lengths = Lengths {
            tag: ScaleTag::Metric,
            known: None,
        };
        assert_eq!(lengths.words(MeasureKind::Distance, 0.05), "0.0500 m");
    }

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
