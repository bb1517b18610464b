//! Makes a model folder that the pipeline loads out of files that lie in the cache: links to them, what
//! has to be converted once, and the manifest last.

use std::path::{Path, PathBuf};

use super::catalogue::{Entry, Part, find};
use super::present::{Found, State, look};
use super::settings::HubSettings;
use crate::job::{JobCtx, Stage};
use crate::models::byte_text::TextSpec;
use crate::models::clip_vision::ClipVisionConfig;
use crate::models::one4d::{ConditioningKind, Coupling, DenoiserSpec, Prediction};
use crate::models::umt5::Umt5Config;
use crate::models::wan::WanConfig;
use crate::pipeline::{BUNDLE_FORMAT, BundleManifest, CodecSpec, ImageSpec, SamplingDefaults};
use crate::sampler::SolverKind;
use crate::weight_files::{WeightFiles, pickle};
use crate::{Error, Result, atomic_file};

/// File and tensor of 4DNeX's domain embeddings.
const DOMAINS: &str = "learnable_domain_embeddings";
/// Tokens of a padded prompt.
const TEXT_LEN: usize = 512;

/// Where the adapters come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterSource {
    /// An entry of the catalogue.
    Entry(&'static str),
    /// A file that the user has trained.
    Own,
}

/// How a model is put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recipe {
    /// Short name.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// What it can do.
    pub description: &'static str,
    /// Entry of the base network with its encoders and codec.
    pub base: &'static str,
    /// Its adapters.
    pub adapters: AdapterSource,
    /// Frames, height and width of a clip.
    pub size: [usize; 3],
    /// Frames per second.
    pub fps: f64,
    /// How the branches are coupled.
    pub coupling: Coupling,
    /// What the network is told of the observed frames.
    pub conditioning: ConditioningKind,
    /// Factor before adapters whose file names none.
    pub adapter_scale: Option<f64>,
    /// Defaults of sampling.
    pub sampling: SamplingDefaults,
}

/// Every recipe.
pub const RECIPES: &[Recipe] = &[
    Recipe {
        name: "4dnex",
        title: "4DNeX",
        description: "A 4D scene from one image and a prompt, by the public 4DNeX weights",
        base: "i2v-14b-480p-diffusers",
        adapters: AdapterSource::Entry("4dnex"),
        size: [49, 480, 720],
        fps: 24.0,
        coupling: Coupling::Spatial,
        conditioning: ConditioningKind::SideBySide,
        adapter_scale: Some(0.5),
        sampling: SamplingDefaults {
            solver: SolverKind::DiffusersUniPc,
            steps: 50,
            shift: 3.0,
            guidance: 5.0,
        },
    },
    Recipe {
        name: "one4d-1.3b",
        title: "One4D 1.3B",
        description: "Your own One4D adapters on Wan2.1-Fun 1.3B",
        base: "fun-inp-1.3b",
        ..ONE4D
    },
    Recipe {
        name: "one4d-14b",
        title: "One4D 14B",
        description: "Your own One4D adapters on Wan2.1-Fun 14B",
        base: "fun-inp-14b",
        ..ONE4D
    },
];

const ONE4D: Recipe = Recipe {
    name: "",
    title: "",
    description: "",
    base: "",
    adapters: AdapterSource::Own,
    size: [81, 480, 832],
    fps: 16.0,
    coupling: Coupling::Decoupled,
    conditioning: ConditioningKind::Unified,
    adapter_scale: None,
    sampling: SamplingDefaults {
        solver: SolverKind::Euler,
        steps: 50,
        shift: 3.0,
        guidance: 6.0,
    },
};

/// The recipe of that name.
pub fn recipe(name: &str) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| recipe.name == name)
}

/// Makes the model folder `out` of files that are there, and returns it.
///
/// Files are linked, not copied. Pickles are converted by a child process of `program` (`one4d` itself),
/// once. `own` is the adapter file of a recipe that asks for one.
///
/// # Errors
/// [`Error::Weights`] naming what has to be fetched first; [`Error::Invalid`] where an adapter file is
/// missing or too many; those of the conversion; [`Error::Io`]; [`Error::Cancelled`].
pub fn assemble(
    settings: &HubSettings,
    recipe: &Recipe,
    own: Option<&Path>,
    out: &Path,
    program: &Path,
    ctx: &JobCtx,
) -> Result<PathBuf> {
    let (base_entry, base) = whole(settings, recipe.base)?;
    let manifest_path = out.join("model.json");
    begin(out, &manifest_path)?;
    let kitchen = Kitchen { out, program, ctx };
    ctx.step(Stage::Load, 0, 5)?;
    let config = denoiser_config(&base)?;
    let (adapters, adapter_licence) = match (recipe.adapters, own) {
        (AdapterSource::Entry(name), None) => {
            let (entry, found) = whole(settings, name)?;
            let folder = kitchen.adapters(&found, config.dim)?;
            (folder, licence(entry, &found))
        }
        (AdapterSource::Own, Some(file)) => (
            kitchen.linked("adapters.safetensors", file)?,
            "your own adapters".to_owned(),
        ),
        (AdapterSource::Own, None) => {
            let reason = "asks for --adapters FILE, which `one4d train` makes; none are public";
            return Err(Error::invalid(recipe.name, reason));
        }
        (AdapterSource::Entry(_), Some(_)) => {
            return Err(Error::invalid(
                "--adapters",
                format!("{} has its own", recipe.name),
            ));
        }
    };
    ctx.step(Stage::Load, 1, 5)?;
    let codec = kitchen.part(&base, Part::Codec, "codec")?;
    ctx.step(Stage::Load, 2, 5)?;
    let text = kitchen.part(&base, Part::Text, "text")?;
    let tokenizer = kitchen.part(&base, Part::Tokenizer, "tokenizer")?;
    ctx.step(Stage::Load, 3, 5)?;
    let image = kitchen.part(&base, Part::Image, "image")?;
    ctx.step(Stage::Load, 4, 5)?;
    let weights = kitchen.part(&base, Part::Denoiser, "base")?;
    let [frames, height, width] = recipe.size;
    let manifest = BundleManifest {
        format: BUNDLE_FORMAT,
        name: recipe.title.to_owned(),
        description: recipe.description.to_owned(),
        licence: format!(
            "{}; {}: {adapter_licence}",
            licence(base_entry, &base),
            recipe.title
        ),
        frames,
        height,
        width,
        fps: recipe.fps,
        codec: CodecSpec::WanVae { file: codec },
        text: TextSpec::Umt5 {
            weights: text,
            tokenizer,
            config: Umt5Config::xxl(),
            max_len: TEXT_LEN,
        },
        image: Some(ImageSpec::ClipVision {
            weights: image,
            config: ClipVisionConfig::default(),
        }),
        denoiser: DenoiserSpec {
            config,
            base: weights,
            adapters,
            coupling: recipe.coupling,
            prediction: Prediction::Velocity,
            conditioning: recipe.conditioning,
            adapter_scale: recipe.adapter_scale,
        },
        loras: Vec::new(),
        sampling: recipe.sampling,
        fast: None,
        trained_steps: 0,
    };
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| Error::format(&manifest_path, e.to_string()))?;
    ctx.step(Stage::Load, 5, 5)?;
    atomic_file::write(&manifest_path, &text)?;
    Ok(out.to_owned())
}

/// An entry that is there with everything it needs.
fn whole(settings: &HubSettings, name: &str) -> Result<(&'static Entry, Found)> {
    let entry = find(name).ok_or_else(|| Error::invalid(name, "is not in the catalogue"))?;
    let found = look(settings, entry);
    if found.state == State::Present {
        return Ok((entry, found));
    }
    let lacks = match found.missing.as_slice() {
        [] => "does not lie here".to_owned(),
        missing => format!("lacks {}", missing.join(", ")),
    };
    let reason = format!("{lacks}; get it with `one4d models fetch {name}`");
    Err(Error::hub(entry.hub_id, reason))
}

fn licence(entry: &Entry, found: &Found) -> String {
    match (&found.licence, entry.licence_note) {
        (Some(licence), _) => licence.clone(),
        (None, Some(note)) => note.to_owned(),
        (None, None) => format!("see {}", entry.hub_id),
    }
}

/// Makes the folder; one that holds something else is left alone.
fn begin(out: &Path, manifest: &Path) -> Result<()> {
    let io = |error| Error::io(out, error);
    if out.is_dir() && !manifest.exists() {
        let is_used = std::fs::read_dir(out).map_err(io)?.next().is_some();
        // What an interrupted run of this left has its mark.
        if is_used && !out.join(MARK).exists() {
            let reason = "holds something else; choose another folder";
            return Err(Error::format(out, reason));
        }
    }
    std::fs::create_dir_all(out).map_err(io)?;
    std::fs::write(out.join(MARK), b"").map_err(io)?;
    // Without a manifest the folder is no model until everything is in it.
    if manifest.exists() {
        std::fs::remove_file(manifest).map_err(|e| Error::io(manifest, e))?;
    }
    Ok(())
}

/// Marks a folder of ours.
const MARK: &str = ".one4d-model";

fn denoiser_config(base: &Found) -> Result<WanConfig> {
    let path = base
        .parts
        .get(&Part::Config)
        .and_then(|files| files.first());
    let path = path.ok_or_else(|| Error::invalid("base model", "has no config.json"))?;
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let json = serde_json::from_str(&text)
        .map_err(|e| Error::format(path, format!("no description of a network: {e}")))?;
    WanConfig::from_reference(&json)
}

/// Where a model is put together.
struct Kitchen<'a> {
    out: &'a Path,
    program: &'a Path,
    ctx: &'a JobCtx,
}

impl Kitchen<'_> {
    /// Puts a part into the folder; returns the name that the manifest gives it.
    fn part(&self, found: &Found, part: Part, name: &str) -> Result<String> {
        let files = found
            .parts
            .get(&part)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let own_name = |path: &Path| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        match files {
            [] => Err(Error::invalid(name, "is not there")),
            // Several parts call their only file the same; the ending says how to read it.
            [file] => {
                let ending = file.extension().unwrap_or_default().to_string_lossy();
                self.linked(&format!("{name}.{ending}"), file)
            }
            several => {
                for file in several {
                    self.linked(&format!("{name}/{}", own_name(file)), file)?;
                }
                Ok(name.to_owned())
            }
        }
    }

    /// Adapters and domain embeddings side by side in a folder of their own.
    fn adapters(&self, found: &Found, dim: usize) -> Result<String> {
        const FOLDER: &str = "adapters";
        let of = |part| {
            found
                .parts
                .get(&part)
                .and_then(|files: &Vec<PathBuf>| files.first())
        };
        let (Some(lora), Some(domains)) = (of(Part::Adapters), of(Part::Domains)) else {
            return Err(Error::invalid(FOLDER, "are not there"));
        };
        let folder = self.out.join(FOLDER);
        if folder.exists() {
            // Every weight file in it would be read, also one that an older program left.
            std::fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        }
        self.linked(&format!("{FOLDER}/lora.safetensors"), lora)?;
        // The converter names a tensor by itself after its file.
        let converted = self.linked(&format!("{FOLDER}/{DOMAINS}.pt"), domains)?;
        let found = WeightFiles::open(&[self.out.join(converted)])?;
        match found.shape(DOMAINS) {
            Some([2, width]) if *width == dim => Ok(FOLDER.to_owned()),
            other => {
                let reason = format!(
                    "holds {} where two rows of {dim} were expected",
                    other.map_or_else(|| "something else".to_owned(), |shape| format!("{shape:?}"))
                );
                Err(Error::weights(domains, reason))
            }
        }
    }

    /// Links a file under a name. A pickle is converted beside its link, unless that was done beside
    /// the file itself.
    fn linked(&self, name: &str, file: &Path) -> Result<String> {
        self.ctx.check()?;
        let converted = pickle::is_pickle(file).then(|| pickle::converted(file));
        let converted = converted.flatten();
        let file = converted.as_deref().unwrap_or(file);
        let mut name = name.to_owned();
        if pickle::is_pickle(Path::new(&name)) && !pickle::is_pickle(file) {
            let of_converted = pickle::converted_path(Path::new(&name));
            name = of_converted.to_string_lossy().into_owned();
        }
        let file = std::path::absolute(file).map_err(|e| Error::io(file, e))?;
        let place = self.out.join(&name);
        let folder = place.parent().unwrap_or(self.out);
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        if std::fs::symlink_metadata(&place).is_ok() {
            std::fs::remove_file(&place).map_err(|e| Error::io(&place, e))?;
        }
        link(&file, &place).map_err(|e| Error::io(&place, e))?;
        if pickle::is_pickle(&place) {
            let converted = pickle::convert(self.program, &place, self.ctx)?;
            let local = converted.strip_prefix(self.out).unwrap_or(&converted);
            return Ok(local.to_string_lossy().into_owned());
        }
        Ok(name)
    }
}

#[cfg(unix)]
fn link(file: &Path, place: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(file, place)
}

/// Symbolic links need a privilege elsewhere; a second name for the same content does not.
#[cfg(not(unix))]
fn link(file: &Path, place: &Path) -> std::io::Result<()> {
    std::fs::hard_link(file.canonicalize()?, place)
}
