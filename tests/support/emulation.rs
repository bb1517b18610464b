//! CUDA kernels on a processor: compiled by g++ against `kernels/emulation` and run thread by thread.
//!
//! See `kernels/emulation/run.cpp` for what it checks of its own accord: races, missing waits, threads
//! that never meet, and reads beyond the end of a tensor.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use one4d_engine::kernels::launch::{Argument, Element, Launch};

/// A kernel source, compiled.
pub struct Emulator {
    program: PathBuf,
    _folder: tempfile::TempDir,
}

/// The folder of the kernels.
pub fn kernels_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernels")
}

impl Emulator {
    /// Compiles `kernels/{stem}.cu`; `None`, and a line that says so, where there is no g++.
    ///
    /// # Panics
    /// If the source does not compile.
    pub fn compile(stem: &str) -> Option<Self> {
        let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
        if Command::new(&compiler).arg("--version").output().is_err() {
            eprintln!("skipped: there is no {compiler} to run CUDA kernels on the processor");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("kernel");
        let source = kernels_dir().join(stem).with_extension("cu");
        // `longjmp` between fibres is what fortified builds refuse.
        let output = Command::new(&compiler)
            .args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"])
            .args(["-Wno-unknown-pragmas", "-U_FORTIFY_SOURCE"])
            .arg(format!("-DKERNEL_SOURCE=\"{}\"", source.display()))
            .arg("-I")
            .arg(kernels_dir())
            .arg("-o")
            .arg(&program)
            .arg(kernels_dir().join("emulation/run.cpp"))
            .output()
            .expect("the compiler runs");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stem}.cu: {messages}");
        Some(Self {
            program,
            _folder: folder,
        })
    }

    /// Runs a launch; `slots` are its buffers, the result among them. Returns the last, or what the
    /// emulation found wrong.
    pub fn run(&self, launch: &Launch, slots: &[Option<Vec<u8>>]) -> Result<Vec<u8>, String> {
        let [x, y, z] = launch.grid;
        let mut request = format!(
            "kernel {}\ngrid {x} {y} {z}\nblock {}\nshared {}\n",
            launch.kernel, launch.threads, launch.shared_bytes
        );
        let buffers: Vec<&Vec<u8>> = slots.iter().flatten().collect();
        for buffer in &buffers {
            request += &format!("buffer {}\n", buffer.len());
        }
        for argument in &launch.arguments {
            request += &match argument {
                Argument::Buffer(slot) if slots[*slot].is_some() => {
                    let index = slots[..*slot].iter().flatten().count();
                    format!("argument buffer {index}\n")
                }
                Argument::Buffer(_) => "argument none\n".to_owned(),
                Argument::Integer(value) => format!("argument integer {value}\n"),
                Argument::Number(value) => format!("argument number {}\n", value.to_bits()),
            };
        }
        request += "run\n";
        let mut child = Command::new(&self.program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the compiled kernel starts");
        let mut input = child.stdin.take().expect("piped");
        // A kernel that is refused early reads no further, which its exit code tells.
        let sent = input.write_all(request.as_bytes()).and_then(|()| {
            buffers
                .iter()
                .try_for_each(|buffer| input.write_all(buffer))
        });
        drop(input);
        let output = child.wait_with_output().expect("the kernel ends");
        if !output.status.success() {
            let messages = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {}", output.status, messages.trim()));
        }
        sent.expect("everything was read");
        let result = buffers.last().map_or(0, |buffer| buffer.len());
        Ok(output.stdout[output.stdout.len() - result..].to_vec())
    }

    /// Runs a launch on tensors in main memory, whose types are those of the slots, and returns the
    /// result in f32. What the kernel leaves unwritten is not a number.
    ///
    /// # Panics
    /// If the emulation finds anything wrong.
    pub fn tensor(
        &self,
        launch: &Launch,
        inputs: &[Option<&Tensor>],
        element: Element,
        dims: &[usize],
    ) -> Tensor {
        let mut slots: Vec<_> = inputs.iter().map(|t| t.map(bytes)).collect();
        let count: usize = dims.iter().product();
        slots.push(Some(vec![0xff; count * element.dtype().size_in_bytes()]));
        let out = self
            .run(launch, &slots)
            .unwrap_or_else(|problem| panic!("{}: {problem}", launch.kernel));
        Tensor::from_vec(wide(&out, element), dims, &Device::Cpu).expect("as many values")
    }
}

/// The values of a tensor as they lie in memory.
fn bytes(x: &Tensor) -> Vec<u8> {
    let x = x.flatten_all().expect("a tensor");
    match x.dtype() {
        DType::F32 => bytemuck::cast_slice(&x.to_vec1::<f32>().expect("f32")).to_vec(),
        DType::BF16 => bytemuck::cast_slice(&x.to_vec1::<bf16>().expect("bf16")).to_vec(),
        DType::F16 => bytemuck::cast_slice(&x.to_vec1::<f16>().expect("f16")).to_vec(),
        other => panic!("no kernel reads {other:?}"),
    }
}

fn wide(bytes: &[u8], element: Element) -> Vec<f32> {
    let halves = bytes
        .as_chunks::<2>()
        .0
        .iter()
        .map(|b| u16::from_le_bytes(*b));
    match element {
        Element::F32 => {
            let words = bytes.as_chunks::<4>().0;
            words.iter().map(|b| f32::from_le_bytes(*b)).collect()
        }
        Element::Bf16 => halves.map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        Element::F16 => halves.map(|bits| f16::from_bits(bits).to_f32()).collect(),
    }
}
