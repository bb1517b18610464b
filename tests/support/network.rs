//! What stands between a program and a server: a proxy, and a server's end of a protected connection.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::hub_server::{lock, named};

const CERTIFICATE: &[u8] = include_bytes!("certificates/hub.pem");
const KEY: &[u8] = include_bytes!("certificates/hub.key.pem");
/// The authority behind [`TlsFront`]'s certificate, PEM; what it signs is for `hub.test`, `localhost`
/// and 127.0.0.1.
pub const AUTHORITY: &[u8] = include_bytes!("certificates/authority.pem");

/// Listens on a port of its own until it is dropped, and hands each connection to a thread.
struct Port {
    number: u16,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    fn open(name: &'static str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on this machine");
        let number = listener.local_addr().expect("it is bound").port();
        let over = Arc::new(AtomicBool::new(false));
        let (is_over, serve) = (Arc::clone(&over), Arc::new(serve));
        let thread = named(name, move || {
            for stream in listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                named(name, move || serve(stream));
            }
        });
        Self {
            number,
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.number));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A server's protected end before a plain one: takes requests without a body, one a connection.
pub struct TlsFront(Port);

impl TlsFront {
    /// Before the server at `http://127.0.0.1:PORT`.
    ///
    /// # Panics
    /// If the test's certificate is no certificate.
    pub fn before(address: &str) -> Self {
        let behind = address.trim_start_matches("http://").to_owned();
        let chain = CertificateDer::pem_slice_iter(CERTIFICATE).map(|c| c.expect("a certificate"));
        let key = PrivateKeyDer::from_pem_slice(KEY).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS")
            .with_no_client_auth()
            .with_single_cert(chain.collect(), key)
            .expect("key and certificate belong together");
        let config = Arc::new(config);
        Self(Port::open("tls-front", move |stream| {
            // A client that does not trust us breaks off, as it should.
            let _ = pass_on(&config, stream, &behind);
        }))
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.0.number
    }
}

/// A server without TLS, which finds what a protected client sends no request.
pub struct PlainServer(Port);

impl PlainServer {
    /// On a port of its own.
    pub fn start() -> Self {
        Self(Port::open("plain-server", |mut stream| {
            let mut some = [0; 64];
            // Whatever it is, the answer is the same.
            let _ = stream.read(&mut some);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }))
    }

    /// Its port on this machine.
    pub fn port(&self) -> u16 {
        self.0.number
    }
}

fn pass_on(config: &Arc<ServerConfig>, stream: TcpStream, behind: &str) -> std::io::Result<()> {
    let connection = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
    let mut client = BufReader::new(StreamOwned::new(connection, stream));
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if client.read_until(b'\n', &mut request)? == 0 {
            return Ok(());
        }
    }
    let mut server = TcpStream::connect(behind)?;
    server.write_all(&request)?;
    let mut client = client.into_inner();
    std::io::copy(&mut server, &mut client)?;
    client.conn.send_close_notify();
    client.flush()
}

/// How a proxy behaves.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules {
    /// Ports on this machine by the names that clients ask for; other names are unknown.
    pub hosts: Vec<(String, u16)>,
    /// The value of `Proxy-Authorization` that it wants.
    pub credentials: Option<String>,
    /// The n-th connection breaks off after so many bytes from the server.
    pub cut: Option<(usize, usize)>,
}

/// A proxy that connects clients (`CONNECT`) to ports of this machine.
pub struct ConnectProxy {
    port: Port,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ConnectProxy {
    /// A proxy with these rules.
    pub fn start(rules: ProxyRules) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&asked);
        let port = Port::open("proxy", move |stream| {
            let _ = connect(&stream, &rules, &note);
        });
        Self { port, asked }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number)
    }

    /// `host:port` of every connection that was asked for.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

fn connect(
    mut client: &TcpStream,
    rules: &ProxyRules,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    // A client says nothing more before it is connected, so that nothing stays in the buffer.
    let mut reader = BufReader::new(client);
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let nth = {
        let mut asked = lock(asked);
        asked.push(target.clone());
        asked.len() - 1
    };
    let given = head
        .lines()
        .find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    if rules.credentials.is_some() && given != rules.credentials.as_deref() {
        return client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    }
    let host = target.rsplit_once(':').map_or("", |(host, _)| host);
    let known = rules.hosts.iter().find(|(name, _)| name == host);
    let Some((_, port)) = known.filter(|_| head.starts_with("CONNECT ")) else {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    };
    let server = TcpStream::connect(("127.0.0.1", *port))?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let there = named("proxy-there", move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let most = rules.cut.filter(|(at, _)| *at == nth);
    let most = most.map_or(u64::MAX, |(_, bytes)| bytes as u64);
    let copied = std::io::copy(&mut server.take(most), &mut client);
    let _ = client.shutdown(Shutdown::Both);
    let _ = there.join();
    copied.map(|_| ())
}
