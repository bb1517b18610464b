//! How much an import may ask for.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a file cannot be read; the caller names the file.
pub type Reason<T> = std::result::Result<T, String>;

/// Memory that an import may still take. Counts that files declare are taken from it before
/// anything is allocated, so that a few hostile bytes cannot ask for the whole machine.
#[derive(Debug)]
pub struct Budget {
    left_bytes: AtomicU64,
    total_bytes: u64,
}

impl Default for Budget {
    /// 8 GiB: a thousand frames of 480 x 832 with points, colours and depth.
    fn default() -> Self {
        Self::new(8 << 30)
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        Self {
            left_bytes: AtomicU64::new(bytes),
            total_bytes: bytes,
        }
    }

    /// Takes `count` values of `bytes_each`.
    ///
    /// # Errors
    /// A reason that names what was asked for, if less is left.
    pub fn take(&self, what: &str, count: usize, bytes_each: usize) -> Reason<()> {
        let wanted = (count as u64).checked_mul(bytes_each as u64);
        let taken = wanted.is_some_and(|wanted| {
            self.left_bytes
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(wanted)
                })
                .is_ok()
        });
        if taken {
            return Ok(());
        }
        Err(format!(
            "{what} would take {count} x {bytes_each} bytes, more than what is left of the import \
             budget of {} MiB",
            self.total_bytes >> 20
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_gone_and_overflow_is_refused() {
        let budget = Budget::new(100);
        assert!(budget.take("a", 10, 8).is_ok());
        assert!(budget.take("b", 3, 8).is_err());
        assert!(budget.take("c", usize::MAX, usize::MAX).is_err());
        assert!(budget.take("d", 20, 1).is_ok());
    }
}
