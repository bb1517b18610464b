//! A plan in words.

use std::fmt;

use super::machine::bytes_for_people;
use super::{Plan, StageMemory};

/// Seconds for people: "40 s", "12 min", "3.5 h", "38 days".
fn secs_for_people(secs: f64) -> String {
    match secs {
        s if s < 0.05 => "under 0.1 s".to_owned(),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// "about 12 min", "under 0.1 s".
fn about(secs: f64) -> String {
    let words = secs_for_people(secs);
    if words.starts_with("under") {
        words
    } else {
        format!("about {words}")
    }
}

impl Plan {
    /// One line: memory and time, for a button or a log.
    pub fn summary(&self) -> String {
        let blocks = if self.holding.streamed {
            "streamed"
        } else {
            "resident"
        };
        let fit = if self.fits {
            ""
        } else {
            ", more than there is"
        };
        format!(
            "about {} of {}{fit}, {}; weights {blocks}, {}",
            bytes_for_people(self.peak_bytes),
            self.limit_for_people(),
            about(self.time.total_secs),
            self.holding.form.label(),
        )
    }

    fn limit_for_people(&self) -> String {
        if self.machine.knows_memory() {
            bytes_for_people(self.limit_bytes)
        } else {
            "an unknown amount".to_owned()
        }
    }

    /// How long it takes, and what that rests on.
    fn write_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = &self.time;
        writeln!(
            f,
            "{} (an estimate): text {}, encode {}, denoise {} ({} a step{}), decode {}",
            about(time.total_secs),
            secs_for_people(time.text_secs),
            secs_for_people(time.encode_secs),
            secs_for_people(time.denoise_secs),
            secs_for_people(time.step_secs),
            match time.waiting_secs {
                secs if secs > 0.05 * time.step_secs => {
                    format!(", of it {} waiting for weights", secs_for_people(secs))
                }
                _ => String::new(),
            },
            secs_for_people(time.decode_secs),
        )?;
        if time.reused_steps > 0 {
            writeln!(
                f,
                "with {} of {} steps reused by the step cache, if this model is like the bundled one; a run reports \
                 what it reused",
                time.reused_steps, self.run.steps
            )?;
        }
        if !self.machine.rates.measured {
            writeln!(
                f,
                "the times are for assumed speeds, not measured on such a machine"
            )?;
        }
        Ok(())
    }

    /// The stage that needs the most.
    pub fn widest_stage(&self) -> Option<&StageMemory> {
        self.stages.iter().max_by_key(|stage| stage.bytes())
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = &self.run;
        writeln!(
            f,
            "{} on {}: {} frames of {} x {}, {} step{}, guidance {}",
            self.model,
            self.machine.device,
            run.frames,
            run.width,
            run.height,
            run.steps,
            if run.steps == 1 { "" } else { "s" },
            if run.guided { "on" } else { "off" },
        )?;
        writeln!(f)?;
        for place in &self.placements {
            let parameters = match place.parameters as f64 {
                n if n >= 1e9 => format!("{:.1} G", n / 1e9),
                n => format!("{:.1} M", n / 1e6),
            };
            let held = bytes_for_people(place.held_bytes);
            let part = &place.part;
            writeln!(f, "{part:<18}{parameters:>9}  {held:>8}  {}", place.place)?;
        }
        if let Some(tokens) = self.holding.hidden_tokens {
            writeln!(
                f,
                "the feed-forward takes {tokens} tokens of a row at a time"
            )?;
        }
        if let Some(cells) = self.holding.codec_tile {
            let side = 8 * cells;
            writeln!(
                f,
                "the codec takes tiles of {side} x {side} pixels at a time"
            )?;
        }
        writeln!(f)?;
        for stage in &self.stages {
            writeln!(
                f,
                "{:<18}{:>19}",
                stage.stage,
                bytes_for_people(stage.bytes())
            )?;
        }
        if let Some(stage) = self.widest_stage() {
            writeln!(f)?;
            writeln!(f, "widest stage: {}", stage.stage)?;
            for term in &stage.terms {
                writeln!(f, "{:>37}  {}", bytes_for_people(term.bytes), term.what)?;
            }
        }
        let fit = if self.fits {
            "fits in"
        } else {
            "does not fit in"
        };
        let (peak, limit) = (bytes_for_people(self.peak_bytes), self.limit_for_people());
        writeln!(f)?;
        writeln!(f, "peak {peak}, {fit} {limit}")?;
        self.write_times(f)?;
        self.advice
            .iter()
            .try_for_each(|line| writeln!(f, "- {line}"))
    }
}
