//! Depth and cameras that were predicted of one clip, from one scene or from files of their own.

use std::path::Path;

use super::SequenceCtx;
use super::prediction::{DepthPrediction, Place, read_cameras};
use crate::geometry::WorldFromCamera;
use crate::{Error, Result};

/// What is predicted of a sequence, as far as it is there.
pub(super) struct Prediction {
    /// Where it lies.
    pub(super) place: Place,
    pub(super) depth: Option<DepthPrediction>,
    pub(super) cameras: Option<Vec<WorldFromCamera>>,
}

impl Prediction {
    /// Depth and cameras of a prediction; what of them is not there is noted.
    pub(super) fn find(
        root: &Path,
        names: &[String],
        ctx: &mut SequenceCtx<'_>,
    ) -> Result<Option<Self>> {
        let depth_place = Place::of_depth(root, names);
        let camera_place = Place::of_cameras(root, names);
        let Some(place) = depth_place.clone().or_else(|| camera_place.clone()) else {
            return Ok(None);
        };
        let mut or_note = |what: &str, error: Error| match error {
            Error::Cancelled => Err(Error::Cancelled),
            error => {
                ctx.notes.push(format!("{what}: {error}"));
                Ok(())
            }
        };
        let mut depth = None;
        match depth_place.map(|place| DepthPrediction::open(&place, ctx.job)) {
            Some(Ok(found)) => depth = Some(found),
            Some(Err(error)) => or_note("no depth", error)?,
            None => or_note("no depth", Error::format(root, "there is none"))?,
        }
        // A scene that has just been read has the cameras too.
        let scene = depth.as_ref().and_then(DepthPrediction::scene);
        let own = scene.and_then(|scene| scene.cameras.as_ref());
        let mut cameras = own.map(|own| {
            own.iter()
                .map(|camera| camera.world_from_camera)
                .collect::<Vec<_>>()
        });
        if cameras.is_none() {
            match camera_place.map(|place| read_cameras(&place, names, None, ctx.job)) {
                Some(Ok(found)) => cameras = Some(found.trajectory.poses),
                Some(Err(error)) => or_note("no cameras", error)?,
                None => or_note("no cameras", Error::format(root, "there are none"))?,
            }
        }
        Ok(Some(Self {
            place,
            depth,
            cameras,
        }))
    }
}
