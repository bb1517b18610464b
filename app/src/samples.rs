//! The three bundled samples of the first launch.

/// An image with a prompt to try.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its name for people.
    pub name: &'static str,
    /// The prompt that goes with it.
    pub prompt: &'static str,
    /// File name under which it is put among the inputs.
    pub file: &'static str,
    /// The image, PNG.
    pub png: &'static [u8],
}

macro_rules! sample {
    ($name:literal, $stem:literal) => {
        Sample {
            name: $name,
            prompt: include_str!(concat!("../../assets/samples/", $stem, ".txt")),
            file: concat!($stem, ".png"),
            png: include_bytes!(concat!("../../assets/samples/", $stem, ".png")),
        }
    };
}

/// In the order in which the first launch shows them.
pub const SAMPLES: &[Sample] = &[
    sample!("Yellow room", "room"),
    sample!("Snowy square", "snow"),
    sample!("Desert", "desert"),
];
