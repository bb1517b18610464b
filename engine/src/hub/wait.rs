//! Waiting between attempts: longer each time, at once cancelled.

use std::time::{Duration, Instant};

use super::settings::Patience;
use crate::job::{JobCtx, Stage};
use crate::{Error, Result};

/// How many failures there have been in a row.
pub(super) struct Retries {
    patience: Patience,
    failures: u32,
    way_out: &'static str,
}

impl Retries {
    /// `way_out` ends the sentence that is said when no attempt is left.
    pub(super) fn new(patience: Patience, way_out: &'static str) -> Self {
        Self {
            patience,
            failures: 0,
            way_out,
        }
    }

    /// Something came through: failures count anew.
    pub(super) fn forget(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, as long as the server asks within bounds.
    ///
    /// # Errors
    /// [`Error::Hub`] with the last reason once there were too many failures; [`Error::Cancelled`].
    pub(super) fn wait(
        &mut self,
        place: &str,
        reason: &str,
        asked: Option<Duration>,
        ctx: &JobCtx,
    ) -> Result<()> {
        const POLL: Duration = Duration::from_millis(20);
        self.failures += 1;
        if self.failures >= self.patience.attempts {
            let reason = format!(
                "{reason}; gave up after {} attempts. {}",
                self.failures, self.way_out
            );
            return Err(Error::hub(place, reason));
        }
        let doubled = self.patience.first_wait * 2_u32.saturating_pow(self.failures - 1);
        let wait = asked.unwrap_or(doubled).min(self.patience.longest_wait);
        let secs = wait.as_secs_f64();
        ctx.warn(
            Stage::Fetch,
            format!("{place}: {reason}; trying again in {secs:.0} s"),
        );
        let until = Instant::now() + wait;
        loop {
            ctx.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(POLL));
        }
    }
}
