//! The same tensors under the names of two checkpoint layouts.

/// Module names of one network in our layout (the original checkpoint's) and in another.
///
/// Names are matched by whole segments: `norm1` does not match `norm10`.
#[derive(Clone, Copy, Debug)]
pub struct NameTable {
    /// What stands before a block's index: ours, theirs.
    pub block_prefix: (&'static str, &'static str),
    /// Modules inside a block: ours, theirs.
    pub block: &'static [(&'static str, &'static str)],
    /// Modules outside the blocks: ours, theirs.
    pub globals: &'static [(&'static str, &'static str)],
}

impl NameTable {
    /// Their name of our tensor; unknown names stay as they are.
    pub fn theirs(&self, ours: &str) -> String {
        self.translate(ours, |(ours, theirs)| (ours, theirs))
    }

    /// Our name of their tensor; unknown names stay as they are.
    pub fn ours(&self, theirs: &str) -> String {
        self.translate(theirs, |(ours, theirs)| (theirs, ours))
    }

    fn translate(
        &self,
        name: &str,
        direction: fn((&'static str, &'static str)) -> (&'static str, &'static str),
    ) -> String {
        let (from, to) = direction(self.block_prefix);
        let in_block = name
            .strip_prefix(from)
            .and_then(|rest| rest.split_once('.'))
            .filter(|(index, _)| index.bytes().all(|b| b.is_ascii_digit()));
        let replaced = |table: &[(&'static str, &'static str)], name: &str| {
            table.iter().copied().map(direction).find_map(|(from, to)| {
                let rest = name.strip_prefix(from)?;
                (rest.is_empty() || rest.starts_with('.')).then(|| format!("{to}{rest}"))
            })
        };
        match in_block {
            Some((index, inner)) => {
                let inner = replaced(self.block, inner).unwrap_or_else(|| inner.to_owned());
                format!("{to}{index}.{inner}")
            }
            None => replaced(self.globals, name).unwrap_or_else(|| name.to_owned()),
        }
    }
}
