//! Addresses: whose they are, and where a redirect leads.

use ureq::http::Uri;

/// Scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an address, `None` for what is no http address.
    pub(super) fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        Some(Self {
            host: uri.host()?.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(usual),
            scheme,
        })
    }

    /// True for an address of this origin.
    pub(super) fn is_of(&self, url: &str) -> bool {
        Self::of(url).is_some_and(|other| other == *self)
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

/// True for an address on this machine, which no proxy can reach and nobody can listen to.
pub(super) fn is_loopback(url: &str) -> bool {
    Origin::of(url).is_some_and(|origin| {
        let bare = origin.host.trim_matches(['[', ']']);
        bare == "localhost"
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}

/// Where a `Location` leads from `base`; `None` for what is no http address.
pub(super) fn resolve(base: &str, location: &str) -> Option<String> {
    let location = location.split('#').next().unwrap_or_default().trim();
    if location.is_empty() || location.chars().any(char::is_control) {
        return None;
    }
    let origin_end = base.find("://")? + 3;
    let path_start = base[origin_end..]
        .find(['/', '?'])
        .map_or(base.len(), |at| origin_end + at);
    let url = if location.contains("://") && !location.starts_with(['/', '?']) {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{}//{rest}", &base[..origin_end - 2])
    } else if location.starts_with('/') {
        format!("{}{location}", &base[..path_start])
    } else {
        let path = base[path_start..].split('?').next().unwrap_or_default();
        let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
        format!("{}{folder}{location}", &base[..path_start])
    };
    Origin::of(&url).map(|_| url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let base = "https://hub.example:8443/a/b?c=d";
        let cases = [
            ("https://cdn.example/x?y", Some("https://cdn.example/x?y")),
            ("//cdn.example/x", Some("https://cdn.example/x")),
            ("/x/y", Some("https://hub.example:8443/x/y")),
            ("y", Some("https://hub.example:8443/a/y")),
            ("/x#part", Some("https://hub.example:8443/x")),
            ("file:///etc/passwd", None),
            ("ftp://x/y", None),
            ("", None),
            ("/a\r\nb", None),
        ];
        for (location, expected) in cases {
            assert_eq!(resolve(base, location).as_deref(), expected, "{location:?}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let home = Origin::of("https://hub.example").unwrap();
        assert!(home.is_of("https://HUB.example:443/x"));
        for other in [
            "http://hub.example/x",
            "https://hub.example:444/x",
            "https://hub.example.evil/x",
            "https://evil/https://hub.example",
            "https://hub.example@evil/x",
        ] {
            assert!(!home.is_of(other), "{other}");
        }
        assert!(is_loopback("http://127.0.0.1:80/x") && is_loopback("http://[::1]/x"));
        assert!(is_loopback("http://localhost/") && !is_loopback("http://localhost.evil/"));
    }
}
