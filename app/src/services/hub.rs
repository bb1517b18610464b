//! The two threads of the model manager: one looks and asks, one downloads, compares and puts together,
//! so that the list goes on answering while a download runs. The engine has no part in it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use one4d_engine::hub::{self, CATALOGUE, FetchPlan, Found, HubSettings, Recipe, Verified, Wanted};
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress, Warning};

use super::model_folders::{self, ModelFolders};
use super::store::{self, Store};

/// Place of an entry in the catalogue.
pub type EntryIndex = usize;

/// What is asked of the model manager.
#[derive(Debug)]
pub enum HubTask {
    /// Looks for every entry of the catalogue.
    Look,
    /// Asks the hub what a download would be.
    Plan(EntryIndex),
    /// Downloads what a person has agreed to.
    Fetch(EntryIndex, Box<FetchPlan>),
    /// Compares checksums of what is there.
    Verify(EntryIndex),
    /// Makes a model folder, with adapters of one's own where the recipe asks for them.
    Assemble(EntryIndex, &'static Recipe, Option<PathBuf>),
    /// Takes away what has arrived of a download that was given up.
    Forget(Box<FetchPlan>),
    /// Searches a folder too, or no longer.
    Register(PathBuf, bool),
}

/// Why a task brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Somebody stopped it.
    Cancelled,
    /// It failed, in words for people.
    Failed(String),
}

/// What came of a task.
#[derive(Debug)]
pub enum HubResult {
    /// What lies here, in the order of the catalogue.
    Looked(Box<Looked>),
    /// What a download would be.
    Planned(EntryIndex, Result<Box<FetchPlan>, Stopped>),
    /// A download has come to its end.
    Fetched(EntryIndex, Result<(), Stopped>),
    /// Checksums were compared; damaged files are no longer in the cache.
    Verified(EntryIndex, Result<Verified, Stopped>),
    /// A model folder is ready.
    Assembled(EntryIndex, Result<PathBuf, Stopped>),
    /// Something worth knowing about a download that goes on.
    Note(EntryIndex, String),
    /// The settings of the environment cannot be used, or a file could not be written.
    Problem(String),
}

/// What lies here.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Looked {
    /// In the order of the catalogue.
    pub found: Vec<Found>,
    /// The shared cache.
    pub cache: PathBuf,
    /// Free bytes on its disk.
    pub free_bytes: Option<u64>,
    /// Folders that are searched besides.
    pub folders: Vec<PathBuf>,
    /// Nothing is asked of any server.
    pub offline: bool,
}

type Slot = Arc<Mutex<Option<(EntryIndex, Progress)>>>;

/// Hands tasks to the threads and takes their results.
pub struct ModelHub {
    quick: Sender<HubTask>,
    long: Sender<(HubTask, CancelToken)>,
    results: Receiver<HubResult>,
    progress: Slot,
    tokens: HashMap<EntryIndex, CancelToken>,
}

/// Where settings come from.
#[derive(Clone)]
struct Place {
    store: Store,
    given: Option<HubSettings>,
}

impl Place {
    fn settings(&self) -> one4d_engine::Result<HubSettings> {
        match &self.given {
            Some(given) => {
                let mut settings = given.clone();
                settings
                    .folders
                    .extend(ModelFolders::read(&self.store).folders);
                Ok(settings)
            }
            None => model_folders::settings(&self.store),
        }
    }
}

impl ModelHub {
    /// Starts the threads; `given` stands in for the environment, `wake` is called after every result.
    ///
    /// # Errors
    /// What the system said, if it gives no thread.
    pub fn start(
        store: Store,
        given: Option<HubSettings>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> std::io::Result<Self> {
        // Tasks come from a person's hands and are tiny; bounding them would block the window.
        let (quick, quick_queue) = unbounded();
        let (long, long_queue) = unbounded::<(HubTask, CancelToken)>();
        let (result_queue, results) = bounded(64);
        let progress = Slot::default();
        let place = Place { store, given };
        let worker = Worker {
            place: place.clone(),
            results: result_queue,
            progress: Arc::clone(&progress),
            wake,
        };
        let for_long = worker.clone();
        std::thread::Builder::new()
            .name("one4d-models".to_owned())
            .spawn(move || {
                for task in quick_queue {
                    worker.perform(task, &CancelToken::default());
                }
            })?;
        std::thread::Builder::new()
            .name("one4d-download".to_owned())
            .spawn(move || {
                for (task, cancel) in long_queue {
                    for_long.perform(task, &cancel);
                }
            })?;
        Ok(Self {
            quick,
            long,
            results,
            progress,
            tokens: HashMap::new(),
        })
    }

    /// Queues a task.
    pub fn ask(&mut self, task: HubTask) {
        // The threads end only when these senders are dropped, so the queues are open.
        let (HubTask::Fetch(entry, _) | HubTask::Verify(entry) | HubTask::Assemble(entry, _, _)) =
            &task
        else {
            let _ = self.quick.send(task);
            return;
        };
        let cancel = CancelToken::default();
        self.tokens.insert(*entry, cancel.clone());
        let _ = self.long.send((task, cancel));
    }

    /// Stops what is under way or waits for an entry.
    pub fn cancel(&self, entry: EntryIndex) {
        if let Some(token) = self.tokens.get(&entry) {
            token.cancel();
        }
    }

    /// Takes the results that have come since the last call.
    pub fn drain(&self) -> Vec<HubResult> {
        self.results.try_iter().collect()
    }

    /// Takes the newest progress, if there is news.
    pub fn progress(&self) -> Option<(EntryIndex, Progress)> {
        let mut slot = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take()
    }
}

#[derive(Clone)]
struct Worker {
    place: Place,
    results: Sender<HubResult>,
    progress: Slot,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// Reports of a long task.
struct Sink {
    entry: EntryIndex,
    worker: Worker,
}

impl JobSink for Sink {
    fn progress(&self, progress: Progress) {
        let mut slot = self
            .worker
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let was_empty = slot.replace((self.entry, progress)).is_none();
        drop(slot);
        if was_empty {
            (self.worker.wake)();
        }
    }

    fn warn(&self, warning: Warning) {
        self.worker
            .tell(HubResult::Note(self.entry, warning.message));
    }
}

fn stopped(error: &one4d_engine::Error) -> Stopped {
    if error.is_cancelled() {
        Stopped::Cancelled
    } else {
        Stopped::Failed(error.to_string())
    }
}

impl Worker {
    fn tell(&self, result: HubResult) {
        // Fails only when the window is gone.
        let _ = self.results.send(result);
        (self.wake)();
    }

    fn perform(&self, task: HubTask, cancel: &CancelToken) {
        let settings = match self.place.settings() {
            Ok(settings) => settings,
            Err(error) => return self.tell(HubResult::Problem(error.to_string())),
        };
        let ctx = |entry| {
            let worker = self.clone();
            JobCtx::new(cancel.clone(), Arc::new(Sink { entry, worker }))
        };
        match task {
            HubTask::Look => self.tell(look(&settings)),
            HubTask::Plan(entry) => {
                let wanted = Wanted::of(&CATALOGUE[entry]);
                let plan = hub::plan(&settings, &wanted, &JobCtx::silent());
                let plan = plan.map(Box::new).map_err(|e| stopped(&e));
                self.tell(HubResult::Planned(entry, plan));
            }
            HubTask::Fetch(entry, plan) => {
                let fetched = hub::fetch(&settings, &plan, &ctx(entry));
                let fetched = fetched.map(|_| ()).map_err(|e| stopped(&e));
                self.tell(HubResult::Fetched(entry, fetched));
                self.tell(look(&settings));
            }
            HubTask::Verify(entry) => {
                let files = hub::look(&settings, &CATALOGUE[entry]).files();
                let verified = hub::verify(&files, &ctx(entry)).and_then(|verified| {
                    hub::forget_damaged(&verified.damaged)?;
                    Ok(verified)
                });
                self.tell(HubResult::Verified(
                    entry,
                    verified.map_err(|e| stopped(&e)),
                ));
                self.tell(look(&settings));
            }
            HubTask::Assemble(entry, recipe, own) => {
                let out = self.place.store.model_folder(recipe.name);
                let made = std::env::current_exe()
                    .map_err(|e| one4d_engine::Error::io("one4d", e))
                    .and_then(|program| {
                        let own = own.as_deref();
                        hub::assemble(&settings, recipe, own, &out, &program, &ctx(entry))
                    });
                self.tell(HubResult::Assembled(entry, made.map_err(|e| stopped(&e))));
            }
            HubTask::Forget(plan) => {
                if let Err(error) = hub::forget_partial(&settings, &plan) {
                    self.tell(HubResult::Problem(error.to_string()));
                }
                self.tell(look(&settings));
            }
            HubTask::Register(folder, searched) => self.register(&folder, searched),
        }
    }

    fn register(&self, folder: &std::path::Path, searched: bool) {
        let mut folders = ModelFolders::read(&self.place.store);
        if searched {
            folders.add(folder);
        } else {
            folders.remove(folder);
        }
        let file = self.place.store.models_file();
        if let Err(error) = store::write_json(&file, &folders) {
            let reason = format!("{}: {error}", file.display());
            self.tell(HubResult::Problem(reason));
        }
        match self.place.settings() {
            Ok(settings) => self.tell(look(&settings)),
            Err(error) => self.tell(HubResult::Problem(error.to_string())),
        }
    }
}

fn look(settings: &HubSettings) -> HubResult {
    let found = CATALOGUE
        .iter()
        .map(|entry| hub::look(settings, entry))
        .collect();
    let exists = settings.cache.ancestors().find(|folder| folder.is_dir());
    HubResult::Looked(Box::new(Looked {
        found,
        cache: settings.cache.clone(),
        free_bytes: exists.and_then(one4d_engine::atomic_file::free_bytes),
        folders: settings.folders.clone(),
        offline: settings.offline,
    }))
}
