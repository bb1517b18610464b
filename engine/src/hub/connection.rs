//! Getting a connection: proxies and certificates, and what it means when there is none.

use std::io::ErrorKind;
use std::path::Path;

use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};
use ureq::{Proxy, ProxyProtocol};

use super::address::Origin;
use super::client::Trouble;
use super::names::tame;
use super::proxies::place_of;
use crate::{Error, Result};

/// Certificates of a PEM file.
pub(super) fn authorities(path: &Path) -> Result<RootCerts> {
    let pem = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let found: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        let reason = "holds no certificate in PEM form; mend or unset SSL_CERT_FILE";
        return Err(Error::format(path, reason));
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// A proxy by its address.
///
/// # Errors
/// [`Error::Invalid`] for what is no address, and for a proxy of a kind that is not spoken.
pub(super) fn http_proxy(url: &str) -> Result<Proxy> {
    let refused = |reason: &str| {
        let what = format!("proxy {} of the environment", place_of(url));
        Error::invalid(what, reason)
    };
    let proxy = Proxy::new(url)
        .map_err(|_| refused("is no address; HTTPS_PROXY looks like http://proxy.example:8080"))?;
    match proxy.protocol() {
        ProxyProtocol::Http | ProxyProtocol::Https => Ok(proxy),
        _ => Err(refused(
            "SOCKS proxies are not spoken; set HTTPS_PROXY to an HTTP proxy",
        )),
    }
}

/// What the client's error means, on the way to an address by a proxy or without.
pub(super) fn unreachable_because(error: &ureq::Error, url: &str, proxy: Option<&str>) -> Trouble {
    let host = Origin::of(url).map_or_else(|| short(url), |origin| origin.host().to_owned());
    match (error, proxy) {
        (ureq::Error::Io(error), _) if error.kind() == ErrorKind::InvalidData => {
            Trouble::Lasting(format!(
                "no protected connection to {host}: {}",
                distrust(&error.to_string())
            ))
        }
        (ureq::Error::ConnectProxyFailed(reason), _) => refused_by_proxy(reason, &host, proxy),
        // Without the proxy nothing is known of the server behind it.
        (ureq::Error::HostNotFound, Some(proxy)) => Trouble::Passing(format!(
            "the proxy {proxy} on the way to {host} is not found; mend or unset HTTPS_PROXY"
        )),
        (ureq::Error::Io(error), Some(proxy)) if error.kind() == ErrorKind::ConnectionRefused => {
            Trouble::Passing(format!(
                "the proxy {proxy} on the way to {host} takes no connections; mend or unset \
                 HTTPS_PROXY, or name {host} in NO_PROXY"
            ))
        }
        (ureq::Error::Timeout(_), Some(proxy)) => {
            Trouble::Passing(format!("{host} does not answer through the proxy {proxy}"))
        }
        (ureq::Error::Timeout(_), None) => Trouble::Passing(format!("{host} does not answer")),
        (ureq::Error::HostNotFound, None) => {
            Trouble::Passing(format!("{host} is not found; is this machine online?"))
        }
        (ureq::Error::Io(error), None) if error.kind() == ErrorKind::ConnectionRefused => {
            Trouble::Passing(format!(
                "{host} takes no connections; is its address right? HF_ENDPOINT may name another"
            ))
        }
        (ureq::Error::Io(error), _) => Trouble::Passing(format!("{host}: {error}")),
        (ureq::Error::ConnectionFailed, _) => Trouble::Passing(format!("{host} cannot be reached")),
        (ureq::Error::Protocol(error), _) => {
            Trouble::Passing(format!("{host} answered in no HTTP: {error}"))
        }
        (other, _) => Trouble::Lasting(format!("{host}: {other}")),
    }
}

fn refused_by_proxy(reason: &str, host: &str, proxy: Option<&str>) -> Trouble {
    let proxy = proxy.unwrap_or("of the environment");
    let status = |code: &str| reason.contains(&format!("responded {code}"));
    if status("407") {
        return Trouble::Lasting(format!(
            "the proxy {proxy} asks for a name and a password: \
             HTTPS_PROXY=http://NAME:PASSWORD@{proxy}"
        ));
    }
    let said = format!(
        "the proxy {proxy} did not connect to {host} ({})",
        short(reason)
    );
    if status("502") || status("503") || status("504") {
        return Trouble::Passing(said);
    }
    Trouble::Lasting(format!("{said}; name {host} in NO_PROXY to go without it"))
}

/// What is wrong with a server's certificate, and the way out; the words are those of rustls.
fn distrust(said: &str) -> String {
    let reason = if said.contains("UnknownIssuer") || said.contains("CaUsedAsEndEntity") {
        "its certificate is signed by nobody whom this program trusts. Where a company's gateway \
         stands between, set SSL_CERT_FILE to a PEM file with the gateway's certificate"
    } else if said.contains("Expired") || said.contains("NotValidYet") {
        "its certificate is out of date, or this machine's clock is wrong"
    } else if said.contains("not valid for name") || said.contains("NotValidForName") {
        "its certificate is for another name; is the address right, or does a gateway stand between?"
    } else if said.contains("InvalidContentType") {
        "it speaks no TLS at this port; is the address or the proxy right?"
    } else {
        "the connection was refused; behind a company's gateway set SSL_CERT_FILE to its certificates"
    };
    format!("{reason} ({})", short(said))
}

/// An address or a server's word, cut to a readable length.
fn short(text: &str) -> String {
    tame(text, 120)
}
