//! Fetching from a hub that is honest: what is shown before, what is asked for, what lies on disk after.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use one4d_engine::Error;
use one4d_engine::hub::{
    self, FetchPlan, HubSettings, Patience, RepoCache, State, Token, Wanted, fetch, plan,
};
use one4d_engine::job::{CancelToken, JobCtx, JobSink, Progress, Stage};
use one4d_tests::hub_server::{COMMIT, HubFile, HubModel, HubServer, Reply};

pub(super) const ID: &str = "maker/model";
pub(super) const LARGE: &str = "deep/model.safetensors";

/// A model with a large and a small file.
pub(super) fn model(large_bytes: usize) -> HubModel {
    let card = "---\nlicense: apache-2.0\n---\n# A model\n";
    let files = vec![
        HubFile::large(LARGE, large_bytes, 7),
        HubFile::small("config.json", "{\"dim\": 1536}"),
        HubFile::small("README.md", card),
        HubFile::small("unasked.txt", "nobody wants this"),
    ];
    HubModel::new(ID, files)
}

/// Settings that reach a server and lose patience soon.
pub(super) fn settings(address: &str, cache: &Path) -> HubSettings {
    let mut settings = HubSettings::new(address, cache);
    settings.patience = Patience {
        connect: Duration::from_secs(5),
        answer: Duration::from_secs(5),
        silence: Duration::from_millis(400),
        least_bytes_per_sec: 64 << 10,
        window: Duration::from_millis(300),
        attempts: 4,
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(20),
    };
    settings
}

pub(super) fn wanted() -> Wanted {
    Wanted::files(ID, vec![LARGE.to_owned(), "config.json".to_owned()])
}

/// Plans and fetches what [`wanted`] names.
pub(super) fn get(settings: &HubSettings) -> one4d_engine::Result<PathBuf> {
    let ctx = JobCtx::silent();
    let plan = plan(settings, &wanted(), &ctx)?;
    fetch(settings, &plan, &ctx)
}

pub(super) fn content(model: &HubModel, name: &str) -> Vec<u8> {
    let file = model.files.iter().find(|file| file.name == name).unwrap();
    file.bytes.clone()
}

pub(super) fn hash(model: &HubModel, name: &str) -> String {
    model
        .files
        .iter()
        .find(|file| file.name == name)
        .unwrap()
        .hash()
}

#[test]
fn a_plan_says_everything_and_downloads_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(5000);
    let server = HubServer::honest(model.clone());
    let settings = settings(&server.address, &folder.path().join("hub"));
    let plan: FetchPlan = plan(&settings, &wanted(), &JobCtx::silent()).unwrap();
    assert_eq!((plan.hub_id.as_str(), plan.revision.as_str()), (ID, "main"));
    assert_eq!(plan.commit, COMMIT);
    assert_eq!(plan.licence.as_deref(), Some("apache-2.0"));
    let names: Vec<&str> = plan.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["README.md", "config.json", LARGE]);
    let bytes: usize = ["README.md", "config.json", LARGE]
        .iter()
        .map(|name| content(&model, name).len())
        .sum();
    assert_eq!(plan.total_bytes(), bytes as u64);
    assert_eq!(plan.missing_bytes(), bytes as u64);
    assert!(plan.free_bytes.is_none_or(|free| free > 0));
    assert!(plan.folder.ends_with("models--maker--model"));
    assert!(server.files_seen().is_empty());
    assert!(
        !folder.path().join("hub").exists(),
        "a plan leaves nothing on disk"
    );
}

#[test]
fn what_is_fetched_lies_as_other_tools_expect_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(700_000);
    let server = HubServer::honest(model.clone());
    let settings = settings(&server.address, folder.path());
    let snapshot = get(&settings).unwrap();
    for name in [LARGE, "config.json", "README.md"] {
        assert_eq!(
            std::fs::read(snapshot.join(name)).unwrap(),
            content(&model, name)
        );
        let cache = RepoCache::new(folder.path(), ID);
        assert_eq!(
            snapshot.join(name).canonicalize().unwrap(),
            cache.blob(&hash(&model, name)).canonicalize().unwrap()
        );
        #[cfg(unix)]
        assert!(
            std::fs::read_link(snapshot.join(name))
                .unwrap()
                .is_relative()
        );
    }
    assert!(!snapshot.join("unasked.txt").exists());
    let repo = folder.path().join("models--maker--model");
    assert!(snapshot.ends_with(format!("models--maker--model/snapshots/{COMMIT}")));
    assert_eq!(
        std::fs::read_to_string(repo.join("refs/main")).unwrap(),
        COMMIT
    );
    assert_eq!(std::fs::read_dir(repo.join("blobs")).unwrap().count(), 3);
    let before = server.files_seen().len();
    assert_eq!(before, 3);
    get(&settings).unwrap();
    assert_eq!(
        server.files_seen().len(),
        before,
        "what is here is not asked for again"
    );
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model(60_000);
    let store = HubServer::honest(model.clone());
    // The same machine under another name and port is another host.
    model.store = Some(store.address.replace("127.0.0.1", "localhost"));
    let hub = HubServer::honest(model.clone());
    let mut settings = settings(&hub.address, folder.path());
    settings.token = Some(Token::new("hf_secret").unwrap());
    let snapshot = get(&settings).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(&model, LARGE)
    );
    assert_eq!(store.seen().len(), 1);
    assert!(store.seen()[0].path.contains("signature=abc"));
    for seen in store.seen() {
        assert!(!seen.headers.contains_key("authorization"), "{seen:?}");
        assert!(
            !seen
                .headers
                .values()
                .any(|value| value.contains("hf_secret"))
        );
    }
    for seen in hub.seen() {
        assert_eq!(seen.headers["authorization"], "Bearer hf_secret");
    }
}

#[test]
fn a_model_that_has_moved_is_followed_with_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let server = HubServer::start(model(3000), |model, seen| {
        if seen.path.starts_with("/maker/model/resolve/") && !seen.path.ends_with("?moved") {
            return Reply::new(307, "").with("Location", format!("{}?moved", seen.path));
        }
        model.honest(seen)
    });
    let mut settings = settings(&server.address, folder.path());
    settings.token = Some(Token::new("hf_secret").unwrap());
    get(&settings).unwrap();
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.headers.contains_key("authorization"))
    );
}

/// Cancels once so many bytes are there.
struct CancelAt(CancelToken, usize, AtomicUsize);

impl JobSink for CancelAt {
    fn progress(&self, progress: Progress) {
        assert_eq!(progress.stage, Stage::Fetch);
        let before = self.2.swap(progress.done, Ordering::SeqCst);
        assert!(progress.done >= before && progress.done <= progress.total);
        if progress.done >= self.1 {
            self.0.cancel();
        }
    }
}

#[test]
fn a_cancelled_download_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(3_000_000);
    let server = HubServer::start(model.clone(), |model, seen| {
        let mut reply = model.honest(seen);
        if seen.is_file() && seen.from() == 0 {
            reply.drip = Some((50_000, Duration::from_millis(4)));
        }
        reply
    });
    let settings = settings(&server.address, folder.path());
    let plan = plan(&settings, &wanted(), &JobCtx::silent()).unwrap();
    let cancel = CancelToken::default();
    let sink = CancelAt(cancel.clone(), 1_000_000, AtomicUsize::new(0));
    let ctx = JobCtx::new(cancel, Arc::new(sink));
    let error = fetch(&settings, &plan, &ctx).unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    let cache = RepoCache::new(folder.path(), ID);
    let partial = cache.incomplete(&hash(&model, LARGE));
    let arrived = std::fs::metadata(&partial).unwrap().len();
    assert!((900_000..3_000_000).contains(&arrived), "{arrived}");
    assert!(!cache.blob(&hash(&model, LARGE)).exists());
    let again = hub::plan(&settings, &wanted(), &JobCtx::silent()).unwrap();
    assert_eq!(again.missing_bytes(), 3_000_000 - arrived);
    let snapshot = fetch(&settings, &again, &JobCtx::silent()).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(&model, LARGE)
    );
    let last = server.files_seen().pop().unwrap();
    assert_eq!(
        last.from() as u64,
        arrived,
        "only what is missing is asked for"
    );
    assert_eq!(
        last.headers["if-range"],
        format!("\"{}\"", hash(&model, LARGE))
    );
    assert!(!partial.exists() && !partial.with_extension("incomplete.etag").exists());
}

#[test]
fn a_silent_server_does_not_hold_up_a_cancellation() {
    let folder = tempfile::tempdir().unwrap();
    let server = HubServer::start(model(1000), |model, seen| {
        let mut reply = model.honest(seen);
        if seen.is_file() {
            reply.silence = Duration::from_secs(40);
        }
        reply
    });
    let mut settings = settings(&server.address, folder.path());
    settings.patience.silence = Duration::from_mins(1);
    let plan = plan(&settings, &wanted(), &JobCtx::silent()).unwrap();
    let cancel = CancelToken::default();
    let for_thread = cancel.clone();
    let canceller = std::thread::Builder::new()
        .name("canceller".to_owned())
        .spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            for_thread.cancel();
        })
        .unwrap();
    let begin = Instant::now();
    let ctx = JobCtx::new(cancel, Arc::new(Quiet));
    assert!(fetch(&settings, &plan, &ctx).unwrap_err().is_cancelled());
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "it waits for the server"
    );
    canceller.join().unwrap();
}

struct Quiet;

impl JobSink for Quiet {
    fn progress(&self, _progress: Progress) {}
}

#[test]
fn another_tools_beginning_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(200_000);
    let server = HubServer::honest(model.clone());
    let settings = settings(&server.address, folder.path());
    let cache = RepoCache::new(folder.path(), ID);
    let partial = cache.incomplete(&hash(&model, LARGE));
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, &content(&model, LARGE)[..150_000]).unwrap();
    let snapshot = get(&settings).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(&model, LARGE)
    );
    let asked = server.files_seen();
    let large = asked
        .iter()
        .find(|seen| seen.path.ends_with(LARGE))
        .unwrap();
    assert_eq!(large.from(), 150_000);
    assert!(
        !large.headers.contains_key("if-range"),
        "its tag is not known"
    );
}

#[test]
fn a_beginning_of_something_else_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(200_000);
    let server = HubServer::honest(model.clone());
    let settings = settings(&server.address, folder.path());
    let cache = RepoCache::new(folder.path(), ID);
    let partial = cache.incomplete(&hash(&model, LARGE));
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    for garbage in [vec![1_u8; 90_000], vec![2; 200_000], vec![3; 200_001]] {
        std::fs::write(&partial, garbage).unwrap();
        let snapshot = get(&settings).unwrap();
        assert_eq!(
            std::fs::read(snapshot.join(LARGE)).unwrap(),
            content(&model, LARGE)
        );
        std::fs::remove_file(cache.blob(&hash(&model, LARGE))).unwrap();
    }
}

#[test]
fn two_at_once_download_once() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(400_000);
    let server = HubServer::start(model.clone(), |model, seen| {
        let mut reply = model.honest(seen);
        if seen.is_file() {
            reply.drip = Some((20_000, Duration::from_millis(2)));
        }
        reply
    });
    let settings = settings(&server.address, folder.path());
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(|| get(&settings))).collect();
        for one in all {
            let snapshot = one.join().unwrap().unwrap();
            assert_eq!(
                std::fs::read(snapshot.join(LARGE)).unwrap(),
                content(&model, LARGE)
            );
        }
    });
    let large = |seen: &&one4d_tests::hub_server::Seen| seen.path.ends_with(LARGE);
    assert_eq!(server.files_seen().iter().filter(large).count(), 1);
}

#[test]
fn offline_and_looking_ask_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = HubServer::honest(model(100));
    let mut settings = settings(&server.address, folder.path());
    for entry in hub::CATALOGUE.iter() {
        assert_eq!(
            hub::look(&settings, entry).state,
            State::Absent,
            "{}",
            entry.name
        );
    }
    settings.offline = true;
    let error = get(&settings).unwrap_err().to_string();
    assert!(error.contains("HF_HUB_OFFLINE"), "{error}");
    assert!(server.seen().is_empty());
}

#[test]
fn damage_on_disk_is_found_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(50_000);
    let server = HubServer::honest(model.clone());
    let settings = settings(&server.address, folder.path());
    let snapshot = get(&settings).unwrap();
    let files = vec![snapshot.join(LARGE), snapshot.join("config.json")];
    let outside = folder.path().join("own.bin");
    std::fs::write(&outside, b"x").unwrap();
    let with_own = [files.clone(), vec![outside.clone()]].concat();
    let verified = hub::verify(&with_own, &JobCtx::silent()).unwrap();
    assert_eq!((&verified.good, &verified.damaged), (&files, &Vec::new()));
    assert_eq!(verified.unknown, [outside]);
    let blob = RepoCache::new(folder.path(), ID).blob(&hash(&model, LARGE));
    let mut bytes = content(&model, LARGE);
    bytes[31_000] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let verified = hub::verify(&files, &JobCtx::silent()).unwrap();
    assert_eq!(verified.damaged, [snapshot.join(LARGE)]);
    hub::forget_damaged(&verified.damaged).unwrap();
    get(&settings).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(&model, LARGE)
    );
}

#[test]
fn no_room_is_said_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(1000);
    let server = HubServer::start(model.clone(), |model, seen| {
        if seen.is_file() {
            return model.honest(seen);
        }
        let mut listing = model.listing();
        listing["siblings"][0]["lfs"]["size"] = (1_u64 << 60).into();
        Reply::new(200, listing.to_string())
    });
    let settings = settings(&server.address, folder.path());
    let planned = plan(&settings, &wanted(), &JobCtx::silent()).unwrap();
    assert!(planned.is_too_large());
    let error = get(&settings).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    assert!(server.files_seen().is_empty());
}

#[test]
fn sizes_that_the_listing_leaves_out_are_asked_for_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = model(9000);
    let store = HubServer::honest(model.clone());
    model.store = Some(store.address.clone());
    let server = HubServer::start(model.clone(), |model, seen| {
        if seen.is_file() {
            return model.honest(seen);
        }
        let mut listing = model.listing();
        for sibling in listing["siblings"].as_array_mut().unwrap() {
            let sibling = sibling.as_object_mut().unwrap();
            sibling.retain(|key, _| key == "rfilename");
        }
        Reply::new(200, listing.to_string())
    });
    let settings = settings(&server.address, folder.path());
    let snapshot = get(&settings).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(&model, LARGE)
    );
    let heads = server
        .seen()
        .iter()
        .filter(|seen| seen.method == "HEAD")
        .count();
    assert_eq!(heads, 3);
    assert!(store.seen().iter().all(|seen| seen.method == "GET"));
}
