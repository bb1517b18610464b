//! What a server's refusals mean, in words that say the way out.

use super::client::{Head, Trouble};
use super::settings::HubSettings;

/// What an answer without a file means.
pub(super) fn refusal(
    head: &Head,
    has_token: bool,
    settings: &HubSettings,
    place: &str,
) -> Trouble {
    let model = place.split(':').next().unwrap_or(place);
    let page = format!("{}/{model}", settings.endpoint);
    let code = head.error_code.as_deref().unwrap_or_default();
    let reason = match (head.status, code) {
        (_, "GatedRepo") => format!(
            "its publisher asks for consent first: accept the terms at {page}, then set HF_TOKEN"
        ),
        (_, "RepoNotFound") => format!("there is no such model at {}", settings.endpoint),
        (_, "RevisionNotFound") => {
            "there is no such revision; leave out --revision for the newest".to_owned()
        }
        (_, "EntryNotFound") => "the file is not there at this revision".to_owned(),
        (401, _) if has_token => {
            "the token is not accepted (401); make a new one, or check the model's name".to_owned()
        }
        (401, _) => "there is no such model, or it asks for a token (401): set HF_TOKEN".to_owned(),
        (403, _) => format!("access is refused (403); are its terms accepted at {page}?"),
        (404 | 410, _) => format!("is not there ({}); check the name", head.status),
        (416, _) => "the server has less of the file than it said (416)".to_owned(),
        (408, _) => "the server did not wait (408)".to_owned(),
        (429, _) => "too many requests (429); it is worth waiting, or setting HF_TOKEN".to_owned(),
        (status @ 500..=599, _) => format!("the server has a fault ({status})"),
        (status, _) => format!("{} answered with status {status}", head.host),
    };
    match head.status {
        408 | 429 | 500..=599 => Trouble::Passing(reason),
        _ => Trouble::Lasting(reason),
    }
}
