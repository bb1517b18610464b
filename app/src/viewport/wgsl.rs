//! Shader sources with `#import` lines resolved; debug builds read them from disk, so that a
//! shader can be edited without a build.

use std::borrow::Cow;
use std::collections::BTreeSet;

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../shaders/", $name)))),*]
    };
}

/// Every shader file by its path under `shaders/`, as it was at build time.
const EMBEDDED: &[(&str, &str)] = sources![
    "include/eye.wgsl",
    "include/frame.wgsl",
    "include/keep.wgsl",
    "include/large.wgsl",
    "include/look.wgsl",
    "include/splat.wgsl",
    "include/triangles.wgsl",
    "composite.wgsl",
    "image_plane.wgsl",
    "lines.wgsl",
    "merge.wgsl",
    "points_u32.wgsl",
    "points_u64.wgsl",
    "resolve.wgsl",
    "smooth.wgsl",
    "surface.wgsl",
    "surface_u32.wgsl",
    "surface_u64.wgsl",
];

/// Why a shader could not be put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    /// The file that is missing.
    pub missing: String,
    /// The file that asked for it.
    pub required_by: String,
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "shader `{}`, imported by `{}`, does not exist",
            self.missing, self.required_by
        )
    }
}

impl std::error::Error for ImportError {}

/// Paths of the shaders that are passes of their own, without the includes.
pub fn pass_files() -> impl Iterator<Item = &'static str> {
    EMBEDDED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.starts_with("include/"))
}

/// The source of a pass with its imports in place, each file once.
///
/// # Errors
/// [`ImportError`] naming the file that does not exist.
pub fn source(name: &str) -> Result<String, ImportError> {
    resolve(name, &read)
}

fn read(name: &str) -> Option<Cow<'static, str>> {
    #[cfg(debug_assertions)]
    {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shaders")
            .join(name);
        if let Ok(text) = std::fs::read_to_string(path) {
            return Some(Cow::Owned(text));
        }
    }
    EMBEDDED
        .iter()
        .find(|(file, _)| *file == name)
        .map(|(_, text)| Cow::Borrowed(*text))
}

/// A shader from elsewhere (a benchmark, a test) with its imports in place.
///
/// # Errors
/// As [`source`].
pub fn with_imports(text: &str) -> Result<String, ImportError> {
    let mut out = String::new();
    expand(
        text,
        "the given text",
        &read,
        (&mut BTreeSet::new(), &mut out),
    )?;
    Ok(out)
}

type Reader<'a> = &'a dyn Fn(&str) -> Option<Cow<'static, str>>;

fn resolve(name: &str, read: Reader<'_>) -> Result<String, ImportError> {
    let mut out = String::new();
    append((name, name), read, (&mut BTreeSet::new(), &mut out))?;
    Ok(out)
}

/// Appends a file, unless it is there already.
fn append(
    (name, required_by): (&str, &str),
    read: Reader<'_>,
    (seen, out): (&mut BTreeSet<String>, &mut String),
) -> Result<(), ImportError> {
    if !seen.insert(name.to_owned()) {
        return Ok(());
    }
    let text = read(name).ok_or_else(|| ImportError {
        missing: name.to_owned(),
        required_by: required_by.to_owned(),
    })?;
    expand(&text, name, read, (seen, out))
}

fn expand(
    text: &str,
    name: &str,
    read: Reader<'_>,
    (seen, out): (&mut BTreeSet<String>, &mut String),
) -> Result<(), ImportError> {
    for line in text.lines() {
        if let Some(import) = line.strip_prefix("#import ") {
            append((import.trim(), name), read, (&mut *seen, &mut *out))?;
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    Ok(())
}

/// Compiles a pass's shader.
pub(crate) fn module(device: &wgpu::Device, name: &str) -> wgpu::ShaderModule {
    let source = source(name).expect("every pass names a file that the build embeds");
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(name),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(name: &str) -> Option<Cow<'static, str>> {
        match name {
            "a" => Some("#import b\n#import c\nbody a".into()),
            "b" => Some("#import c\nbody b".into()),
            "c" => Some("body c".into()),
            "broken" => Some("#import nowhere".into()),
            _ => None,
        }
    }

    #[test]
    fn imports_come_first_and_once() {
        assert_eq!(resolve("a", &files).unwrap(), "body c\nbody b\nbody a\n");
    }

    #[test]
    fn a_missing_import_is_named_with_its_importer() {
        let error = resolve("broken", &files).unwrap_err();
        assert_eq!(
            (error.missing.as_str(), error.required_by.as_str()),
            ("nowhere", "broken")
        );
    }

    #[test]
    fn every_embedded_pass_resolves() {
        for name in pass_files() {
            let text = source(name).unwrap();
            assert!(!text.contains("#import"), "{name}");
        }
    }
}
