//! Where a network's tensors come from: a file, a map, or a fresh initialisation for training.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Tensor, Var};

use super::stores::name_hash;
use super::{Init, LinearWeight, ParamStore, ShapeStore, StoredMatrix, WeightForm};
use crate::weight_files::{StoredBytes, StoredTensor, WeightFiles, weight_paths};
use crate::{Error, Result};

enum Source {
    Files(WeightFiles),
    Map {
        tensors: HashMap<String, Tensor>,
        origin: PathBuf,
    },
    Fresh {
        store: ParamStore,
        seed: u64,
    },
    Dry {
        shapes: ShapeStore,
    },
}

/// A change of tensors as they are read, before they take the network's type.
pub trait TensorPatch: Send + Sync {
    /// The changed tensor, or `None` where it stays; `name` is what the network asked for, whatever
    /// the source calls it.
    ///
    /// # Errors
    /// Those of the arithmetic.
    fn change(&self, name: &str, tensor: &Tensor) -> Result<Option<Tensor>>;

    /// Whether [`Self::change`] would change the tensor of this name.
    fn touches(&self, name: &str) -> bool;
}

/// Another layout's names below the place where it was declared.
#[derive(Clone)]
struct Rename {
    root_len: usize,
    translate: Arc<dyn Fn(&str) -> String + Send + Sync>,
}

#[derive(Default)]
struct Report {
    used: BTreeSet<String>,
    problems: Vec<String>,
}

/// A place in a tree of named tensors.
///
/// Networks ask for their tensors by name and shape. A tensor that is missing or misshapen is
/// noted, and [`Self::finish`] reports all of them at once, so that a wrong file never half loads.
#[derive(Clone)]
pub struct Weights {
    source: Arc<Source>,
    report: Arc<Mutex<Report>>,
    prefix: String,
    rename: Option<Rename>,
    patch: Option<Arc<dyn TensorPatch>>,
    dtype: DType,
    device: Device,
    form: WeightForm,
    streamed: bool,
    unread: bool,
}

impl Weights {
    /// Maps one or several safetensors or GGUF files.
    ///
    /// # Errors
    /// Those of [`WeightFiles::open`].
    pub fn from_files(paths: &[impl AsRef<Path>], dtype: DType, device: &Device) -> Result<Self> {
        let files = WeightFiles::open(paths)?;
        Ok(Self::with(Source::Files(files), dtype, device))
    }

    /// Maps what a path stands for: a file, an index of shards, or a folder.
    ///
    /// # Errors
    /// Those of [`weight_paths`] and [`WeightFiles::open`].
    pub fn open(path: &Path, dtype: DType, device: &Device) -> Result<Self> {
        Self::from_files(&weight_paths(path)?, dtype, device)
    }

    /// Takes tensors from a map; `origin` names it in messages.
    pub fn from_tensors(
        tensors: HashMap<String, Tensor>,
        origin: impl Into<PathBuf>,
        dtype: DType,
        device: &Device,
    ) -> Self {
        Self::with(
            Source::Map {
                tensors,
                origin: origin.into(),
            },
            dtype,
            device,
        )
    }

    /// Creates tensors as they are asked for and records them in `store` as trainable.
    ///
    /// A name that `store` already holds is returned from there, so two networks may share one.
    /// Each tensor's values depend on `seed` and its name only.
    pub fn fresh(store: &ParamStore, seed: u64, dtype: DType, device: &Device) -> Self {
        Self::with(
            Source::Fresh {
                store: store.clone(),
                seed,
            },
            dtype,
            device,
        )
    }

    /// Notes names and shapes in `shapes` and allocates nothing: a network of any size can be built
    /// to be counted. Its tensors are zeros.
    pub fn dry(shapes: &ShapeStore, dtype: DType, device: &Device) -> Self {
        Self::with(
            Source::Dry {
                shapes: shapes.clone(),
            },
            dtype,
            device,
        )
    }

    fn with(source: Source, dtype: DType, device: &Device) -> Self {
        Self {
            source: Arc::new(source),
            report: Arc::default(),
            prefix: String::new(),
            rename: None,
            patch: None,
            dtype,
            device: device.clone(),
            form: WeightForm::default(),
            streamed: false,
            unread: false,
        }
    }

    /// The same place with tensors of a file or a map changed as they are read, in f32.
    #[must_use]
    pub fn patched(&self, patch: Arc<dyn TensorPatch>) -> Self {
        Self {
            patch: Some(patch),
            ..self.clone()
        }
    }

    /// A tensor of the source, changed by the patch and in the network's type.
    fn adapted(&self, name: &str, tensor: &Tensor) -> Result<Tensor> {
        if let Some(patch) = &self.patch
            && let Some(changed) = patch.change(&self.asked(name), tensor)?
        {
            return Ok(changed.to_dtype(self.dtype)?);
        }
        Ok(tensor.to_dtype(self.dtype)?)
    }

    /// Full name of a tensor below this place, as the network asks for it.
    fn asked(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        }
    }

    /// The place `name` below this one.
    #[must_use]
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self {
            prefix: match self.prefix.as_str() {
                "" => name.to_string(),
                prefix => format!("{prefix}.{name}"),
            },
            ..self.clone()
        }
    }

    /// The same place with tensors of another type: what must stay f32 in a bf16 network.
    #[must_use]
    pub fn in_dtype(&self, dtype: DType) -> Self {
        Self {
            dtype,
            ..self.clone()
        }
    }

    /// The same place with the linear weights of blocks held in another form.
    #[must_use]
    pub fn in_form(&self, form: WeightForm) -> Self {
        Self {
            form,
            ..self.clone()
        }
    }

    /// The same place, from which deep networks read their layers whenever they need them.
    #[must_use]
    pub fn streamed(&self) -> Self {
        Self {
            streamed: true,
            ..self.clone()
        }
    }

    /// True if layers are to be read when they are needed.
    pub fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// The same place, but tensors of files are only looked up: names and shapes are checked and
    /// noted, the values are zeros that take no memory.
    #[must_use]
    pub fn unread(&self) -> Self {
        Self {
            unread: true,
            ..self.clone()
        }
    }

    /// The same place of a source in another layout: names below it go through `translate` first.
    #[must_use]
    pub fn renamed(&self, translate: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let root_len = match self.prefix.len() {
            0 => 0,
            len => len + 1,
        };
        let rename = Some(Rename {
            root_len,
            translate: Arc::new(translate),
        });
        Self {
            rename,
            ..self.clone()
        }
    }

    /// Full name of a tensor below this place, as the source has it.
    pub fn path(&self, name: &str) -> String {
        let path = self.asked(name);
        match &self.rename {
            Some(Rename {
                root_len,
                translate,
            }) => match (path.get(..*root_len), path.get(*root_len..)) {
                (Some(root), Some(rest)) => format!("{root}{}", translate(rest)),
                _ => path,
            },
            None => path,
        }
    }

    /// Accepts a tensor that some files carry and the network has no use for.
    pub fn skip(&self, name: &str) {
        let path = self.path(name);
        self.report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .used
            .insert(path);
    }

    /// Device of the tensors.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Type of the tensors.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Shape of a tensor, where the source has it. Fresh sources have every tensor, in any shape.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let path = self.path(name);
        match &*self.source {
            Source::Files(files) => files.shape(&path).map(<[usize]>::to_vec),
            Source::Map { tensors, .. } => tensors.get(&path).map(|t| t.dims().to_vec()),
            Source::Fresh { store, .. } => store.vars().get(&path).map(|v| v.dims().to_vec()),
            Source::Dry { shapes } => shapes.shapes().get(&path).cloned(),
        }
    }

    /// Names that the source holds below this place, without its prefix; in the source's layout.
    pub fn names(&self) -> Vec<String> {
        let all: Vec<String> = match &*self.source {
            Source::Files(files) => files.names().map(str::to_owned).collect(),
            Source::Map { tensors, .. } => tensors.keys().cloned().collect(),
            Source::Fresh { store, .. } => store.vars().into_keys().collect(),
            Source::Dry { shapes } => shapes.shapes().into_keys().collect(),
        };
        let below = |name: String| match self.prefix.as_str() {
            "" => Some(name),
            prefix => Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned()),
        };
        let mut names: Vec<String> = all.into_iter().filter_map(below).collect();
        names.sort();
        names
    }

    /// True if the source creates whatever is asked for, instead of holding a checkpoint.
    pub fn creates(&self) -> bool {
        matches!(&*self.source, Source::Fresh { .. } | Source::Dry { .. })
    }

    /// True if the source has the tensor, or would create it.
    pub fn contains(&self, name: &str) -> bool {
        self.creates() || self.shape(name).is_some()
    }

    /// A tensor by name and shape.
    ///
    /// A missing or misshapen tensor is noted for [`Self::finish`] and replaced by zeros that take no
    /// memory: a file of another size must not cost that of the network that was asked for.
    pub fn get(&self, shape: &[usize], name: &str, init: Init) -> Result<Tensor> {
        let path = self.path(name);
        let found = match &*self.source {
            Source::Files(files) if self.unread => match files.shape(&path) {
                Some(shape) => Some(self.dry_zeros(shape)?),
                None => None,
            },
            Source::Files(files) => match files.load(&path, &self.device)? {
                Some(tensor) => Some(self.adapted(name, &tensor)?),
                None => None,
            },
            Source::Map { tensors, .. } => match tensors.get(&path) {
                Some(tensor) => Some(self.adapted(name, &tensor.to_device(&self.device)?)?),
                None => None,
            },
            Source::Fresh { store, seed } => {
                Some(self.fresh_var(store, *seed, &path, shape, init)?)
            }
            Source::Dry { shapes } => Some(self.dry_tensor(shapes, &path, shape)?),
        };
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.used.insert(path.clone());
        match found {
            Some(tensor) if tensor.dims() == shape => return Ok(tensor),
            Some(tensor) => {
                report
                    .problems
                    .push(format!("{path} is {:?}, must be {shape:?}", tensor.dims()));
            }
            None => report.problems.push(format!("{path} {shape:?} is missing")),
        }
        self.dry_zeros(shape)
    }

    /// The weight `[O, I]` of a frozen linear layer, in the form of this place.
    ///
    /// A missing or misshapen tensor is noted as in [`Self::get`].
    pub fn linear_weight(&self, shape: [usize; 2], name: &str, init: Init) -> Result<LinearWeight> {
        let plain = |place: &Self| Ok(LinearWeight::Tensor(place.get(&shape, name, init)?));
        if self.unread || self.creates() {
            return plain(self);
        }
        match self.form {
            WeightForm::Plain => plain(self),
            WeightForm::Bf16 => plain(&self.in_dtype(DType::BF16)),
            WeightForm::Q8_0 | WeightForm::Q4K if self.shape(name).as_deref() != Some(&shape) => {
                plain(self)
            }
            WeightForm::Q8_0 | WeightForm::Q4K => {
                let wide = self.in_dtype(DType::F32).get(&shape, name, init)?;
                LinearWeight::rounded(&wide, self.form)
            }
            WeightForm::Stored => {
                let path = self.path(name);
                let is_patched =
                    (self.patch.as_ref()).is_some_and(|patch| patch.touches(&self.asked(name)));
                let stored = match &*self.source {
                    Source::Files(_) if is_patched => None,
                    Source::Files(files) if files.shape(&path) == Some(&shape[..]) => {
                        files.load_stored(&path, &self.device)?
                    }
                    _ => None,
                };
                let Some(stored) = stored else {
                    return plain(self);
                };
                let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
                report.used.insert(path);
                Ok(match stored {
                    StoredTensor::Plain(tensor) => LinearWeight::Tensor(tensor),
                    StoredTensor::Blocks(blocks) => {
                        LinearWeight::Stored(Arc::new(StoredMatrix::Blocks(Arc::new(blocks))))
                    }
                    StoredTensor::Float8(floats) => {
                        LinearWeight::Stored(Arc::new(StoredMatrix::Float8(floats)))
                    }
                })
            }
        }
    }

    /// Some rows of a table `[O, I]`; a table in a file is not read whole.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is no such table, [`Error::Format`] if it has no such row.
    ///
    /// # Shapes
    /// - returns `[rows, I]`
    pub fn rows(&self, shape: [usize; 2], name: &str, rows: &[u32]) -> Result<Tensor> {
        let path = self.path(name);
        if let Source::Files(files) = &*self.source {
            let missing = || Error::weights(&files.paths()[0], format!("{path} is missing"));
            let found = files.load_rows(&path, rows, &self.device)?;
            return Ok(found.ok_or_else(missing)?.to_dtype(self.dtype)?);
        }
        let table = self.get(&shape, name, Init::Const(0.0))?;
        let ids = Tensor::new(rows, &self.device)?;
        Ok(table.index_select(&ids, 0)?)
    }

    /// Bytes that the source has for a tensor, and that [`WeightForm::Stored`] takes in memory;
    /// `None` where no file holds it.
    pub fn stored_bytes(&self, name: &str) -> Option<StoredBytes> {
        match &*self.source {
            Source::Files(files) => files.stored_bytes(&self.path(name)),
            Source::Map { .. } | Source::Fresh { .. } | Source::Dry { .. } => None,
        }
    }

    /// A tensor by name that starts, where it is created, as a copy of `initial`.
    pub fn get_or_copy(&self, initial: &Tensor, name: &str) -> Result<Tensor> {
        if let Source::Fresh { store, .. } = &*self.source {
            let path = self.path(name);
            if !store.vars().contains_key(&path) {
                // A variable of its own: the original may be one that goes on learning.
                let copy = initial.detach().force_contiguous()?;
                let copy = copy.to_device(&self.device)?.to_dtype(self.dtype)?;
                let var = Var::from_tensor(&copy)?;
                store.insert(path, var);
            }
        }
        self.get(initial.dims(), name, Init::Const(0.0))
    }

    /// One zero, seen through strides of nought as a tensor of any shape.
    fn dry_tensor(&self, shapes: &ShapeStore, path: &str, shape: &[usize]) -> Result<Tensor> {
        shapes
            .shapes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned(), shape.to_vec());
        self.dry_zeros(shape)
    }

    fn dry_zeros(&self, shape: &[usize]) -> Result<Tensor> {
        let zero = Tensor::zeros(vec![1; shape.len()], self.dtype, &self.device)?;
        Ok(zero.broadcast_as(shape)?)
    }

    fn fresh_var(
        &self,
        store: &ParamStore,
        seed: u64,
        path: &str,
        shape: &[usize],
        init: Init,
    ) -> Result<Tensor> {
        if let Some(var) = store.vars().get(path) {
            return Ok(var.as_tensor().clone());
        }
        let count: usize = shape.iter().product();
        let values = init.values(shape, count, seed ^ name_hash(path));
        let tensor = Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?;
        let var = Var::from_tensor(&tensor)?;
        store.insert(path, var.clone());
        Ok(var.as_tensor().clone())
    }

    /// Names that the source has and nobody asked for.
    pub fn unused(&self) -> Vec<String> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<String> = match &*self.source {
            Source::Files(files) => files.names().map(str::to_owned).collect(),
            Source::Map { tensors, .. } => tensors.keys().cloned().collect(),
            Source::Fresh { .. } | Source::Dry { .. } => Vec::new(),
        };
        let mut unused: Vec<String> = all
            .into_iter()
            .filter(|name| !report.used.contains(name))
            .collect();
        unused.sort();
        unused
    }

    /// Ends loading.
    ///
    /// # Errors
    /// [`Error::Weights`] listing every missing, misshapen and unexpected tensor by name.
    pub fn finish(&self) -> Result<()> {
        let mut problems = self
            .report
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .problems
            .clone();
        problems.extend(
            self.unused()
                .into_iter()
                .map(|name| format!("{name} is unexpected")),
        );
        if problems.is_empty() {
            return Ok(());
        }
        let shown = 12;
        let mut reason = problems
            .iter()
            .take(shown)
            .cloned()
            .collect::<Vec<_>>()
            .join("; ");
        if problems.len() > shown {
            reason = format!("{reason}; and {} more", problems.len() - shown);
        }
        let origin = match &*self.source {
            Source::Files(files) => files.paths().first().cloned().unwrap_or_default(),
            Source::Map { origin, .. } => origin.clone(),
            Source::Fresh { .. } | Source::Dry { .. } => PathBuf::from("fresh weights"),
        };
        Err(Error::weights(origin, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_a_file_is_named() -> Result<()> {
        let tensor = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        let map = HashMap::from([
            ("a.weight".to_owned(), tensor.clone()),
            ("b".to_owned(), tensor),
        ]);
        let weights = Weights::from_tensors(map, "some.safetensors", DType::F32, &Device::Cpu);
        weights.pp("a").get(&[3, 2], "weight", Init::Xavier)?;
        weights.get(&[1], "c", Init::Xavier)?;
        let message = weights
            .finish()
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default();
        for part in [
            "some.safetensors",
            "a.weight is [2, 3]",
            "c [1] is missing",
            "b is unexpected",
        ] {
            assert!(message.contains(part), "{part:?} not in {message:?}");
        }
        Ok(())
    }

    #[test]
    fn fresh_weights_depend_on_seed_and_name_only() -> Result<()> {
        let draw = |names: [&str; 2]| -> Result<Vec<f32>> {
            let store = ParamStore::default();
            let weights = Weights::fresh(&store, 7, DType::F32, &Device::Cpu);
            for name in names {
                weights.get(&[4, 4], name, Init::Xavier)?;
            }
            Ok(store.vars()["a"].flatten_all()?.to_vec1::<f32>()?)
        };
        assert_eq!(draw(["a", "b"])?, draw(["b", "a"])?);
        Ok(())
    }
}
