//! Saving a scene: header first, then every plane in one pass, under the final name only when whole.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{KEY_VALIDITY_CHECKED, KEY_VERSION, SCENE_FORMAT_VERSION, corrected_validity};
use crate::atomic_file::AtomicFile;
use crate::scene::{Points, Scene4d};
use crate::{Error, Result};

/// A tensor about to be written.
struct Entry<'a> {
    name: &'static str,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl Scene4d {
    /// Writes the scene file; whatever stood under `path` is replaced only once the new one is whole.
    ///
    /// Points keep the precision that they are held in. Validity bits of points that are not finite
    /// are cleared on the way.
    ///
    /// # Errors
    /// [`Error::Shape`] if a plane does not fit, [`Error::Io`] and [`Error::Limit`] from the disk.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.check()?;
        let path = path.as_ref();
        let entries = self.entries();
        let header = header(&entries, self.metadata(path)?);
        let data: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
        let mut file = AtomicFile::create(path, (8 + header.len() + data) as u64)?;
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for entry in &entries {
            file.write_all(&entry.bytes)?;
        }
        file.commit()
    }

    /// Bytes that [`Self::save`] will write, but for the header of a few KiB.
    pub fn file_bytes(&self) -> u64 {
        let pixels = (self.num_frames * self.pixels_per_frame()) as u64;
        let motion = ((self.num_frames - 1) * self.pixels_per_frame()) as u64;
        let point = match self.points {
            Points::F32(_) => 12,
            Points::F16(_) => 6,
        };
        let present = |plane: bool, bytes: u64| if plane { bytes } else { 0 };
        pixels * (3 + point + 1)
            + present(self.confidence.is_some(), 2 * pixels)
            + present(self.depth.is_some(), 4 * pixels)
            + present(self.cameras.is_some(), 200 * self.num_frames as u64)
            + present(self.scene_flow.is_some(), 6 * motion)
            + present(self.dynamic.is_some(), pixels)
    }

    /// Tensors by falling size of their elements, so that each is aligned in the file.
    fn entries(&self) -> Vec<Entry<'_>> {
        let pixels = vec![self.num_frames, self.height, self.width];
        let vectors = [pixels.as_slice(), &[3]].concat();
        let motion = vec![self.num_frames - 1, self.height, self.width, 3];
        let mut entries = self.camera_entries();
        let mut add = |name, dtype, shape: &[usize], bytes| {
            entries.push(Entry {
                name,
                dtype,
                shape: shape.to_vec(),
                bytes,
            });
        };
        if let Points::F32(plane) = &self.points {
            add("points", "F32", &vectors, cast(plane.as_slice()));
        }
        if let Some(plane) = &self.depth {
            add("depth", "F32", &pixels, cast(plane.as_slice()));
        }
        if let Points::F16(plane) = &self.points {
            add("points", "F16", &vectors, cast(plane.as_slice()));
        }
        if let Some(plane) = &self.confidence {
            add("confidence", "F16", &pixels, cast(plane.as_slice()));
        }
        if let Some(plane) = &self.scene_flow {
            add("scene_flow", "F16", &motion, cast(plane.as_slice()));
        }
        add("rgb", "U8", &vectors, cast(self.rgb.as_slice()));
        let valid = corrected_validity(&self.points, self.valid.as_slice())
            .map_or_else(|| cast(self.valid.as_slice()), Cow::Owned);
        add("valid", "U8", &pixels, valid);
        if let Some(plane) = &self.dynamic {
            add("dynamic", "U8", &pixels, cast(plane.as_slice()));
        }
        entries
    }

    fn camera_entries(&self) -> Vec<Entry<'_>> {
        let Some(cameras) = &self.cameras else {
            return Vec::new();
        };
        let entry = |name, side: usize, values: Vec<f64>| Entry {
            name,
            dtype: "F64",
            shape: vec![self.num_frames, side, side],
            bytes: Cow::Owned(bytemuck::cast_slice(&values).to_vec()),
        };
        // Row-major on disk, as NumPy reads it; glam stores columns.
        let lenses = cameras
            .iter()
            .flat_map(|c| c.intrinsics.to_mat3().transpose().to_cols_array());
        let poses = cameras
            .iter()
            .flat_map(|c| c.world_from_camera.to_mat4().transpose().to_cols_array());
        vec![
            entry("intrinsics", 3, lenses.collect()),
            entry("world_from_camera", 4, poses.collect()),
        ]
    }

    fn metadata(&self, path: &Path) -> Result<Map<String, Value>> {
        let bad = |reason: String| Error::format(path, format!("cannot store metadata: {reason}"));
        if !(0.0..=1000.0).contains(&self.meta.fps) {
            return Err(bad(format!("fps is {}, must be 0 to 1000", self.meta.fps)));
        }
        let fields = serde_json::to_value(&self.meta).map_err(|e| bad(e.to_string()))?;
        let mut metadata = Map::from_iter([
            (
                KEY_VERSION.to_owned(),
                json!(SCENE_FORMAT_VERSION.to_string()),
            ),
            (KEY_VALIDITY_CHECKED.to_owned(), json!("true")),
        ]);
        for (key, value) in fields.as_object().into_iter().flatten() {
            metadata.insert(key.clone(), Value::String(value.to_string()));
        }
        Ok(metadata)
    }
}

/// The safetensors header, padded with spaces so that the data starts on a multiple of 8.
fn header(entries: &[Entry<'_>], metadata: Map<String, Value>) -> Vec<u8> {
    let mut header = Map::from_iter([("__metadata__".to_owned(), Value::Object(metadata))]);
    let mut start = 0;
    for entry in entries {
        let end = start + entry.bytes.len();
        let info = json!({
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": [start, end],
        });
        header.insert(entry.name.to_owned(), info);
        start = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}

fn cast<T: bytemuck::Pod>(values: &[T]) -> Cow<'_, [u8]> {
    Cow::Borrowed(bytemuck::cast_slice(values))
}
