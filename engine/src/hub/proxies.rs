//! Which proxy leads to a server: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl and
//! Python's tools read them.

use std::fmt;

use super::address::Origin;

/// Proxies of the environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// On the way to https addresses.
    pub https: Option<String>,
    /// On the way to http addresses.
    pub http: Option<String>,
    /// Hosts that are asked without a proxy: `*`, `name`, which stands for `*.name` too, `name:port`.
    pub none_for: Vec<String>,
}

impl Proxies {
    /// Reads the variables; small letters come first, `ALL_PROXY` last.
    pub(super) fn read(text: &dyn Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| text(&name.to_lowercase()).or_else(|| text(name));
        let all = either("ALL_PROXY");
        let hosts = either("NO_PROXY").unwrap_or_default();
        Self {
            https: either("HTTPS_PROXY").or_else(|| all.clone()),
            http: either("HTTP_PROXY").or(all),
            none_for: hosts
                .split([',', ' '])
                .map(|host| host.trim().to_ascii_lowercase())
                .filter(|host| !host.is_empty())
                .collect(),
        }
    }

    /// True for an address whose host is asked without a proxy.
    pub(super) fn spare(&self, origin: &Origin) -> bool {
        self.none_for.iter().any(|entry| {
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
                _ => (entry.as_str(), None),
            };
            let name = name.trim_start_matches('*').trim_start_matches('.');
            let host = origin.host();
            let below = host.strip_suffix(name).unwrap_or_default();
            let is_host =
                entry == "*" || (!name.is_empty() && (host == name || (below.ends_with('.'))));
            is_host && port.is_none_or(|port| port == origin.port())
        })
    }
}

impl fmt::Debug for Proxies {
    /// Names hosts only: an address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |url: &Option<String>| url.as_deref().map(place_of);
        f.debug_struct("Proxies")
            .field("https", &host(&self.https))
            .field("http", &host(&self.http))
            .field("none_for", &self.none_for)
            .finish()
    }
}

/// Host and port of a proxy's address, without the name and password that may stand in it.
pub(super) fn place_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    super::names::tame(place, 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Proxies {
        Proxies::read(&|name| {
            let pair = pairs.iter().find(|(key, _)| *key == name)?;
            Some(pair.1.to_owned())
        })
    }

    #[test]
    fn each_scheme_has_its_proxy_and_all_proxy_comes_last() {
        let both = read(&[("HTTPS_PROXY", "a:1"), ("http_proxy", "b:2")]);
        assert_eq!(both.https.as_deref(), Some("a:1"));
        assert_eq!(both.http.as_deref(), Some("b:2"));
        let all = read(&[("ALL_PROXY", "c:3"), ("https_proxy", "a:1")]);
        assert_eq!(all.https.as_deref(), Some("a:1"));
        assert_eq!(all.http.as_deref(), Some("c:3"));
        assert_eq!(read(&[]), Proxies::default());
    }

    #[test]
    fn hosts_are_spared_by_name_domain_and_port() {
        let spared = |list: &str, url: &str| {
            let proxies = read(&[("NO_PROXY", list)]);
            proxies.spare(&Origin::of(url).unwrap())
        };
        for (list, url, expected) in [
            ("*", "https://hub.example/x", true),
            ("hub.example", "https://HUB.example/x", true),
            ("hub.example", "https://cdn.hub.example/x", true),
            ("a, .hub.example", "https://cdn.hub.example/x", true),
            ("*.hub.example", "https://cdn.hub.example/x", true),
            ("hub.example", "https://nohub.example/x", false),
            ("hub.example", "https://hub.example.evil/x", false),
            ("hub.example:8443", "https://hub.example:8443/x", true),
            ("hub.example:8443", "https://hub.example/x", false),
            ("10.0.0.7", "http://10.0.0.7/x", true),
            ("", "https://hub.example/x", false),
        ] {
            assert_eq!(spared(list, url), expected, "{list:?} for {url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let shown = format!(
            "{:?}",
            read(&[("https_proxy", "http://me:secret@p.example:8/")])
        );
        assert!(
            shown.contains("p.example:8") && !shown.contains("secret"),
            "{shown}"
        );
        assert_eq!(place_of("me:secret@p.example:8"), "p.example:8");
    }
}
