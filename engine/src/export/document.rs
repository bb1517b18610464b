//! The layout of a GLB file: JSON of what its buffer holds, then the buffer, streamed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::provenance;
use crate::atomic_file::{AtomicFile, human_bytes};
use crate::worker::ExportRequest;
use crate::{Error, Result};

/// Accessors over one buffer whose bytes are written later, in the order in which they were added.
#[derive(Default)]
pub(super) struct Layout {
    views: Vec<Value>,
    accessors: Vec<Value>,
    bytes: u64,
}

impl Layout {
    /// Reserves `count` f32 elements of `kind` (`SCALAR`, `VEC3`, `VEC4`) with their bounds;
    /// returns the accessor's index. f32 keeps every offset a multiple of 4.
    pub(super) fn add(&mut self, kind: &str, count: usize, bounds: Option<&Bounds>) -> usize {
        let components = match kind {
            "SCALAR" => 1,
            "VEC3" => 3,
            _ => 4,
        };
        let length = (count * components * size_of::<f32>()) as u64;
        self.views.push(json!({
            "buffer": 0, "byteOffset": self.bytes, "byteLength": length,
        }));
        let mut accessor = json!({
            "bufferView": self.views.len() - 1, "componentType": 5126,
            "count": count, "type": kind,
        });
        if let Some(bounds) = bounds {
            accessor["min"] = json!(bounds.min[..components]);
            accessor["max"] = json!(bounds.max[..components]);
        }
        self.accessors.push(accessor);
        self.bytes += length;
        self.accessors.len() - 1
    }

    /// Marks the last accessor's bytes as vertex data.
    pub(super) fn as_vertices(&mut self, accessor: usize) -> usize {
        if let Some(view) = self.views.get_mut(accessor) {
            view["target"] = json!(34962);
        }
        accessor
    }
}

/// Component-wise bounds of f32 values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) min: [f32; 3],
    pub(super) max: [f32; 3],
}

impl Bounds {
    pub(super) const EMPTY: Self = Self {
        min: [f32::INFINITY; 3],
        max: [f32::NEG_INFINITY; 3],
    };

    pub(super) fn include(&mut self, p: [f32; 3]) {
        for (axis, value) in p.into_iter().enumerate() {
            self.min[axis] = self.min[axis].min(value);
            self.max[axis] = self.max[axis].max(value);
        }
    }

    /// Bounds of rising times.
    pub(super) fn of_times(times: &[f32]) -> Self {
        let mut bounds = Self::EMPTY;
        for &time in times {
            bounds.include([time; 3]);
        }
        bounds
    }

    /// Half of the longest side; 1 for no points.
    pub(super) fn radius(&self) -> f32 {
        let longest = (0..3).map(|axis| self.max[axis] - self.min[axis]);
        let longest = longest.fold(0.0, f32::max);
        if longest > 0.0 { longest / 2.0 } else { 1.0 }
    }
}

/// The parts of a document that its writers fill in.
#[derive(Default)]
pub(super) struct Document {
    pub(super) layout: Layout,
    pub(super) nodes: Vec<Value>,
    pub(super) meshes: Vec<Value>,
    pub(super) cameras: Vec<Value>,
    pub(super) animations: Vec<Value>,
    /// Nodes at the top of the scene.
    pub(super) roots: Vec<usize>,
}

impl Document {
    /// Adds a node and returns its index.
    pub(super) fn node(&mut self, node: Value) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds a point mesh of `count` points and returns its index; positions, then colours.
    pub(super) fn point_mesh(&mut self, count: usize, bounds: &Bounds, name: &str) -> usize {
        let position = self.layout.add("VEC3", count, Some(bounds));
        let position = self.layout.as_vertices(position);
        let colour = self.layout.add("VEC3", count, None);
        let colour = self.layout.as_vertices(colour);
        self.meshes.push(json!({
            "name": name,
            "primitives": [{
                "attributes": { "POSITION": position, "COLOR_0": colour },
                "material": 0, "mode": 0,
            }],
        }));
        self.meshes.len() - 1
    }

    fn to_json(&self, request: &ExportRequest) -> Value {
        let mut root = json!({
            "asset": {
                "version": "2.0",
                "generator": concat!("One4D Studio ", env!("CARGO_PKG_VERSION")),
                "extras": BTreeMap::from_iter(provenance(request)),
            },
            "scene": 0,
            "scenes": [{ "nodes": self.roots }],
        });
        if !self.meshes.is_empty() {
            root["extensionsUsed"] = json!(["KHR_materials_unlit"]);
            root["materials"] = json!([{
                "name": "points",
                "extensions": { "KHR_materials_unlit": {} },
                "extras": { "pointSize": 2 },
            }]);
        }
        let lists = [
            ("nodes", &self.nodes),
            ("meshes", &self.meshes),
            ("cameras", &self.cameras),
            ("animations", &self.animations),
            ("accessors", &self.layout.accessors),
            ("bufferViews", &self.layout.views),
        ];
        // glTF forbids empty lists.
        for (name, list) in lists {
            if !list.is_empty() {
                root[name] = Value::Array(list.clone());
            }
        }
        if self.layout.bytes > 0 {
            root["buffers"] = json!([{ "byteLength": self.layout.bytes }]);
        }
        root
    }

    /// Writes the GLB; `fill` writes the buffer's bytes in the order of the layout.
    ///
    /// # Errors
    /// [`Error::Limit`] if the file would exceed the 4 GiB of the format's length fields.
    pub(super) fn write(
        &self,
        request: &ExportRequest,
        path: &Path,
        fill: impl FnOnce(&mut AtomicFile) -> Result<()>,
    ) -> Result<()> {
        let mut text = self.to_json(request).to_string().into_bytes();
        text.resize(text.len().next_multiple_of(4), b' ');
        let has_buffer = self.layout.bytes > 0;
        let chunks = 8 + text.len() as u64 + if has_buffer { 8 + self.layout.bytes } else { 0 };
        let total = 12 + chunks;
        let too_large = |_| Error::Limit {
            what: format!(
                "one GLB file ({}); raise the stride, take fewer frames or one GLB a frame",
                path.display()
            ),
            required: human_bytes(total),
            available: "4 GiB".to_owned(),
        };
        let total = u32::try_from(total).map_err(too_large)?;
        let mut file = AtomicFile::create(path, u64::from(total))?;
        file.write_all(b"glTF")?;
        file.write_all(&2_u32.to_le_bytes())?;
        file.write_all(&total.to_le_bytes())?;
        // Both lengths are smaller than the total, which fits.
        file.write_all(&(text.len() as u32).to_le_bytes())?;
        file.write_all(b"JSON")?;
        file.write_all(&text)?;
        if has_buffer {
            file.write_all(&(self.layout.bytes as u32).to_le_bytes())?;
            file.write_all(b"BIN\0")?;
            fill(&mut file)?;
        }
        file.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{Points, Scene4d, SceneMeta};

    #[test]
    fn more_than_four_gigabytes_are_refused_before_writing() {
        let folder = tempfile::tempdir().unwrap();
        let request = ExportRequest {
            brought: Vec::new(),
            scene: std::sync::Arc::new(Scene4d {
                num_frames: 1,
                height: 1,
                width: 1,
                rgb: vec![0; 3].into(),
                points: Points::F32(vec![0.0; 3].into()),
                valid: vec![31].into(),
                confidence: None,
                depth: None,
                cameras: None,
                scene_flow: None,
                dynamic: None,
                meta: SceneMeta::default(),
            }),
            formats: Vec::new(),
            out: folder.path().to_owned(),
            first: 0,
            end: 1,
            stride: 1,
            required_validity: 0,
            min_confidence: 0.0,
        };
        let mut document = Document::default();
        document.point_mesh(200_000_000, &Bounds::EMPTY, "points");
        let path = folder.path().join("a.glb");
        let error = document.write(&request, &path, |_| Ok(()));
        let message = error.map_err(|e| e.to_string()).unwrap_err();
        assert!(
            message.contains("4.5 GiB") && message.contains("stride"),
            "{message}"
        );
        assert!(!path.exists());
    }
}
