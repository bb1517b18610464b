//! A model hub on this machine, honest unless a test tells it to lie.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// The commit that every model here stands at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A file of a model.
#[derive(Clone, Debug)]
pub struct HubFile {
    /// Its name in the repository.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Kept under its SHA-256, as large files are.
    pub large: bool,
}

impl HubFile {
    /// A large file of so many bytes that follow from `seed`.
    pub fn large(name: &str, len: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let bytes = (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        Self {
            name: name.to_owned(),
            bytes,
            large: true,
        }
    }

    /// A small text file.
    pub fn small(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            bytes: text.as_bytes().to_vec(),
            large: false,
        }
    }

    /// The name of its content on the hub.
    pub fn hash(&self) -> String {
        if self.large {
            hex(&Sha256::digest(&self.bytes))
        } else {
            let mut hash = Sha1::new();
            hash.update(format!("blob {}\0", self.bytes.len()));
            hash.update(&self.bytes);
            hex(&hash.finalize())
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, lower-case names.
    pub headers: HashMap<String, String>,
    /// How many requests of this path there were before.
    pub nth: usize,
}

impl Seen {
    /// First byte that is asked for.
    pub fn from(&self) -> usize {
        let range = self.headers.get("range").map(String::as_str);
        let range = range.and_then(|range| range.strip_prefix("bytes="));
        range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap_or(0))
    }

    /// True for a file, false for the listing.
    pub fn is_file(&self) -> bool {
        !self.path.starts_with("/api/")
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers besides the length.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Announced length, if another than the body's.
    pub announced: Option<usize>,
    /// No length at all: the body ends with the connection.
    pub without_length: bool,
    /// Breaks off after so many bytes of the body.
    pub cut: Option<usize>,
    /// Sends the body in pieces of so many bytes with waits between them.
    pub drip: Option<(usize, Duration)>,
    /// Repeats the body until the client has had enough.
    pub endless: bool,
    /// Sends nothing for so long.
    pub silence: Duration,
}

impl Reply {
    /// An answer with a body.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    /// With a header, in place of one of the same name.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers
            .retain(|(old, _)| !old.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// What a hub holds.
#[derive(Clone, Debug)]
pub struct HubModel {
    /// `organisation/model`.
    pub id: String,
    /// Its files.
    pub files: Vec<HubFile>,
    /// Licence of its card.
    pub licence: Option<String>,
    /// Address of the server that large files are redirected to.
    pub store: Option<String>,
}

impl HubModel {
    /// A model under the Apache licence.
    pub fn new(id: &str, files: Vec<HubFile>) -> Self {
        Self {
            id: id.to_owned(),
            files,
            licence: Some("apache-2.0".to_owned()),
            store: None,
        }
    }

    /// The listing.
    pub fn listing(&self) -> Value {
        let siblings: Vec<Value> = self
            .files
            .iter()
            .map(|file| {
                let (size, hash) = (file.bytes.len(), file.hash());
                if file.large {
                    let lfs = json!({ "sha256": hash, "size": size, "pointerSize": 134 });
                    let pointer = "f".repeat(40);
                    json!({ "rfilename": file.name, "size": size, "blobId": pointer, "lfs": lfs })
                } else {
                    json!({ "rfilename": file.name, "size": size, "blobId": hash })
                }
            })
            .collect();
        json!({
            "id": self.id,
            "sha": COMMIT,
            "gated": false,
            "cardData": { "license": self.licence },
            "siblings": siblings,
        })
    }

    /// What an honest hub answers.
    pub fn honest(&self, seen: &Seen) -> Reply {
        let path = seen.path.split('?').next().unwrap_or_default();
        if path.starts_with(&format!("/api/models/{}/revision/", self.id)) {
            let listing = self.listing().to_string();
            return Reply::new(200, listing).with("Content-Type", "application/json");
        }
        let at_hub = path.strip_prefix(&format!("/{}/resolve/{COMMIT}/", self.id));
        let name = at_hub.or_else(|| path.strip_prefix("/store/"));
        let Some(file) = self
            .files
            .iter()
            .find(|file| Some(file.name.as_str()) == name)
        else {
            return Reply::new(404, "Entry not found").with("X-Error-Code", "EntryNotFound");
        };
        let tag = format!("\"{}\"", file.hash());
        if let (Some(store), true, Some(name)) = (&self.store, file.large, at_hub) {
            return Reply::new(302, "Found")
                .with("Location", format!("{store}/store/{name}?signature=abc"))
                .with("X-Linked-Etag", tag)
                .with("X-Linked-Size", file.bytes.len().to_string())
                .with("X-Repo-Commit", COMMIT);
        }
        let (from, size) = (seen.from(), file.bytes.len());
        let same = seen
            .headers
            .get("if-range")
            .is_none_or(|range| *range == tag);
        if from > size {
            return Reply::new(416, "").with("Content-Range", format!("bytes */{size}"));
        }
        let reply = if from > 0 && same {
            Reply::new(206, &file.bytes[from..])
                .with("Content-Range", format!("bytes {from}-{}/{size}", size - 1))
        } else {
            Reply::new(200, file.bytes.clone())
        };
        reply
            .with("ETag", tag)
            .with("Content-Type", "application/octet-stream")
    }
}

/// How a server answers.
type Behaviour = dyn Fn(&HubModel, &Seen) -> Reply + Send + Sync;

struct Shared {
    model: HubModel,
    behaviour: Box<Behaviour>,
    seen: Mutex<Vec<Seen>>,
    sent_bytes: Mutex<u64>,
    over: AtomicBool,
}

/// A server on a port of its own; ends when dropped.
pub struct HubServer {
    /// `http://127.0.0.1:PORT`.
    pub address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl HubServer {
    /// A server that answers honestly.
    pub fn honest(model: HubModel) -> Self {
        Self::start(model, HubModel::honest)
    }

    /// A server that answers as `behaviour` says.
    ///
    /// # Panics
    /// If the system gives no port.
    pub fn start(
        model: HubModel,
        behaviour: impl Fn(&HubModel, &Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on this machine");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            model,
            behaviour: Box::new(behaviour),
            seen: Mutex::default(),
            sent_bytes: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        let listen = move || {
            for stream in listener.incoming().flatten() {
                if for_thread.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                named("hub-connection", move || serve(&stream, &shared));
            }
        };
        let thread = named("hub", listen);
        Self {
            address: format!("http://127.0.0.1:{port}"),
            shared,
            thread: Some(thread),
        }
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// Requests of files so far.
    pub fn files_seen(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(Seen::is_file).collect()
    }

    /// Bytes of bodies that were sent.
    pub fn sent_bytes(&self) -> u64 {
        *lock(&self.shared.sent_bytes)
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn named(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).expect("the system gives threads")
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Answers one request; whatever goes wrong is the client's doing and of no interest.
fn serve(stream: &TcpStream, shared: &Shared) {
    let Some(mut seen) = read_request(stream) else {
        return;
    };
    {
        let mut all = lock(&shared.seen);
        seen.nth = all.iter().filter(|other| other.path == seen.path).count();
        all.push(seen.clone());
    }
    let reply = (shared.behaviour)(&shared.model, &seen);
    let _ = send(stream, &seen, &reply, shared);
}

fn read_request(stream: &TcpStream) -> Option<Seen> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let mut seen = Seen {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        ..Seen::default()
    };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        seen.headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Some(seen)
}

fn send(
    mut stream: &TcpStream,
    seen: &Seen,
    reply: &Reply,
    shared: &Shared,
) -> std::io::Result<()> {
    std::thread::sleep(reply.silence);
    let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !reply.without_length && !reply.endless {
        let length = reply.announced.unwrap_or(reply.body.len());
        let _ = write!(head, "Content-Length: {length}\r\n");
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if seen.method == "HEAD" {
        return Ok(());
    }
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
    let (piece, wait) = reply.drip.unwrap_or((64 << 10, Duration::ZERO));
    loop {
        for bytes in body.chunks(piece.max(1)) {
            stream.write_all(bytes)?;
            if !seen.path.starts_with("/api/") {
                *lock(&shared.sent_bytes) += bytes.len() as u64;
            }
            std::thread::sleep(wait);
        }
        if !reply.endless || body.is_empty() || shared.over.load(Ordering::SeqCst) {
            return stream.flush();
        }
    }
}
