//! The domain embeddings of 4DNeX, a tensor of its own in PyTorch's container.
//!
//! The file is a zip with one stored array and a pickle that names its type. The array's shape is
//! known, so the pickle is not run; only the name of the storage class is looked for in it.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use crate::import::{Archive, Budget};
use crate::{Error, Result, atomic_file};

/// Name under which adapter files carry it.
const NAME: &str = "learnable_domain_embeddings";
/// Two rows of the widest network, in f32, with room for the pickle.
const MOST_BYTES: u64 = 1 << 20;

/// Writes the `[2, dim]` embeddings of `source` as safetensors.
///
/// # Errors
/// [`Error::Format`] if the file is no container of one such tensor; [`Error::Io`].
pub(super) fn convert(source: &Path, target: &Path, dim: usize) -> Result<()> {
    let bad = |reason: String| Error::format(source, reason);
    let archive = Archive::open(source.to_owned()).map_err(bad)?;
    let names: Vec<String> = archive.names().map(str::to_owned).collect();
    let storages: Vec<&String> = names
        .iter()
        .filter(|name| {
            name.rsplit_once("/data/")
                .is_some_and(|(_, key)| !key.contains('/'))
        })
        .collect();
    let pickle = names.iter().find(|name| name.ends_with("data.pkl"));
    let ([storage], Some(pickle)) = (storages.as_slice(), pickle) else {
        return Err(bad(format!(
            "holds {} arrays where one was expected",
            storages.len()
        )));
    };
    let budget = Budget::new(MOST_BYTES);
    let program = archive.read(pickle, &budget).map_err(bad)?;
    let says = |class: &str| {
        program
            .windows(class.len())
            .any(|part| part == class.as_bytes())
    };
    let (dtype, size) = if says("BFloat16Storage") {
        (Dtype::BF16, 2)
    } else if says("HalfStorage") {
        (Dtype::F16, 2)
    } else if says("FloatStorage") {
        (Dtype::F32, 4)
    } else {
        return Err(bad(
            "the array is of no floating type that is known".to_owned()
        ));
    };
    let values = archive.read(storage, &budget).map_err(bad)?;
    if values.len() != 2 * dim * size {
        let found = values.len() / size;
        return Err(bad(format!(
            "holds {found} numbers where two rows of {dim} were expected"
        )));
    }
    let view = TensorView::new(dtype, vec![2, dim], &values).map_err(|e| bad(e.to_string()))?;
    let tensors = BTreeMap::from([(NAME, view)]);
    let bytes = safetensors::serialize(tensors, None).map_err(|e| bad(e.to_string()))?;
    atomic_file::write(target, &bytes)
}
