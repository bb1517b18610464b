//! What the hub says about a model before anything is downloaded: commit, files, hashes, licence.

use serde::Deserialize;
use serde_json::Value;

use super::client::{Answer, Ask, Client, Head, Piece, Trouble};
use super::names::{encode, is_sha1, is_sha256, tame};
use super::refusal::refusal;
use super::settings::HubSettings;
use super::wait::Retries;
use crate::job::JobCtx;
use crate::{Error, Result};

/// Largest listing that is read, bytes, and most files that one may name.
const MAX_LISTING_BYTES: usize = 16 << 20;
const MAX_FILES: usize = 50_000;

/// The name of a content on the hub, which is also its check.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContentHash {
    /// SHA-256 of a large file.
    Sha256(String),
    /// Git's hash of a small one.
    Git(String),
}

impl ContentHash {
    /// The hash that a text spells, by its length.
    pub fn parse(text: &str) -> Option<Self> {
        if is_sha256(text) {
            Some(Self::Sha256(text.to_owned()))
        } else {
            is_sha1(text).then(|| Self::Git(text.to_owned()))
        }
    }

    /// Lower-case hexadecimal digits.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Git(hex) => hex,
        }
    }
}

/// A file as the hub lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) size: Option<u64>,
    pub(super) hash: Option<ContentHash>,
}

/// A model as the hub lists it.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<Listed>,
    pub(super) licence: Option<String>,
    pub(super) is_gated: bool,
}

#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default, rename = "cardData")]
    card: Value,
    #[serde(default)]
    tags: Vec<Value>,
    #[serde(default)]
    gated: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

/// Asks what a model consists of at a revision.
///
/// # Errors
/// [`Error::Hub`] with what the server said; [`Error::Cancelled`].
pub(super) fn list(
    client: &Client,
    settings: &HubSettings,
    hub_id: &str,
    revision: &str,
    ctx: &JobCtx,
) -> Result<Listing> {
    let (id, revision) = (encode(hub_id, true), encode(revision, false));
    let url = format!(
        "{}/api/models/{id}/revision/{revision}?blobs=true",
        settings.endpoint
    );
    let ask = Ask {
        url,
        from: None,
        head_only: false,
    };
    let (_, body) = whole(client, settings, &ask, hub_id, ctx)?;
    let info: Info = serde_json::from_slice(&body).map_err(|_| {
        let reason = "the server's answer is no listing of a model; is HF_ENDPOINT a hub, \
                      and is no login page in between?";
        Error::hub(hub_id, reason)
    })?;
    let commit = info
        .sha
        .as_deref()
        .filter(|sha| is_sha1(sha))
        .ok_or_else(|| {
            Error::hub(
                hub_id,
                "the server's listing does not say which commit it is of",
            )
        })?;
    if info.siblings.len() > MAX_FILES {
        let reason = format!("lists {} files, which no model has", info.siblings.len());
        return Err(Error::hub(hub_id, reason));
    }
    let files = info.siblings.iter().map(Sibling::listed).collect();
    Ok(Listing {
        commit: commit.to_owned(),
        files,
        licence: licence(&info.card, &info.tags),
        is_gated: info.gated != Value::Null && info.gated != Value::Bool(false),
    })
}

/// Asks for size and hash of one file, where the listing has left them out.
///
/// # Errors
/// As [`list`].
pub(super) fn describe(
    client: &Client,
    settings: &HubSettings,
    ask: Ask,
    place: &str,
    ctx: &JobCtx,
) -> Result<(Option<u64>, Option<ContentHash>)> {
    let (head, _) = whole(client, settings, &ask, place, ctx)?;
    let hash = head.linked_etag.as_ref().or(head.etag.as_ref());
    let hash = hash.and_then(|tag| ContentHash::parse(plain_tag(tag)));
    Ok((head.linked_size.or(head.length), hash))
}

/// An entity tag without the marks around it.
pub(super) fn plain_tag(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

/// A whole small answer, asked for again where a failure is a passing one.
fn whole(
    client: &Client,
    settings: &HubSettings,
    ask: &Ask,
    place: &str,
    ctx: &JobCtx,
) -> Result<(Head, Vec<u8>)> {
    let mut retries = Retries::new(settings.patience, "Try again later");
    loop {
        let answer = client.ask(ask.clone())?;
        match collect(&answer, ask.head_only, ctx)? {
            Ok((head, body)) if matches!(head.status, 200 | 301 | 302 | 303 | 307 | 308) => {
                return Ok((head, body));
            }
            Ok((head, _)) => match refusal(&head, settings.token.is_some(), settings, place) {
                Trouble::Lasting(reason) => return Err(Error::hub(place, reason)),
                Trouble::Passing(reason) => {
                    retries.wait(place, &reason, head.retry_after, ctx)?;
                }
            },
            Err(Trouble::Lasting(reason)) => return Err(Error::hub(place, reason)),
            Err(Trouble::Passing(reason)) => retries.wait(place, &reason, None, ctx)?,
        }
    }
}

/// Head and body of an answer, up to [`MAX_LISTING_BYTES`].
fn collect(
    answer: &Answer,
    head_only: bool,
    ctx: &JobCtx,
) -> Result<std::result::Result<(Head, Vec<u8>), Trouble>> {
    let mut head: Option<Head> = None;
    let mut body = Vec::new();
    loop {
        match answer.next(ctx)? {
            Ok(Piece::Head(found)) => head = Some(*found),
            Ok(Piece::Bytes(bytes)) => {
                body.extend_from_slice(&bytes);
                if body.len() > MAX_LISTING_BYTES {
                    let reason = "the server's answer does not come to an end".to_owned();
                    return Ok(Err(Trouble::Lasting(reason)));
                }
                continue;
            }
            Ok(Piece::End) => {
                let whole =
                    |head: &Head| head.length.is_none_or(|length| length == body.len() as u64);
                return Ok(match head {
                    Some(head) if whole(&head) => Ok((head, body)),
                    _ => Err(Trouble::Passing("the answer broke off".to_owned())),
                });
            }
            Err(trouble) => return Ok(Err(trouble)),
        }
        // A refusal's body says nothing that its head does not.
        let is_enough = |head: &mut Head| head_only || head.status >= 300;
        if let Some(found) = head.take_if(is_enough) {
            return Ok(Ok((found, body)));
        }
    }
}

impl Sibling {
    fn listed(&self) -> Listed {
        let lfs = self.lfs.as_ref();
        let large = lfs
            .and_then(|lfs| lfs.sha256.as_deref())
            .filter(|hash| is_sha256(hash));
        let small = self.blob_id.as_deref().filter(|hash| is_sha1(hash));
        let hash = match (lfs, large, small) {
            (_, Some(hash), _) => Some(ContentHash::Sha256(hash.to_owned())),
            // The blob of a large file is its pointer, not its content.
            (None, None, Some(hash)) => Some(ContentHash::Git(hash.to_owned())),
            _ => None,
        };
        Listed {
            name: self.rfilename.clone(),
            size: lfs.and_then(|lfs| lfs.size).or(self.size),
            hash,
        }
    }
}

/// The licence by card and tags: "apache-2.0", "other (model-licence)".
fn licence(card: &Value, tags: &[Value]) -> Option<String> {
    let of = |key: &str| {
        let value = card.get(key)?;
        value.as_str().or_else(|| value.get(0)?.as_str())
    };
    let tagged = || {
        tags.iter()
            .filter_map(Value::as_str)
            .find_map(|tag| tag.strip_prefix("license:"))
    };
    let name = tame(of("license").or_else(tagged)?, 60);
    Some(match of("license_name") {
        Some(own) if name == "other" => format!("other ({})", tame(own, 60)),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn large_files_go_by_their_content_and_small_ones_by_git() {
        let sibling = |value: Value| serde_json::from_value::<Sibling>(value).unwrap().listed();
        let (sha1, sha256) = ("a".repeat(40), "b".repeat(64));
        let small = sibling(json!({"rfilename": "a", "size": 3, "blobId": sha1}));
        assert_eq!(small.hash, Some(ContentHash::Git(sha1.clone())));
        let lfs = json!({"sha256": sha256, "size": 9, "pointerSize": 130});
        let large = sibling(json!({"rfilename": "a", "size": 9, "blobId": sha1, "lfs": lfs}));
        assert_eq!(large.hash, Some(ContentHash::Sha256(sha256)));
        assert_eq!(large.size, Some(9));
        let lying = json!({"rfilename": "a", "blobId": sha1, "lfs": {"sha256": "../../x"}});
        assert_eq!(
            sibling(lying).hash,
            None,
            "a pointer's hash is not its content's"
        );
    }

    #[test]
    fn the_licence_comes_from_the_card_before_the_tags() {
        let tags = [json!("x"), json!("license:mit")];
        assert_eq!(
            licence(&json!({"license": "apache-2.0"}), &tags).as_deref(),
            Some("apache-2.0")
        );
        assert_eq!(licence(&Value::Null, &tags).as_deref(), Some("mit"));
        let own = json!({"license": "other", "license_name": "research\u{1b}[0m only"});
        assert_eq!(
            licence(&own, &[]).as_deref(),
            Some("other (research[0m only)")
        );
        assert_eq!(
            licence(&json!({"license": ["mit"]}), &[]).as_deref(),
            Some("mit")
        );
        assert_eq!(licence(&json!({}), &[]), None);
    }
}
