//! The window around the studio: how it is opened, and that it is opened anew on a new graphics
//! device when the old one goes.
//!
//! The toolkit cannot exchange the device of a window, and its painter panics where it cannot write
//! to one. So a studio that hears of a loss shows nothing more and closes its window; as it lives
//! outside of the window, the next one goes on with the same state, jobs and files. Should the
//! painter be faster, the session is saved and the program started anew.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use egui::{Context, Ui};

use crate::studio::{Studio, StudioOptions};
use crate::viewport;

/// A device that goes more often than this is not asked again.
const MOST_LOSSES: usize = 3;
/// Within this time.
const LOSS_PERIOD: Duration = Duration::from_mins(2);

/// The studio, which outlives its windows.
type Shared = Rc<RefCell<Option<Studio>>>;

/// What a window shows: the studio, for as long as the window is there.
struct Window(Shared);

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, frame: &mut eframe::Frame) {
        if let Some(studio) = self.0.borrow_mut().as_mut() {
            studio.logic(ctx, frame);
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        if let Some(studio) = self.0.borrow_mut().as_mut() {
            studio.ui(ui, frame);
        }
    }

    fn on_exit(&mut self) {
        if let Some(studio) = self.0.borrow_mut().as_mut() {
            studio.on_exit();
        }
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// If the system gives no window or no graphics adapter, or the graphics device is lost again and
/// again, in words that say what to do.
pub fn run_studio(paths: Vec<PathBuf>, options: StudioOptions) -> anyhow::Result<()> {
    let studio = Shared::default();
    let mut given = Some((paths, options));
    let mut losses = Vec::new();
    loop {
        let shown = catch_unwind(AssertUnwindSafe(|| show(&studio, given.take())));
        let is_lost = studio
            .borrow()
            .as_ref()
            .is_some_and(Studio::has_lost_device);
        match shown {
            Ok(Err(error)) => return Err(explained(&error)),
            Ok(Ok(())) if !is_lost => return Ok(()),
            Ok(Ok(())) => {}
            Err(panic) if is_lost => return start_anew(&studio, panic),
            Err(panic) => resume_unwind(panic),
        }
        losses.retain(|at: &Instant| at.elapsed() < LOSS_PERIOD);
        losses.push(Instant::now());
        if losses.len() > MOST_LOSSES {
            anyhow::bail!(
                "the graphics device was lost {} times in a short while. Your session is saved. \
                 Update the graphics driver, or close other programs that use the graphics card, \
                 and start One4D Studio again.",
                losses.len()
            );
        }
    }
}

/// Shows one window until it is closed.
fn show(studio: &Shared, given: Option<(Vec<PathBuf>, StudioOptions)>) -> eframe::Result {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("One4D Studio")
            .with_app_id("one4d")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([880.0, 560.0])
            .with_drag_and_drop(true),
        renderer: eframe::Renderer::Wgpu,
        wgpu_options: egui_wgpu::WgpuConfiguration {
            surface: egui_wgpu::SurfaceConfig::HIGH_THROUGHPUT,
            wgpu_setup: viewport::wanted_wgpu_setup(),
            ..egui_wgpu::WgpuConfiguration::default()
        },
        dithering: true,
        ..eframe::NativeOptions::default()
    };
    let shared = Rc::clone(studio);
    eframe::run_native(
        "One4D Studio",
        native,
        Box::new(move |cc| {
            if let Some(studio) = shared.borrow_mut().as_mut() {
                studio.attach(cc);
            }
            if let Some((paths, options)) = given {
                *shared.borrow_mut() = Some(Studio::new(cc, paths, options)?);
            }
            Ok(Box::new(Window(shared)))
        }),
    )
}

/// After a panic the event loop cannot be used again, so another process goes on with the session.
fn start_anew(studio: &Shared, panic: Box<dyn Any + Send>) -> anyhow::Result<()> {
    let Some(mut studio) = studio.borrow_mut().take() else {
        resume_unwind(panic);
    };
    eframe::App::on_exit(&mut studio);
    std::process::Command::new(std::env::current_exe()?).spawn()?;
    Ok(())
}

fn explained(error: &eframe::Error) -> anyhow::Error {
    let said = without_source_path(&error.to_string());
    anyhow::anyhow!(
        "the window could not open: {said}. One4D Studio needs a display and a Vulkan, Metal or \
         DirectX 12 driver; Mesa's software driver (mesa-vulkan-drivers) is enough. \
         `one4d generate` works without a window."
    )
}

/// What the window system said, without the line of a library's source that said it.
fn without_source_path(said: &str) -> String {
    let place = said.find(".rs:").map(|at| &said[at + 4..]);
    let words = place.and_then(|rest| rest.split_once(": "));
    let words = words.map_or(said, |(_, words)| words);
    words.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_no_place_in_a_library() {
        let said = "winit EventLoopError: os error at /x/mod.rs:765: no display is set..";
        assert_eq!(without_source_path(said), "no display is set");
        assert_eq!(without_source_path("no adapter"), "no adapter");
    }
}
