//! `one4d import`: other tools' outputs as scenes.

use std::path::PathBuf;

use one4d_engine::import::ImportRequest;
use one4d_engine::worker::JobRequest;
use one4d_engine::{Error, Result};

/// Make a scene file of what another tool left: MonST3R, Geo4D, CUT3R, VGGT, MegaSaM, ViPE,
/// DepthCrafter, GeometryCrafter, 4DNeX, Kinema4D, zero-MSF, COLMAP or nerfstudio.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder, a zip archive, or one npz or pickle.
    path: PathBuf,
    /// The scene file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where in its square a pixel's ray passes, 0 or 0.5; the tool's own habit if not given.
    #[arg(long, value_name = "C")]
    pixel_centre: Option<f64>,
}

impl Args {
    /// The job that was asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a pixel centre outside the pixel.
    pub fn request(self) -> Result<JobRequest> {
        if let Some(centre) = self.pixel_centre.filter(|c| !(0.0..=1.0).contains(c)) {
            return Err(Error::invalid(
                "pixel centre",
                format!("must lie in 0..=1, got {centre}"),
            ));
        }
        Ok(JobRequest::Import {
            request: ImportRequest {
                pixel_centre: self.pixel_centre,
                ..ImportRequest::new(self.path)
            },
            out: self.out,
        })
    }
}
