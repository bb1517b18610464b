//! Fetching from servers that lie: every lie has its words, and the disk holds no file that is not whole.

use std::path::Path;
use std::time::{Duration, Instant};

use one4d_engine::hub::{HubSettings, RepoCache, Wanted, plan};
use one4d_engine::job::JobCtx;
use one4d_tests::hub_server::{COMMIT, HubFile, HubModel, HubServer, Reply, Seen};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::hub::{ID, LARGE, content, get, hash, model, settings};

/// Bytes of the large file.
const SIZE: usize = 120_000;

/// What stays of the large file after a failure.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    Nothing,
    Beginning,
}

/// Fetches from a server that answers for the large file as `lie` says, and returns the error.
fn lied_to(lie: impl Fn(&HubModel, &Seen) -> Reply + Send + Sync + 'static, kept: Kept) -> String {
    let folder = tempfile::tempdir().unwrap();
    let model = model(SIZE);
    let server = HubServer::start(model.clone(), move |model, seen| {
        if seen.path.ends_with(LARGE) {
            lie(model, seen)
        } else {
            model.honest(seen)
        }
    });
    let settings = settings(&server.address, folder.path());
    let error = get(&settings).unwrap_err();
    assert!(!error.is_cancelled());
    assert_disk(folder.path(), &model, Some(kept));
    error.to_string()
}

/// Nothing under a final name that is not whole; what is incomplete is a beginning.
fn assert_disk(folder: &Path, model: &HubModel, kept: Option<Kept>) {
    let cache = RepoCache::new(folder, ID);
    for file in &model.files {
        if let Ok(bytes) = std::fs::read(cache.blob(&file.hash())) {
            assert_eq!(bytes, file.bytes, "{} is not whole", file.name);
        }
    }
    let partial = std::fs::read(cache.incomplete(&hash(model, LARGE)));
    match kept {
        Some(Kept::Nothing) => assert!(partial.is_err(), "something was kept"),
        Some(Kept::Beginning) => {
            let partial = partial.expect("a beginning is kept");
            assert!(!partial.is_empty() && content(model, LARGE).starts_with(&partial));
        }
        None => {}
    }
}

#[test]
fn every_lie_about_a_file_has_its_words() {
    let said = lied_to(
        |model, seen| {
            let mut reply = model.honest(seen);
            reply.body[500] ^= 1;
            reply
        },
        Kept::Nothing,
    );
    assert!(
        said.contains("checksum") && said.contains("nothing was kept"),
        "{said}"
    );

    let announces = |more: isize| {
        move |model: &HubModel, seen: &Seen| {
            let mut reply = model.honest(seen);
            reply.announced = reply.body.len().checked_add_signed(more);
            reply
        }
    };
    for more in [5, -5] {
        let said = lied_to(announces(more), Kept::Nothing);
        assert!(said.contains("announces"), "{said}");
    }
    let said = lied_to(
        |model, seen| {
            let mut reply = model.honest(seen);
            reply.endless = true;
            reply
        },
        Kept::Nothing,
    );
    assert!(said.contains("sends more than"), "{said}");

    let said = lied_to(
        |model, seen| model.honest(seen).with("Content-Encoding", "gzip"),
        Kept::Nothing,
    );
    assert!(said.contains("packs the file"), "{said}");

    let said = lied_to(
        |_, _| {
            Reply::new(200, "<html>Sign in</html>").with("Content-Type", "text/html; charset=utf-8")
        },
        Kept::Nothing,
    );
    assert!(
        said.contains("web page") && said.contains("login"),
        "{said}"
    );

    let said = lied_to(
        |model, seen| {
            model
                .honest(seen)
                .with("X-Linked-Etag", format!("\"{}\"", "a".repeat(64)))
        },
        Kept::Nothing,
    );
    assert!(said.contains("changed on the hub"), "{said}");
}

#[test]
fn a_connection_that_never_holds_keeps_what_arrived() {
    let said = lied_to(
        |model, seen| {
            let mut reply = model.honest(seen);
            reply.cut = Some(7000);
            reply
        },
        Kept::Beginning,
    );
    assert!(
        said.contains("gave up after 4 attempts") && said.contains("kept"),
        "{said}"
    );
    // Without a length the end looks like an end; only the listing tells that it is not.
    let said = lied_to(
        |model, seen| {
            let mut reply = model.honest(seen);
            reply.without_length = true;
            reply.cut = Some(7000);
            reply
        },
        Kept::Beginning,
    );
    assert!(said.contains("ended after"), "{said}");
    let said = lied_to(
        |model, seen| {
            let mut reply = model.honest(seen);
            reply.drip = Some((40, Duration::from_millis(20)));
            reply
        },
        Kept::Beginning,
    );
    assert!(said.contains("bytes a second"), "{said}");
    let said = lied_to(
        |model, seen| {
            let mut reply = model.honest(seen);
            reply.drip = Some((9000, Duration::from_millis(900)));
            reply
        },
        Kept::Beginning,
    );
    assert!(
        said.contains("silent") || said.contains("bytes a second"),
        "{said}"
    );
}

#[test]
fn refusals_say_the_way_out() {
    let refuse = |status: u16, code: &'static str| {
        move |_: &HubModel, _: &Seen| {
            let reply = Reply::new(status, "no");
            if code.is_empty() {
                reply
            } else {
                reply.with("X-Error-Code", code)
            }
        }
    };
    let cases = [
        (401, "", "HF_TOKEN"),
        (401, "RepoNotFound", "no such model"),
        (403, "GatedRepo", "accept the terms at http://"),
        (403, "", "terms accepted"),
        (404, "EntryNotFound", "not there at this revision"),
        (404, "", "check the name"),
        (429, "", "too many requests"),
        (500, "", "fault (500)"),
        (503, "", "gave up after 4 attempts"),
        (418, "", "status 418"),
    ];
    for (status, code, words) in cases {
        let said = lied_to(refuse(status, code), Kept::Nothing);
        assert!(said.contains(words), "{status} {code}: {said}");
    }
}

#[test]
fn redirects_end_and_stay_on_http() {
    let round = |_: &HubModel, seen: &Seen| Reply::new(302, "").with("Location", seen.path.clone());
    let said = lied_to(round, Kept::Nothing);
    assert!(said.contains("in a circle"), "{said}");
    for location in ["file:///etc/passwd", "gopher://x/", ""] {
        let said = lied_to(
            move |_, _| Reply::new(302, "").with("Location", location),
            Kept::Nothing,
        );
        assert!(said.contains("without saying where"), "{location}: {said}");
    }
}

/// Fetches with a beginning on disk; `lie` answers the first request of the large file.
fn resumed(lie: impl Fn(&HubModel, &Seen) -> Reply + Send + Sync + 'static) -> Vec<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let model = model(SIZE);
    let server = HubServer::start(model.clone(), move |model, seen| {
        if seen.path.ends_with(LARGE) && seen.nth == 0 {
            lie(model, seen)
        } else {
            model.honest(seen)
        }
    });
    let settings = settings(&server.address, folder.path());
    let partial = RepoCache::new(folder.path(), ID).incomplete(&hash(&model, LARGE));
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, &content(&model, LARGE)[..50_000]).unwrap();
    std::fs::write(
        partial.with_extension("incomplete.etag"),
        format!("\"{}\"", hash(&model, LARGE)),
    )
    .unwrap();
    let snapshot = get(&settings).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(&model, LARGE)
    );
    let large = |seen: &Seen| seen.path.ends_with(LARGE);
    server.files_seen().into_iter().filter(large).collect()
}

#[test]
fn a_resumption_that_cannot_be_trusted_starts_over() {
    // The right part: one request.
    let seen = resumed(HubModel::honest);
    assert_eq!(seen.iter().map(Seen::from).collect::<Vec<_>>(), [50_000]);
    // Another part than was asked for, another total, no range at all in a 206.
    for range in [
        "bytes 40000-119999/120000",
        "bytes 50000-119999/7",
        "nonsense",
    ] {
        let seen = resumed(move |model, seen| model.honest(seen).with("Content-Range", range));
        assert_eq!(
            seen.iter().map(Seen::from).collect::<Vec<_>>(),
            [50_000, 0],
            "{range}"
        );
    }
    // A part of another content.
    let seen = resumed(|model, seen| model.honest(seen).with("ETag", "\"other\""));
    assert_eq!(seen.len(), 2);
    // The whole in place of a part: taken as it is.
    let seen = resumed(|model, _| Reply::new(200, content(model, LARGE)));
    assert_eq!(seen.len(), 1);
    // The server says that there is nothing beyond.
    let seen = resumed(|_, _| Reply::new(416, ""));
    assert_eq!(seen.iter().map(Seen::from).collect::<Vec<_>>(), [50_000, 0]);
    // The right range with the wrong bytes: the checksum tells.
    let seen = resumed(|model, seen| {
        let mut reply = model.honest(seen);
        reply.body[9] ^= 4;
        reply
    });
    assert_eq!(seen.iter().map(Seen::from).collect::<Vec<_>>(), [50_000, 0]);
}

#[test]
fn drops_are_resumed_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(SIZE);
    let server = HubServer::start(model.clone(), |model, seen| {
        let mut reply = model.honest(seen);
        if seen.path.ends_with(LARGE) && seen.nth < 3 {
            reply.cut = Some(30_000);
        }
        reply
    });
    let settings = settings(&server.address, folder.path());
    let snapshot = get(&settings).unwrap();
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(&model, LARGE)
    );
    let asked: Vec<usize> = server
        .files_seen()
        .iter()
        .filter(|seen| seen.path.ends_with(LARGE))
        .map(Seen::from)
        .collect();
    assert_eq!(asked, [0, 30_000, 60_000, 90_000]);
    let all: usize = ["README.md", "config.json", LARGE]
        .map(|n| content(&model, n).len())
        .iter()
        .sum();
    assert_eq!(server.sent_bytes(), all as u64, "no byte is sent twice");
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let server = HubServer::start(model(1000), |model, seen| match seen.nth {
        0 => Reply::new(429, "").with("Retry-After", "4000000000"),
        1 => Reply::new(503, "").with("Retry-After", "soon"),
        _ => model.honest(seen),
    });
    let begin = Instant::now();
    get(&settings(&server.address, folder.path())).unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "its wish has bounds"
    );
}

/// The error of planning against a listing.
fn listed(listing: impl Fn(&HubModel) -> Reply + Send + Sync + 'static, wanted: &Wanted) -> String {
    let folder = tempfile::tempdir().unwrap();
    let server = HubServer::start(model(100), move |model, seen| {
        if seen.is_file() {
            model.honest(seen)
        } else {
            listing(model)
        }
    });
    let mut settings: HubSettings = settings(&server.address, &folder.path().join("hub"));
    settings.patience.attempts = 2;
    let error = plan(&settings, wanted, &JobCtx::silent()).unwrap_err();
    assert!(server.files_seen().is_empty());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is on disk"
    );
    error.to_string()
}

#[test]
fn hostile_listings_lead_nowhere() {
    let any = Wanted::files(ID, vec!["*".to_owned()]);
    let names = [
        "../../../.ssh/authorized_keys",
        "/etc/passwd",
        "a/../../b",
        "..",
        "C:\\x",
        "a\u{0}b",
        "a\u{1b}[2Jb",
        "con",
        "x/./y",
        "a//b",
        "\\\\host\\share",
    ];
    for name in names {
        let said = listed(
            move |model| {
                let mut model = model.clone();
                model.files.push(HubFile::large(name, 10, 1));
                Reply::new(200, model.listing().to_string())
            },
            &any,
        );
        assert!(said.contains("whose name"), "{name:?}: {said}");
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }
    let bodies: [(&str, &str); 4] = [
        ("<html>Sign in</html>", "no listing of a model"),
        ("{}", "which commit"),
        ("{\"sha\": \"../../x\", \"siblings\": []}", "which commit"),
        ("[]", "no listing"),
    ];
    for (body, words) in bodies {
        let said = listed(move |_| Reply::new(200, body), &any);
        assert!(said.contains(words), "{body}: {said}");
    }
    let empty = format!("{{\"sha\": \"{COMMIT}\", \"siblings\": []}}");
    let said = listed(move |_| Reply::new(200, empty.clone()), &any);
    assert!(said.contains("no file `*`"), "{said}");
    let said = listed(
        |_| {
            let mut reply = Reply::new(200, vec![b' '; 1 << 20]);
            reply.endless = true;
            reply
        },
        &any,
    );
    assert!(said.contains("come to an end"), "{said}");
    let wrong = Wanted::files("../../etc", vec!["*".to_owned()]);
    assert!(
        listed(|model| Reply::new(200, model.listing().to_string()), &wrong)
            .contains("no model's name")
    );
}

/// An answer that is honest but for what chance does to it.
fn chance(model: &HubModel, seen: &Seen, seed: u64) -> Reply {
    let mut dice =
        ChaCha8Rng::seed_from_u64(seed ^ ((seen.nth as u64) << 32) ^ seen.path.len() as u64);
    let mut reply = model.honest(seen);
    let last = reply.body.len().max(1);
    match dice.random_range(0..14) {
        0 => reply.cut = Some(dice.random_range(0..last)),
        1 => {
            let at = dice.random_range(0..last);
            if let Some(byte) = reply.body.get_mut(at) {
                *byte ^= 1 << dice.random_range(0..8);
            }
        }
        2 => reply.announced = Some(dice.random_range(0..2 * last)),
        3 => reply.status = dice.random_range(100..600),
        4 if !reply.headers.is_empty() => {
            let at = dice.random_range(0..reply.headers.len());
            let value = &mut reply.headers[at].1;
            let mut bytes = value.clone().into_bytes();
            let byte = dice.random_range(0..bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(byte) {
                *byte = dice.random_range(0..128);
            }
            *value = String::from_utf8(bytes).unwrap();
        }
        5 => reply.without_length = true,
        6 => reply.endless = true,
        7 => {
            reply = reply
                .with("Location", "/elsewhere")
                .with("X-Padding", "p".repeat(dice.random_range(0..90_000)));
        }
        8 => reply.body.extend_from_slice(&[0; 100]),
        _ => {}
    }
    reply
}

/// Fetches from a random server; true if the files are whole.
fn survives(seed: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let model = model(20_000);
    let server = HubServer::start(model.clone(), move |model, seen| chance(model, seen, seed));
    let mut settings = settings(&server.address, folder.path());
    settings.patience.silence = Duration::from_millis(150);
    settings.patience.answer = Duration::from_millis(300);
    let fetched = get(&settings);
    assert_disk(folder.path(), &model, None);
    match fetched {
        Ok(snapshot) => {
            let bytes = std::fs::read(snapshot.join(LARGE)).unwrap();
            assert_eq!(bytes, content(&model, LARGE), "{seed}");
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(
                !said.is_empty() && !said.chars().any(char::is_control),
                "{seed}: {said:?}"
            );
            false
        }
    }
}

#[test]
fn two_hundred_random_servers_leave_whole_files_or_none() {
    // Most of the time is waiting for servers that do not answer.
    let whole: usize = std::thread::scope(|scope| {
        let count = |first: u64| {
            move || {
                (first..200)
                    .step_by(10)
                    .filter(|seed| survives(*seed))
                    .count()
            }
        };
        let threads: Vec<_> = (0..10).map(|first| scope.spawn(count(first))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!((20..180).contains(&whole), "{whole} of 200 were whole");
}
