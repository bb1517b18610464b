//! Keys of a reference library's `config.json`, read with its defaults.

use serde_json::Value;

use crate::{Error, Result};

/// A configuration that another program saved.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReferenceConfig<'a> {
    /// Named in messages: "CLIP".
    network: &'static str,
    json: &'a Value,
}

impl<'a> ReferenceConfig<'a> {
    pub(super) fn new(network: &'static str, json: &'a Value) -> Self {
        Self { network, json }
    }

    /// A whole number, `None` where the key is absent or null.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key if it holds something else.
    pub(super) fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
                let reason = || self.refuse(key, &format!("must be a whole number, got {value}"));
                number.map(Some).ok_or_else(reason)
            }
        }
    }

    /// A whole number, or what the reference takes where the key is absent.
    ///
    /// # Errors
    /// As [`Self::optional_count`].
    pub(super) fn count(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.optional_count(key)?.unwrap_or(default))
    }

    /// A number, or what the reference takes where the key is absent.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key if it holds something else.
    pub(super) fn number(&self, key: &str, default: f64) -> Result<f64> {
        match self.json.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => value
                .as_f64()
                .ok_or_else(|| self.refuse(key, &format!("must be a number, got {value}"))),
        }
    }

    /// A text, where the key has one.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.json.get(key).and_then(Value::as_str)
    }

    /// The error of a key.
    pub(super) fn refuse(&self, key: &str, reason: &str) -> Error {
        Error::invalid(format!("{} configuration `{key}`", self.network), reason)
    }
}
