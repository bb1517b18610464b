//! Everything else: `ffmpeg`, where it is found on the path, as a subprocess.
//!
//! Arguments go as a list and never through a shell, the input is a file and nothing else, and a
//! process that takes too long or whose job was cancelled is ended.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::source::{Deadline, FrameSink, FrameSource, Refusal};
use super::{Frame, MediaInfo, MediaKind, PIXEL_ASPECT_TOLERANCE, check_size};
use crate::job::JobCtx;
use crate::{Error, Result};

/// How often a running process is looked after.
const WATCH_EVERY: Duration = Duration::from_millis(10);

/// Most frames that a listing may have.
const MAX_FRAMES: usize = 4_000_000;

/// A video that ffmpeg reads.
pub(super) struct FfmpegVideo {
    path: PathBuf,
    times: Vec<f64>,
    size: (usize, usize),
}

/// Lists the frames of a file with ffmpeg; `why` says what the built-in readers made of it.
///
/// # Errors
/// [`Error::Format`] with `why` and what to do if ffmpeg is missing or refuses the file too.
pub(super) fn open(path: &Path, why: &str, ctx: &JobCtx) -> Result<FfmpegVideo> {
    if !is_installed() {
        return Err(Error::format(
            path,
            format!("{why}; install ffmpeg, or convert the video to MP4 with H.264"),
        ));
    }
    // Packets copied as checksums: the times of all frames without decoding one.
    let copy = ["-c", "copy", "-f", "framecrc", "pipe:1"];
    let mut listing = Listing::default();
    run(path, &copy, ctx, |output| listing.read(path, output)).map_err(|error| match error {
        Error::Format { reason, .. } => Error::format(path, format!("{why}; {reason}")),
        other => other,
    })?;
    if listing.times.is_empty() {
        return Err(Error::format(
            path,
            format!("{why}; ffmpeg finds 0 frames in it"),
        ));
    }
    let (width, height) = listing.size;
    check_size(path, width as u32, height as u32)?;
    Ok(FfmpegVideo {
        path: path.to_owned(),
        times: listing.into_times(),
        size: (width, height),
    })
}

impl FrameSource for FfmpegVideo {
    fn times_secs(&self) -> &[f64] {
        &self.times
    }

    fn info(&self) -> MediaInfo {
        let duration = self.times.last().copied().unwrap_or(0.0);
        MediaInfo {
            kind: MediaKind::Video,
            width: self.size.0,
            height: self.size.1,
            num_frames: self.times.len(),
            fps: (duration > 0.0).then(|| (self.times.len() - 1) as f64 / duration),
            codec: "read by ffmpeg".to_owned(),
        }
    }

    fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        ctx: &JobCtx,
        sink: FrameSink<'_>,
    ) -> std::result::Result<(), Refusal> {
        let terms: Vec<String> = wanted.iter().map(|idx| format!("eq(n\\,{idx})")).collect();
        // Oblong pixels are made square; frames come as PPM, which carries its own size.
        let width = format!("if(gt(abs(sar-1)\\,{PIXEL_ASPECT_TOLERANCE})\\,round(iw*sar)\\,iw)");
        let filter = format!(
            "select={},scale={width}:ih:flags=bicubic+accurate_rnd+full_chroma_int",
            terms.join("+")
        );
        let count = wanted.len().to_string();
        let arguments = [
            "-vf",
            &filter,
            "-fps_mode",
            "passthrough",
            "-frames:v",
            &count,
            "-pix_fmt",
            "rgb24",
            "-c:v",
            "ppm",
            "-f",
            "image2pipe",
            "pipe:1",
        ];
        let path = self.path.clone();
        let mut order = wanted.iter();
        run(&path, &arguments, ctx, |output| {
            while let Some(frame) = read_ppm(&path, output)? {
                let Some(&frame_idx) = order.next() else {
                    break;
                };
                sink(frame_idx, frame)?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

fn is_installed() -> bool {
    Command::new("ffmpeg")
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs ffmpeg over the first video stream of a file and hands its output to `read`.
fn run(
    path: &Path,
    arguments: &[&str],
    ctx: &JobCtx,
    read: impl FnOnce(&mut BufReader<std::process::ChildStdout>) -> Result<()>,
) -> Result<()> {
    let io = |e| Error::io(path, e);
    // The prefix keeps a name with a colon from being taken for a protocol.
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    let mut complaints = tempfile::tempfile().map_err(io)?;
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "error", "-xerror"])
        .args(["-protocol_whitelist", "file,pipe", "-i"])
        .arg(&input)
        .args(["-map", "0:v:0", "-an", "-sn", "-dn"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(complaints.try_clone().map_err(io)?))
        .spawn()
        .map_err(io)?;
    let stdout = child.stdout.take();
    let child = Arc::new(Mutex::new(child));
    let deadline = Deadline::start();
    let watch = Watch::start(&child, ctx).map_err(io)?;
    let outcome = match stdout {
        Some(stdout) => read(&mut BufReader::new(stdout)),
        None => Ok(()),
    };
    if outcome.is_err() {
        // Whatever is left unread must not keep the process alive.
        let _ = locked(&child).kill();
    }
    let status = loop {
        if let Some(status) = locked(&child).try_wait().map_err(io)? {
            break status;
        }
        std::thread::sleep(WATCH_EVERY);
    };
    drop(watch);
    deadline.check(path, ctx)?;
    outcome?;
    if status.success() {
        return Ok(());
    }
    Err(Error::format(
        path,
        format!("ffmpeg says: {}", last_line(&mut complaints)),
    ))
}

fn locked(child: &Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

fn last_line(complaints: &mut File) -> String {
    let mut text = Vec::new();
    let read = complaints
        .seek(SeekFrom::Start(0))
        .and_then(|_| complaints.take(1 << 16).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match read {
        Ok(_) => text.lines().last().unwrap_or("nothing").to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Ends a process when its job is cancelled or its time is up.
struct Watch {
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn start(child: &Arc<Mutex<Child>>, ctx: &JobCtx) -> std::io::Result<Self> {
        let done = Arc::new(AtomicBool::new(false));
        let (child, ctx, over) = (Arc::clone(child), ctx.clone(), Arc::clone(&done));
        let deadline = Deadline::start();
        let watch = move || {
            while !over.load(Ordering::SeqCst) {
                if ctx.check().is_err() || deadline.is_past() {
                    let _ = locked(&child).kill();
                    return;
                }
                std::thread::sleep(WATCH_EVERY);
            }
        };
        let thread = std::thread::Builder::new()
            .name("ffmpeg-watch".to_owned())
            .spawn(watch)?;
        Ok(Self {
            done,
            thread: Some(thread),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A `framecrc` listing: `#tb 0: 1/15360`, `#dimensions 0: 854x480`, then
/// `0, dts, pts, duration, size, checksum` a packet.
#[derive(Default)]
struct Listing {
    times: Vec<i64>,
    tick_secs: f64,
    size: (usize, usize),
}

impl Listing {
    fn read(&mut self, path: &Path, output: &mut impl std::io::BufRead) -> Result<()> {
        for line in output.lines() {
            let line = line.map_err(|e| Error::io(path, e))?;
            if let Some(tick) = line.strip_prefix("#tb 0: ") {
                let (numerator, denominator) = pair(tick, '/').unwrap_or((1, 1));
                self.tick_secs = numerator as f64 / denominator.max(1) as f64;
            } else if let Some(size) = line.strip_prefix("#dimensions 0: ") {
                self.size = pair(size, 'x').unwrap_or_default();
            } else if !line.starts_with('#') {
                let fields: Vec<&str> = line.split(',').map(str::trim).collect();
                if !fields.iter().any(|field| is_discarded(field)) {
                    let pts = fields.get(2).and_then(|pts| pts.parse().ok());
                    self.times.push(pts.unwrap_or(self.times.len() as i64));
                }
            }
            if self.times.len() > MAX_FRAMES {
                return Err(Error::format(
                    path,
                    format!("holds more than {MAX_FRAMES} frames"),
                ));
            }
        }
        Ok(())
    }

    fn into_times(mut self) -> Vec<f64> {
        self.times.sort_unstable();
        let first = self.times.first().copied().unwrap_or(0);
        let seconds = |time: &i64| (time - first) as f64 * self.tick_secs;
        self.times.iter().map(seconds).collect()
    }
}

/// Packets that an edit list hides carry flag 4: `F=0x5`.
fn is_discarded(field: &str) -> bool {
    let flags = field.strip_prefix("F=0x");
    flags.is_some_and(|flags| u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & 4 != 0))
}

fn pair(text: &str, separator: char) -> Option<(usize, usize)> {
    let (a, b) = text.trim().split_once(separator)?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

/// The next binary PPM of a stream; `None` at its end.
fn read_ppm(path: &Path, stream: &mut impl std::io::BufRead) -> Result<Option<Frame>> {
    let io = |e| Error::io(path, e);
    let damaged = || Error::format(path, "ffmpeg's output is no PPM");
    let mut fields = Vec::new();
    while fields.len() < 4 {
        let mut line = String::new();
        if stream.take(64).read_line(&mut line).map_err(io)? == 0 {
            return if fields.is_empty() {
                Ok(None)
            } else {
                Err(damaged())
            };
        }
        fields.extend(line.split_whitespace().map(str::to_owned));
    }
    let [magic, width, height, depth] = fields.as_slice() else {
        return Err(damaged());
    };
    let side = |text: &str| text.parse::<u32>().map_err(|_| damaged());
    let (width, height) = (side(width)?, side(height)?);
    if magic != "P6" || depth != "255" {
        return Err(damaged());
    }
    check_size(path, width, height)?;
    let (width, height) = (width as usize, height as usize);
    let mut rgb = vec![0; 3 * width * height];
    stream.read_exact(&mut rgb).map_err(io)?;
    Ok(Some(Frame { width, height, rgb }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_gives_times_in_display_order() -> Result<()> {
        let text = "#software: x\n#tb 0: 1/100\n#dimensions 0: 64x48\n\
                    0, -20, -20, 10, 1, 0x1, F=0x5\n\
                    0,  -10,  20, 10, 1, 0x1, F=0x0\n0, 0, 40, 10, 1, 0x1\n0, 10, 30, 10, 1, 0x1\n";
        let mut listing = Listing::default();
        listing.read(Path::new("x"), &mut text.as_bytes())?;
        assert_eq!(listing.size, (64, 48));
        assert_eq!(listing.into_times(), [0.0, 0.1, 0.2]);
        Ok(())
    }

    #[test]
    fn ppm_frames_follow_each_other() -> Result<()> {
        let mut bytes = b"P6\n16 16\n255\n".to_vec();
        bytes.extend([7; 768]);
        bytes.extend(bytes.clone());
        let mut stream = bytes.as_slice();
        for _ in 0..2 {
            let frame = read_ppm(Path::new("x"), &mut stream)?;
            assert!(frame.is_some_and(|f| f.width == 16 && f.rgb == [7; 768]));
        }
        assert!(read_ppm(Path::new("x"), &mut stream)?.is_none());
        assert!(read_ppm(Path::new("x"), &mut &b"P6\n16 16\n255\nxx"[..]).is_err());
        Ok(())
    }
}
