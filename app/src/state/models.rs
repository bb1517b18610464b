//! The page of public models: what lies here, what is under way, what a person is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use one4d_engine::hub::{
    AdapterSource, CATALOGUE, Entry, FetchPlan, Found, RECIPES, Recipe, State, find,
};
use one4d_engine::job::{Progress, Stage};

use super::command::{AppCommand, Pick};
use super::notices::{Notice, Severity};
use super::{AppState, creating};
use crate::services::Services;
use crate::services::hub::{EntryIndex, HubResult, HubTask, Looked, Stopped};

/// A change of the page.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelsEdit {
    /// Asks what a download would be.
    Ask(EntryIndex),
    /// Agrees to the download on the sheet.
    Agree,
    /// Leaves the sheet without a download.
    Decline,
    /// Stops a download and keeps what has arrived.
    Pause(EntryIndex),
    /// Goes on with it.
    Resume(EntryIndex),
    /// Stops it and takes away what has arrived.
    Cancel(EntryIndex),
    /// Compares checksums.
    Verify(EntryIndex),
    /// Makes a model of it and takes that for the next scene.
    Use(EntryIndex),
    /// The same with adapters of one's own.
    UseWith(EntryIndex, PathBuf),
    /// Takes the words about a failure away.
    Forgive(EntryIndex),
    /// Searches a folder too.
    AddFolder(PathBuf),
    /// Searches it no longer.
    RemoveFolder(PathBuf),
    /// Closes the page.
    Close,
}

/// What is under way for an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// The hub is being asked.
    Asking,
    /// Another download comes first.
    Waiting(Option<Box<FetchPlan>>),
    /// It runs.
    Running(Run),
    /// It ends, and what has arrived goes with it.
    Stopping(Box<FetchPlan>),
    /// It was stopped and can go on.
    Paused(Box<FetchPlan>, Option<Progress>),
    /// It failed.
    Failed(String),
}

/// A task that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What is downloaded, if something is.
    pub plan: Option<Box<FetchPlan>>,
    /// How far it is.
    pub progress: Progress,
    /// Seconds and steps at its first report, which the rate is measured from.
    pub since: (f64, usize),
    /// The last thing worth knowing: a connection that dropped.
    pub note: Option<String>,
    /// It was told to stop.
    pub stopping: bool,
}

impl Run {
    /// Share of the work that is done, 0..1.
    pub fn fraction(&self) -> f32 {
        self.progress.done as f32 / self.progress.total.max(1) as f32
    }

    /// Steps a second since the first report, once there is something to measure.
    pub fn rate(&self, now_secs: f64) -> Option<f64> {
        let secs = now_secs - self.since.0;
        let steps = self.progress.done.saturating_sub(self.since.1);
        (secs > 0.5 && steps > 0).then(|| steps as f64 / secs)
    }
}

/// The page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelsState {
    /// It is on screen.
    pub open: bool,
    /// What lies here, once it was looked for.
    pub looked: Option<Looked>,
    /// What is under way, by entry.
    pub work: BTreeMap<EntryIndex, Work>,
    /// The download that a person is asked about.
    pub sheet: Option<(EntryIndex, Box<FetchPlan>)>,
    /// Why nothing can be looked for.
    pub problem: Option<String>,
}

impl ModelsState {
    /// What lies here of an entry.
    pub fn found(&self, entry: EntryIndex) -> Option<&Found> {
        self.looked.as_ref()?.found.get(entry)
    }

    /// What lies here of an entry by its short name.
    pub fn state_of(&self, name: &str) -> State {
        let entry = CATALOGUE.iter().position(|entry| entry.name == name);
        let found = entry.and_then(|entry| self.found(entry));
        found.map_or(State::Absent, |found| found.state)
    }

    /// The task that runs, with its entry.
    pub fn running(&self) -> Option<(&'static Entry, &Run)> {
        self.work.iter().find_map(|(&entry, work)| match work {
            Work::Running(run) => Some((&CATALOGUE[entry], run)),
            _ => None,
        })
    }

    /// True while something is downloaded or compared, or waits for it.
    pub fn is_busy(&self) -> bool {
        let is_busy = |work: &Work| matches!(work, Work::Running(_) | Work::Waiting(_));
        self.work.values().any(is_busy)
    }
}

/// How an entry becomes a model: the recipe whose adapters or base it is.
pub fn recipe_of(entry: &Entry) -> Option<&'static Recipe> {
    RECIPES.iter().find(|recipe| match recipe.adapters {
        AdapterSource::Entry(name) => name == entry.name,
        AdapterSource::Own => recipe.base == entry.name,
    })
}

/// True where everything that a recipe needs lies here.
pub fn is_complete(models: &ModelsState, recipe: &Recipe) -> bool {
    let adapters = match recipe.adapters {
        AdapterSource::Entry(name) => models.state_of(name) == State::Present,
        AdapterSource::Own => true,
    };
    adapters && models.state_of(recipe.base) == State::Present
}

/// Opens or closes the page; what lies here is looked for each time it opens.
pub(super) fn toggle(state: &mut AppState, services: &mut Services) {
    state.models.open = !state.models.open;
    if state.models.open {
        services.hub.ask(HubTask::Look);
    }
}

/// Applies an edit.
pub(super) fn edit(state: &mut AppState, services: &mut Services, edit: ModelsEdit) {
    let models = &mut state.models;
    match edit {
        ModelsEdit::Ask(entry) => {
            models.work.insert(entry, Work::Asking);
            services.hub.ask(HubTask::Plan(entry));
        }
        ModelsEdit::Agree => {
            if let Some((entry, plan)) = models.sheet.take() {
                start(models, services, entry, plan);
            }
        }
        ModelsEdit::Decline => models.sheet = None,
        ModelsEdit::Pause(entry) => stop(models, services, entry),
        ModelsEdit::Resume(entry) => {
            if let Some(Work::Paused(plan, _)) = models.work.remove(&entry) {
                start(models, services, entry, plan);
            }
        }
        ModelsEdit::Cancel(entry) => cancel(models, services, entry),
        ModelsEdit::Verify(entry) => {
            models.work.insert(entry, Work::Waiting(None));
            services.hub.ask(HubTask::Verify(entry));
        }
        ModelsEdit::Use(entry) => use_entry(state, services, entry),
        ModelsEdit::UseWith(entry, own) => {
            if let Some(recipe) = recipe_of(&CATALOGUE[entry]) {
                models.work.insert(entry, Work::Waiting(None));
                services
                    .hub
                    .ask(HubTask::Assemble(entry, recipe, Some(own)));
            }
        }
        ModelsEdit::Forgive(entry) => {
            models.work.remove(&entry);
        }
        ModelsEdit::AddFolder(folder) => services.hub.ask(HubTask::Register(folder, true)),
        ModelsEdit::RemoveFolder(folder) => services.hub.ask(HubTask::Register(folder, false)),
        ModelsEdit::Close => models.open = false,
    }
}

fn start(
    models: &mut ModelsState,
    services: &mut Services,
    entry: EntryIndex,
    plan: Box<FetchPlan>,
) {
    models.work.insert(entry, Work::Waiting(Some(plan.clone())));
    services.hub.ask(HubTask::Fetch(entry, plan));
}

fn stop(models: &mut ModelsState, services: &Services, entry: EntryIndex) {
    services.hub.cancel(entry);
    if let Some(Work::Running(run)) = models.work.get_mut(&entry) {
        run.stopping = true;
    }
}

/// A download that runs ends at once; what has arrived goes once it has ended.
fn cancel(models: &mut ModelsState, services: &mut Services, entry: EntryIndex) {
    services.hub.cancel(entry);
    match models.work.remove(&entry) {
        Some(Work::Paused(plan, _)) => services.hub.ask(HubTask::Forget(plan)),
        Some(Work::Running(Run {
            plan: Some(plan), ..
        })) => {
            models.work.insert(entry, Work::Stopping(plan));
        }
        _ => {}
    }
}

fn use_entry(state: &mut AppState, services: &mut Services, entry: EntryIndex) {
    let Some(recipe) = recipe_of(&CATALOGUE[entry]) else {
        return;
    };
    if recipe.adapters == AdapterSource::Own {
        state.picking = Some(Pick::Adapters(entry));
        return;
    }
    state.models.work.insert(entry, Work::Waiting(None));
    services.hub.ask(HubTask::Assemble(entry, recipe, None));
}

/// Takes what the model manager has brought.
pub(super) fn drain(state: &mut AppState, services: &mut Services) {
    // Progress before results: the end of a task comes after its last step.
    if let Some((entry, progress)) = services.hub.progress() {
        on_progress(state, entry, progress);
    }
    for result in services.hub.drain() {
        match result {
            HubResult::Looked(looked) => {
                state.models.looked = Some(*looked);
                state.models.problem = None;
            }
            HubResult::Problem(problem) => state.models.problem = Some(problem),
            HubResult::Note(entry, note) => {
                if let Some(Work::Running(run)) = state.models.work.get_mut(&entry) {
                    run.note = Some(note);
                }
            }
            HubResult::Planned(entry, plan) => on_planned(state, entry, plan),
            HubResult::Fetched(entry, fetched) => on_fetched(state, services, entry, fetched),
            HubResult::Verified(entry, verified) => {
                let title = CATALOGUE[entry].title;
                match verified {
                    Ok(verified) if verified.damaged.is_empty() => {
                        state.models.work.remove(&entry);
                        let good = verified.good.len();
                        let body = match verified.unknown.len() {
                            0 => format!("{good} files have the checksums that the hub lists."),
                            n => format!("{good} files are right; of {n} no checksum is known."),
                        };
                        let notice = Notice::new(
                            Severity::Good,
                            format!("{title} is as it should be"),
                            body,
                        );
                        state.notices.post(notice, state.now_secs);
                    }
                    Ok(verified) => {
                        let count = verified.damaged.len();
                        let files = if count == 1 { "file is" } else { "files are" };
                        let reason = format!("{count} {files} damaged and no longer in the cache");
                        fail(state, entry, "is damaged", Stopped::Failed(reason));
                    }
                    Err(stopped) => fail(state, entry, "was not verified", stopped),
                }
            }
            HubResult::Assembled(entry, made) => match made {
                Ok(folder) => {
                    state.models.work.remove(&entry);
                    creating::choose_model(state, services, Some(folder));
                    let name = recipe_of(&CATALOGUE[entry]).map_or("", |recipe| recipe.title);
                    let title = format!("{name} is the model of the next scene");
                    let notice =
                        Notice::new(Severity::Good, title, "The Create panel shows its sizes.");
                    state.notices.post(notice, state.now_secs);
                }
                Err(stopped) => fail(state, entry, "cannot be used", stopped),
            },
        }
    }
}

fn on_progress(state: &mut AppState, entry: EntryIndex, progress: Progress) {
    let now = state.now_secs;
    let work = state.models.work.get_mut(&entry);
    match work {
        Some(Work::Running(run)) => run.progress = progress,
        Some(waiting @ Work::Waiting(_)) => {
            let Work::Waiting(plan) = waiting else {
                return;
            };
            *waiting = Work::Running(Run {
                plan: plan.take(),
                progress,
                since: (now, progress.done),
                note: None,
                stopping: false,
            });
        }
        _ => {}
    }
}

fn on_planned(state: &mut AppState, entry: EntryIndex, plan: Result<Box<FetchPlan>, Stopped>) {
    match plan {
        Ok(plan) => {
            state.models.work.remove(&entry);
            state.models.sheet = Some((entry, plan));
        }
        Err(stopped) => fail(state, entry, "cannot be fetched", stopped),
    }
}

fn on_fetched(
    state: &mut AppState,
    services: &mut Services,
    entry: EntryIndex,
    fetched: Result<(), Stopped>,
) {
    let work = state.models.work.remove(&entry);
    match (fetched, work) {
        (Ok(()), _) => {
            let title = format!("{} is here", CATALOGUE[entry].title);
            let mut notice = Notice::new(Severity::Good, title, "Every checksum was right.");
            let needs = CATALOGUE[entry].needs.iter().filter_map(|need| find(need));
            let absent = needs.filter(|need| state.models.state_of(need.name) != State::Present);
            if let Some(need) = absent.map(|need| need.title).next() {
                notice.body = format!("It needs {need} too.");
            }
            state.notices.post(notice, state.now_secs);
        }
        (Err(Stopped::Cancelled), Some(Work::Running(run))) => {
            if let Some(plan) = run.plan {
                let work = Work::Paused(plan, Some(run.progress));
                state.models.work.insert(entry, work);
            }
        }
        (Err(Stopped::Cancelled), Some(Work::Stopping(plan))) => {
            services.hub.ask(HubTask::Forget(plan));
        }
        (Err(stopped), _) => fail(state, entry, "was not fetched", stopped),
    }
}

fn fail(state: &mut AppState, entry: EntryIndex, what: &str, stopped: Stopped) {
    state.models.work.remove(&entry);
    let Stopped::Failed(reason) = stopped else {
        return;
    };
    let title = format!("{} {what}", CATALOGUE[entry].title);
    let mut notice = Notice::new(Severity::Error, title, reason.clone());
    if !state.models.open {
        let show = AppCommand::Act(super::Action::ShowModels);
        notice = notice.with_remedy("Show models", show);
    }
    state.notices.post(notice, state.now_secs);
    state.models.work.insert(entry, Work::Failed(reason));
}

/// The word for a stage of a task, for the page.
pub fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Fetch => "Downloading",
        Stage::Verify => "Verifying",
        _ => "Preparing",
    }
}
