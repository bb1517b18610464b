//! Names that come from a person or a server, before they become paths or parts of an address.

/// Reserved on Windows, in any case and with any ending.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];
/// Longest file name that every file system takes, bytes.
const MAX_PART_BYTES: usize = 255;
/// Longest path inside a repository, bytes, and how deep it may go.
const MAX_NAME_BYTES: usize = 1024;
const MAX_DEPTH: usize = 16;

/// Why a file name from a server cannot lie below a folder of ours; `None` for one that can.
pub(super) fn unsafe_name(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Some("is empty or too long");
    }
    if name.chars().any(char::is_control) {
        return Some("has control characters");
    }
    if name.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) {
        return Some("has characters that no file name has on every system");
    }
    if name.split('/').count() > MAX_DEPTH {
        return Some("lies too deep");
    }
    name.split('/').find_map(unsafe_part)
}

fn unsafe_part(part: &str) -> Option<&'static str> {
    if part.is_empty() || part == "." || part == ".." {
        return Some("leads out of its folder");
    }
    if part.len() > MAX_PART_BYTES || part.ends_with(['.', ' ']) {
        return Some("is no file name on every system");
    }
    let stem = part.split('.').next().unwrap_or(part).to_ascii_lowercase();
    let numbered = stem.len() == 4
        && (stem.starts_with("com") || stem.starts_with("lpt"))
        && stem.ends_with(|c: char| c.is_ascii_digit());
    (numbered || RESERVED.contains(&stem.as_str())).then_some("is the name of a device")
}

/// True for `organisation/model` or `model`, as the hub writes them.
pub fn is_hub_id(id: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && !part.starts_with(['.', '-'])
            && !part.ends_with(['.', '-'])
            && !part.contains("--")
            && !part.contains("..")
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    id.split('/').count() <= 2 && id.split('/').all(part)
}

/// True for a branch, a tag, a pull request or a commit.
pub(super) fn is_revision(revision: &str) -> bool {
    unsafe_name(revision).is_none()
        && !revision.starts_with('-')
        && revision
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._/-+".contains(c))
}

/// True for the full name of a commit, also that of a small file's content.
pub(super) fn is_sha1(text: &str) -> bool {
    text.len() == 40 && is_lower_hex(text)
}

/// True for the name of a large file's content.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && is_lower_hex(text)
}

fn is_lower_hex(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether a name fits a pattern in which `*` stands for any characters, slashes included, and `?` for one.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it covers so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, covered)) = star else {
                    return false;
                };
                star = Some((at, covered + 1));
                p = at + 1;
                n = covered + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// A server's words for a terminal or a label: one line, no control characters, not too long.
pub(super) fn tame(text: &str, most: usize) -> String {
    let mut tame: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_direction_mark(*c))
        .take(most)
        .collect();
    if text.chars().count() > most {
        tame.push('…');
    }
    tame.trim().to_owned()
}

/// Characters that turn text around and so make a name look like another.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Percent-encodes what is no plain character of an address; slashes stay if asked.
pub(super) fn encode(text: &str, keep_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || (keep_slashes && byte == b'/');
        if plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_their_folder_are_refused() {
        let hostile = [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "./a",
            "a/.",
            "C:/x",
            "a\\b",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "nul",
            "CON.txt",
            "a/COM1",
            "x.",
            "x ",
            "a/..",
        ];
        for name in hostile {
            assert!(unsafe_name(name).is_some(), "{name:?}");
        }
        assert!(unsafe_name(&"a/".repeat(20)).is_some());
        assert!(unsafe_name(&"a".repeat(256)).is_some());
        for name in [
            "a.bin",
            "google/umt5-xxl/spiece.model",
            ".gitattributes",
            "a..b",
            "comet",
        ] {
            assert_eq!(unsafe_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn ids_and_revisions_are_told_from_paths() {
        for id in ["Wan-AI/Wan2.1-T2V-14B", "gpt2", "a/b_c.d"] {
            assert!(is_hub_id(id), "{id}");
        }
        for id in [
            "", "a/b/c", "../a", "a/..", "a--b/c", "a/b?x", "a b/c", "/a", "a/",
        ] {
            assert!(!is_hub_id(id), "{id}");
        }
        assert!(is_revision("main") && is_revision("refs/pr/1"));
        for revision in ["", "..", "a/../b", "/main", "-x", "a b", "a?b"] {
            assert!(!is_revision(revision), "{revision:?}");
        }
    }

    #[test]
    fn stars_cover_slashes_and_nothing() {
        assert!(fits("*", "a/b") && fits("a*", "a") && fits("*.txt", "x/y.txt"));
        assert!(fits(
            "model*.safetensors",
            "model-00001-of-00002.safetensors"
        ));
        assert!(fits("a*b*c", "axxbxbxc") && !fits("a*b*c", "axxbxbx"));
        assert!(fits("?at", "cat") && !fits("?at", "at") && !fits("", "a") && fits("", ""));
    }

    #[test]
    fn a_servers_words_cannot_steer_a_terminal() {
        assert_eq!(tame("a\u{1b}[31m\r\nb\u{202e}", 40), "a[31m  b");
        assert_eq!(tame("abcdef", 3), "abc…");
    }
}
