//! Scales of colours: the same tables for the shader's ramp, the lines and the legends.

use super::gpu_data::RAMP_STEPS;
use super::options::ColourMap;

/// Viridis at nine places (Matplotlib, CC0).
const VIRIDIS: &[u32] = &[
    0x440154, 0x472c7a, 0x3b518b, 0x2c718e, 0x21908d, 0x27ad81, 0x5cc863, 0xaadc32, 0xfde725,
];
/// Magma at nine places (Matplotlib, CC0).
const MAGMA: &[u32] = &[
    0x000004, 0x1d1147, 0x51127c, 0x822681, 0xb63679, 0xe65164, 0xfb8861, 0xfec287, 0xfcfdbf,
];
/// Cividis at twelve places (Nuñez, Anderton, Renslow 2018).
const CIVIDIS: &[u32] = &[
    0x00204d, 0x00306f, 0x2a406c, 0x48526b, 0x5e626e, 0x727374, 0x878479, 0x9e9677, 0xb6a971,
    0xd0be67, 0xead357, 0xffea46,
];
/// Turbo at twelve places (Mikhailov 2019, Apache-2.0).
const TURBO: &[u32] = &[
    0x30123b, 0x4454c4, 0x4490fe, 0x1fc8de, 0x29efa2, 0x7dff56, 0xc1f334, 0xf1ca3a, 0xfe922a,
    0xea4f0d, 0xbe2102, 0x7a0403,
];

impl ColourMap {
    /// All maps, in the order of a menu.
    pub const ALL: [Self; 4] = [Self::Turbo, Self::Viridis, Self::Cividis, Self::Magma];

    /// Name for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Turbo => "Turbo",
            Self::Viridis => "Viridis",
            Self::Cividis => "Cividis",
            Self::Magma => "Magma",
        }
    }

    /// Gamma-encoded colour at a place of the scale, 0..1.
    pub fn at(self, place: f64) -> [u8; 3] {
        let place = if place.is_nan() {
            0.0
        } else {
            place.clamp(0.0, 1.0)
        };
        match self {
            Self::Turbo => between(TURBO, place),
            Self::Viridis => between(VIRIDIS, place),
            Self::Cividis => between(CIVIDIS, place),
            Self::Magma => between(MAGMA, place),
        }
    }

    /// The scale as the shader takes it.
    pub(crate) fn ramp(self) -> [[f32; 4]; RAMP_STEPS] {
        std::array::from_fn(|i| {
            let [r, g, b] = self.at(i as f64 / (RAMP_STEPS - 1) as f64);
            [r, g, b, 255].map(|c| f32::from(c) / 255.0)
        })
    }
}

fn between(table: &[u32], place: f64) -> [u8; 3] {
    let at = place * (table.len() - 1) as f64;
    let below = (at as usize).min(table.len() - 2);
    let part = at - below as f64;
    [16, 8, 0].map(|shift| {
        let [a, b] = [below, below + 1].map(|i| f64::from((table[i] >> shift) & 0xff));
        (a + (b - a) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_run_between_their_known_ends() {
        for (map, first, last) in [
            (ColourMap::Viridis, [68, 1, 84], [253, 231, 37]),
            (ColourMap::Magma, [0, 0, 4], [252, 253, 191]),
            (ColourMap::Cividis, [0, 32, 77], [255, 234, 70]),
        ] {
            assert_eq!((map.at(0.0), map.at(1.0)), (first, last));
            assert_eq!((map.at(-3.0), map.at(7.0)), (first, last));
            assert_eq!(map.at(f64::NAN), first);
        }
        assert_eq!(ColourMap::Viridis.at(0.5), [33, 144, 141]);
        // Turbo's published table has (164, 252, 60) in the middle.
        let middle = ColourMap::Turbo.at(0.5);
        for (ours, theirs) in middle.into_iter().zip([164_u8, 252, 60]) {
            assert!(ours.abs_diff(theirs) < 10, "{middle:?}");
        }
    }

    #[test]
    fn even_scales_grow_brighter_all_the_way() {
        for map in [ColourMap::Viridis, ColourMap::Cividis, ColourMap::Magma] {
            let luma = |place: f64| {
                let [r, g, b] = map.at(place).map(f64::from);
                0.2126 * r + 0.7152 * g + 0.0722 * b
            };
            for i in 0..20 {
                let place = f64::from(i) / 20.0;
                assert!(
                    luma(place + 0.05) > luma(place),
                    "{} at {place}",
                    map.label()
                );
            }
        }
    }
}
