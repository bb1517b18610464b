//! Writes the README's contact sheet: `cargo run --release -p one4d-engine --example contact_sheet -- docs/contact-sheet.png`.

use std::path::PathBuf;

use one4d_engine::datasets::synthetic::{ClipSpec, WorldWidth, contact_sheet};
use one4d_engine::{Error, Result};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let path = arguments
        .next()
        .map_or_else(|| PathBuf::from("contact-sheet.png"), PathBuf::from);
    let first: u64 = arguments
        .next()
        .and_then(|text| text.to_str()?.parse().ok())
        .unwrap_or(0);
    let specs: Vec<ClipSpec> = (first..first + 24)
        .map(|seed| ClipSpec {
            seed,
            frames: 9,
            height: 144,
            width: 240,
            world: WorldWidth::Wide,
        })
        .collect();
    let sheet = contact_sheet(&specs, 6)?;
    sheet
        .save(&path)
        .map_err(|error| Error::format(&path, format!("cannot be written: {error}")))
}
