//! Where a clip comes from: rendered, or cut out of a data set on disk.

use super::cache::CacheSpec;
use super::config::DataPart;
use crate::datasets::TrainingClip;
use crate::datasets::synthetic::{ClipSpec, render};
use crate::datasets::training_sets::{Split, TrainingFiles};
use crate::job::JobCtx;
use crate::{Error, Result};

/// Seeds from here on belong to clips that training never sees.
pub(super) const HELD_OUT_SEED: u64 = 1 << 40;

/// The sources of a specification, opened.
pub(super) struct ClipSource {
    spec: CacheSpec,
    /// One a part; `None` for rendered ones.
    files: Vec<Option<TrainingFiles>>,
}

impl ClipSource {
    /// Lists the sequences of all data sets that the specification names.
    ///
    /// # Errors
    /// Those of [`TrainingFiles::open`].
    pub(super) fn open(spec: &CacheSpec) -> Result<Self> {
        let files = spec
            .parts
            .iter()
            .map(|part| match part {
                DataPart::World(_) => Ok(None),
                DataPart::Files(part) => TrainingFiles::open(part.dataset, &part.root).map(Some),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            spec: spec.clone(),
            files,
        })
    }

    /// Renders or reads clip `index`; the same clip whenever it is asked for.
    ///
    /// # Errors
    /// Those of rendering and reading; [`Error::Invalid`] for an index past the end.
    pub(super) fn clip(&self, index: usize, ctx: &JobCtx) -> Result<TrainingClip> {
        let mut left = index;
        let part = self.spec.parts.iter().position(|part| {
            let here = left < part.clips();
            if !here {
                left -= part.clips();
            }
            here
        });
        let Some(at) = part else {
            let reason = format!("{index} of {}", self.spec.clips());
            return Err(Error::invalid("clip", reason));
        };
        let seed = self.spec.first_seed + index as u64;
        let size @ [frames, height, width] = self.spec.size;
        match (&self.spec.parts[at], &self.files[at]) {
            (DataPart::Files(part), Some(files)) => {
                let split = if seed >= HELD_OUT_SEED {
                    Split::HeldOut
                } else {
                    Split::Training
                };
                files.clip(seed, &part.sampling, size, split, &ctx.quiet())
            }
            (DataPart::World(part), _) => Ok(render(&ClipSpec {
                seed,
                frames,
                height,
                width,
                world: part.world,
            })?
            .into()),
            (DataPart::Files(part), None) => Err(Error::invalid(
                "clip",
                format!("{} is not open", part.root.display()),
            )),
        }
    }
}
