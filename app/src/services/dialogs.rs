//! The system's file dialogs, awaited on a thread of their own so that the window goes on.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use rfd::{AsyncFileDialog, FileHandle};

use super::kinds::{IMAGE_ENDINGS, SCENE_ENDINGS, VIDEO_ENDINGS};
use crate::state::command::Pick;

/// What came of a dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picked {
    /// What was asked for.
    pub pick: Pick,
    /// What was chosen; empty if the person changed their mind.
    pub paths: Vec<PathBuf>,
    /// The dialog was over before anyone could have seen it.
    pub unseen: bool,
}

/// Nobody closes a dialog faster than this.
const SEEN_AFTER: Duration = Duration::from_millis(150);

/// Opens dialogs and takes their answers.
pub struct Dialogs {
    answers: Receiver<Picked>,
    answer_queue: Sender<Picked>,
}

impl Default for Dialogs {
    fn default() -> Self {
        let (answer_queue, answers) = bounded(4);
        Self {
            answers,
            answer_queue,
        }
    }
}

impl Dialogs {
    /// Opens a dialog over `parent`; `wake` is called when it has been answered.
    ///
    /// # Errors
    /// What the system said, if it gives no thread.
    pub fn open(
        &self,
        pick: Pick,
        parent: &eframe::Frame,
        wake: impl Fn() + Send + 'static,
    ) -> std::io::Result<()> {
        // The dialog has to be made on the main thread (macOS); only waiting for it may not be.
        let answer = ask(pick, dialog(pick).set_parent(parent));
        let queue = self.answer_queue.clone();
        std::thread::Builder::new()
            .name("one4d-dialog".to_owned())
            .spawn(move || {
                let asked = Instant::now();
                let paths: Vec<_> = pollster::block_on(answer)
                    .iter()
                    .map(|file| file.path().to_owned())
                    .collect();
                let unseen = paths.is_empty() && asked.elapsed() < SEEN_AFTER;
                // Fails only when the window is gone.
                let _ = queue.send(Picked {
                    pick,
                    paths,
                    unseen,
                });
                wake();
            })?;
        Ok(())
    }

    /// Takes the answers that have come since the last call.
    pub fn drain(&self) -> Vec<Picked> {
        self.answers.try_iter().collect()
    }
}

fn dialog(pick: Pick) -> AsyncFileDialog {
    let dialog = AsyncFileDialog::new();
    match pick {
        Pick::Anything => dialog
            .set_title("Open")
            .add_filter("Images, videos and scenes", &anything())
            .add_filter("All files", &["*"]),
        Pick::Folder => dialog.set_title("Open a folder of frames or a scene"),
        Pick::Image => dialog
            .set_title("Choose an image")
            .add_filter("Images", IMAGE_ENDINGS),
        Pick::Frames => dialog
            .set_title("Choose images")
            .add_filter("Images", IMAGE_ENDINGS),
        Pick::Video => dialog
            .set_title("Choose a video")
            .add_filter("Videos", VIDEO_ENDINGS),
        Pick::Model => dialog.set_title("Choose the folder of a model"),
        Pick::Loras => dialog
            .set_title("Choose LoRA files")
            .add_filter("LoRA files", &["safetensors"])
            .add_filter("All files", &["*"]),
        Pick::ModelFolder => dialog.set_title("Choose a folder to search for models"),
        Pick::Adapters(_) => dialog
            .set_title("Choose One4D adapters")
            .add_filter("Adapters", &["safetensors"]),
        Pick::ExportFolder => dialog.set_title("Choose a folder to export to"),
        Pick::Compare => dialog
            .set_title("Choose a scene to compare with")
            .add_filter("Scenes", SCENE_ENDINGS),
        Pick::Series(_) => dialog
            .set_title("Export the measure over time")
            .set_file_name("measure.csv")
            .add_filter("Tables", &["csv"]),
        Pick::Screenshot => dialog
            .set_title("Save the picture")
            .set_file_name("view.png")
            .add_filter("Pictures", &["png"]),
    }
}

fn anything() -> Vec<&'static str> {
    [IMAGE_ENDINGS, VIDEO_ENDINGS, SCENE_ENDINGS].concat()
}

/// Starts the dialog; the future only waits for the answer.
fn ask(
    pick: Pick,
    dialog: AsyncFileDialog,
) -> std::pin::Pin<Box<dyn Future<Output = Vec<FileHandle>> + Send>> {
    match pick {
        Pick::Anything | Pick::Frames | Pick::Loras => {
            let answer = dialog.pick_files();
            Box::pin(async { answer.await.unwrap_or_default() })
        }
        Pick::Image | Pick::Video | Pick::Compare | Pick::Adapters(_) => {
            let answer = dialog.pick_file();
            Box::pin(async { answer.await.into_iter().collect() })
        }
        Pick::Series(_) | Pick::Screenshot => {
            let answer = dialog.save_file();
            Box::pin(async { answer.await.into_iter().collect() })
        }
        Pick::Folder | Pick::Model | Pick::ModelFolder | Pick::ExportFolder => {
            let answer = dialog.pick_folder();
            Box::pin(async { answer.await.into_iter().collect() })
        }
    }
}
