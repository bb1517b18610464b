//! Every shader through naga, and Rust's layouts against WGSL's; needs no GPU.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use one4d_studio::viewport::gpu_data::{self, SEGMENT_ATTRIBUTES, Segment};
use one4d_studio::viewport::wgsl;

/// What a device may lack; only the 64-bit path may use it.
const INT64: Capabilities =
    Capabilities::SHADER_INT64.union(Capabilities::SHADER_INT64_ATOMIC_MIN_MAX);

fn parse(name: &str) -> Result<naga::Module, String> {
    let source = wgsl::source(name).map_err(|e| e.to_string())?;
    naga::front::wgsl::parse_str(&source).map_err(|e| e.emit_to_string(&source))
}

fn validate(name: &str, capabilities: Capabilities) -> Result<(), String> {
    let module = parse(name)?;
    Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .map(|_| ())
        .map_err(|e| format!("{name}: {e:?}"))
}

#[test]
fn every_shader_validates_with_the_capabilities_it_may_use() {
    let failures: Vec<String> = wgsl::pass_files()
        .filter_map(|name| {
            let capabilities = if name.ends_with("_u64.wgsl") {
                INT64
            } else {
                Capabilities::empty()
            };
            validate(name, capabilities).err()
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_64_bit_path_needs_its_capabilities() {
    assert!(validate("points_u64.wgsl", Capabilities::empty()).is_err());
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders");
    let mut on_disk: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    on_disk.sort();
    let embedded: Vec<&str> = wgsl::pass_files().collect();
    assert_eq!(on_disk, embedded);
}

#[test]
fn uniforms_lie_in_rust_as_in_wgsl() {
    for layout in gpu_data::uniform_layouts() {
        let module = parse(layout.file).unwrap();
        let (_, ty) = module
            .types
            .iter()
            .find(|(_, ty)| ty.name.as_deref() == Some(layout.name))
            .unwrap_or_else(|| panic!("{} has no {}", layout.file, layout.name));
        let naga::TypeInner::Struct { members, span } = &ty.inner else {
            panic!("{} is no struct", layout.name);
        };
        let in_wgsl: Vec<(&str, usize)> = members
            .iter()
            .map(|m| (m.name.as_deref().unwrap(), m.offset as usize))
            .collect();
        assert_eq!(layout.fields, in_wgsl, "{}", layout.name);
        assert_eq!(layout.size, *span as usize, "{}", layout.name);
    }
}

#[test]
fn segments_lie_in_their_buffer_as_the_line_shader_reads_them() {
    let module = parse("lines.wgsl").unwrap();
    let (_, ty) = module
        .types
        .iter()
        .find(|(_, ty)| ty.name.as_deref() == Some("Segment"))
        .unwrap();
    let naga::TypeInner::Struct { members, .. } = &ty.inner else {
        panic!("Segment is no struct");
    };
    let offsets = [
        ("start", std::mem::offset_of!(Segment, start)),
        ("width_px", std::mem::offset_of!(Segment, width_px)),
        ("end", std::mem::offset_of!(Segment, end)),
        ("fades", std::mem::offset_of!(Segment, fades)),
        ("start_colour", std::mem::offset_of!(Segment, start_colour)),
        ("end_colour", std::mem::offset_of!(Segment, end_colour)),
    ];
    assert_eq!(members.len(), offsets.len());
    for ((member, (name, offset)), attribute) in members.iter().zip(offsets).zip(SEGMENT_ATTRIBUTES)
    {
        assert_eq!(member.name.as_deref(), Some(name));
        let Some(naga::Binding::Location { location, .. }) = &member.binding else {
            panic!("{name} has no location");
        };
        assert_eq!(*location, attribute.shader_location);
        assert_eq!(offset as u64, attribute.offset);
    }
}
