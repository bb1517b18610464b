//! The scale that lengths are shown in.

use one4d_engine::scene::ScaleTag;
use serde::{Deserialize, Serialize};

use super::MeasureKind;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
