//! Fetching from behind a proxy, over protected connections, by an authority of one's own.

use std::path::{Path, PathBuf};

use one4d_engine::hub::{HubSettings, Proxies};
use one4d_tests::hub_server::{HubModel, HubServer};
use one4d_tests::network::{AUTHORITY, ConnectProxy, PlainServer, ProxyRules, TlsFront};

use super::hub::{LARGE, content, get, model, settings};

/// A hub that is called `hub.test` and speaks TLS, behind a proxy.
struct Site {
    folder: tempfile::TempDir,
    hub: HubServer,
    front: TlsFront,
}

impl Site {
    fn new(model: HubModel) -> Self {
        let hub = HubServer::honest(model);
        let front = TlsFront::before(&hub.address);
        Self {
            folder: tempfile::tempdir().unwrap(),
            hub,
            front,
        }
    }

    fn proxy(&self, rules: ProxyRules) -> ConnectProxy {
        ConnectProxy::start(ProxyRules {
            hosts: vec![("hub.test".to_owned(), self.front.port())],
            ..rules
        })
    }

    /// The file of the authority that signed the hub's certificate.
    fn authority(&self) -> PathBuf {
        let path = self.folder.path().join("authority.pem");
        std::fs::write(&path, AUTHORITY).unwrap();
        path
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("hub")
    }

    fn settings(&self, proxy: &str) -> HubSettings {
        let mut settings = settings("https://hub.test", &self.cache());
        settings.proxies = Proxies {
            https: Some(proxy.to_owned()),
            ..Proxies::default()
        };
        settings.certificates = Some(self.authority());
        settings
    }
}

fn why(settings: &HubSettings) -> String {
    get(settings).unwrap_err().to_string()
}

fn has_content(snapshot: &Path, model: &HubModel) {
    assert_eq!(
        std::fs::read(snapshot.join(LARGE)).unwrap(),
        content(model, LARGE)
    );
}

#[test]
fn a_model_comes_through_a_proxy_and_tls_by_ones_own_authority() {
    let model = model(300_000);
    let site = Site::new(model.clone());
    let proxy = site.proxy(ProxyRules::default());
    let snapshot = get(&site.settings(&proxy.address())).unwrap();
    has_content(&snapshot, &model);
    let asked = proxy.asked();
    assert!(asked.len() >= 3, "{asked:?}");
    assert!(asked.iter().all(|to| to == "hub.test:443"), "{asked:?}");
    assert!(
        site.hub
            .seen()
            .iter()
            .all(|seen| seen.headers["host"] == "hub.test")
    );
}

#[test]
fn a_download_that_breaks_off_at_the_proxy_goes_on_where_it_stopped() {
    let model = model(400_000);
    let site = Site::new(model.clone());
    // The first connection brings the listing; the file is one of those that follow.
    let cut = |nth| {
        let proxy = site.proxy(ProxyRules {
            cut: Some((nth, 150_000)),
            ..ProxyRules::default()
        });
        let mut settings = site.settings(&proxy.address());
        settings.cache = site.cache().join(nth.to_string());
        has_content(&get(&settings).unwrap(), &model);
    };
    (1..7).for_each(cut);
    let resumed: Vec<usize> = site
        .hub
        .files_seen()
        .iter()
        .filter(|seen| seen.path.ends_with(LARGE) && seen.from() > 0)
        .map(one4d_tests::hub_server::Seen::from)
        .collect();
    assert_eq!(resumed.len(), 1, "{resumed:?}");
    assert!((50_000..150_000).contains(&resumed[0]), "{resumed:?}");
}

#[test]
fn an_authority_that_is_not_trusted_is_named_with_the_way_out() {
    let site = Site::new(model(1000));
    let proxy = site.proxy(ProxyRules::default());
    let mut settings = site.settings(&proxy.address());
    settings.certificates = None;
    let error = why(&settings);
    for part in [
        "hub.test",
        "SSL_CERT_FILE",
        "nobody whom this program trusts",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert!(site.hub.seen().is_empty(), "nothing was asked of it");
    assert!(!error.contains("proxy"), "{error}");
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let site = Site::new(model(1000));
    let proxy = ConnectProxy::start(ProxyRules {
        hosts: vec![("other.test".to_owned(), site.front.port())],
        ..ProxyRules::default()
    });
    let mut settings = site.settings(&proxy.address());
    settings.endpoint = "https://other.test".to_owned();
    let error = why(&settings);
    assert!(
        error.contains("other.test") && error.contains("another name"),
        "{error}"
    );
}

#[test]
fn a_server_without_tls_and_a_file_without_certificates_are_told() {
    let site = Site::new(model(1000));
    let plain = PlainServer::start();
    let proxy = ConnectProxy::start(ProxyRules {
        hosts: vec![("hub.test".to_owned(), plain.port())],
        ..ProxyRules::default()
    });
    let mut settings = site.settings(&proxy.address());
    let error = why(&settings);
    assert!(
        error.contains("hub.test") && error.contains("no TLS"),
        "{error}"
    );
    let empty = site.folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    settings.certificates = Some(empty);
    let error = why(&settings);
    assert!(
        error.contains("empty.pem") && error.contains("SSL_CERT_FILE"),
        "{error}"
    );
}

#[test]
fn a_proxy_gets_its_password_and_errors_never_show_it() {
    let model = model(1000);
    let site = Site::new(model.clone());
    let proxy = site.proxy(ProxyRules {
        credentials: Some("Basic bWU6c2VjcmV0".to_owned()),
        ..ProxyRules::default()
    });
    let place = proxy.address().replace("http://", "");
    let error = why(&site.settings(&proxy.address()));
    assert!(
        error.contains(&place) && error.contains("name and a password"),
        "{error}"
    );
    let wrong = format!("http://me:wrong-one@{place}");
    let error = why(&site.settings(&wrong));
    assert!(
        error.contains(&place) && !error.contains("wrong-one"),
        "{error}"
    );
    let right = format!("http://me:secret@{place}");
    has_content(&get(&site.settings(&right)).unwrap(), &model);
    assert!(!format!("{:?}", site.settings(&right)).contains("secret"));
}

#[test]
fn proxies_that_refuse_or_are_gone_are_named_as_such() {
    let site = Site::new(model(1000));
    let proxy = ConnectProxy::start(ProxyRules::default());
    let error = why(&site.settings(&proxy.address()));
    for part in ["proxy", "hub.test", "403", "NO_PROXY"] {
        assert!(error.contains(part), "{error}");
    }
    let gone = proxy.address();
    drop(proxy);
    let error = why(&site.settings(&gone));
    for part in [
        gone.trim_start_matches("http://"),
        "takes no connections",
        "HTTPS_PROXY",
    ] {
        assert!(error.contains(part), "{error}");
    }
    for (address, part) in [
        ("socks5://127.0.0.1:1", "SOCKS"),
        ("::nothing::", "no address"),
    ] {
        let error = why(&site.settings(address));
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn no_proxy_and_servers_on_this_machine_go_without() {
    let model = model(1000);
    let site = Site::new(model.clone());
    let proxy = ConnectProxy::start(ProxyRules::default());
    // Over http and on this machine: no proxy is asked, though one is named.
    let mut settings = site.settings(&proxy.address());
    settings.proxies.http = Some(proxy.address());
    settings.endpoint.clone_from(&site.hub.address);
    has_content(&get(&settings).unwrap(), &model);
    assert!(proxy.asked().is_empty());
    if cfg!(windows) {
        println!("skipped: 0.0.0.0 is no address of this machine here");
        return;
    }
    // An address of this machine that does not look like one.
    let everywhere = site.hub.address.replace("127.0.0.1", "0.0.0.0");
    let mut settings = site.settings(&proxy.address());
    settings.proxies.http = Some(proxy.address());
    settings.endpoint = everywhere;
    assert!(why(&settings).contains("403"));
    let asked = proxy.asked().len();
    settings.proxies.none_for = vec!["0.0.0.0".to_owned()];
    has_content(&get(&settings).unwrap(), &model);
    assert_eq!(proxy.asked().len(), asked);
}

#[test]
fn an_http_address_goes_through_its_own_proxy() {
    let model = model(1000);
    let site = Site::new(model.clone());
    let plain: u16 = site
        .hub
        .address
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let hosts = vec![("hub.test".to_owned(), plain)];
    let proxy = ConnectProxy::start(ProxyRules {
        hosts,
        ..ProxyRules::default()
    });
    let mut settings = site.settings("http://127.0.0.1:1");
    settings.endpoint = "http://hub.test:8080".to_owned();
    settings.proxies.http = Some(proxy.address());
    has_content(&get(&settings).unwrap(), &model);
    assert!(proxy.asked().iter().all(|to| to == "hub.test:8080"));
}
