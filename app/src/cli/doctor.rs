//! `one4d doctor`: what will run on this machine, and how fast.

use std::fmt::Write as _;

use one4d_engine::device::{self, DeviceChoice};
use one4d_engine::hub::{self, State};
use one4d_engine::pipeline;
use one4d_engine::worker::Output;
use one4d_engine::{Error, Result};
use serde_json::{Value, json};

use crate::services::Store;
use crate::services::model_folders;
use crate::widgets::bytes;

/// Say what will run on this machine, and how fast.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Looks at the machine.
    ///
    /// # Errors
    /// [`one4d_engine::Error::Tensor`] if the speed cannot be measured.
    pub fn run() -> Result<Output> {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let memory = device::system_memory_bytes();
        let gflops = device::matrix_gflops()?;
        let cuda = match DeviceChoice::Cuda.open() {
            Ok(device) => device::device_name(&device),
            Err(Error::Invalid { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        let adapters = graphics_adapters();
        let model = pipeline::bundled_model();
        let ffmpeg = on_path("ffmpeg");
        let mut text = String::new();
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let mut line = |name: &str, value: String| {
            let _ = writeln!(text, "{name:<12} {value}");
        };
        line(
            "processor",
            format!("{cpus} cores, {gflops:.0} GFLOP/s in f32 matrix products"),
        );
        if let Some((total, available)) = memory {
            line(
                "memory",
                format!("{:.1} GiB, {:.1} GiB free", gib(total), gib(available)),
            );
        }
        line("cuda", cuda.clone());
        match adapters.as_slice() {
            [] => line(
                "graphics",
                "no Vulkan, Metal or DX12 adapter: the window cannot draw; \
                 on Debian install mesa-vulkan-drivers"
                    .to_owned(),
            ),
            some => some
                .iter()
                .for_each(|adapter| line("graphics", adapter.clone())),
        }
        line(
            "video",
            if ffmpeg {
                "MP4 with H.264; everything else through the ffmpeg on the path".to_owned()
            } else {
                "MP4 with H.264; install ffmpeg for other codecs".to_owned()
            },
        );
        match &model {
            Ok(folder) => {
                let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                line("model", format!("{}: runs here", folder.display()));
            }
            Err(error) => line("model", error.to_string()),
        }
        let (models_line, models) = public_models();
        line("public", models_line);
        let report = json!({
            "cpus": cpus,
            "gflops_f32": gflops,
            "memory_bytes": memory.map(|(total, _)| total),
            "memory_available_bytes": memory.map(|(_, available)| available),
            "cuda": cuda,
            "graphics": adapters,
            "ffmpeg": ffmpeg,
            "model": model.ok(),
            "public_models": models,
            "text": text,
        });
        Ok(Output {
            files: Vec::new(),
            report,
        })
    }
}

/// What of the public models lies here, for people and for machines.
fn public_models() -> (String, Value) {
    let settings = match model_folders::settings(&Store::for_user()) {
        Ok(settings) => settings,
        Err(error) => return (error.to_string(), Value::Null),
    };
    let found: Vec<_> = hub::CATALOGUE
        .iter()
        .map(|entry| (entry.name, hub::look(&settings, entry)))
        .filter(|(_, found)| found.state != State::Absent)
        .collect();
    let words: Vec<String> = found
        .iter()
        .map(|(name, found)| match found.state {
            State::Partial => format!("{name} (in part)"),
            _ => format!("{name} ({})", bytes(found.bytes)),
        })
        .collect();
    let cache = settings.cache.display();
    let text = if words.is_empty() {
        format!("none in {cache}; `one4d models list` shows what there is")
    } else {
        format!("{} in {cache}", words.join(", "))
    };
    let report: Vec<Value> = found
        .iter()
        .map(|(name, found)| json!({ "name": name, "found": found }))
        .collect();
    (text, json!({ "cache": settings.cache, "present": report }))
}

/// Adapters that the window could draw with.
fn graphics_adapters() -> Vec<String> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
        .iter()
        .map(|adapter| {
            let info = adapter.get_info();
            format!("{} ({:?}, {:?})", info.name, info.backend, info.device_type)
        })
        .collect()
}

fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}
