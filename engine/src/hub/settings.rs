//! Where models lie and where they are asked for, by the variables that every tool of the hub reads.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::proxies::Proxies;
use crate::{Error, Result};

/// The public hub.
const PUBLIC_ENDPOINT: &str = "https://huggingface.co";
/// A file of a token is one short line.
const MAX_TOKEN_BYTES: usize = 1024;

/// Where a file of trusted certificates is named: by everyone, by Python's tools, by curl.
const CERTIFICATES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// A secret; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token, without the white space around it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for text that is no token; the text itself is not repeated.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > MAX_TOKEN_BYTES || !plain {
            let reason = "is no token; a token is one line of letters, digits and underscores";
            return Err(Error::invalid("HF_TOKEN or the token file", reason));
        }
        Ok(Self(text.to_owned()))
    }

    /// The value of the header.
    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// How long a server is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// Until the first line of an answer.
    pub answer: Duration,
    /// Between two pieces of a file.
    pub silence: Duration,
    /// Fewer bytes a second than this over [`Self::window`] count as silence.
    pub least_bytes_per_sec: u64,
    /// Over which the rate is measured.
    pub window: Duration,
    /// Failures in a row, without a mebibyte between them, before giving up.
    pub attempts: u32,
    /// Wait after the first failure; doubled after each further one.
    pub first_wait: Duration,
    /// Longest wait, also where the server asks for more.
    pub longest_wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_mins(1),
            silence: Duration::from_secs(30),
            least_bytes_per_sec: 1024,
            window: Duration::from_mins(1),
            attempts: 6,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
        }
    }
}

/// Everything that looking for models and fetching them goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct HubSettings {
    /// Address of the hub, without a slash at its end.
    pub endpoint: String,
    /// For models behind terms or of one's own; only ever sent to `endpoint`.
    pub token: Option<Token>,
    /// The shared cache, `…/huggingface/hub`.
    pub cache: PathBuf,
    /// Nothing is asked of any server.
    pub offline: bool,
    /// Folders that the user named, searched besides the cache.
    pub folders: Vec<PathBuf>,
    /// Certificates of authorities, PEM, in place of the built-in ones.
    pub certificates: Option<PathBuf>,
    /// Proxies on the way; servers on this machine are asked without.
    pub proxies: Proxies,
    /// How long a server is waited for.
    pub patience: Patience,
}

impl HubSettings {
    /// Settings that reach `endpoint` and keep files in `cache`; no token.
    pub fn new(endpoint: &str, cache: &Path) -> Self {
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: None,
            cache: cache.to_owned(),
            offline: false,
            folders: Vec::new(),
            certificates: None,
            proxies: Proxies::default(),
            patience: Patience::default(),
        }
    }

    /// Settings of this process's environment.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn from_env() -> Result<Self> {
        Self::read(&|name| std::env::var_os(name), std::env::home_dir())
    }

    /// Settings of an environment: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE`,
    /// `HF_HUB_OFFLINE`, `XDG_CACHE_HOME`, `ONE4D_MODELS` (folders), `SSL_CERT_FILE` or what Python's tools
    /// and curl call so, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an endpoint that is no address or a token that is none, and where there is
    /// no home folder to keep the cache in.
    pub fn read(get: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Result<Self> {
        let value = |name: &str| get(name).filter(|value| !value.is_empty());
        let text = |name: &str| value(name).and_then(|value| value.into_string().ok());
        let path =
            |name: &str| value(name).map(|value| expand(PathBuf::from(value), home.as_deref()));
        let hub_home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| Some(home.as_ref()?.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(hub_home.as_ref()?.join("hub")))
            .ok_or_else(|| {
                Error::invalid(
                    "model cache",
                    "there is no home folder; set HF_HOME to a folder",
                )
            })?;
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_ENDPOINT.to_owned());
        let is_address = ["https://", "http://"].iter().any(|scheme| {
            endpoint
                .strip_prefix(scheme)
                .is_some_and(|rest| !rest.is_empty())
        });
        if !is_address {
            let reason = format!("`{endpoint}` is no address; it begins with https://");
            return Err(Error::invalid("HF_ENDPOINT", reason));
        }
        let token_file = path("HF_TOKEN_PATH").or_else(|| Some(hub_home?.join("token")));
        let token = match text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")) {
            Some(text) => Some(Token::new(&text)?),
            None => match token_file.and_then(|file| std::fs::read_to_string(file).ok()) {
                Some(text) if !text.trim().is_empty() => Some(Token::new(&text)?),
                _ => None,
            },
        };
        let folders = value("ONE4D_MODELS").map_or_else(Vec::new, |list| {
            std::env::split_paths(&list)
                .filter(|folder| !folder.as_os_str().is_empty())
                .map(|folder| expand(folder, home.as_deref()))
                .collect()
        });
        Ok(Self {
            token,
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_on(&value)),
            folders,
            certificates: CERTIFICATES.into_iter().find_map(path),
            proxies: Proxies::read(&text),
            ..Self::new(&endpoint, &cache)
        })
    }
}

/// A leading `~` stands for the home folder.
fn expand(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

fn is_on(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<HubSettings> {
        let get = |name: &str| {
            let pair = pairs.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(pair.1))
        };
        HubSettings::read(&get, Some(PathBuf::from("/home/me")))
    }

    #[test]
    fn the_cache_is_where_other_tools_keep_it() {
        let cache = |pairs: &[(&str, &str)]| read(pairs).unwrap().cache;
        assert_eq!(cache(&[]), Path::new("/home/me/.cache/huggingface/hub"));
        assert_eq!(
            cache(&[("XDG_CACHE_HOME", "/c")]),
            Path::new("/c/huggingface/hub")
        );
        let home = [("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/c")];
        assert_eq!(cache(&home), Path::new("/home/me/hf/hub"));
        let both = [("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/elsewhere")];
        assert_eq!(cache(&both), Path::new("/elsewhere"));
        assert!(HubSettings::read(&|_| None, None).is_err());
    }

    #[test]
    fn a_token_comes_from_the_variable_before_the_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        let from_file = read(&[("HF_HOME", home)]).unwrap();
        assert_eq!(from_file.token, Some(Token::new("hf_file").unwrap()));
        let both = read(&[("HF_HOME", home), ("HF_TOKEN", " hf_variable ")]).unwrap();
        assert_eq!(both.token, Some(Token::new("hf_variable").unwrap()));
        assert!(!format!("{both:?}").contains("hf_variable"));
        let error = read(&[("HF_TOKEN", "hf_a\r\nX: y")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no token") && !error.contains("hf_a"),
            "{error}"
        );
    }

    #[test]
    fn offline_endpoint_and_folders_are_read() {
        for (value, offline) in [("1", true), ("True", true), ("0", false), ("", false)] {
            assert_eq!(read(&[("HF_HUB_OFFLINE", value)]).unwrap().offline, offline);
        }
        let mirror = read(&[("HF_ENDPOINT", "https://mirror.example/")]).unwrap();
        assert_eq!(mirror.endpoint, "https://mirror.example");
        assert!(read(&[("HF_ENDPOINT", "mirror.example")]).is_err());
        let list = std::env::join_paths(["/a", "/b"]).unwrap();
        let folders = read(&[("ONE4D_MODELS", list.to_str().unwrap())])
            .unwrap()
            .folders;
        assert_eq!(folders, [Path::new("/a"), Path::new("/b")]);
    }
}
