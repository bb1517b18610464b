//! Requests to the hub: redirects followed by hand, so that a token never leaves its host, and every
//! answer taken from a thread of its own, so that a silent server cannot hold up a cancellation.

use std::io::Read as _;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ureq::http::Uri;
use ureq::http::header::HeaderMap;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::address::{Origin, is_loopback, resolve};
use super::connection::{authorities, http_proxy, unreachable_because};
use super::names::tame;
use super::proxies::{Proxies, place_of};
use super::settings::{HubSettings, Token};
use crate::job::JobCtx;
use crate::{Error, Result};

/// Redirects in a row.
const MAX_HOPS: usize = 8;
/// Bytes of a piece of a body.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait to be taken.
const PIECES_AHEAD: usize = 4;
/// How soon a cancellation is noticed.
const POLL: Duration = Duration::from_millis(50);

/// Asks servers.
#[derive(Clone)]
pub(super) struct Client {
    https: Route,
    http: Route,
    /// Without a proxy: for servers on this machine, and those that are spared.
    direct: Route,
    proxies: Proxies,
    home: Origin,
    token: Option<Token>,
}

/// A way to servers.
#[derive(Clone)]
struct Route {
    agent: Agent,
    /// Host and port of the proxy on the way.
    proxy: Option<String>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) url: String,
    /// Only what follows so many bytes, and only if the content still has this tag.
    pub(super) from: Option<(u64, Option<String>)>,
    /// The head alone, and no redirect followed.
    pub(super) head_only: bool,
}

/// The head of an answer, with what the hub said on the way to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Bytes of the body, where they are announced.
    pub(super) length: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) content_range: Option<String>,
    pub(super) is_page: bool,
    pub(super) is_encoded: bool,
    pub(super) retry_after: Option<Duration>,
    /// The hub's word for what is wrong: `GatedRepo`, `EntryNotFound`, …
    pub(super) error_code: Option<String>,
    /// Hash and size of a large file, as the hub itself names them.
    pub(super) linked_etag: Option<String>,
    pub(super) linked_size: Option<u64>,
    /// Who answered last.
    pub(super) host: String,
}

/// What comes of a request, in order: a head, pieces, an end.
#[derive(Debug)]
pub(super) enum Piece {
    Head(Box<Head>),
    Bytes(Vec<u8>),
    End,
}

/// Why nothing more comes.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may work a little later.
    Passing(String),
    /// It will not.
    Lasting(String),
}

/// An answer under way.
pub(super) struct Answer(Receiver<std::result::Result<Piece, Trouble>>);

impl Answer {
    /// Waits for the next piece.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; the connection is then given up.
    pub(super) fn next(&self, ctx: &JobCtx) -> Result<std::result::Result<Piece, Trouble>> {
        loop {
            ctx.check()?;
            match self.0.recv_timeout(POLL) {
                Ok(piece) => return Ok(piece),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Err(Trouble::Passing("the connection broke off".to_owned())));
                }
            }
        }
    }
}

impl Client {
    /// A client by these settings.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an endpoint that is no address or a proxy of a kind that is not spoken;
    /// [`Error::Io`] or [`Error::Format`] for a file of certificates.
    pub(super) fn new(settings: &HubSettings) -> Result<Self> {
        let home = Origin::of(&settings.endpoint)
            .ok_or_else(|| Error::invalid("HF_ENDPOINT", "is no address"))?;
        let roots = match &settings.certificates {
            Some(path) => authorities(path)?,
            None => RootCerts::WebPki,
        };
        let is_open = settings.endpoint.starts_with("http://") && !is_loopback(&settings.endpoint);
        if settings.token.is_some() && is_open {
            tracing::warn!("the token is not sent, as HF_ENDPOINT is no https address");
        }
        let patience = settings.patience;
        let route = |proxy: Option<&String>| -> Result<Route> {
            let place = proxy.map(|url| place_of(url));
            let proxy = proxy.map(|url| http_proxy(url)).transpose()?;
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .proxy(proxy)
                .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
                .user_agent(concat!("one4d/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .timeout_resolve(Some(patience.connect))
                .timeout_connect(Some(patience.connect))
                .timeout_recv_response(Some(patience.answer))
                .timeout_per_read(Some(patience.silence))
                .build();
            Ok(Route {
                agent: Agent::new_with_config(config),
                proxy: place,
            })
        };
        let proxies = &settings.proxies;
        Ok(Self {
            https: route(proxies.https.as_ref())?,
            http: route(proxies.http.as_ref())?,
            direct: route(None)?,
            proxies: proxies.clone(),
            home,
            token: settings.token.clone(),
        })
    }

    /// Sends a request from a thread of its own.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives no thread.
    pub(super) fn ask(&self, ask: Ask) -> Result<Answer> {
        let (pieces, answer) = bounded(PIECES_AHEAD);
        let client = self.clone();
        std::thread::Builder::new()
            .name("one4d-http".to_owned())
            .spawn(move || {
                if let Err(trouble) = client.run(&ask, &pieces) {
                    // Nobody listens any more: the request was given up.
                    let _ = pieces.send(Err(trouble));
                }
            })
            .map_err(|e| Error::io("thread for a download", e))?;
        Ok(Answer(answer))
    }

    fn run(
        &self,
        ask: &Ask,
        pieces: &Sender<std::result::Result<Piece, Trouble>>,
    ) -> std::result::Result<(), Trouble> {
        let (head, body) = self.follow(ask)?;
        if pieces.send(Ok(Piece::Head(Box::new(head)))).is_err() {
            return Ok(());
        }
        let mut reader = body.into_with_config().reader();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let count = reader.read(&mut buffer).map_err(broken)?;
            let piece = match &buffer[..count] {
                [] => Piece::End,
                bytes => Piece::Bytes(bytes.to_vec()),
            };
            if pieces.send(Ok(piece)).is_err() || count == 0 {
                return Ok(());
            }
        }
    }

    /// Follows redirects to an answer.
    fn follow(&self, ask: &Ask) -> std::result::Result<(Head, Body), Trouble> {
        let mut url = ask.url.clone();
        let mut said_by_hub = Head::default();
        for _ in 0..=MAX_HOPS {
            let uri: Uri = url
                .parse()
                .map_err(|_| Trouble::Lasting(format!("`{}` is no address", tame(&url, 120))))?;
            let answer = self.send(ask, &url)?;
            let mut head = Head::read(&answer, uri.host().unwrap_or_default());
            if self.home.is_of(&url) {
                said_by_hub.linked_etag = head.linked_etag.take().or(said_by_hub.linked_etag);
                said_by_hub.linked_size = head.linked_size.take().or(said_by_hub.linked_size);
            }
            let is_redirect = matches!(head.status, 301 | 302 | 303 | 307 | 308);
            // Within the hub a redirect means that a model has moved; only the last one leaves it.
            let target = answer
                .headers()
                .get("location")
                .and_then(|value| value.to_str().ok())
                .and_then(|location| resolve(&url, location));
            let leaves = |to: &String| !self.home.is_of(to);
            if !is_redirect || (ask.head_only && target.as_ref().is_some_and(leaves)) {
                head.linked_etag = said_by_hub.linked_etag;
                head.linked_size = said_by_hub.linked_size;
                return Ok((head, answer.into_body()));
            }
            let Some(target) = target else {
                let reason = format!("{} redirects without saying where to", head.host);
                return Err(Trouble::Lasting(reason));
            };
            if url.starts_with("https://") && !target.starts_with("https://") {
                let reason = format!(
                    "{} redirects from https to an unprotected address, which is not followed",
                    head.host
                );
                return Err(Trouble::Lasting(reason));
            }
            url = target;
        }
        Err(Trouble::Lasting(format!(
            "more than {MAX_HOPS} redirects in a row: the server sends requests in a circle"
        )))
    }

    fn send(
        &self,
        ask: &Ask,
        url: &str,
    ) -> std::result::Result<ureq::http::Response<Body>, Trouble> {
        let here = is_loopback(url);
        let route = match Origin::of(url) {
            Some(origin) if here || self.proxies.spare(&origin) => &self.direct,
            Some(origin) if origin.is_https() => &self.https,
            _ => &self.http,
        };
        let mut request = if ask.head_only {
            route.agent.head(url)
        } else {
            route.agent.get(url)
        };
        if let Some((from, tag)) = &ask.from {
            request = request.header("Range", format!("bytes={from}-"));
            if let Some(tag) = tag {
                request = request.header("If-Range", tag);
            }
        }
        if let Some(token) = &self.token
            && self.home.is_of(url)
            && (here || url.starts_with("https://"))
        {
            request = request.header("Authorization", token.header());
        }
        request
            .call()
            .map_err(|error| unreachable_because(&error, url, route.proxy.as_deref()))
    }
}

impl Head {
    fn read(answer: &ureq::http::Response<Body>, host: &str) -> Self {
        let headers = answer.headers();
        let kind = text(headers, "content-type").unwrap_or_default();
        let encoding = text(headers, "content-encoding");
        let seconds = text(headers, "retry-after").and_then(|value| value.parse::<u32>().ok());
        Self {
            status: answer.status().as_u16(),
            length: text(headers, "content-length").and_then(|value| value.parse().ok()),
            etag: text(headers, "etag"),
            content_range: text(headers, "content-range"),
            is_page: kind.to_ascii_lowercase().starts_with("text/html"),
            is_encoded: encoding.is_some_and(|value| !value.eq_ignore_ascii_case("identity")),
            retry_after: seconds.map(|seconds| Duration::from_secs(u64::from(seconds))),
            error_code: text(headers, "x-error-code"),
            linked_etag: text(headers, "x-linked-etag"),
            linked_size: text(headers, "x-linked-size").and_then(|value| value.parse().ok()),
            host: host.to_owned(),
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}

fn broken(error: std::io::Error) -> Trouble {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let is_silence = matches!(inner, Some(ureq::Error::Timeout(_)))
        || matches!(
            error.kind(),
            std::io::ErrorKind::TimedOut | std::io::ErrorKind::WouldBlock
        );
    Trouble::Passing(if is_silence {
        "the server fell silent".to_owned()
    } else {
        format!("the connection broke off ({error})")
    })
}
